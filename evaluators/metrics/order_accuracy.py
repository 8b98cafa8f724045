"""Order accuracy: of the actions asked for one after the other and both shown, the share shown in that order.

What: for every two wanted actions with an order that were both found, does the mean frame of the first come first?
Chance is one half. Source: our own. It conditions on both actions being shown, so an arm that shows few is judged
on its easy clips: read `exact_prompt` beside it.
"""

from jaxtyping import Float
from torch import Tensor

from casim.types import ActionSpan, Alignment
from evaluators.actions import centroid, names, ordered_pairs
from evaluators.corruption import swapped_order
from evaluators.metric import ItemMetric, declare, per_clip
from evaluators.protocol import EvalBatch


class OrderAccuracy(ItemMetric):
    """Share of the ordered pairs of each clip that come in the order asked for."""

    ideal = 1.0
    reads = "actions"
    higher_is_better = True
    corruption = staticmethod(swapped_order)
    declared = declare(worse=("reversed_time",))

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Share in [0, 1] for every clip; NaN if no two ordered actions were both shown."""
        return per_clip([_in_order(f, w) for f, w in zip(batch.found, batch.wanted, strict=True)])


def _in_order(found: tuple[ActionSpan, ...], wanted: Alignment) -> float:
    shown = [(a, b) for a, b in ordered_pairs(wanted) if {a, b} <= names(found)]
    right = [centroid(found, a) < centroid(found, b) for a, b in shown]
    return sum(right) / len(right) if right else float("nan")
