"""How alike captions are, by a rule or by a sentence encoder that no evaluator trained: 1 is the same, 0 unrelated.

TMR asks this twice: captions above .6 are no negatives of each other in training, and captions above .9 are right
answers of each other in the threshold protocol of retrieval. The authors ask all-mpnet-base-v2.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from casim.text._cache import Cached
from casim.text.minilm import MiniLM
from casim.types import Alignment, MotionBatch, TextEncoder, words_of

Kind = Literal["actions", "sentences", "words"]
WORDS = {
    "actions": "captions are alike (1) if they ask for the same actions in the same order, else half the share of "
    "actions that they have in common",
    "sentences": "cosine of all-MiniLM-L6-v2 sentence vectors",
    "words": "captions are alike (1) if they have the same words, else not (0)",
}
"""Each kind in words, for records."""


def named(kind: Kind) -> Callable[[MotionBatch], Float[Tensor, "batch batch"]]:
    """The function that compares the captions of a batch.

    Raises:
        ValueError: (when called) actions are asked for, but the dataset does not know them.
        FileNotFoundError: sentences are asked for, but MiniLM is not installed.
    """
    if kind == "sentences":
        encoder = Cached(MiniLM(MiniLM.Config()))
        return lambda batch: by_sentences(batch.texts, encoder)
    return {"actions": _of_alignment, "words": lambda batch: by_words(batch.texts)}[kind]


def by_actions(alignments: Sequence[Alignment]) -> Float[Tensor, "batch batch"]:
    """1 for the same actions in the same order (at once: in any), else half of shared / all actions of the two."""
    numbers = {name: i for i, name in enumerate(sorted({a.action for w in alignments for a in w.actions}))}
    shown = torch.zeros(len(alignments), len(numbers))
    for row, wanted in zip(shown, alignments, strict=True):
        row[[numbers[span.action] for span in wanted.actions]] = 1
    shared = shown @ shown.T
    either = shown.sum(1)[:, None] + shown.sum(1) - shared
    return torch.where(_equal([_plan(wanted) for wanted in alignments]), 1.0, 0.5 * shared / either.clamp(min=1))


def by_sentences(texts: Sequence[str], encoder: TextEncoder) -> Float[Tensor, "batch batch"]:
    """Cosine of the pooled vectors of a sentence encoder."""
    vectors = F.normalize(encoder.encode(texts).pooled[:, 0], dim=1)
    return vectors @ vectors.T


def by_words(texts: Sequence[str]) -> Float[Tensor, "batch batch"]:
    """1 for the same words in the same order, else 0."""
    return _equal([words_of(text) for text in texts]).float()


def _of_alignment(batch: MotionBatch) -> Float[Tensor, "batch batch"]:
    if batch.alignment is None:
        raise ValueError(
            "the dataset does not know what actions its captions ask for; compare captions by sentences or words"
        )
    return by_actions(batch.alignment)


def _plan(wanted: Alignment) -> tuple[tuple[int, str], ...]:
    """The actions by place in time; actions at once share a place."""
    starts = sorted({span.start for span in wanted.actions})
    return tuple(sorted((starts.index(span.start), span.action) for span in wanted.actions))


def _equal(keys: Sequence[object]) -> Tensor:
    numbers = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    index = torch.tensor([numbers[key] for key in keys])
    return index[:, None] == index
