"""Precision: the share of generated clips that lie where real ones do.

Source: Kynkaanniemi et al. 2019. k = 5, in the definition of `evaluators.manifold`. One real outlier makes a large
ball that forgives much: read `density` beside it.
"""

from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from evaluators.corruption import moved_vectors
from evaluators.manifold import FEWEST, overlap
from evaluators.metric import SetMetric
from evaluators.protocol import Space


class Precision(SetMetric):
    """Share of the generated clips within reach of a real one."""

    ideal = 1.0
    unit = "share"
    higher_is_better = True
    corruption = staticmethod(moved_vectors)
    declared = MappingProxyType({"wrong_text": "same"})
    minimum = FEWEST

    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """One share."""
        return overlap(space.motion, space.real).precision[None]
