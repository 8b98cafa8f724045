"""Trains TMR on captioned motion.

Choreography: on clips of another seed than the benchmark's, with no pair of actions held out, so that it has seen
every pair, but no clip that it will judge. A folder in HumanML3D's layout: on its train split. The record holds the
loss curve, and how well the saved (float16) weights retrieve real clips: a model's score is read beside these.

The defaults are small enough for a laptop and were chosen on choreography's validation split. The authors' settings
are --text minilm --text-weights distilbert-base-uncased --width 256 --layers 6 --ff 1024 --dropout 0.1 --patch 1
--steps 365000 --batch-size 32 --learning-rate 1e-4 --warmup 0 --no-decay --clip-norm 0 (500 epochs of HumanML3D).
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

import pandas as pd
import torch
from rich.progress import Progress

from casim import checkpoint, cli, plugins, record
from casim.data._order import batch_items
from casim.data.humanml3d import HumanML3D
from casim.text._cache import Cached
from casim.trainer import CLIPS, LAYERS, LOG, LOG_EVERY, NOISE, stream_seed
from casim.types import Clips, Losses, MotionBatch, MotionDataset, TextEncoder
from evaluators import caption_similarity, contrastive, embedder, real_retrieval
from evaluators.actor import ActorConfig
from evaluators.contrastive import LossConfig
from evaluators.embed.tmr import Tmr
from evaluators.real_retrieval import Alike
from evaluators.training._datasets import CHOREOGRAPHY, Subset, choreography, folder, judged_splits

LAPTOP = ActorConfig(width=96, layers=2, heads=4, ff=192, dropout=0.0)
Report = Callable[[float], object]
Log = list[dict[str, float | int]]
"""Step, losses and learning rate of some steps."""


@dataclass(frozen=True)
class Inputs:
    """What TMR reads, and how."""

    data: str = CHOREOGRAPHY
    """choreography, or a folder in the layout of HumanML3D."""
    subset: Subset = "essential"
    """Features: all, or those that joint positions come back from; choreography's generators make no others."""
    text: str = "hashed"
    """Text encoder whose token states are read: a plugin's name."""
    text_weights: str = ""
    """Folder or hub name of the text encoder's weights, where it takes one."""
    patch: int = 4
    """Frames per token."""
    similarity: caption_similarity.Kind | None = None
    """What tells captions that are alike: actions (the choreography's rule), sentences (MiniLM), words (equal
    captions); None: actions for choreography, sentences for a folder."""

    @property
    def alike_by(self) -> caption_similarity.Kind:
        """`similarity`, settled."""
        return self.similarity or ("actions" if self.data == CHOREOGRAPHY else "sentences")


@dataclass(frozen=True)
class Training:
    """Optimisation."""

    clips: int = 8000
    """Training clips of choreography; a folder gives all it has."""
    steps: int = 1000
    """Optimiser steps."""
    batch_size: int = 128
    """Clips per step, of similar length; all others of the batch are the negatives of each."""
    learning_rate: float = 3e-3
    """Peak rate of AdamW."""
    warmup: int = 100
    """Steps of linear warm-up."""
    decay: bool = True
    """Cosine decay of the rate to zero at the last step; otherwise constant."""
    clip_norm: float = 1.0
    """Limit of the gradient's norm; 0: none."""
    seed: int = 2_000_003
    """Seed of choreography's training clips, the weights, the order and the noise."""

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        scale = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return self.learning_rate * scale * (0.5 * (1 + math.cos(math.pi * step / self.steps)) if self.decay else 1)


@dataclass(frozen=True)
class Settings:
    """Everything that decides what comes out."""

    inputs: Annotated[Inputs, cli.FLAT] = Inputs()
    sizes: Annotated[ActorConfig, cli.FLAT] = LAPTOP
    training: Annotated[Training, cli.FLAT] = Training()
    loss: LossConfig = field(default_factory=LossConfig)


def main(*, out: Path, settings: Annotated[Settings, cli.FLAT] = Settings(), device: str = "cpu") -> None:
    """Trains TMR, and measures how well its saved weights retrieve real clips.

    Args:
        out: folder of weights, config, loss curve and record.
        settings: data, sizes and optimisation.
        device: where it is trained.
    """
    with Progress(transient=True) as progress:
        task = progress.add_task("training tmr", total=settings.training.steps)

        def report(value: float) -> None:
            progress.update(task, advance=1, description=f"training tmr, loss {value:.3f}")

        written = train(settings, out, device, report)
    for key, measure in written.results.items():
        if key.startswith("real/") and ("@1." in key or measure.unit == "rank"):
            print(f"{key:60s} {measure.value:.3f}")
    print(f"record: {out / record.FILE}")


