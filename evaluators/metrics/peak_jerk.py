"""Peak jerk: the largest jerk of any joint at any moment of a clip.

What: third difference of the joints times fps^3, its sizes in x, y and z added up, the largest of all joints and
frames. Jumps and jitter raise it, over-smoothing lowers it: real clips do not have zero jerk, so read the row of
the real clips beside it. Source: Barquero et al., "FlowMDM", CVPR 2024. Where we differ: they give the peak of the
mean curve of all clips, per frame^3, so that numbers at 20 and 30 frames per second do not compare; this is the
peak of each clip, in seconds.
"""

from jaxtyping import Float
from torch import Tensor

from evaluators.damage import noise_1cm
from evaluators.metric import ItemMetric, declare
from evaluators.movement import Movement
from evaluators.protocol import EvalBatch


class PeakJerk(ItemMetric):
    """Largest jerk of each clip."""

    ideal = None
    unit = "m/s^3"
    higher_is_better = False
    reads_joints = True
    corruption = staticmethod(noise_1cm)
    declared = declare(
        worse=("time_shuffle", "noise_1cm"), same=("mirrored_side", "reversed_time", "wrong_text", "opposite_text")
    )

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Jerk of every clip; NaN for fewer than four frames."""
        peak = Movement.of(batch).jerk.nan_to_num(nan=-1.0).amax(1)
        return peak.masked_fill(peak < 0, float("nan"))
