"""Arrays of the attention probe: example clips with maps and motions, and per-clip values for figures.

The names of the arrays are listed in `analysis.attention_probe`.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from analysis import statistics as s
from analysis.attention_capture import Choice
from analysis.attention_clips import Examples, motions
from analysis.attention_results import Evidence


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
        "fps": np.array(next(iter(examples.models.values())).spec.fps),
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
        content |= motions(examples, evidence.spans, choice, seed)
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