def train(
    settings: Settings, out: Path, device: str = "cpu", report: Report = lambda loss: None
) -> record.RunRecord:
    """Trains a TMR, saves it below `out`, measures what was saved on real clips, and gives the record.

    Raises:
        ValueError: too few clips for a batch, the benchmark's own clips, or settings that do not fit the data.
        FileNotFoundError: the data or the weights of the text encoder are not there.
    """
    training = settings.training
    learnt, judged = datasets(settings.inputs, training)
    clips = learnt.split("train")
    splits, alike = judged_splits(judged), caption_similarity.named(settings.inputs.alike_by)
    # data too small for a batch, or without what captions are compared by, fails here: nothing is written yet
    alike(clips.batch(batch_items(clips.lengths, training.batch_size, training.seed, 0).tolist()))
    tmr = fresh(settings, learnt).to(device)
    written = _begin(settings, learnt, tmr, out.name)
    with record.opened(written, out):
        log = fit(tmr, clips, settings, alike, report)
        embedder.save(tmr, out)
        record.write_atomic(out / LOG, pd.DataFrame(log).to_csv(index=False, float_format="%.6g").encode())
        saved = embedder.load(out, "tmr")
        for split in splits:
            written.results |= real_retrieval.measure(saved, "tmr", judged, split, alike)
        written.results["loss"] = _last_loss(log)
        record.attach(written, out, out / checkpoint.WEIGHTS, out / checkpoint.CONFIG, out / LOG)
    return written


def datasets(inputs: Inputs, training: Training) -> tuple[MotionDataset, MotionDataset]:
    """The data that is trained on, and that whose splits are judged; a folder is both."""
    if inputs.data == CHOREOGRAPHY:
        return choreography(training.seed, training.clips, inputs.subset)
    data = folder(inputs.data, inputs.subset)
    return data, data


def fresh(settings: Settings, dataset: MotionDataset) -> Tmr:
    """An untrained TMR for the features of a dataset, with its statistics."""
    inputs = settings.inputs
    kind: Any = plugins.load(TextEncoder, "casim.text", inputs.text)
    options = {"weights": inputs.text_weights} if inputs.text_weights else {}
    text = plugins.describe(plugins.restore(kind.Config, options))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.training.seed)
        tmr = Tmr(Tmr.Config(text, dataset.spec, settings.sizes, inputs.patch))
    tmr.encoder = Cached(tmr.encoder)
    tmr.mean.copy_(torch.as_tensor(dataset.mean))
    tmr.std.copy_(torch.as_tensor(dataset.std))
    return tmr


def fit(tmr: Tmr, clips: Clips, settings: Settings, alike: Alike, report: Report = lambda loss: None) -> Log:
    """Trains in place on clips normalised with the statistics of `tmr`; gives the losses of every 20th step.

    Raises:
        RuntimeError: the loss is not finite any more.
    """
    training, log = settings.training, Log()
    optimiser = torch.optim.AdamW(tmr.parameters(), lr=training.learning_rate)
    tmr.train()
    for step in range(training.steps):
        items = batch_items(clips.lengths, training.batch_size, training.seed, step)
        batch = clips.batch(items.tolist(), seed=stream_seed(training.seed, step, CLIPS))
        for group in optimiser.param_groups:
            group["lr"] = training.rate(step)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(training.seed, step, LAYERS))
            losses = _losses(tmr, batch, alike, settings, step)
        optimiser.zero_grad()
        losses.total.backward()
        if training.clip_norm:
            torch.nn.utils.clip_grad_norm_(tmr.parameters(), training.clip_norm)
        optimiser.step()
        report(value := float(losses.total.detach()))
        if not math.isfinite(value):
            raise RuntimeError(f"the loss is {value} at step {step + 1}; lower the learning rate")
        if (step + 1) % LOG_EVERY == 0 or step + 1 == training.steps:
            parts = {name: float(part.detach()) for name, part in losses.parts.items()}
            log.append({"step": step + 1, "loss": value, "learning_rate": training.rate(step)} | parts)
    tmr.eval()
    return log


def _losses(tmr: Tmr, batch: MotionBatch, alike: Alike, settings: Settings, step: int) -> Losses:
    device = tmr.mean.device
    excluded = contrastive.too_alike(alike(batch), settings.loss.threshold).to(device)
    text = tmr.encoder.encode(batch.texts).to(device)
    generator = torch.Generator().manual_seed(stream_seed(settings.training.seed, step, NOISE))
    noise = torch.randn(2, len(batch), tmr.width, generator=generator).to(device)
    batch = batch.to(device)
    of_text, of_motion = tmr.network((batch.motion, batch.mask), (text.tokens, text.mask), noise)
    return contrastive.losses(of_text, of_motion, batch.motion, excluded, settings.loss)


def _begin(settings: Settings, learnt: MotionDataset, tmr: Tmr, name: str) -> record.RunRecord:
    """A record of the settings as given, and of what they came to."""
    inputs = settings.inputs
    config = asdict(settings) | {
        "data": plugins.describe(cast(Any, learnt).config),
        "embedder": plugins.describe(tmr.config),
        "text_sha256": tmr.encoder.identity(),
        "captions": caption_similarity.WORDS[inputs.alike_by],
    }
    seed, device, threads = settings.training.seed, str(tmr.mean.device), torch.get_num_threads()
    written = record.begin("train", name, config, seed=seed, device=device, threads=threads)
    if inputs.text_weights:
        weights = record.relative(inputs.text_weights)
        written.config["inputs"]["text_weights"] = written.config["embedder"]["text"]["weights"] = weights
    if isinstance(learnt, HumanML3D):
        place = record.relative(learnt.folder)
        written.config["data"]["folder"] = written.config["inputs"]["data"] = place
        written.inputs["data"] = record.Source(run=place, sha256=record.sha256(learnt.folder))
    return written


def _last_loss(log: Log) -> record.Measure:
    tail = [row["loss"] for row in log[-10:]]
    words = "training loss, mean of the last logged steps"
    return record.Measure(value=sum(tail) / len(tail), n=len(tail), unit="", higher_is_better=False, protocol=words)
