"""Peak order: of two things that a caption puts in order, does the first one come first?

What: captions that tell of exactly two events, limbs with a side, directions or turns, and hold one word that
orders them (then, before, after, having; rules: `evaluators.phrases.order`). Each event has a signal: the speed of
the limb less that of the other side's, the speed of the root that way, the turn that way; its time is the centre of
the upper half of the signal, smoothed over a quarter of a second. 1 if the earlier event comes first, 0 if it comes
second, one half if either does not happen at all. Chance is one half. Source: our own, after "the action mentioned
first peaks first"; few captions of HumanML3D qualify, so mind the number of clips.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from casim.kinematics import smooth
from evaluators import phrases
from evaluators.damage import reversed_time
from evaluators.metric import ItemMetric, declare
from evaluators.movement import Movement, held
from evaluators.phrases import Event
from evaluators.protocol import EvalBatch

SMOOTHING = 0.25
"""Standard deviation of the smoothing, seconds."""
LEAST = 0.05
"""A signal that stays below this is no event, m/s or rad/s."""


class PeakOrder(ItemMetric):
    """1 for a clip whose two events come in the order asked for, 0 if they come the other way round."""

    ideal = None
    higher_is_better = True
    corruption = staticmethod(reversed_time)
    declared = declare(worse=("reversed_time", "mirrored_side", "wrong_text"))

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """0, .5 or 1 for every clip; NaN if its caption does not order two events."""
        asked = [phrases.order(text) for text in batch.reference.texts]
        movement = Movement.of(batch)
        first, second = (_time(movement, [pair and pair[place] for pair in asked]) for place in (0, 1))
        is_known = torch.tensor([pair is not None for pair in asked])
        value = (first < second).double() + 0.5 * (first.isnan() | second.isnan() | (first == second))
        return value.masked_fill(~is_known, torch.nan)


def _time(movement: Movement, events: Sequence[Event | None]) -> Float[Tensor, " batch"]:
    """Step of the clip around which an event happens; NaN if it does not."""
    sign = torch.tensor([event.sign if event else 0 for event in events]).to(movement.joints)
    left, right = movement.limbs([event.limb if event else None for event in events])
    signals = {
        "limb": (movement.speed * (left - right)[:, None]).sum(-1),
        "ahead": movement.travel[0] * movement.fps,
        "aside": movement.travel[1] * movement.fps,
        "turn": movement.turn * movement.fps,
    }
    own = torch.stack([signals[event.kind if event else "turn"][i] for i, event in enumerate(events)])
    curve = smooth(held(own * sign[:, None], movement.steps)[None], SMOOTHING * movement.fps)[0]
    half = 0.5 * curve.masked_fill(~movement.steps, 0).amax(1, keepdim=True)
    upper = (curve - half.clamp_min(LEAST)).clamp_min(0)
    weight = upper * movement.steps
    return (weight * torch.arange(weight.shape[1])).sum(1) / weight.sum(1)
