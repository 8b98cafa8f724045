"""What joints tell of a movement: jerk, the body's own frame, how fast each joint moves, where the root goes.

Everything is batched, in metres and seconds. Padded frames hold the last real pose, so that nothing moves in them,
and filters at the end of a clip see what they would see at the end of the array.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from casim.kinematics import facing, smooth
from casim.skeleton import SKELETONS, Skeleton
from casim.types import frame_mask
from evaluators.protocol import EvalBatch

SMOOTHING = 0.1
"""Standard deviation, in seconds, of the smoothing of the facing direction."""
STILL = 1e-6
"""Spread up to which a joint stands still: a millimetre, squared."""
LARGEST_BONE = 3.0
"""No bone is longer, metres: longer ones tell that the joints are in another unit."""


@dataclass(frozen=True)
class Movement:
    """Clips in metres, padded frames holding the last real pose."""

    joints: Float[Tensor, "batch frames joints xyz"]
    mask: Bool[Tensor, "batch frames"]
    fps: float
    skeleton: Skeleton

    @staticmethod
    def of(batch: EvalBatch) -> "Movement":
        """The generated clips of a batch.

        Raises:
            ValueError: no joints, an unknown skeleton, an empty clip, a batch narrower than 4 frames, or joints
                that are not in metres.
        """
        return _movement(batch.positions, batch.mask, batch.fps)

    @staticmethod
    def real(batch: EvalBatch) -> "Movement":
        """The real clips of a batch.

        Raises:
            ValueError: as `of`.
        """
        if batch.real_joints is None:
            raise ValueError("no joints of the real clips; set EvalBatch.real_joints (casim.features.to_joints)")
        return _movement(batch.real_joints, batch.reference.mask, batch.fps)

    @cached_property
    def steps(self) -> Bool[Tensor, "batch steps"]:
        """True where a frame and the next one are real."""
        return self.mask[:, 1:]

    @cached_property
    def facing(self) -> Float[Tensor, "2 batch frames"]:
        """Horizontal unit vector (x, z) that each body faces, smoothed over `SMOOTHING`."""
        points = rearrange(self.joints, "batch frames joints xyz -> xyz joints batch frames")
        direction = F.normalize(smooth(facing(points, self.skeleton), SMOOTHING * self.fps), dim=0)
        kept = held(rearrange(direction, "parts batch frames -> batch frames parts"), self.mask)
        return rearrange(kept, "batch frames parts -> parts batch frames")

    @cached_property
    def bones(self) -> Float[Tensor, "batch frames bones"]:
        """Length of the bone that ends at each joint from 1 on, metres."""
        return (self.joints - self.joints[:, :, list(self.skeleton.parents)])[:, :, 1:].norm(dim=-1)

    @cached_property
    def turn(self) -> Float[Tensor, "batch steps"]:
        """Turn of the facing direction from frame to frame, radians, positive to the person's left."""
        x, z = self.facing
        before, after = slice(None, -1), slice(1, None)
        across = x[:, after] * z[:, before] - z[:, after] * x[:, before]
        along = x[:, after] * x[:, before] + z[:, after] * z[:, before]
        return torch.atan2(across, along)

    @cached_property
    def travel(self) -> Float[Tensor, "2 batch steps"]:
        """Step of the root forward and to the person's left, metres, as the body faces at that moment."""
        x, z = self.facing[..., :-1]
        step = self.joints[:, 1:, 0] - self.joints[:, :-1, 0]
        return torch.stack([step[..., 0] * x + step[..., 2] * z, step[..., 0] * z - step[..., 2] * x])

    @cached_property
    def local(self) -> Float[Tensor, "batch frames joints xyz"]:
        """Joints from the root in the body's own frame: +x its left, +z where it faces."""
        x, z = (part[..., None] for part in self.facing)
        offset = self.joints - self.joints[:, :, :1]
        return torch.stack(
            [offset[..., 0] * z - offset[..., 2] * x, offset[..., 1], offset[..., 0] * x + offset[..., 2] * z], -1
        )

    @cached_property
    def speed(self) -> Float[Tensor, "batch steps joints"]:
        """Speed of each joint in the body's own frame, m/s; 0 in padded frames."""
        return (self.local[:, 1:] - self.local[:, :-1]).norm(dim=-1) * self.fps

    @cached_property
    def spread(self) -> Float[Tensor, "batch joints"]:
        """Variance of each joint's place in the body's own frame, square metres: how far it moves, not how often.

        Rather than path length, which noise and gait lengthen on both sides alike.
        """
        keep = self.mask[..., None, None] / self.mask.sum(1)[:, None, None, None]
        mean = (self.local * keep).sum(1, keepdim=True)
        return ((self.local - mean).square() * keep).sum((1, 3))

    @cached_property
    def jerk(self) -> Float[Tensor, "batch thirds"]:
        """Largest jerk of any joint, m/s^3: third difference, sizes in x, y and z added up; NaN if padded."""
        third = self.joints.diff(n=3, dim=1) * self.fps**3
        return third.abs().sum(-1).amax(-1).masked_fill(~self.mask[:, 3:], torch.nan)

    def limbs(self, words: Sequence[str | None]) -> Float[Tensor, "2 batch joints"]:
        """Weights that average over the joints a word for a limb speaks of, left and right; 0 for None."""
        weights = self.joints.new_zeros(2, len(words), len(self.skeleton))
        for row, word in enumerate(words):
            for side, joints in enumerate((self.skeleton.left, self.skeleton.right)):
                own = [joint for joint in self.skeleton.body_words.get(word or "", ()) if joint in joints]
                weights[side, row, own] = 1 / max(len(own), 1)
        return weights


def held(
    values: Shaped[Tensor, "batch frames *rest"], mask: Bool[Tensor, "batch frames"]
) -> Shaped[Tensor, "batch frames *rest"]:
    """The values of the last real frame in all padded ones."""
    last = torch.minimum(torch.arange(mask.shape[1]), mask.sum(1, keepdim=True) - 1)
    return values[torch.arange(len(values))[:, None], last]


def _movement(
    joints: Float[Tensor, "batch frames joints xyz"], mask: Bool[Tensor, "batch frames"], fps: float
) -> Movement:
    if joints.shape[-2] not in SKELETONS:
        known = " or ".join(map(str, SKELETONS))
        raise ValueError(f"clips of {joints.shape[-2]} joints; known skeletons have {known} (casim.skeleton)")
    lengths = mask.sum(1)
    if not bool((lengths > 0).all()) or not torch.equal(mask, frame_mask(lengths, mask.shape[1])):
        raise ValueError("every clip needs at least one frame, and its real frames come first in the mask")
    if mask.shape[1] < 4:
        raise ValueError(f"clips of {mask.shape[1]} frames show no movement; at least 4 are needed")
    movement = Movement(held(joints.double(), mask), mask, fps, SKELETONS[joints.shape[-2]])
    longest = float(movement.bones.max())
    if not longest < LARGEST_BONE:
        raise ValueError(
            f"the longest bone is {longest:.4g} m; joints must be finite and in metres (KIT: millimetres x 0.001)"
        )
    return movement


def asymmetry(movement: Movement, limbs: Sequence[str | None]) -> Float[Tensor, " batch"]:
    """(left - right) / (left + right) of the spread of a limb of each clip; 0 if it moves on neither side.

    Args:
        movement: the clips.
        limbs: a word for the limb of each clip; None gives 0.
    """
    left, right = (movement.spread * movement.limbs(limbs)).sum(-1)
    return (left - right) / (left + right + STILL)
