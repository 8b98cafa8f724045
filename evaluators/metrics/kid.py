"""KID: kernel distance of the generated and the real clips, unbiased at any number of clips.

Source: Binkowski et al. 2018: squared maximum mean discrepancy with the kernel (x y / width + 1)^3. They average
100 random subsets of 1,000; here all pairs count, which is the same expectation without the draw. A clip, the real
clip of its caption and the other motions of its caption depend on each other, so pairs within a caption are left
out of all three terms: unbiased for sets that share their captions, and exactly 0 for identical sets. May be
negative, as an unbiased estimate of 0 must be.
"""

from types import MappingProxyType

from jaxtyping import Float, Float64
from torch import Tensor

from evaluators.corruption import moved_vectors
from evaluators.distances import mean_over_pairs
from evaluators.metric import SetMetric
from evaluators.protocol import Space


class Kid(SetMetric):
    """Squared kernel distance to the real clips."""

    ideal = 0.0
    unit = "MMD²"
    higher_is_better = False
    corruption = staticmethod(moved_vectors)
    declared = MappingProxyType({"wrong_text": "same"})

    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """One number, around 0 for equal distributions."""
        x, y = space.motion.double(), space.real.double()

        def within_less_between(a: slice, b: slice) -> Float64[Tensor, "_ _"]:
            return kernel(x[a], x[b]).add_(kernel(y[a], y[b])).sub_(kernel(x[a], y[b])).sub_(kernel(y[a], x[b]))

        return mean_over_pairs(within_less_between, space.prompt)[None]


def kernel(
    a: Float64[Tensor, "rows width"], b: Float64[Tensor, "columns width"]
) -> Float64[Tensor, "rows columns"]:
    """The cubic kernel of all pairs of rows."""
    return (a @ b.T).div_(a.shape[1]).add_(1).pow_(3)
