"""Coverage: the share of real clips that have a generated one near them.

Source: Naeem et al. 2020. k = 5, in the definition of `evaluators.manifold`. Its balls are those of the real clips,
so generated outliers do not raise it. Two samples of one distribution reach about 1 - 1 / 2^k = .97.
"""

from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from evaluators.corruption import moved_vectors
from evaluators.manifold import FEWEST, overlap
from evaluators.metric import SetMetric
from evaluators.protocol import Space


class Coverage(SetMetric):
    """Share of the real clips with a generated one within reach."""

    ideal = 1.0
    unit = "share"
    higher_is_better = True
    corruption = staticmethod(moved_vectors)
    declared = MappingProxyType({"wrong_text": "same"})
    minimum = FEWEST

    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """One share."""
        return overlap(space.motion, space.real).coverage[None]
