"""Action recall: the share of the actions asked for that the clip shows, wherever and in whatever order.

What: blind to order, to overlap and to further actions; it tells whether the words arrived at all. Source: our own.
"""

from jaxtyping import Float
from torch import Tensor

from evaluators.actions import names
from evaluators.corruption import wrong_caption
from evaluators.metric import ItemMetric, declare, per_clip
from evaluators.protocol import EvalBatch


class ActionRecall(ItemMetric):
    """Share of the wanted actions found in each clip."""

    ideal = 1.0
    reads = "actions"
    higher_is_better = True
    corruption = staticmethod(wrong_caption)
    declared = declare(worse=("wrong_text", "time_shuffle", "mirrored_side", "frozen_frames", "truncated"))

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Share in [0, 1] for every clip; NaN if its caption asks for nothing."""
        pairs = [(names(f), names(w.actions)) for f, w in zip(batch.found, batch.wanted, strict=True)]
        return per_clip([len(found & wanted) / len(wanted) if wanted else float("nan") for found, wanted in pairs])
