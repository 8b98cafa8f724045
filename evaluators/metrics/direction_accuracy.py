"""Direction accuracy: does the body go and turn the way that the caption says?

What: forward or backward, a step to the left or right, a turn to the left or right, as far as a caption names one
way only of each (rules: `evaluators.phrases.directions`). Measured over the whole clip as the body faces at each
moment: root displacement forward and to the left, and turn of the facing direction. 1 if the sign is right and the
size above .1 m or .1 rad, 0 if it is wrong, one half below, which a body gets that stands still; that is also
chance. Mean over what the caption names. Source: our own, after Kinematic Phrases (arXiv 2310.04189). Limit:
walking or running "to the left" does not count, because on real clips that is as often a path across the room as a
side step (31 captions of free motion capture: 12 to 19 right).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from evaluators import phrases
from evaluators.damage import opposite_text
from evaluators.metric import ItemMetric, declare
from evaluators.movement import Movement
from evaluators.protocol import EvalBatch

KINDS = ("ahead", "aside", "turn")
BAND = 0.1
"""Metres or radians up to which nothing is decided."""


class DirectionAccuracy(ItemMetric):
    """Share of the directions asked for that each clip takes."""

    ideal = None
    higher_is_better = True
    corruption = staticmethod(opposite_text)
    declared = declare(worse=("opposite_text", "reversed_time", "mirrored_side", "wrong_text"))

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Share in [0, 1] for every clip; NaN if its caption names no direction, or both ways of each."""
        asked = [phrases.directions(text) for text in batch.reference.texts]
        sign = torch.tensor([[own.get(kind, torch.nan) for kind in KINDS] for own in asked], dtype=torch.float64)
        movement = Movement.of(batch)
        taken = torch.stack([*movement.travel, movement.turn]).sum(-1).T  # batch kinds
        right = sign.view(-1, len(KINDS)) * taken
        value = (right > BAND).double() + 0.5 * (right.abs() <= BAND)
        return value.masked_fill(sign.isnan(), torch.nan).nanmean(1)
