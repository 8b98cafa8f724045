"""R-precision: how often a caption's own motion is among the nearest 1, 2, 3 of a pool of 32 motions.

Source: Guo et al. 2022. Nearest to the caption by Euclidean distance. All captions count, over all pools at once,
and ties are settled by chance: `evaluators.pools`. The number depends on the size of the pool, and on how alike the
captions of the dataset are; it is no retrieval in the whole dataset.
"""

from types import MappingProxyType
from typing import Any

from jaxtyping import Float
from torch import Tensor

from evaluators.corruption import wrong_text_vectors
from evaluators.metric import SetMetric
from evaluators.pools import chance_among_nearest, rank_own
from evaluators.protocol import Space


class RPrecision(SetMetric):
    """Chance that the own motion is among the k nearest of a pool, k = 1, 2, 3."""

    ideal = None
    unit = "share"
    higher_is_better = True
    corruption = staticmethod(wrong_text_vectors)
    declared = MappingProxyType({"wrong_text": "worse"})
    parts = ("@1", "@2", "@3")
    reads_text = True
    minimum = 32

    def __init__(self, space: str = "guo", pool: int = 32, **options: Any) -> None:
        super().__init__(space, **options)
        if pool < len(self.parts):
            raise ValueError(f"pool is {pool}, but the {len(self.parts)} nearest are asked for; choose 32")
        self.pool = self.minimum = pool

    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """Three shares, mean over all captions."""
        ranks = rank_own(space.captions, space.motion, space.prompt)
        return chance_among_nearest(ranks, len(self.parts), self.pool).mean(0)
