"""The seams of joined motions: every way to join the same segments from the same noise, and what is seen there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from analysis.transition_design import WINDOW, Cell
from casim import long_form
from casim.features import to_joints
from casim.long_form import LongForm, cross_fade, unfold
from casim.skeleton import SKELETONS
from casim.text_to_motion import TextToMotion
from casim.timeline import Layout
from casim.types import ActionSpan, Alignment, MotionBatch, MotionDataset, frame_mask
from evaluators.actions import is_exact, names
from evaluators.embed.oracle import Oracle
from evaluators.embedder import Embedder
from evaluators.metrics.skate_ratio import SkateRatio
from evaluators.movement import Movement
from evaluators.protocol import EvalBatch
from evaluators.spaces import essential

CHAIN = 32
"""Segments that are joined, and denoised, at a time."""
SCORES = (
    "peak_jerk",
    "mean_jerk",
    "distance",
    "largest_step",
    "skate_ratio",
    "speed",
    "left_exact",
    "right_exact",
    "left_kept",
    "right_kept",
)


@dataclass(frozen=True)
class Seams:
    """What was measured at the seams of one cell, or in windows of real clips."""

    scores: dict[str, Float[np.ndarray, " seams"]]
    jerk: Float[np.ndarray, "seams thirds"]
    """Curve over the window, m/s^3."""
    vectors: dict[str, Float[np.ndarray, "seams _"]]
    segments: dict[str, Float[np.ndarray, " segments"]] = field(default_factory=dict)
    """What holds of a segment, not of a seam: a segment between two seams counts once."""

    @staticmethod
    def joined(parts: Sequence["Seams"]) -> "Seams":
        """Those of all parts."""
        first = parts[0]
        return Seams(
            {name: np.concatenate([part.scores[name] for part in parts]) for name in first.scores},
            np.concatenate([part.jerk for part in parts]),
            {name: np.concatenate([part.vectors[name] for part in parts]) for name in first.vectors},
            {name: np.concatenate([part.segments[name] for part in parts]) for name in first.segments},
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """For a file."""
        kinds = {"score": self.scores, "vector": self.vectors, "segment": self.segments}
        flat = {f"{kind}/{name}": values for kind, own in kinds.items() for name, values in own.items()}
        return {"jerk": self.jerk} | flat

    @staticmethod
    def of_arrays(arrays: dict[str, np.ndarray]) -> "Seams":
        """From a file."""
        parts: dict[str, dict[str, np.ndarray]] = {"score": {}, "vector": {}, "segment": {}}
        for key, values in arrays.items():
            kind, _, name = key.partition("/")
            if name:
                parts[kind][name] = values
        return Seams(parts["score"], arrays["jerk"], parts["vector"], parts["segment"])


@dataclass(frozen=True)
class Eye:
    """What looks at windows and segments: recovery of joints, the recogniser of actions, an embedder."""

    dataset: MotionDataset
    oracle: Oracle
    embedders: dict[str, Embedder]

    def metres(self, motion: Float[Tensor, "batch frames feats"]) -> Float[Tensor, "batch frames joints xyz"]:
        """Joints of normalised motion."""
        return to_joints(self._features(motion), self.dataset.spec) * self.dataset.spec.skeleton.metres

    def _features(self, motion: Float[Tensor, "batch frames feats"]) -> Float[Tensor, "batch frames feats"]:
        return motion * torch.as_tensor(self.dataset.std) + torch.as_tensor(self.dataset.mean)

    def recognise(
        self, motion: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"]
    ) -> tuple[tuple[ActionSpan, ...], ...]:
        """The actions of normalised motion."""
        return self.oracle.recognise(self._features(motion), mask)

    @torch.no_grad()
    def windows(self, motion: Float[Tensor, "seams frames feats"]) -> Seams:
        """Everything but the meaning, of windows of normalised motion whose seam is in the middle."""
        mask = torch.ones(motion.shape[:2], dtype=torch.bool)
        joints, fps = self.metres(motion), self.dataset.spec.fps
        movement = Movement(joints.double(), mask, fps, SKELETONS[joints.shape[2]])
        own = [str(i) for i in range(len(motion))]
        batch = EvalBatch(motion, mask, MotionBatch(motion, mask, tuple(own), tuple(own)), joints=joints, fps=fps)
        steps = movement.local.diff(dim=1).norm(dim=-1).mean(-1) * 1000
        found = {
            "peak_jerk": movement.jerk.amax(1),
            "mean_jerk": movement.jerk.mean(1),
            "distance": steps[:, motion.shape[1] // 2 - 1],
            "largest_step": steps.amax(1),
            "skate_ratio": SkateRatio().per_item(batch),
            "speed": movement.joints.diff(dim=1).norm(dim=-1).mean((1, 2)) * fps,
        }
        vectors = {name: e.motion(self._features(motion), mask).numpy() for name, e in self.embedders.items()}
        vectors["essential"] = essential(batch, self.dataset.spec, torch.arange(len(motion))).motion.numpy()
        return Seams({name: v.double().numpy() for name, v in found.items()}, movement.jerk.numpy(), vectors)

    @torch.no_grad()
    def meaning(
        self, motion: Float[Tensor, "total feats"], layout: Layout, wanted: Sequence[Alignment]
    ) -> tuple[dict[str, Float[np.ndarray, " seams"]], dict[str, Float[np.ndarray, " segments"]]]:
        """For each seam: do both neighbours show exactly what they were asked to, each up to the middle of its
        handshakes; and are their actions beside the seam there, handshakes included? The same for each segment, of
        whose actions the share beside its one or two seams counts."""
        shown = self._actions(motion, layout.boundaries[:-1], np.diff(layout.boundaries).tolist())
        whole = self._actions(motion, layout.starts, layout.lengths)
        exact = np.array([is_exact(f, w) for f, w in zip(shown, wanted, strict=True)], dtype=float)
        ends = np.array([[_has(f, w, 0), _has(f, w, -1)] for f, w in zip(whole, wanted, strict=True)], dtype=float)
        seams = {
            "left_exact": exact[:-1],
            "right_exact": exact[1:],
            "left_kept": ends[:-1, 1],
            "right_kept": ends[1:, 0],
        }
        kept = ends.mean(1)
        kept[0], kept[-1] = ends[0, 1], ends[-1, 0]
        return seams, {"exact": exact, "kept": kept}

    def _actions(
        self, motion: Float[Tensor, "total feats"], starts: Sequence[int], lengths: Sequence[int]
    ) -> tuple[tuple[ActionSpan, ...], ...]:
        mask = frame_mask(lengths)
        rows = torch.as_tensor(starts)[:, None] + torch.arange(mask.shape[1])
        return self.recognise(motion[rows.clamp_max(len(motion) - 1)] * mask[..., None], mask)


def _has(found: Sequence[ActionSpan], wanted: Alignment, place: int) -> bool:
    return wanted.actions[place].action in names(found)


def look(motion: Float[Tensor, "total feats"], layout: Layout, wanted: Sequence[Alignment], eye: Eye) -> Seams:
    """The seams of a joined motion.

    Args:
        motion: normalised.
        layout: of its segments.
        wanted: what each segment was asked for.
        eye: what looks.
    """
    seams = eye.windows(cut(motion[None].expand(len(layout.boundaries) - 2, -1, -1), layout.boundaries[1:-1]))
    of_seams, of_segments = eye.meaning(motion, layout, wanted)
    return Seams(seams.scores | of_seams, seams.jerk, seams.vectors, of_segments)


def inside(motion: Float[Tensor, "total feats"], layout: Layout, eye: Eye) -> Seams:
    """The middles of all segments but the last, which no neighbour touches: how rough the generator itself is."""
    middles = [start + length // 2 for start, length in zip(layout.starts, layout.lengths, strict=True)][:-1]
    return eye.windows(cut(motion[None].expand(len(middles), -1, -1), middles))


def cut(
    motion: Float[Tensor, "seams frames feats"], middles: Sequence[int] | Int[Tensor, " seams"]
) -> Float[Tensor, "seams window feats"]:
    """A window of each row around its own frame, which is the first one of the second half."""
    rows = torch.as_tensor(middles)[:, None] - WINDOW // 2 + torch.arange(WINDOW)
    return motion[torch.arange(len(motion))[:, None], rows]


@torch.no_grad()
def joined(
    model: TextToMotion, batch: MotionBatch, cells: Sequence[Cell], seed: int
) -> Iterator[tuple[Cell, Float[Tensor, "total feats"], Layout]]:
    """The clips' captions as segments of their lengths, joined in every way from the same noise.

    Every handshake is denoised once; its blends differ in the second take alone, which has noise of its own.
    """
    backbone, lengths = long_form.check(model), batch.lengths.tolist()
    guided, free = model.guided(batch.texts), model.injection.null(model.encode(batch.texts[:-1]))
    options = {"sampler": model.setup.sampling.sampler, "steps": model.setup.sampling.steps}
    plain: Tensor | None = None

    def first(cell: Cell) -> Float[Tensor, "segments frames feats"]:
        form = LongForm(backbone, cell.joining, model.max_frames, model.canvas)
        noise = torch.Generator().manual_seed(seed)
        return form.first_take(guided, cell.layout(lengths), noise, **options)

    ways = sorted(cells, key=lambda cell: (cell.method == "double_take", cell.handshake, cell.blend))
    for is_double, group in groupby(ways, key=lambda cell: (cell.method == "double_take", cell.handshake)):
        own = list(group)
        if not is_double[0]:
            plain = first(Cell("concatenate")) if plain is None else plain
            for cell in own:
                layout = cell.layout(lengths)
                yield cell, unfold(cross_fade(plain, layout), layout).cpu(), layout
            continue
        take = first(own[0])
        for cell in own:
            layout, form = cell.layout(lengths), LongForm(backbone, cell.joining, model.max_frames, model.canvas)
            if cell.blend < 2:  # a second take changes nothing
                yield cell, unfold(take, layout).cpu(), layout
                continue
            noise = torch.Generator().manual_seed(seed + 1)
            yield cell, form.second_take(take, free, layout, noise, **options).motion().cpu(), layout


def real_windows(
    batch: MotionBatch, rng: np.random.Generator, *, is_change: bool
) -> Float[Tensor, "windows frames feats"]:
    """Windows of real clips: around the change from one action to the next (not of clips that show two at once), or
    anywhere; those that fit."""
    lengths = batch.lengths.numpy()
    half = WINDOW // 2
    if is_change:
        spans = [truth.actions if truth.kind != "while" else () for truth in batch.alignment or ()]
        middles = np.array([(s[0].end + s[1].start) // 2 if len(s) > 1 else -1 for s in spans])
    else:
        middles = half + (rng.random(len(lengths)) * np.maximum(lengths - WINDOW + 1, 1)).astype(int)
    kept = (middles >= half) & (middles + half <= lengths)
    return cut(batch.motion[torch.from_numpy(kept)], torch.from_numpy(middles[kept]))
