"""Geometry of moving skeletons: facing, bone rotations, forward kinematics, bone lengths.

Tensors are component-first, "xyz joints batch frames": long contiguous rows keep every operation vectorised, which
is what makes conversion fast. The rotation that takes a bone's rest direction u to its direction v is the product
of two half turns, about u and then about the middle h = (u + v) / |u + v|:

    R = (2 h h^T - I) (2 u u^T - I)

Rest directions are axes, so the second factor is a diagonal of signs, and all bones of all chains are found at
once. Twist about the bone is left out, as in HumanML3D.
"""

from functools import lru_cache
from itertools import pairwise

import torch
from einops import rearrange
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

from casim.skeleton import Skeleton

SIGMA = 20.0
"""Standard deviation, in frames, of HumanML3D's smoothing of the facing direction."""


def facing(
    points: Float[Tensor, "xyz joints batch frames"], skeleton: Skeleton, *, swap_hips: bool = False
) -> Float64[Tensor, "2 batch frames"]:
    """Horizontal direction (x, z) a person faces: up times the vector across hips and shoulders.

    Across is a unit vector in space, so that a leaning body gives a shorter direction, which weighs less when it is
    smoothed. `swap_hips` takes the hips the other way round, as the bone rotations of HumanML3D do.

    Raises:
        ValueError: hips and shoulders span no horizontal direction in some frame.
    """
    right_hip, left_hip, right_shoulder, left_shoulder = (points[:, joint] for joint in skeleton.face_joints)
    hips = left_hip - right_hip if swap_hips else right_hip - left_hip
    across = hips + (right_shoulder - left_shoulder)
    across = across / across.norm(dim=0)
    if not torch.isfinite(across).all():
        clip, frame = _first(~torch.isfinite(across).all(0))
        raise ValueError(
            f"clip {clip}, frame {frame}: hips and shoulders give no facing direction"
            + "; equally wide hips and shoulders cancel in the legacy converter, use fixed" * swap_hips
        )
    return torch.stack([across[2], -across[0]]).double()


