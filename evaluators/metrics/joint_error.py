"""Joint error: how far the joints of a reconstructed clip are from those of the clip.

What: mean distance over joints and frames, in millimetres, both bodies moved so that their roots coincide (MPJPE
with the root aligned: the root's path drifts, since features hold its velocity). Only clips that went through a
codec and back have one: a generated motion may do what its caption asks for in another way than the real clip.
Source: reconstruction error of T2M-GPT and MLD, which report it in the data set's unit and without alignment.
"""

from jaxtyping import Float
from torch import Tensor

from evaluators.damage import noise_1cm
from evaluators.metric import ItemMetric, declare
from evaluators.protocol import EvalBatch


class JointError(ItemMetric):
    """Mean distance of the joints from those of the real clip, roots aligned."""

    ideal = 0.0
    unit = "mm"
    higher_is_better = False
    of_reconstructions = True
    corruption = staticmethod(noise_1cm)
    declared = declare(worse=("noise_1cm", "time_shuffle"), same=("wrong_text", "opposite_text"))

    @classmethod
    def applies(cls, batch: EvalBatch) -> bool:
        """Only to reconstructions."""
        return batch.is_reconstruction and batch.joints is not None and batch.real_joints is not None

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """Millimetres, of each clip."""
        assert batch.real_joints is not None
        given, real = (joints - joints[:, :, :1] for joints in (batch.positions, batch.real_joints))
        distance = 1000 * (given.double() - real.double()).norm(dim=-1).mean(-1)
        return (distance * batch.mask).sum(1) / batch.mask.sum(1)
