"""Exact prompt: the share of clips that show all that the caption asks for, in its order, and nothing else.

What: all wanted actions recognised, no other one, mean frames in the order asked for, overlap for "while" (rules:
`evaluators.actions`). Source: our own; the strictest score, and the only one without a condition on what was found.
"""

from jaxtyping import Float
from torch import Tensor

from evaluators.actions import is_exact
from evaluators.corruption import wrong_caption
from evaluators.metric import ItemMetric, declare, per_clip
from evaluators.protocol import EvalBatch


class ExactPrompt(ItemMetric):
    """1 for a clip that shows exactly what was asked for, else 0."""

    ideal = 1.0
    reads = "actions"
    higher_is_better = True
    corruption = staticmethod(wrong_caption)
    declared = declare(
        worse=("wrong_text", "time_shuffle", "reversed_time", "mirrored_side", "frozen_frames", "truncated")
    )

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """0 or 1 for every clip."""
        return per_clip([float(is_exact(f, w)) for f, w in zip(batch.found, batch.wanted, strict=True)])
