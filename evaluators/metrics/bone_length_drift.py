"""Bone length drift: how much the bones of a clip change their length over time.

What: mean distance of each bone's length from its mean over the clip, in per cent of that mean, averaged over the
bones. A rigid body has 0, up to the rounding of its joints. Source: our own; sanity of joints that come from
features, where nothing keeps a bone as long as it was.
"""

from jaxtyping import Float
from torch import Tensor

from evaluators.damage import noise_1cm
from evaluators.metric import ItemMetric, declare
from evaluators.movement import Movement
from evaluators.protocol import EvalBatch


class BoneLengthDrift(ItemMetric):
    """Mean relative change of the bones of each clip."""

    ideal = None
    unit = "%"
    higher_is_better = False
    reads_joints = True
    corruption = staticmethod(noise_1cm)
    declared = declare(
        worse=("noise_1cm",),
        same=(
            "time_shuffle",
            "mirrored_side",
            "reversed_time",
            "wrong_text",
            "opposite_text",
            "foot_slide",
            "floating",
        ),
    )

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Per cent of its length by which a bone of each clip is off, on average."""
        movement = Movement.of(batch)
        keep = movement.mask[..., None] / movement.mask.sum(1)[:, None, None]
        lengths = movement.bones
        mean = (lengths * keep).sum(1, keepdim=True)
        return 100 * ((lengths - mean).abs() * keep).sum(1).div(mean[:, 0]).mean(1)
