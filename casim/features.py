"""Motion features: 22 or 21 joints to the 263 or 251 numbers per frame of HumanML3D and KIT, and back.

A row describes the step from frame t to t + 1 (J joints; F frames give F - 1 rows):

| columns      | J = 22  | content                                                                                |
|--------------|---------|----------------------------------------------------------------------------------------|
| 1            | 0       | turn about y: half the angle, radians per frame                                        |
| 2            | 1:3     | velocity of the root in x and z, in the facing frame of t + 1, units per frame         |
| 1            | 3       | height of the root                                                                     |
| 3 (J - 1)    | 4:67    | joints 1 and up: y above the floor; x, z from the root in the facing frame             |
| 6 (J - 1)    | 67:193  | bone rotations along the chains: two matrix columns (no twist, so not SMPL rotations)  |
| 3 J          | 193:259 | velocities of all joints in the facing frame of t, units per frame                     |
| 4            | 259:263 | contacts: left ankle, left toe, right ankle, right toe; 1 = hardly moves in this step  |

Source: Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022, and its released data.
`legacy` gives the released numbers, with three oddities of theirs; `fixed` puts them right:

- legacy takes left and right hip the wrong way round where it finds the facing direction of each frame, so that
  hips and shoulders partly cancel and the direction is noisy. `fixed` takes them the right way round.
- legacy turns frame 0 to +z by its own direction, and then declares that to be its smoothed direction too: column 0
  of the first row holds the jump between the two, up to a radian. `fixed` turns frame 0 by the smoothed direction.
- legacy takes the one step in which a turn passes the back (-z) with the wrong sign, so that the heading of all
  positions after it comes back wrong by twice that step. `fixed` takes the right sign.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from casim.kinematics import (
    bone_halves,
    bone_rotations,
    facing,
    forward_kinematics,
    half_turn,
    matrix_from_6d,
    smooth,
    turned,
)
from casim.skeleton import SKELETONS, Skeleton

_BLOCK = 4096
"""Frames converted at a time: small enough to stay in a core's cache."""


