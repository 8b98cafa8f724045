"""FID: Frechet distance of the generated and the real clips in an embedder's space.

Source: Heusel et al. 2017; for motion Guo et al. 2022. Vectors as the embedder gives them (`raw`: Motius and STMC
normalise their lengths first, and give other numbers). Biased: two samples of one distribution are far from 0
apart, the further the fewer clips, so compare only at equal numbers of clips; `kid` has no such bias.
"""

from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from evaluators.corruption import moved_vectors
from evaluators.frechet import frechet, gaussian
from evaluators.metric import SetMetric
from evaluators.protocol import Space


class Fid(SetMetric):
    """Frechet distance to the real clips."""

    ideal = 0.0
    unit = "distance²"
    higher_is_better = False
    corruption = staticmethod(moved_vectors)
    declared = MappingProxyType({"wrong_text": "same", "frozen_frames": "worse"})
    convention = "raw"

    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """One number, from 0."""
        return frechet(gaussian(space.motion), gaussian(space.real))[None]
