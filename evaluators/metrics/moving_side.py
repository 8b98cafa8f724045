"""Moving side: does the limb that a caption names move on the side it names?

What: for captions that say of one limb on one side that it moves ("waves the left hand", rules:
`evaluators.phrases.moving_limb`): asymmetry (E_left - E_right) / (E_left + E_right), where E is the variance of the
limb's joints in the body's own frame. 1 if it leans to the side asked for by more than .05, 0 if to the other, one
half between, which is what a body gets that moves neither; that is also chance. Needs no oracle, so it works on any
captioned motion. Source: our own, after the side confusions that users of motion models report. Limit: real clips
do not reach 1, because captions err about sides and name limbs that move for a moment only; read their row.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from evaluators import phrases
from evaluators.damage import mirrored_side
from evaluators.metric import ItemMetric, declare
from evaluators.movement import Movement, asymmetry
from evaluators.protocol import EvalBatch

BAND = 0.05
"""An asymmetry of this size or less decides nothing."""


class MovingSide(ItemMetric):
    """1 for a clip whose limb moves on the side asked for, 0 on the other."""

    ideal = None
    higher_is_better = True
    corruption = staticmethod(mirrored_side)
    declared = declare(worse=("mirrored_side", "opposite_text", "wrong_text"), same=("foot_slide",))

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """0, .5 or 1 for every clip; NaN if its caption says of no limb on one side only that it moves."""
        asked = [phrases.moving_limb(text) for text in batch.reference.texts]
        sign = torch.tensor([event.sign if event else torch.nan for event in asked], dtype=torch.float64)
        right = sign * asymmetry(Movement.of(batch), [event.limb if event else None for event in asked])
        return ((right > BAND).double() + 0.5 * (right.abs() <= BAND)).masked_fill(sign.isnan(), torch.nan)
