"""Prompts that differ from a caption in one known way, and what the motions made for both must do.

They need no labels, but motions of their own: sample the captions and their rewritten ones as two batches of equal
rows and lengths with one seed, so that a row has the same noise in both, and judge the two batches together.

- Mirror consistency: with left and right exchanged in the prompt, does the limb move on the other side?
- Paraphrase stability: does another wording change the motion less than another seed does? Source: the fragility of
  text-to-motion models under synonyms, SATO (arXiv 2405.01461); the ratio to the spread of seeds is our own.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from casim.data._captions import COUNTS, PHRASES, SUBJECTS
from casim.mirror import mirror_text
from evaluators import phrases
from evaluators.movement import Movement, asymmetry
from evaluators.protocol import EvalBatch

Groups = Sequence[Sequence[str]]
"""Wordings that mean the same, group by group."""

GENERAL: Groups = (
    ("a person", "someone", "a human"),
    ("the person", "the figure"),
    *(forms for number, forms in COUNTS.items() if number),
    ("forward", "forwards"),
    ("backward", "backwards"),
    ("slowly", "at a slow pace"),
    ("quickly", "rapidly"),
    ("in a circle", "around in a circle"),
    ("walks", "strides"),
    ("walking", "striding"),
    ("jumps", "leaps"),
    ("jumping", "leaping"),
    ("runs", "sprints"),
    ("running", "sprinting"),
    ("raises", "lifts"),
    ("raising", "lifting"),
    ("squats", "crouches"),
    ("squatting", "crouching"),
    ("spins", "twirls"),
    ("spinning", "twirling"),
    ("picks up", "lifts up"),
    ("and then", "then"),
)
"""Wordings for captions of any dataset."""


def _choreography() -> Iterator[tuple[str, ...]]:
    """The wordings of every action, in the third person and as a gerund."""
    for forms in PHRASES.values():
        for side in ("left", "right") if "{side}" in forms[0][2] else ("",):
            for verb in (0, 1):
                yield tuple(f"{form[verb]} {form[2]}".strip().format(side=side) for form in forms)


CHOREOGRAPHY: Groups = (SUBJECTS, *(forms for number, forms in COUNTS.items() if number), *_choreography())
"""Wordings that choreography itself uses for the same."""


@dataclass(frozen=True)
class Prompts:
    """Rewritten captions."""

    rows: tuple[int, ...]
    """Which captions they were made from."""
    texts: tuple[str, ...]


def mirrored_prompts(captions: Sequence[str]) -> Prompts:
    """The captions that say of a limb on one side that it moves, with left and right exchanged."""
    rows = tuple(row for row, caption in enumerate(captions) if phrases.moving_limb(caption))
    return Prompts(rows, tuple(mirror_text(captions[row]) for row in rows))


def paraphrased_prompts(captions: Sequence[str], groups: Groups = GENERAL, seed: int = 0) -> Prompts:
    """The captions that hold wordings of `groups`, with each of these exchanged for another, drawn with `seed`."""
    other = {wording: [w for w in group if w != wording] for group in groups for wording in group}
    longest = sorted(other, key=len, reverse=True)
    known = re.compile(rf"\b(?:{'|'.join(map(re.escape, longest))})\b", re.IGNORECASE)
    found = {}
    for row, caption in enumerate(captions):
        draw = random.Random(f"{seed} {caption}")
        text = known.sub(lambda match, draw=draw: draw.choice(other[match[0].lower()]), caption)
        if text != caption:
            found[row] = text
    return Prompts(tuple(found), tuple(found.values()))


def mirror_consistency(original: EvalBatch, mirrored: EvalBatch, band: float = 0.05) -> Float[Tensor, " batch"]:
    """1 where the limb of the prompt changes its side with the prompt, 0 where it keeps it.

    One half where it moves alike on both sides (asymmetry within `band`) for either prompt; NaN where the caption
    says of no limb on one side only that it moves.

    Raises:
        ValueError: the prompts of `mirrored` are not those of `original` with left and right exchanged.
    """
    if tuple(map(mirror_text, original.reference.texts)) != tuple(mirrored.reference.texts):
        raise ValueError("the prompts are no mirror images, row by row; make them with mirrored_prompts")
    asked = [phrases.moving_limb(text) for text in original.reference.texts]
    limbs = [event.limb if event else None for event in asked]
    first, second = (asymmetry(Movement.of(batch), limbs) for batch in (original, mirrored))
    is_decided = (first.abs() > band) & (second.abs() > band)
    value = torch.where(is_decided, (first * second < 0).double(), 0.5)
    return value.masked_fill(torch.tensor([event is None for event in asked]), torch.nan)


def paraphrase_stability(
    original: EvalBatch, paraphrased: EvalBatch, reseeded: EvalBatch
) -> Float[Tensor, " batch"]:
    """How much another wording changes a motion, in units of how much another seed does: lower is more stable.

    Args:
        original: motions of the captions.
        paraphrased: motions of their paraphrases from the same noise.
        reseeded: motions of the captions from other noise.

    Raises:
        ValueError: motions of a row differ in length.
    """
    return pose_distance(original, paraphrased) / pose_distance(original, reseeded)


def pose_distance(one: EvalBatch, other: EvalBatch) -> Float[Tensor, " batch"]:
    """Mean distance of the joints of two motions, frame by frame in the bodies' own frames, metres.

    Raises:
        ValueError: motions of a row differ in length.
    """
    first, second = Movement.of(one), Movement.of(other)
    if not torch.equal(one.mask, other.mask):
        raise ValueError("motions to be compared must have equal lengths, row by row")
    gap = (first.local - second.local).norm(dim=-1).mean(-1)
    return (gap * one.mask).sum(1) / one.mask.sum(1)
