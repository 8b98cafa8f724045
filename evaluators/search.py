"""Base of the retrieval metrics: captions search clips and clips search captions, in the space of one embedder."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from evaluators import retrieval
from evaluators.corruption import wrong_text_vectors
from evaluators.metric import SetMetric
from evaluators.protocol import Space


class SearchMetric(SetMetric):
    """What is right is every clip of the same caption, so several motions per caption do not compete."""

    ideal = None
    reads_text = True
    corruption = staticmethod(wrong_text_vectors)
    declared = MappingProxyType({"wrong_text": "worse"})
    summary: ClassVar[Callable[[Tensor], Tensor]]
    """The parts' values from `retrieval.ranks` (staticmethod)."""
    pool: ClassVar[int | None] = None
    """Clips that are searched at a time; None: all. The score is the mean over pools."""

    def __init__(self, space: str = "tmr", **options: Any) -> None:
        super().__init__(space, **options)

    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """The value of every part; pools are drawn in order of prompts, so the order of clips changes nothing.

        Raises:
            ValueError: the space has no vectors of captions, or too few clips for a pool.
        """
        if space.text is None:
            raise ValueError("retrieval needs vectors of captions; this space has none")
        order = space.prompt.argsort(stable=True)
        pools = [order] if self.pool is None else order[retrieval.pools(len(space), self.pool)]
        found = [_ranks(space.text[rows], space.motion[rows], space.prompt[rows]) for rows in pools]
        return torch.stack([type(self).summary(ranks) for ranks in found]).mean(0)


def _ranks(
    text: Float[Tensor, "batch width"], motion: Float[Tensor, "batch width"], prompt: Int[Tensor, " batch"]
) -> Float[Tensor, "directions batch"]:
    return retrieval.ranks(retrieval.cosines(text, motion), prompt[:, None] == prompt)
