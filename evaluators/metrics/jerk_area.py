"""Jerk area: how far the jerk of a clip lies from that of its real clip, over all moments, in whatever order.

What: both clips' jerk (see `peak_jerk`), each sorted by size, and the mean gap between the two sorted curves: the
area between them, which is the Wasserstein distance of the two distributions. Too smooth and too shaky both count.
Source: the area under jerk of Barquero et al., "FlowMDM", CVPR 2024. Where we differ: they sum the gap between the
mean curve of transitions, aligned in time, and the mean of the real data, a constant in their code. Whole clips of
a caption have no common clock, so each is compared with its own real clip, which also gives a value per clip.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from evaluators.damage import noise_1cm
from evaluators.metric import ItemMetric, declare
from evaluators.movement import Movement
from evaluators.protocol import EvalBatch

LEVELS = 100
"""Points at which the sorted curves are compared."""


class JerkArea(ItemMetric):
    """Area between the sorted jerk of each clip and of its real clip."""

    ideal = 0.0
    unit = "m/s^3"
    higher_is_better = False
    reads_joints = True
    corruption = staticmethod(noise_1cm)
    declared = declare(
        worse=("time_shuffle", "noise_1cm", "frozen_frames"),
        same=("mirrored_side", "reversed_time", "wrong_text", "opposite_text"),
    )

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Area of every clip; NaN if it or its real clip has fewer than four frames."""
        ours, real = _sorted(Movement.of(batch).jerk), _sorted(Movement.real(batch).jerk)
        return (ours - real).abs().mean(1)


def _sorted(jerk: Float[Tensor, "batch frames"]) -> Float[Tensor, "batch levels"]:
    """The curve of each clip in order of size, at `LEVELS` evenly spaced points of it; NaN is no part of it."""
    last = (~jerk.isnan()).sum(1, keepdim=True) - 1
    place = torch.linspace(0, 1, LEVELS).to(jerk) * last.clamp_min(0)
    below, above = place.floor().long(), place.ceil().long()
    curve = jerk.sort(1).values  # NaN comes last
    return torch.lerp(curve.gather(1, below), curve.gather(1, above), place - below)
