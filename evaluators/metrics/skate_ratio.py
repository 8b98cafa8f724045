"""Skate ratio: how much of a clip its feet slide on the floor, averaged over what counts as sliding.

What: share of the steps from frame to frame in which either toe is below 5 cm before and after and moves faster
than v in the plane, both at once and on average over a quarter of a second. The score is the area under that share
as a curve over v, divided by its width: the mean over v = .1, .2, .3, .4, .5 m/s. `SkateRatio((0.5,))` is one point
of it. Procedural and retargeted feet slide too: read the row of the real clips beside it. Source: Karunratanakul et
al., "Guided Motion Diffusion", ICCV 2023 (v = .5); NVIDIA's Kimodo takes .2. Where we differ: the average at the
ends of a clip is over the steps that there are, where theirs counts zeros.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from evaluators.damage import foot_slide
from evaluators.metric import ItemMetric, declare
from evaluators.movement import Movement
from evaluators.protocol import EvalBatch

HEIGHT = 0.05
"""A toe below this stands on the floor, metres."""
WINDOW = 0.25
"""Seconds over which the speed is averaged."""


class SkateRatio(ItemMetric):
    """Share of each clip in which a foot slides, mean over several speeds.

    Args:
        speeds: what counts as sliding, m/s.
    """

    ideal = None
    higher_is_better = False
    reads_joints = True
    corruption = staticmethod(foot_slide)
    declared = declare(
        worse=("foot_slide", "noise_1cm"), same=("mirrored_side", "reversed_time", "wrong_text", "opposite_text")
    )

    def __init__(self, speeds: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5), **options: Any) -> None:
        super().__init__(**options)
        if not speeds or min(speeds) <= 0:
            raise ValueError(f"speeds must be positive and at least one, got {tuple(speeds)} m/s")
        self.speeds = tuple(speeds)

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Share in [0, 1] for every clip; NaN for a single frame."""
        return self.curve(batch).mean(1)

    def curve(self, batch: EvalBatch) -> Float[Tensor, "batch speeds"]:
        """Share of each clip in which a foot slides faster than each of the speeds."""
        movement = Movement.of(batch)
        toes = movement.joints[:, :, [movement.skeleton.feet_left[1], movement.skeleton.feet_right[1]]]
        is_low = toes[..., 1] < HEIGHT
        stands = is_low[:, 1:] & is_low[:, :-1] & movement.steps[..., None]
        speed = toes[..., [0, 2]].diff(dim=1).norm(dim=-1) * movement.fps
        slowest = torch.minimum(speed, _average(speed, movement))
        slides = [(stands & (slowest > v)).any(-1).sum(1) for v in self.speeds]
        return torch.stack(slides, 1) / movement.steps.sum(1, keepdim=True).double()


def _average(speed: Float[Tensor, "batch frames feet"], movement: Movement) -> Float[Tensor, "batch frames feet"]:
    """Mean over the steps around each one, as many before as after it."""
    around = round(WINDOW * movement.fps) // 2
    keep = movement.steps.to(speed)

    def total(values: Float[Tensor, "batch frames"]) -> Float[Tensor, "batch frames"]:
        sums = F.pad(values.cumsum(1), (around + 1, 0))
        sums = torch.cat([sums, sums[:, -1:].expand(-1, around)], 1)
        return sums[:, 2 * around + 1 :] - sums[:, : -2 * around - 1]

    feet = [total(foot * keep) / total(keep).clamp_min(1) for foot in speed.unbind(-1)]
    return torch.stack(feet, -1)
