"""The two stages of training an evaluator of Guo et al.: movements alone, then captions and clips together."""

import csv
import io
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from casim.data._order import batch_items
from casim.trainer import stream_seed
from casim.types import Clips, MotionBatch
from evaluators.embed.guo import Guo
from evaluators.training._data import Data

STAGES = MOVEMENTS, MATCHING = "movements", "matching"
"""Names of the stages, in their order."""
EMBEDDED = 256
"""Clips embedded at a time."""
SPARSITY = SMOOTHNESS = 0.001
"""Weights of the size of movements, and of their change from one to the next, in the loss of the autoencoder."""

Report = Callable[[str, float], object]
"""Gets the stage and the loss of every step."""


@dataclass(frozen=True)
class Training:
    """Optimisation; the defaults suit choreography on a laptop."""

    sizes: Literal["laptop", "paper"] = "laptop"
    """Widths of the networks."""
    movement_steps: int = 400
    """Steps of the autoencoder (authors: 270 epochs)."""
    movement_batch_size: int = 128
    """Windows per step."""
    movement_learning_rate: float = 1e-3
    """Peak; warmed up over 5 % of the steps, then cosine to zero (authors: constant 1e-4)."""
    window: int = 24
    """Frames that the autoencoder sees of a clip."""
    steps: int = 2500
    """Steps on pairs (authors: 300 epochs)."""
    batch_size: int = 64
    """Pairs per step (authors: 32)."""
    learning_rate: float = 2e-3
    """As `movement_learning_rate`."""
    negatives: int = 63
    """Wrong motions per caption, fewer than the batch holds (authors: 1)."""
    margin: float = 10.0
    """Distance beyond which a wrong motion costs nothing."""
    clip: float = 0.5
    """Largest norm of a gradient."""
    feat_bias: float = 5.0
    """Deviations of turn, root velocity, root height and contacts are divided by this, so that they count more."""
    validate_every: int = 100
    """Steps between validations; the weights of the least validation loss are kept."""
    seed: int = 0
    """Seed of weights, order of clips, crops and wrong motions."""

    def __post_init__(self) -> None:
        if self.window % 4 or self.window < 8:
            raise ValueError(f"window is {self.window} frames; choose a multiple of 4, at least 8")
        if not 1 <= self.negatives < self.batch_size:
            raise ValueError(
                f"negatives is {self.negatives}; choose 1 to {self.batch_size - 1}, fewer than the batch of "
                f"{self.batch_size} holds"
            )
        for name in ("movement_steps", "steps", "movement_batch_size", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass
class Curve:
    """Losses of every step of both stages, and of the validations."""

    rows: list[tuple[str, int, float, float | None]] = field(default_factory=list)
    """Stage, step, loss, validation loss."""

    def table(self) -> bytes:
        """The curve as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("stage", "step", "loss", "validation"))
        for stage, step, loss, validation in self.rows:
            writer.writerow((stage, step, f"{loss:.5g}", "" if validation is None else f"{validation:.5g}"))
        return text.getvalue().encode()


class Fitting:
    """Trains an evaluator in place; everything random follows from the seed.

    Raises:
        ValueError: a clip is shorter than the window, or the clips do not fill a batch.
    """

    def __init__(self, guo: Guo, data: Data, training: Training, report: Report = lambda *_: None) -> None:
        self.guo, self.data, self.training, self.report = guo, data, training, report
        self.clips = data.learnt.split("train")
        self.validation = data.dataset.split(data.validation)
        self.curve = Curve()
        shortest = int(self.clips.lengths.min())
        if shortest < training.window:
            raise ValueError(f"window is {training.window} frames, but the shortest clip has {shortest}")
        batch_items(self.clips.lengths, max(training.batch_size, training.movement_batch_size), training.seed, 0)

    def run(self) -> Curve:
        """Both stages; the evaluator is left frozen, with the weights of the least validation loss."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.training.seed)
            self._learn_movements()
            self.guo.movement_encoder.requires_grad_(False).eval()
            self._learn_matching()
        self.guo.requires_grad_(False).eval()
        return self.curve

    def _learn_movements(self) -> None:
        config, training = self.guo.config, self.training
        encoder = self.guo.movement_encoder.train()
        decoder = MovementDecoder(config.movement_width, config.movement_hidden, self.guo.read).to(self._device)

        def loss_at(step: int, generator: torch.Generator) -> Float[Tensor, ""]:
            batch = self._batch(MOVEMENTS, step, training.movement_batch_size)
            windows = cut(self._standardised(batch), batch.lengths, training.window, generator)
            movements = encoder(windows)
            size, change = movements.abs().mean(), movements.diff(dim=1).abs().mean()
            return F.l1_loss(decoder(movements), windows) + SPARSITY * size + SMOOTHNESS * change

        modules = nn.ModuleList([encoder, decoder])
        for step, loss in self._steps(MOVEMENTS, modules, loss_at):
            self.curve.rows.append((MOVEMENTS, step, loss, None))

    def _learn_matching(self) -> None:
        guo, training = self.guo, self.training
        least, kept = float("inf"), {}

        def loss_at(step: int, generator: torch.Generator) -> Float[Tensor, ""]:
            batch = self._batch(MATCHING, step, training.batch_size)
            text = guo.text_encoder.caption(guo.words(batch.texts, batch.tags))
            motion = guo.motion_vectors(self._standardised(batch), batch.lengths.to(self._device))
            # Every batch row but the caption's own: a shift of 0 would make the right motion a wrong one.
            shifts = 1 + torch.randperm(len(batch) - 1, generator=generator)[: training.negatives]
            return contrast(text, motion, shifts.to(self._device), training.margin)

        modules = nn.ModuleList([guo.text_encoder, guo.motion_encoder])
        for step, loss in self._steps(MATCHING, modules, loss_at):
            validation = None
            if step % training.validate_every == 0 or step == training.steps:
                text, motion = embedded(guo, self.data, self.validation)
                validation = float(contrast(text, motion, torch.arange(1, len(text)), training.margin))
                if validation < least:
                    least, kept = validation, deepcopy(guo.state_dict())
            self.curve.rows.append((MATCHING, step, loss, validation))
        if not kept:
            raise RuntimeError("no validation loss was a number; lower the learning rate")
        guo.load_state_dict(kept)

    def _steps(
        self, stage: str, modules: nn.Module, loss_at: Callable[[int, torch.Generator], Float[Tensor, ""]]
    ) -> Iterator[tuple[int, float]]:
        """Optimises the modules; gives the number, from 1, and the loss of every step that was taken."""
        training = self.training
        is_first = stage == MOVEMENTS
        steps = training.movement_steps if is_first else training.steps
        rate = training.movement_learning_rate if is_first else training.learning_rate
        generator = torch.Generator().manual_seed(stream_seed(training.seed, STAGES.index(stage)))
        optimiser = torch.optim.Adam(modules.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.05)
        for step in range(1, steps + 1):
            loss = loss_at(step, generator)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(modules.parameters(), training.clip)
            optimiser.step()
            schedule.step()
            value = float(loss.detach())
            self.report(stage, value)
            yield step, value

    def _batch(self, stage: str, step: int, size: int) -> MotionBatch:
        seed = stream_seed(self.training.seed, STAGES.index(stage))
        items = batch_items(self.clips.lengths, size, seed, step - 1)
        return self.clips.batch(items.tolist(), stream_seed(seed, step))

    def _standardised(self, batch: MotionBatch) -> Float[Tensor, "batch frames read"]:
        return self.guo.standardise(
            self.data.features(batch, self.data.learnt).to(self._device), batch.mask.to(self._device)
        )

    @property
    def _device(self) -> torch.device:
        return self.guo.mean.device


class MovementDecoder(nn.Module):
    """Frames from movements: the movement encoder backwards. It is trained with it and then dropped."""

    def __init__(self, width: int, hidden: int, feats: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(width, width, 1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose1d(width, hidden, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose1d(hidden, feats, 4, stride=2, padding=1),
        )

    def forward(self, movements: Float[Tensor, "batch steps width"]) -> Float[Tensor, "batch frames feats"]:
        """Four frames for every movement."""
        frames = self.main(rearrange(movements, "batch steps width -> batch width steps"))
        return rearrange(frames, "batch feats frames -> batch frames feats")


def cut(
    x: Float[Tensor, "batch frames feats"], lengths: Int[Tensor, " batch"], window: int, generator: torch.Generator
) -> Float[Tensor, "batch window feats"]:
    """`window` frames of every clip, from a random one on."""
    free = lengths - window + 1
    start = (torch.rand(len(x), generator=generator) * free).long()
    frames = (start[:, None] + torch.arange(window)).to(x.device)
    return x.gather(1, frames[..., None].expand(-1, -1, x.shape[2]))


def contrast(
    text: Float[Tensor, "batch width"],
    motion: Float[Tensor, "batch width"],
    shifts: Int[Tensor, " shifts"],
    margin: float,
) -> Float[Tensor, ""]:
    """Contrastive loss: captions near their own motions, and `margin` away from those `shifts` rows further on.

    Mean squared distance of the right pairs, plus the mean square of what the wrong ones lack to the margin.
    """
    distances = torch.cdist(text, motion, compute_mode="donot_use_mm_for_euclid_dist")
    rows = torch.arange(len(text), device=text.device)
    wrong = distances[rows, (rows + shifts[:, None]) % len(text)]
    return distances.diagonal().square().mean() + F.relu(margin - wrong).square().mean()


@torch.no_grad()
def embedded(
    guo: Guo, data: Data, clips: Clips
) -> tuple[Float[Tensor, "clips width"], Float[Tensor, "clips width"]]:
    """Vectors of the first captions and of the clips of a split, on the CPU."""
    text, motion = [], []
    for start in range(0, len(clips), EMBEDDED):
        batch = clips.batch(range(start, min(start + EMBEDDED, len(clips))))
        device = guo.mean.device
        motion.append(guo.motion(data.features(batch, data.dataset).to(device), batch.mask.to(device)).cpu())
        text.append(guo.text(batch.texts, batch.tags).cpu())
    return torch.cat(text), torch.cat(motion)
