"""TMR score, motion to motion: how like the real clip of its caption each generated motion is, in the space of TMR.

What: (cosine + 1) / 2 of the vectors of the two clips. Source: TMR (arXiv:2305.00976) and STMC (arXiv:2401.08559).
One half means unrelated; a caption allows for many motions, so a good one need not score 1.
"""

from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from evaluators.corruption import wrong_reference_vectors
from evaluators.metric import ItemMetric
from evaluators.protocol import EvalBatch
from evaluators.retrieval import scores


class TmrScoreM2M(ItemMetric):
    """Score of every motion with its real clip."""

    reads = "vectors"
    space = "tmr"
    ideal = 1.0
    unit = "score"
    higher_is_better = True
    corruption = staticmethod(wrong_reference_vectors)
    declared = MappingProxyType({"wrong_text": "same"})

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Score in [0, 1] for every clip."""
        space = batch.space(self.space)
        return scores(space.motion, space.real)