def smooth(
    values: Float[Tensor, "parts batch frames"], sigma: float = SIGMA
) -> Float[Tensor, "parts batch frames"]:
    """Gaussian filter over time, cut at four sigma, edges repeated (scipy's `gaussian_filter1d`, mode nearest)."""
    weights = _gaussian(sigma).to(values)
    parts, _, frames = values.shape
    rows = rearrange(values, "parts batch frames -> (parts batch) 1 frames")
    if frames > 4 * len(weights):
        padded = F.pad(rows, (len(weights) // 2, len(weights) // 2), mode="replicate")
        rows = F.conv1d(padded, weights[None, None])
    else:  # short clips: one matrix product is several times faster than a long convolution
        rows = rows @ _smoothing_matrix(frames, sigma).to(values)
    return rearrange(rows, "(parts batch) 1 frames -> parts batch frames", parts=parts)


def half_turn(
    forward: Float[Tensor, "2 batch frames"], *, released: bool = False
) -> Float[Tensor, "2 batch frames"]:
    """Quaternion parts (w, y), w >= 0, of the turn about y that takes a unit direction (x, z) to +z.

    `released` computes w as 1 + z, as HumanML3D does, which in float32 loses digits for a direction near -z.
    """
    x, z = forward
    if released:
        w, y = forward.norm(dim=0) + z, -x
        back = (w == 0) & (y == 0)
        length = torch.where(back, 1, (w * w + y * y).sqrt())
        return torch.stack([w / length, torch.where(back, 1, y / length)])
    major = ((1 + z.abs()) / 2).sqrt()
    minor = x / (2 * major)
    away = z < 0  # the larger part is computed from z, the smaller from x: no digits are lost on either side
    return torch.stack([torch.where(away, minor.abs(), major), -torch.where(away, torch.copysign(major, x), minor)])


def turned(
    points: Float[Tensor, "xyz *joints batch frames"], turn: Float[Tensor, "2 batch #frames"]
) -> Float[Tensor, "xyz *joints batch frames"]:
    """Points turned about y by a quaternion (w, y)."""
    w, y = turn
    cos, sin = w * w - y * y, 2 * w * y
    return torch.stack([cos * points[0] + sin * points[2], points[1], cos * points[2] - sin * points[0]])


def bone_halves(
    points: Float[Tensor, "xyz joints batch frames"], skeleton: Skeleton, turn: Float[Tensor, "2 batch frames"]
) -> Float[Tensor, "xyz joints batch frames"]:
    """The middle h of rest direction and bone direction for every joint; joint 0 carries the root's turn (w, y).

    Raises:
        ValueError: a bone has no length.
    """
    halves = torch.empty_like(points)
    halves[0, 0], halves[1, 0], halves[2, 0] = turn[1], 0, turn[0]
    bones = halves[:, 1:]
    torch.sub(points[:, 1:], points[:, list(skeleton.parents[1:])], out=bones)
    squares = _squares(bones)
    if not (squares > 0).all():
        joint, clip, frame = _first(~(squares > 0))
        raise ValueError(f"clip {clip}, frame {frame}: the bone to {skeleton.names[joint + 1]} has no length")
    bones *= squares.rsqrt_()
    rest = torch.tensor(skeleton.rest_directions[1:]).to(points)
    bones += rest.T[..., None, None]
    squares = _squares(bones)
    opposite = squares < torch.finfo(points.dtype).eps ** 2
    bones *= squares.clamp_min_(torch.finfo(points.dtype).tiny).rsqrt_()
    if opposite.any():  # exactly against the rest direction: any half turn across it will do
        bones[:] = torch.where(opposite, rest.roll(1, 1).abs().T[..., None, None], bones)
    return halves


def bone_signs(skeleton: Skeleton, like: Tensor) -> Float[Tensor, "xyz joints"]:
    """Diagonals of the half turns about the rest directions (the root's is +z)."""
    rest = torch.tensor(skeleton.rest_directions).to(like)
    rest[0, 2] = 1
    return (2 * rest.abs() - 1).T


def bone_rotations(
    halves: Float[Tensor, "xyz joints batch frames"], skeleton: Skeleton
) -> Float[Tensor, "bones six batch frames"]:
    """First two columns of each bone's rotation relative to the one before it in its chain (joints 1 and up)."""
    signs = bone_signs(skeleton, halves)[..., None, None]
    previous = list(skeleton.previous[1:])
    before, own = halves[:, previous], halves[:, 1:]
    dot = (before[0] * own[0]).addcmul_(before[1], own[1]).addcmul_(before[2], own[2]).mul_(4)
    left, right = before * signs[:, previous], own * signs[:, previous]
    out = halves.new_empty(own.shape[1], 6, *own.shape[2:])
    for column in (0, 1):
        flip = signs[column, 1:]
        gain = (dot * own[column]).sub_(before[column], alpha=2).mul_(flip)
        loss = own[column] * (-2 * flip)
        for row in range(3):
            entry = torch.mul(left[row], gain, out=out[:, 3 * column + row])
            entry.addcmul_(right[row], loss)
        out[:, 4 * column] += signs[column, previous] * flip
    return out


def matrix_from_6d(columns: Float[Tensor, "*batch six"]) -> Float[Tensor, "*batch rows columns"]:
    """Rotation matrices whose first two columns are given, made orthonormal by Gram and Schmidt."""
    first = F.normalize(columns[..., :3], dim=-1)
    third = F.normalize(torch.linalg.cross(first, columns[..., 3:], dim=-1), dim=-1)
    return torch.stack([first, torch.linalg.cross(third, first, dim=-1), third], dim=-1)


def forward_kinematics(
    rotations: Float[Tensor, "*batch joints rows columns"],
    root: Float[Tensor, "*batch xyz"],
    offsets: Float[Tensor, "*#batch joints xyz"],
    skeleton: Skeleton,
) -> Float[Tensor, "*batch joints xyz"]:
    """Joint positions from rotations relative along each chain and bone vectors in the rest pose.

    Every chain, the arms included, starts from the rotation of joint 0.
    """
    placed = {0: root}
    for chain in skeleton.chains:
        turn = rotations[..., 0, :, :]
        for parent, joint in pairwise(chain):
            turn = turn @ rotations[..., joint, :, :]
            placed[joint] = placed[parent] + (turn @ offsets[..., joint, :, None])[..., 0]
    return torch.stack([placed[joint] for joint in range(len(skeleton))], dim=-2)


def bone_offsets(
    joints: Float[Tensor, "*batch joints xyz"], skeleton: Skeleton
) -> Float[Tensor, "*batch joints xyz"]:
    """Bone vectors of a pose in its rest pose: each bone's length along its rest direction; 0 for the root."""
    lengths = (joints - joints[..., list(skeleton.parents), :])[..., 1:, :].norm(dim=-1)
    return F.pad(lengths, (1, 0))[..., None] * torch.tensor(skeleton.rest_directions).to(joints)


def uniform_skeleton(
    joints: Float[Tensor, "batch frames joints xyz"], offsets: Float[Tensor, "joints xyz"], skeleton: Skeleton
) -> Float[Tensor, "batch frames joints xyz"]:
    """The same motion on a body with other bones: directions kept, lengths of `offsets` imposed.

    The path of the root is scaled by the ratio of leg lengths (longest component of two leg bones, frame 0).
    """
    upper, lower = skeleton.leg_bones
    legs = bone_offsets(joints[:, 0], skeleton)[:, [upper, lower]].abs().amax(-1).sum(-1)
    scale = offsets[[upper, lower]].abs().amax(-1).sum() / legs
    points = rearrange(joints, "batch frames joints xyz -> xyz joints batch frames")
    still = torch.stack([torch.ones_like(points[0, 0]), torch.zeros_like(points[0, 0])])
    halves = bone_halves(points, skeleton, still)
    aims = offsets.T * bone_signs(skeleton, offsets)
    along = torch.einsum("cjbf,cj->jbf", halves, aims)
    bones = 2 * halves * along - aims[..., None, None]
    placed = {0: points[:, 0] * scale[:, None]}
    for chain in skeleton.chains:
        for parent, joint in pairwise(chain):
            placed[joint] = placed[parent] + bones[:, joint]
    return rearrange([placed[joint] for joint in range(len(skeleton))], "j c b f -> b f j c")


def _squares(vectors: Float[Tensor, "xyz joints batch frames"]) -> Float[Tensor, "joints batch frames"]:
    return vectors[0].square().addcmul_(vectors[1], vectors[1]).addcmul_(vectors[2], vectors[2])


def _first(where: Tensor) -> list[int]:
    return where.nonzero()[0].tolist()


@lru_cache(4)
def _gaussian(sigma: float) -> Float[Tensor, " weights"]:
    radius = int(4 * sigma + 0.5)
    weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma) ** 2)
    return weights / weights.sum()


@lru_cache(64)
def _smoothing_matrix(frames: int, sigma: float) -> Float[Tensor, "frames frames"]:
    weights = _gaussian(sigma)
    radius = len(weights) // 2
    target = torch.arange(frames)
    source = (target[:, None] + torch.arange(-radius, radius + 1)).clamp(0, frames - 1)
    matrix = torch.zeros(frames, frames, dtype=torch.float64)
    matrix.scatter_add_(1, source, weights.expand(frames, -1))
    return matrix.T.contiguous()
