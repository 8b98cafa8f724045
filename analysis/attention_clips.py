"""The example clips of the attention probe as motion: the real one, those of every run, and attention head by
head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from analysis.attention_capture import Choice, capture
from analysis.statistics import Spans
from casim.text_to_motion import TextToMotion
from casim.types import Clips, MotionBatch


@dataclass(frozen=True)
class Examples:
    """The clips that are kept whole, and the models that generate from their captions."""

    models: Mapping[str, TextToMotion]
    """The token-level runs by name."""
    pooled: Mapping[str, TextToMotion]
    """Fixed-length runs whose motions stand beside; there may be none."""
    split: Clips
    items: Sequence[int]
    """Places of the clips in the split."""
    clips: MotionBatch
    chosen: Sequence[int]
    """Rows of `clips` to keep."""

    @property
    def tracks(self) -> dict[str, TextToMotion]:
        """All runs that generate, the token-level ones first."""
        return {**self.models, **self.pooled}


def motions(examples: Examples, spans: Spans, choice: Choice, seed: int) -> dict[str, np.ndarray]:
    """The arrays `tracks/...`, `example{i}/real`, `/motions`, `/heads` and `/heads_unit`; all runs get one
    noise."""
    rows, tracks = list(examples.chosen), examples.tracks
    clips = examples.split.batch([examples.items[row] for row in rows])
    made = {name: _sampled(model, clips, seed) for name, model in tracks.items()}
    heads = [
        _heads(model, replace(clips, motion=made[name]), choice, seed) for name, model in examples.models.items()
    ]
    real = _joints(next(iter(tracks.values())), clips.motion)
    generated = np.stack([_joints(model, made[name]) for name, model in tracks.items()], 1)
    found: dict[str, np.ndarray] = {
        "tracks/run": np.array(list(tracks)),
        "tracks/arm": np.array([_arm(name, model) for name, model in tracks.items()]),
        "tracks/seed": np.array([_seed(model) for model in tracks.values()]),
    }
    for number, row in enumerate(rows):
        words, frames = int(spans.words[row]), int(spans.lengths[row])
        table, unit = _as_bytes(np.stack([maps[number, :, :, :words, :frames] for maps in heads]))
        found |= {
            f"example{number}/real": real[number, :frames],
            f"example{number}/motions": generated[number, :, :frames],
            f"example{number}/heads": table,
            f"example{number}/heads_unit": np.array(unit, np.float32),
        }
    return found


def _sampled(model: TextToMotion, clips: MotionBatch, seed: int) -> Float[Tensor, "batch frames feats"]:
    """A motion for every caption, as wide as the clips are padded."""
    motion = model.sample(clips.texts, clips.lengths.tolist(), seed=seed).cpu()
    return F.pad(motion, (0, 0, 0, clips.mask.shape[1] - motion.shape[1]))


@torch.no_grad()
def _joints(
    model: TextToMotion, motion: Float[Tensor, "batch frames feats"]
) -> Float[np.ndarray, "batch frames joints xyz"]:
    return model.joints(motion.to(model.device)).cpu().numpy().astype(np.float16)


def _heads(
    model: TextToMotion, clips: MotionBatch, choice: Choice, seed: int
) -> Float[np.ndarray, "clips layers heads words frames"]:
    """Attention of every layer and head, mean over the noise steps."""
    heads = range(getattr(model.setup.backbone, "heads", 1))
    return np.stack([capture(model, clips, replace(choice, head=head), seed).by_layer for head in heads], 2)


def _as_bytes(values: Float[np.ndarray, "..."]) -> tuple[UInt8[np.ndarray, "..."], float]:
    """Shares of attention as bytes, and the share that one step of a byte stands for."""
    unit = max(float(values.max(initial=0)), 1e-6) / 255
    return np.round(values / unit).astype(np.uint8), unit


def _arm(name: str, model: TextToMotion) -> str:
    """The recipe without its dataset."""
    recipe, data = str(model.config.get("recipe", name)), str(model.config.get("data", {}).get("plugin", ""))
    return recipe.removeprefix(f"{data}_")


def _seed(model: TextToMotion) -> int:
    """The training seed; -1 where the run does not tell."""
    return int(model.config.get("training", {}).get("seed", -1))
