"""Recall: the share of real clips that lie where generated ones do.

Source: Kynkaanniemi et al. 2019. k = 5, in the definition of `evaluators.manifold`. Generated outliers make large
balls and raise it: read `coverage` beside it.
"""

from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from evaluators.corruption import moved_vectors
from evaluators.manifold import FEWEST, overlap
from evaluators.metric import SetMetric
from evaluators.protocol import Space


class Recall(SetMetric):
    """Share of the real clips within reach of a generated one."""

    ideal = 1.0
    unit = "share"
    higher_is_better = True
    corruption = staticmethod(moved_vectors)
    declared = MappingProxyType({"wrong_text": "same"})
    minimum = FEWEST

    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """One share."""
        return overlap(space.motion, space.real).recall[None]
