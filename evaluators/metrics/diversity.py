"""Diversity: mean distance of two generated clips of different captions.

Source: Guo et al. 2022, who draw 300 pairs; here all pairs count, which is their expectation without the draw
(theirs may pair a clip with itself, so it is lower by one part in the number of clips). Neither high nor low is
good: `diversity_gap` says how far it is from that of the real clips.
"""

from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from evaluators.corruption import spread_vectors
from evaluators.distances import mean_distance
from evaluators.metric import SetMetric
from evaluators.protocol import Space


class Diversity(SetMetric):
    """Mean distance of two generated clips."""

    ideal = None
    unit = "distance"
    higher_is_better = None
    corruption = staticmethod(spread_vectors)
    declared = MappingProxyType({"wrong_text": "same"})

    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """One distance."""
        return mean_distance(space.motion, space.prompt)[None]
