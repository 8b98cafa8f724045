"""Density: how densely real clips lie around the generated ones.

Source: Naeem et al. 2020. k = 5, in the definition of `evaluators.manifold`. Expected 1 for equal distributions,
and above 1 where the generated clips keep to the thick of the real ones: more is not better without end.
"""

from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from evaluators.corruption import moved_vectors
from evaluators.manifold import FEWEST, overlap
from evaluators.metric import SetMetric
from evaluators.protocol import Space


class Density(SetMetric):
    """Real balls around a generated clip, in units of k."""

    ideal = 1.0
    unit = "ratio"
    higher_is_better = True
    corruption = staticmethod(moved_vectors)
    declared = MappingProxyType({"wrong_text": "same"})
    minimum = FEWEST

    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """One ratio, from 0."""
        return overlap(space.motion, space.real).density[None]
