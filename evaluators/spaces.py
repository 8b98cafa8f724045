"""Two spaces that no network made: a vector is mean and standard deviation of plain numbers over a clip's frames.

Trained embedders judge by all columns of the features, most of which repeat each other (arXiv:2411.16575), and each
by its own taste. A model that is better only in the eyes of one embedder does not gain here. Both are made batch by
batch: nothing is taken from the set that is scored, so a clip has the same vector in every set.

- `essential`: the 67 (KIT: 64) columns that positions come back from, normalised with the dataset's statistics of
  real motion (its train split), as the model sees them; so all columns weigh alike.
- `joints`: positions of the joints beside the root and turned to face +z, in metres, and their velocities seen from
  there, in metres per second. A unit of either weighs the same.
"""

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from casim.features import FeatureSpec, check_width
from casim.kinematics import facing, half_turn, turned
from casim.skeleton import SKELETONS
from evaluators.protocol import EvalBatch, Space


def essential(batch: EvalBatch, spec: FeatureSpec, prompt: Int[Tensor, " batch"]) -> Space:
    """Vectors from the essential columns of generated and real features, both normalised with the same statistics.

    Args:
        batch: the clips.
        spec: the features of `batch`.
        prompt: number of each clip's caption.

    Raises:
        ValueError: the features are not those of `spec`.
    """
    check_width(batch.motion, spec)
    columns = slice(0, spec.groups["positions"].stop)
    real = batch.reference
    return Space(
        _moments(batch.motion[..., columns], batch.mask), _moments(real.motion[..., columns], real.mask), prompt
    )


def joints(batch: EvalBatch, prompt: Int[Tensor, " batch"]) -> Space:
    """Vectors from the joints of generated and real clips, whatever features they came from.

    Args:
        batch: the clips, with `joints` and `real_joints` in metres.
        prompt: number of each clip's caption.

    Raises:
        ValueError: the batch has no joints, or a frame in which hips and shoulders coincide.
    """
    if batch.real_joints is None:
        raise ValueError("the joints of the real clips are needed too; set EvalBatch.real_joints")
    motion = _pose_and_speed(batch.positions, batch.mask, batch.fps)
    return Space(motion, _pose_and_speed(batch.real_joints, batch.reference.mask, batch.fps), prompt)


def _pose_and_speed(
    joints: Float[Tensor, "batch frames joints xyz"], mask: Bool[Tensor, "batch frames"], fps: float
) -> Float[Tensor, "batch width"]:
    # Padding repeats frame 0, so that it has a facing direction; it counts nowhere.
    points = torch.where(mask[..., None, None], joints, joints[:, :1])
    points = rearrange(points, "batch frames joints xyz -> xyz joints batch frames").clone()
    forward = facing(points, SKELETONS[joints.shape[2]])
    # A lying person may face no horizontal direction: then the clip's own +z.
    forward[1] += 1e-9
    turn = half_turn(F.normalize(forward, dim=0)).to(points)
    speed = turned((points[..., 1:] - points[..., :-1]) * fps, turn[..., 1:])
    points[[0, 2]] -= points[[0, 2], :1].clone()
    pose = turned(points, turn)
    parts = (_moments(_by_frame(pose), mask), _moments(_by_frame(speed), mask[:, 1:]))
    return torch.cat(parts, 1)


def _by_frame(points: Float[Tensor, "xyz joints batch frames"]) -> Float[Tensor, "batch frames feats"]:
    return rearrange(points, "xyz joints batch frames -> batch frames (joints xyz)")


def _moments(
    values: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"]
) -> Float[Tensor, "batch width"]:
    """Mean and standard deviation of every column over the real frames; 0 if there are none."""
    held = mask[..., None]
    frames = mask.sum(1, keepdim=True).clamp_min(1)
    mean = torch.where(held, values, 0).sum(1) / frames
    apart = torch.where(held, values - mean[:, None], 0)
    return torch.cat([mean, (apart.square().sum(1) / frames).sqrt()], 1)
