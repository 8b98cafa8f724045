"""Known corruptions of an evaluation: each metric names one, and must get worse by it.

They pair clips with captions that do not fit (or with another clip's reference) and leave the motion as it is, so
they work for real and generated clips alike, and the score after a corruption is that metric's floor.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from casim.types import ActionSpan, Alignment
from evaluators.actions import other_side
from evaluators.protocol import EvalBatch


def wrong_caption(batch: EvalBatch) -> EvalBatch:
    """Every clip is judged by the caption of another one, of the same kind where the batch holds two of a kind."""
    donors = list(range(len(batch)))
    for kind in {wanted.kind for wanted in batch.wanted}:
        same = [i for i, wanted in enumerate(batch.wanted) if wanted.kind == kind]
        shift = max(len(same) // 2, 1)
        for position, i in enumerate(same):
            donors[i] = same[(position + shift) % len(same)] if len(same) > 1 else (i + 1) % len(batch)
    return _with_vectors(_asking(batch, [batch.wanted[i] for i in donors]), "text", donors)


def swapped_order(batch: EvalBatch) -> EvalBatch:
    """Captions ask for their actions in opposite order; those that ask for no order stay."""
    return _asking(batch, [_backwards(wanted) for wanted in batch.wanted])


def swapped_sides(batch: EvalBatch) -> EvalBatch:
    """Captions ask for left where they asked for right, and the other way round."""
    return _asking(batch, [_mirrored(wanted) for wanted in batch.wanted])


def wrong_text_vectors(batch: EvalBatch) -> EvalBatch:
    """In every space each clip has the caption of the clip half the batch away."""
    return _with_vectors(batch, "text", _far(batch))


def wrong_reference_vectors(batch: EvalBatch) -> EvalBatch:
    """In every space each clip has the real clip of the one half the batch away."""
    return _with_vectors(batch, "real", _far(batch))


def _far(batch: EvalBatch) -> list[int]:
    half = max(len(batch) // 2, 1)
    return [(i + half) % len(batch) for i in range(len(batch))]


def _with_vectors(batch: EvalBatch, part: Literal["text", "real"], donors: Sequence[int]) -> EvalBatch:
    """The batch with one part of every space (if it has it) taken from other rows."""
    found = {name: getattr(space, part) for name, space in batch.spaces.items()}
    moved = {name: {part: rows if rows is None else rows[list(donors)]} for name, rows in found.items()}
    return replace(batch, spaces={name: replace(s, **moved[name]) for name, s in batch.spaces.items()})


def _asking(batch: EvalBatch, wanted: Sequence[Alignment]) -> EvalBatch:
    return replace(batch, reference=replace(batch.reference, alignment=tuple(wanted)))


def _backwards(wanted: Alignment) -> Alignment:
    intervals = [(a.start, a.end) for a in wanted.actions]
    names = [a.action for a in reversed(wanted.actions)]
    return replace(wanted, actions=tuple(ActionSpan(n, *i) for n, i in zip(names, intervals, strict=True)))


def _mirrored(wanted: Alignment) -> Alignment:
    return replace(wanted, actions=tuple(replace(a, action=other_side(a.action)) for a in wanted.actions))
