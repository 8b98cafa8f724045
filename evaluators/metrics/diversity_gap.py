"""Diversity gap: how far Diversity is from that of the real clips, in either direction.

Source: our own reading of Diversity (Guo et al. 2022; all pairs, as in `diversity`), which is good only where it
equals that of real motion. An absolute value: noise alone keeps it above 0.
"""

from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from evaluators.corruption import spread_vectors
from evaluators.distances import mean_distance
from evaluators.metric import SetMetric
from evaluators.protocol import Space


class DiversityGap(SetMetric):
    """Absolute difference of the mean distances of two generated and of two real clips."""

    ideal = 0.0
    unit = "distance"
    higher_is_better = False
    corruption = staticmethod(spread_vectors)
    declared = MappingProxyType({"wrong_text": "same"})

    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """One distance."""
        ours, theirs = (mean_distance(vectors, space.prompt) for vectors in (space.motion, space.real))
        return (ours - theirs).abs()[None]
