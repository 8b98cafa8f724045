"""Arrays of the attention probe: example clips with maps and motions, and per-clip values for figures.

The names of the arrays are listed in `analysis.attention_probe`.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool

from analysis import statistics as s
from analysis.attention_capture import Choice, capture
from analysis.attention_results import Evidence
from casim.text_to_motion import TextToMotion
from casim.types import Clips, MotionBatch


@dataclass(frozen=True)
class Examples:
    """The clips that are kept whole, and the model that generates from their captions."""

    model: TextToMotion
    split: Clips
    items: Sequence[int]
    """Places of the clips in the split."""
    clips: MotionBatch
    chosen: Sequence[int]
    """Rows of `clips` to keep."""


def choose_examples(kinds: Sequence[str], is_reversed: Bool[np.ndarray, " clips"], count: int) -> list[int]:
    """`count` clips, taken in turn from reversed pairs, natural pairs, reversed triples and natural triples."""
    groups = [
        [i for i, kind in enumerate(kinds) if kind == wanted and bool(is_reversed[i]) == flag]
        for wanted, flag in (("pair", True), ("pair", False), ("triple", True), ("triple", False))
    ]
    chosen: list[int] = []
    while len(chosen) < count and any(groups):
        for group in groups:
            if group and len(chosen) < count:
                chosen.append(group.pop(0))
    return chosen


def arrays(evidence: Evidence, examples: Examples, choice: Choice, seed: int) -> bytes:
    """The content of the npz file."""
    first = next(iter(evidence.runs.values()))
    content: dict[str, Any] = {
        "examples": np.array(len(examples.chosen)),
        "steps": np.array(evidence.steps),
        "fps": np.array(examples.model.spec.fps),
        "clips/id": np.array(examples.clips.ids),
        "clips/kind": np.array(evidence.kinds),
        "clips/is_reversed": evidence.is_reversed,
        "clips/auc": _mean(evidence.auc),
        "clips/auc_position": _mean(evidence.null_auc["position"]),
        "clips/auc_untrained": _mean(evidence.null_auc["untrained"]),
        "boundary/true": evidence.true_boundary.astype(np.float32),
        "boundary/found": evidence.found_boundary(evidence.runs)[:, 0].astype(np.float32),
        "boundary/is_reversed": evidence.is_reversed[evidence.is_pair],
    }
    position = s.position_maps(first.maps, evidence.spans)
    for number, row in enumerate(examples.chosen):
        words, frames = int(evidence.spans.words[row]), int(evidence.spans.lengths[row])
        found = {
            "map": first.maps[row, :words, :frames],
            "map_steps": first.by_step[row, :, :words, :frames],
            "position_map": position[row, :words, :frames],
            "sink": first.sink[row, :frames],
        }
        content |= {f"example{number}/{name}": value.astype(np.float16) for name, value in found.items()}
        content |= {f"example{number}/{k}": v for k, v in _caption(evidence, examples, row, words).items()}
    if examples.chosen:
        content |= _motions(examples, evidence, choice, seed)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)
    return buffer.getvalue()


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over runs; NaN where no run has a value."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan).astype(np.float32)


def _caption(evidence: Evidence, examples: Examples, row: int, words: int) -> dict[str, np.ndarray]:
    spans = evidence.spans
    return {
        "prompt": np.array(examples.clips.texts[row]),
        "id": np.array(examples.clips.ids[row]),
        "kind": np.array(evidence.kinds[row]),
        "is_reversed": np.array(evidence.is_reversed[row]),
        "words": np.array(spans.texts[row]),
        "starts": spans.starts[row, :words],
        "ends": spans.ends[row, :words],
        "segments": spans.segments[row, :words],
        "is_content": spans.is_content[row, :words],
    }


def _motions(examples: Examples, evidence: Evidence, choice: Choice, seed: int) -> dict[str, np.ndarray]:
    """Real and generated motions of the examples, and the map of the generated ones."""
    model, rows = examples.model, list(examples.chosen)
    clips = examples.split.batch([examples.items[row] for row in rows])
    motion = model.sample(clips.texts, clips.lengths.tolist(), seed=seed)
    motion = F.pad(motion, (0, 0, 0, clips.mask.shape[1] - motion.shape[1]))  # as wide as the clips are padded
    maps = capture(model, replace(clips, motion=motion.cpu()), choice, seed).maps
    real = model.joints(clips.motion.to(model.device))
    with torch.no_grad():
        generated = model.joints(motion)
    found: dict[str, np.ndarray] = {}
    for number, row in enumerate(rows):
        words, frames = int(evidence.spans.words[row]), int(evidence.spans.lengths[row])
        found[f"example{number}/real"] = real[number, :frames].cpu().numpy().astype(np.float16)
        found[f"example{number}/generated"] = generated[number, :frames].cpu().numpy().astype(np.float16)
        found[f"example{number}/generated_map"] = maps[number, :words, :frames].astype(np.float16)
    return found
