"""TMR score, motion to text: how well each generated motion fits its caption, in the space of TMR.

What: (cosine + 1) / 2 of the vectors of motion and caption. Source: TMR (arXiv:2305.00976) and STMC
(arXiv:2401.08559). One half means unrelated; the scale is TMR's own, so read it beside the real clips' score.
"""

from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from evaluators.corruption import wrong_text_vectors
from evaluators.metric import ItemMetric
from evaluators.protocol import EvalBatch
from evaluators.retrieval import scores


class TmrScoreM2T(ItemMetric):
    """Score of every motion with its caption."""

    reads = "vectors"
    space = "tmr"
    ideal = None
    unit = "score"
    higher_is_better = True
    corruption = staticmethod(wrong_text_vectors)
    declared = MappingProxyType({"wrong_text": "worse"})

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Score in [0, 1] for every clip."""
        space = batch.space(self.space)
        if space.text is None:
            raise ValueError(f"the {self.space} vectors of this batch have no captions; tmr_score_m2t needs them")
        return scores(space.motion, space.text)