@dataclass(frozen=True)
class FeatureSpec:
    """How motion is written down as numbers."""

    joints: int = 22
    """22 (HumanML3D) or 21 (KIT)."""
    fps: float = 20.0
    """Frames per second (HumanML3D 20, KIT 12.5)."""
    converter: Literal["legacy", "fixed"] = "legacy"
    """legacy: HumanML3D's released numbers; fixed: see the module."""
    subset: Literal["all", "essential"] = "all"
    """essential: only the first 4 + 3 (joints - 1) columns, which are all that positions come back from."""

    def __post_init__(self) -> None:
        if self.joints not in SKELETONS:
            raise ValueError(f"joints is {self.joints}; known skeletons have {' or '.join(map(str, SKELETONS))}")
        for name, allowed in (("converter", ("legacy", "fixed")), ("subset", ("all", "essential"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}")

    @property
    def skeleton(self) -> Skeleton:
        """Names and conventions of the joints."""
        return SKELETONS[self.joints]

    @property
    def groups(self) -> dict[str, slice]:
        """Columns of each part: turn, velocity, height, positions, and for all: rotations, velocities, contacts."""
        bones = self.joints - 1
        widths = {"turn": 1, "velocity": 2, "height": 1, "positions": 3 * bones}
        if self.subset == "all":
            widths |= {"rotations": 6 * bones, "velocities": 3 * self.joints, "contacts": 4}
        ends = torch.tensor(list(widths.values())).cumsum(0).tolist()
        return {name: slice(end - widths[name], end) for name, end in zip(widths, ends, strict=True)}

    @property
    def dims(self) -> int:
        """Numbers per frame: 263 or 251, essential 67 or 64."""
        return 4 + 3 * (self.joints - 1) + (6 * (self.joints - 1) + 3 * self.joints + 4) * (self.subset == "all")


def from_joints(
    joints: Float[Tensor, "batch frames joints xyz"], spec: FeatureSpec, *, contact_threshold: float | None = None
) -> Float[Tensor, "batch frames-1 feats"]:
    """Features of clips of equal length; puts the lowest joint on the floor, frame 0 at the origin, facing +z.

    Args:
        joints: positions in the skeleton's unit (metres, KIT millimetres), y up, at `spec.fps`.
        spec: skeleton, converter and columns wanted.
        contact_threshold: squared displacement in units squared; the skeleton's own if None.

    Raises:
        ValueError: wrong number of joints, fewer than 2 frames, NaN or infinite positions, a bone without length,
            or hips and shoulders that span no direction. The message names clip and frame.
    """
    _check_joints(joints, spec)
    threshold = spec.skeleton.contact_threshold if contact_threshold is None else contact_threshold
    batch, frames = joints.shape[:2]
    out = joints.new_empty(batch, frames - 1, spec.dims)
    size = max(1, _BLOCK // frames)

    def fill(start: int) -> None:
        block = joints[start : start + size]
        try:
            rows = _convert(block, spec, threshold)
        except ValueError:
            _name_culprit(block, spec, [str(start + i) for i in range(len(block))])
            raise
        out[start : start + size] = rearrange(rows, "feats batch frames -> batch frames feats")

    _in_parallel(fill, range(0, batch, size))
    return out


def from_clips(
    clips: Sequence[Float[Tensor, "_ joints xyz"]], spec: FeatureSpec, names: Sequence[str] | None = None
) -> list[Float[Tensor, "_ feats"]]:
    """Features of clips of different lengths, exactly as `from_joints` gives them one by one, but together.

    Shorter clips repeat their last frame, which is what smoothing does at the edge anyway; the extra rows are cut.

    Args:
        clips: positions, as for `from_joints`; lengths may differ.
        spec: skeleton, converter and columns wanted.
        names: what to call the clips in errors; their numbers if None.

    Raises:
        ValueError: as `from_joints`.
    """
    names = [str(i) for i in range(len(clips))] if names is None else names
    order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
    found: dict[int, Tensor] = {}
    for start in range(0, len(order), 64):
        block = order[start : start + 64]
        for item in block:
            _check_joints(clips[item][None], spec, names[item])
        times = torch.arange(len(clips[block[-1]]))
        padded = torch.stack([clips[item][times.clamp_max(len(clips[item]) - 1)] for item in block])
        try:
            rows = from_joints(padded, spec)
        except ValueError:
            _name_culprit(padded, spec, [names[item] for item in block])
            raise
        found |= {item: row[: len(clips[item]) - 1].clone() for item, row in zip(block, rows, strict=True)}
    return [found[item] for item in range(len(clips))]


def place(
    joints: Float[Tensor, "batch frames joints xyz"], spec: FeatureSpec
) -> Float[Tensor, "batch frames joints xyz"]:
    """Clips moved as features see them: lowest joint on the floor, frame 0 at the origin and facing +z."""
    return rearrange(_placed(joints, spec), "xyz joints batch frames -> batch frames joints xyz")


def to_joints(
    features: Float[Tensor, "batch frames feats"], spec: FeatureSpec
) -> Float[Tensor, "batch frames joints xyz"]:
    """Joint positions of denormalised features, from the first 4 + 3 (joints - 1) columns; differentiable.

    Raises:
        ValueError: the width is not `spec.dims`.
    """
    check_width(features, spec)
    angle, root = root_path(features)
    cos, sin = (2 * angle).cos(), (2 * angle).sin()
    local = rearrange(features[..., spec.groups["positions"]], "b t (j c) -> c j b t", c=3)
    x, y, z = local[0], local[1], local[2]
    rest = torch.stack([cos * x - sin * z + root[0], y, sin * x + cos * z + root[2]])
    return rearrange(torch.cat([root[:, None], rest], dim=1), "c j b t -> b t j c")


def to_joints_from_rotations(
    features: Float[Tensor, "batch frames feats"], offsets: Float[Tensor, "joints xyz"], spec: FeatureSpec
) -> Float[Tensor, "batch frames joints xyz"]:
    """Joint positions from the rotation columns and bone vectors in the rest pose (`kinematics.bone_offsets`).

    Raises:
        ValueError: the width is not `spec.dims`, or the features hold no rotations.
    """
    check_width(features, spec)
    if spec.subset != "all":
        raise ValueError("essential features hold no rotations; use subset 'all' or to_joints")
    angle, root = root_path(features)
    w, y, bones = angle.cos(), angle.sin(), spec.joints - 1
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    turn = torch.stack([w * w - y * y, zero, -2 * w * y, zero, one, zero], dim=-1)
    six = features[..., spec.groups["rotations"]].unflatten(-1, (bones, 6))
    matrices = matrix_from_6d(torch.cat([turn[..., None, :], six], dim=-2))
    return forward_kinematics(matrices, rearrange(root, "c b t -> b t c"), offsets, spec.skeleton)


def normalise(
    features: Float[Tensor, "*batch feats"], mean: Float[Tensor, " feats"], std: Float[Tensor, " feats"]
) -> Float[Tensor, "*batch feats"]:
    """Features in units of their standard deviation from the mean."""
    return (features - mean) / std


def denormalise(
    features: Float[Tensor, "*batch feats"], mean: Float[Tensor, " feats"], std: Float[Tensor, " feats"]
) -> Float[Tensor, "*batch feats"]:
    """The inverse of `normalise`."""
    return features * std + mean


def _placed(
    joints: Float[Tensor, "batch frames joints xyz"], spec: FeatureSpec
) -> Float[Tensor, "xyz joints batch frames"]:
    points = rearrange(joints, "batch frames joints xyz -> xyz joints batch frames").contiguous()
    lowest, start = points[1].amin(dim=(0, 2)), points[:, 0, :, 0]
    points = points - torch.stack([start[0], lowest, start[2]])[:, None, :, None]
    if spec.converter == "legacy":
        forward = facing(points[..., :1], spec.skeleton)
    else:
        forward = smooth(facing(points, spec.skeleton))[..., :1]
    return turned(points, _turn(forward, spec, points))


def _turns(points: Float[Tensor, "xyz joints batch frames"], spec: FeatureSpec) -> Float[Tensor, "2 batch frames"]:
    """The turn (w, y) to +z of every frame of placed clips; none in frame 0."""
    forward = smooth(facing(points, spec.skeleton, swap_hips=spec.converter == "legacy"))
    turn = _turn(forward, spec, points)
    turn[0, :, 0], turn[1, :, 0] = 1, 0
    return turn


def _turn(
    forward: Float[Tensor, "2 batch frames"], spec: FeatureSpec, like: Tensor
) -> Float[Tensor, "2 batch frames"]:
    length = forward.norm(dim=0)
    if not (length > 1e-6).all():
        clip, frame = (~(length > 1e-6)).nonzero()[0].tolist()
        raise ValueError(f"clip {clip}, frame {frame}: the person faces no horizontal direction")
    if spec.converter == "legacy":
        return half_turn((forward / length).to(like), released=True)
    return half_turn(forward / length).to(like)


def _in_parallel(function: Callable[[int], None], items: Sequence[int]) -> None:
    """Calls `function` on every item, on as many threads as torch uses, each of which then uses one.

    Twice as fast as letting torch split every operation, and ten times on a busy machine.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(items) == 1:
        for item in items:
            function(item)
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(function, items))
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def _convert(
    joints: Float[Tensor, "batch frames joints xyz"], spec: FeatureSpec, threshold: float
) -> Float[Tensor, "feats batch frames-1"]:
    points = _placed(joints, spec)
    turns = _turns(points, spec)
    now, turn = points[..., :-1], turns[..., :-1]
    out = joints.new_empty(spec.dims, len(joints), joints.shape[1] - 1)
    step = points[..., 1:] - now
    w, y = turns
    sine = y[:, 1:] * w[:, :-1] - w[:, 1:] * y[:, :-1]
    if spec.converter == "fixed":
        sine = torch.copysign(sine, sine * (w[:, 1:] * w[:, :-1] + y[:, 1:] * y[:, :-1]))
    out[0] = sine.clamp(-1, 1).arcsin()
    out[1:3] = turned(step[:, 0], turns[..., 1:])[[0, 2]]
    out[3] = now[1, 0]
    local = now[:, 1:].clone()
    local[0] -= now[0, 0]
    local[2] -= now[2, 0]
    groups = spec.groups
    out[groups["positions"]].unflatten(0, (-1, 3)).copy_(turned(local, turn).transpose(0, 1))
    if spec.subset == "all":
        halves = bone_halves(now.contiguous(), spec.skeleton, turn)
        out[groups["rotations"]] = bone_rotations(halves, spec.skeleton).flatten(0, 1)
        out[groups["velocities"]].unflatten(0, (-1, 3)).copy_(turned(step, turn).transpose(0, 1))
        feet = step[:, [*spec.skeleton.feet_left, *spec.skeleton.feet_right]]
        out[groups["contacts"]] = (feet.square().sum(0) < threshold).to(out)
    return out


def root_path(
    features: Float[Tensor, "batch frames feats"],
) -> tuple[Float[Tensor, "batch frames"], Float[Tensor, "xyz batch frames"]]:
    """Half the angle of the turn to +z, and the position of the root, for every frame."""
    angle = F.pad(features[:, :-1, 0].cumsum(1), (1, 0))
    step = F.pad(rearrange(features[:, :-1, 1:3], "b t c -> c b t"), (1, 0))
    cos, sin = (2 * angle).cos(), (2 * angle).sin()
    x = (cos * step[0] - sin * step[1]).cumsum(1)
    z = (sin * step[0] + cos * step[1]).cumsum(1)
    return angle, torch.stack([x, features[..., 3], z])


def check_width(features: Tensor, spec: FeatureSpec) -> None:
    """Raises ValueError if the last axis is not `spec.dims` wide."""
    if features.shape[-1] != spec.dims:
        raise ValueError(
            f"features are {features.shape[-1]} wide, but {spec.joints} joints with subset {spec.subset!r} "
            f"have {spec.dims}; give the spec that the features were made with"
        )


def _check_joints(joints: Tensor, spec: FeatureSpec, name: str | None = None) -> None:
    """`name` is that of a single clip."""
    if joints.shape[-2:] != (spec.joints, 3):
        raise ValueError(f"joints are {tuple(joints.shape[-2:])} per frame, the spec wants ({spec.joints}, 3)")
    if joints.shape[1] < 2:
        raise ValueError(
            f"clip {name or 0} has {joints.shape[1]} frames; features describe steps between frames: at least 2"
        )
    if not torch.isfinite(joints.sum()):
        bad = (~torch.isfinite(joints)).nonzero()
        if len(bad):
            number, frame, joint, _ = bad[0].tolist()
            where = f"clip {number if name is None else name}, frame {frame}"
            raise ValueError(f"{where}: the position of {spec.skeleton.names[joint]} is NaN or infinite")


def _name_culprit(joints: Tensor, spec: FeatureSpec, names: Sequence[str]) -> None:
    """Converts the clips one by one to raise the error of the first bad one under its own name."""
    for clip, name in zip(joints.split(1), names, strict=True):
        try:
            _convert(clip, spec, 0.0)
        except ValueError as error:
            raise ValueError(str(error).replace("clip 0", f"clip {name}", 1)) from None
