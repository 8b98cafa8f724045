"""Part recall: are the limbs that a caption says move among those that move most?

What: of n limbs asked for (arms and legs with or without a side, rules: `evaluators.phrases.limbs`), the share
among the n limbs of the body whose ends have the largest variance in the body's own frame. Legs that the caption
does not name do not compete where it makes them move anyway ("walks while waving"). Chance depends on how many are
asked for (1/4 to 3/4): read the row of wrong captions. Source: our own, after the white-box predicates of Kinematic
Phrases (arXiv 2310.04189). Limit: on real clips, captions about dancing name limbs that move no more than others.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from evaluators import phrases
from evaluators.damage import wrong_text
from evaluators.metric import ItemMetric, declare
from evaluators.movement import STILL, Movement
from evaluators.protocol import EvalBatch

LIMBS = (("arm", 1), ("arm", -1), ("leg", 1), ("leg", -1))


class PartRecall(ItemMetric):
    """Share of the limbs asked for in each clip that are among the most active."""

    ideal = None
    higher_is_better = True
    reads_joints = True
    corruption = staticmethod(wrong_text)
    declared = declare(worse=("wrong_text", "mirrored_side", "opposite_text"), same=("foot_slide",))

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Share in [0, 1] for every clip; NaN if its caption says of no limb that it moves, or of all."""
        asked, competing = _wanted(batch.reference.texts)
        movement = Movement.of(batch)
        skeleton = movement.skeleton
        wrists = [skeleton.index("l_wrist"), skeleton.index("r_wrist")]
        active = movement.spread[:, [*wrists, skeleton.feet_left[1], skeleton.feet_right[1]]]
        active = active.masked_fill(active < STILL, 0).masked_fill(~competing, -1)
        rivals = (active[:, None, :] >= active[:, :, None]).sum(2) - 1  # with a tie, neither comes first
        number = asked.sum(1)
        share = (asked & (rivals < number[:, None])).sum(1) / number.double()
        return share.masked_fill((number == 0) | (number >= competing.sum(1)), torch.nan)


def _wanted(texts: tuple[str, ...]) -> tuple[Bool[Tensor, "batch limbs"], Bool[Tensor, "batch limbs"]]:
    """Which of `LIMBS` each caption asks for, and which compete."""
    named = [phrases.limbs(text) for text in texts]
    asked = torch.tensor([[limb in own for limb in LIMBS] for own in named]).view(-1, 4)
    has_legs = asked[:, 2:].any(1, keepdim=True)
    is_free = has_legs | ~torch.tensor([[phrases.moves_legs(text)] for text in texts])
    return asked, torch.cat([torch.ones_like(asked[:, :2]), is_free.expand(-1, 2)], 1)
