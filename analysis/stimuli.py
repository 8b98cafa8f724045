"""Prompts by design for the attention probe: what is told is varied with the motion held still.

Every set belongs to the clips of a choreography split: the same motion, with other words about it whose true
intervals are known too. Over these, place in the text and meaning are independent by design:

- `retold`: another wording, the same order of telling (a paraphrase).
- `reordered`: the order of telling turned round (natural to reversed and back): the same words early and late.
- `squares`: two actions in both orders of time, each told in both orders (a Latin square of place x time): each
  action happens first and second and is told first and second equally often.

and controls, which keep the number of words:

- `nonsense`: every content word replaced by a made-up word; `function words`: by "the"; `shuffled`: the words of
  the caption in random order, each keeping its own interval.
- `sides exchanged`: left and right exchanged, so that the side told is not the one that moves.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from casim.data._captions import caption
from casim.data.choreography import ChoreographyClips, Plan
from casim.mirror import mirror_text
from casim.types import Alignment, MotionBatch, WordSpan

TRIES = 20
SYLLABLES = tuple(
    a + b for a in ("bl", "dr", "f", "gl", "k", "m", "pl", "st", "v", "z") for b in ("ab", "em", "oz")
)


@dataclass(frozen=True)
class Stimuli:
    """Clips with captions of a design."""

    name: str
    clips: MotionBatch


def retold(split: ChoreographyClips, items: Sequence[int], seed: int, *, is_reordered: bool) -> Stimuli:
    """The same motions in other words, told in the same order or (`is_reordered`) in the other one."""
    plans = [_retold(split.plans[i], seed, is_reordered=is_reordered) for i in items]
    name = "reordered" if is_reordered else "retold"
    return Stimuli(name, _with_plans(split.batch(items), plans))


def _retold(plan: Plan, seed: int, *, is_reordered: bool) -> Plan:
    draw = random.Random(f"{seed} {plan.id}")
    is_reversed = plan.is_reversed != is_reordered
    text, words = plan.text, plan.words
    for _ in range(TRIES):  # until the text is another than the clip's own
        text, words = caption(plan.kind, plan.told, is_reversed, draw.randrange)
        if text != plan.text:
            break
    return replace(plan, text=text, words=words, is_reversed=is_reversed)


def _with_plans(clips: MotionBatch, plans: Sequence[Plan]) -> MotionBatch:
    return replace(
        clips, texts=tuple(p.text for p in plans), alignment=tuple(p.alignment() for p in plans), tags=None
    )


def squares(split: ChoreographyClips, pairs: int, seed: int) -> Stimuli:
    """`pairs` pairs of actions of the split in four clips each: A then B and B then A, told first to last and last
    to first. In each pair every action happens first and second and is told first and second equally often.

    Raises:
        ValueError: the split has no clip with two actions in sequence.
    """
    usable = [plan for plan in split.plans if plan.kind == "pair"]
    if not usable:
        raise ValueError("the design needs clips with two actions in sequence; the split has none")
    draw = random.Random(seed)
    made = []
    for plan in draw.sample(usable, min(pairs, len(usable))):
        for is_swapped in (False, True):
            told = plan.told[::-1] if is_swapped else plan.told
            for is_reversed in (False, True):
                text, words = caption("pair", told, is_reversed, draw.randrange)
                name = f"{plan.id}_{'BA' if is_swapped else 'AB'}_{'reversed' if is_reversed else 'natural'}"
                made.append(replace(plan, id=name, told=told, text=text, words=words, is_reversed=is_reversed))
    return Stimuli("squares", rendered(split, made))


def rendered(split: ChoreographyClips, plans: Sequence[Plan]) -> MotionBatch:
    """Plans as normalised clips with the statistics of the split."""
    own = type(split)(tuple(plans), split.spec)
    own.mean, own.std = split.mean, split.std
    return own.batch(range(len(plans)))


Change = Callable[[Alignment, random.Random], tuple[Sequence[str], Sequence[WordSpan]]]


def _nonsense(told: Alignment, draw: random.Random) -> tuple[Sequence[str], Sequence[WordSpan]]:
    content = {span.word for span in told.spans if span.is_content}
    return [_made_up(draw) if i in content else word for i, word in enumerate(told.words)], told.spans


def _made_up(draw: random.Random) -> str:
    return "".join(draw.choice(SYLLABLES) for _ in range(2))


def _function_words(told: Alignment, draw: random.Random) -> tuple[Sequence[str], Sequence[WordSpan]]:
    content = {span.word for span in told.spans if span.is_content}
    return ["the" if i in content else word for i, word in enumerate(told.words)], told.spans


def _shuffled(told: Alignment, draw: random.Random) -> tuple[Sequence[str], Sequence[WordSpan]]:
    order = draw.sample(range(len(told.words)), len(told.words))
    return [told.words[i] for i in order], [replace(told.spans[i], word=at) for at, i in enumerate(order)]


def _sides_exchanged(told: Alignment, draw: random.Random) -> tuple[Sequence[str], Sequence[WordSpan]]:
    return mirror_text(" ".join(told.words)).split(), told.spans


CONTROLS: dict[str, Change] = {
    "nonsense": _nonsense,
    "function words": _function_words,
    "shuffled": _shuffled,
    "sides exchanged": _sides_exchanged,
}


def control(name: str, clips: MotionBatch, seed: int) -> Stimuli:
    """The clips with the captions of one of `CONTROLS`; the true intervals go with the words."""
    alignment = []
    for clip, told in zip(clips.ids, clips.alignment or (), strict=True):
        words, spans = CONTROLS[name](told, random.Random(f"{seed} {clip}"))
        alignment.append(replace(told, words=tuple(words), spans=tuple(spans)))
    texts = tuple(" ".join(a.words) for a in alignment)
    return Stimuli(name, replace(clips, texts=texts, alignment=tuple(alignment), tags=None))
