"""Known corruptions of an evaluation: each metric names one, and must get worse by it.

They pair clips with captions or real clips that do not fit, so they work for real and generated clips alike, and
the score after a corruption is that metric's floor. Metrics that read no captions get other vectors of the
generated clips.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from casim.types import ActionSpan, Alignment
from evaluators.actions import other_side
from evaluators.protocol import EvalBatch, Space

T = TypeVar("T")


def wrong_caption(batch: EvalBatch) -> EvalBatch:
    """Every clip is judged by the caption of another one, of the same kind where the batch holds two of a kind."""
    own = batch.reference
    order = donors([wanted.kind for wanted in own.alignment] if own.alignment else [""] * len(batch))

    def picked(values: tuple[T, ...] | None) -> tuple[T, ...] | None:
        return None if values is None else tuple(values[i] for i in order)

    texts = tuple(own.texts[i] for i in order)
    alignment, keywords, tags = picked(own.alignment), picked(own.keywords), picked(own.tags)
    reference = replace(own, texts=texts, alignment=alignment, keywords=keywords, tags=tags)
    asking = replace(batch, reference=reference)
    return _in_spaces(asking, lambda space: space if space.text is None else replace(space, text=space.text[order]))


def donors(kinds: Sequence[str]) -> list[int]:
    """For every clip another one to take a caption from: of the same kind, or the next if there is none."""
    found = [(i + 1) % len(kinds) for i in range(len(kinds))]
    for kind in set(kinds):
        same = [i for i, other in enumerate(kinds) if other == kind]
        if len(same) > 1:
            for i, donor in zip(same, same[len(same) // 2 :] + same[: len(same) // 2], strict=True):
                found[i] = donor
    return found


def swapped_order(batch: EvalBatch) -> EvalBatch:
    """Captions ask for their actions in opposite order; those that ask for no order stay."""
    return _asking(batch, [_backwards(wanted) for wanted in batch.wanted])


def swapped_sides(batch: EvalBatch) -> EvalBatch:
    """Captions ask for left where they asked for right, and the other way round."""
    return _asking(batch, [_mirrored(wanted) for wanted in batch.wanted])


def wrong_text_vectors(batch: EvalBatch) -> EvalBatch:
    """In every space each clip has the caption of the clip half the batch away."""
    half = max(len(batch) // 2, 1)
    return _in_spaces(batch, lambda s: s if s.text is None else replace(s, text=s.text.roll(half, 0)))


def wrong_reference_vectors(batch: EvalBatch) -> EvalBatch:
    """In every space each clip has the real clip of the one half the batch away."""
    half = max(len(batch) // 2, 1)
    return _in_spaces(batch, lambda s: replace(s, real=s.real.roll(half, 0)))


def moved_vectors(batch: EvalBatch) -> EvalBatch:
    """In every space the generated clips are three standard deviations of the real ones off, in every direction."""
    return _in_spaces(batch, lambda s: replace(s, motion=s.motion + 3 * s.real.std(0)))


def spread_vectors(batch: EvalBatch) -> EvalBatch:
    """In every space the generated clips lie twice as far apart, around the same mean."""
    return _in_spaces(batch, lambda s: replace(s, motion=2 * s.motion - s.motion.mean(0)))


def _in_spaces(batch: EvalBatch, change: Callable[[Space], Space]) -> EvalBatch:
    return replace(batch, spaces={name: change(space) for name, space in batch.spaces.items()})


def _asking(batch: EvalBatch, wanted: Sequence[Alignment]) -> EvalBatch:
    return replace(batch, reference=replace(batch.reference, alignment=tuple(wanted)))


def _backwards(wanted: Alignment) -> Alignment:
    intervals = [(a.start, a.end) for a in wanted.actions]
    names = [a.action for a in reversed(wanted.actions)]
    return replace(wanted, actions=tuple(ActionSpan(n, *i) for n, i in zip(names, intervals, strict=True)))


def _mirrored(wanted: Alignment) -> Alignment:
    return replace(wanted, actions=tuple(replace(a, action=other_side(a.action)) for a in wanted.actions))
