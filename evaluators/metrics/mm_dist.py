"""MM-Dist: mean distance of a motion to its caption in an embedder's space ("matching score" in the authors' code).

Source: Guo et al. 2022. In units of the embedder, so comparable within one embedder only.
"""

from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from evaluators.corruption import wrong_text_vectors
from evaluators.distances import paired
from evaluators.metric import SetMetric
from evaluators.protocol import Space


class MmDist(SetMetric):
    """Mean distance of motion and caption."""

    ideal = None
    unit = "distance"
    higher_is_better = False
    corruption = staticmethod(wrong_text_vectors)
    declared = MappingProxyType({"wrong_text": "worse"})
    reads_text = True

    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """One distance."""
        return paired(space.captions, space.motion).mean()[None]
