"""Side accuracy: of the left/right actions shown on either side, the share shown on the side asked for.

What: for each wanted action that has a side, was it found on that side (1), on the other (0), on both (one half)?
Actions found on neither side do not count, nor those whose mirror image the caption asks for too. Chance is .5.
Source: our own, after the side confusions that users of motion models report. It conditions on the action being
shown: read `exact_prompt` beside it.
"""

from jaxtyping import Float
from torch import Tensor

from evaluators.actions import names, other_side
from evaluators.corruption import swapped_sides
from evaluators.metric import ItemMetric, declare, per_clip
from evaluators.protocol import EvalBatch


class SideAccuracy(ItemMetric):
    """Share of the sided actions of each clip that are on the side asked for."""

    ideal = 1.0
    reads = "actions"
    higher_is_better = True
    corruption = staticmethod(swapped_sides)
    declared = declare(worse=("mirrored_side", "opposite_text"))

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Share in [0, 1] for every clip; NaN if its caption names no side or no sided action was shown."""
        return per_clip(
            [_right_side(names(f), names(w.actions)) for f, w in zip(batch.found, batch.wanted, strict=True)]
        )


def _right_side(found: set[str], wanted: set[str]) -> float:
    sided = [(a in found, other_side(a) in found) for a in wanted if other_side(a) not in wanted | {a}]
    shown = [0.5 if own and other else float(own) for own, other in sided if own or other]
    return sum(shown) / len(shown) if shown else float("nan")
