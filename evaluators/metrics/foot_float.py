"""Foot float: the share of frames in which the body hangs in the air.

What: frames in which no joint is within 10 cm of the floor (y = 0), unless the body is back within .8 s: that is a
jump, and nobody jumps longer. Any joint supports the body, so that sitting, lying and handstands do not count. The
floor is fixed; the lowest frame of a clip as its floor would hide floating. Real clips on ladders and chairs float
too: read the row of the real clips beside it. Source: the unsupported frames of MBench (arXiv 2510.26794); the rule
for jumps is our own.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from evaluators.damage import floating
from evaluators.metric import ItemMetric, declare
from evaluators.movement import Movement
from evaluators.protocol import EvalBatch

HEIGHT = 0.1
"""Metres above the floor up to which a joint may support the body."""
JUMP = 0.8
"""Longest jump, seconds."""


class FootFloat(ItemMetric):
    """Share of each clip's frames in which nothing supports the body."""

    ideal = None
    higher_is_better = False
    reads_joints = True
    corruption = staticmethod(floating)
    declared = declare(
        worse=("floating",), same=("mirrored_side", "reversed_time", "wrong_text", "opposite_text", "foot_slide")
    )

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Share in [0, 1] for every clip."""
        movement = Movement.of(batch)
        is_up = (movement.joints[..., 1].amin(-1) > HEIGHT) & movement.mask
        floats = _run_lengths(is_up) > JUMP * movement.fps
        return floats.sum(1) / movement.mask.sum(1).double()


def _run_lengths(is_on: Bool[Tensor, "batch frames"]) -> Int[Tensor, "batch frames"]:
    """For each True the number of Trues in a row that it belongs to; 0 for False."""
    frame = torch.arange(is_on.shape[1]).expand(is_on.shape)
    before = torch.where(is_on, -1, frame).cummax(1).values
    after = torch.where(is_on, is_on.shape[1], frame).flip(1).cummin(1).values.flip(1)
    return torch.where(is_on, after - before - 1, 0)
