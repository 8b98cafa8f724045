"""HumanML3D's conversion between joints and features, and the quaternion functions under it.

Quaternions of the golden files are (w, x, y, z). The library converts without them, so those cases pin down the
conventions: roma and our matrices must agree with the authors' functions.
"""

import roma
import torch
from golden import Case, Golden, close, unknown
from jaxtyping import Float
from torch import Tensor

from casim.features import FeatureSpec, from_joints, place, root_path, to_joints, to_joints_from_rotations
from casim.kinematics import (
    bone_halves,
    bone_offsets,
    bone_rotations,
    facing,
    forward_kinematics,
    half_turn,
    matrix_from_6d,
    smooth,
    uniform_skeleton,
)
from casim.skeleton import SKELETONS, Skeleton

ATOL, ATOL_MILLIMETRES = 1e-4, 1e-2
FIRST_WORDS = {"kit", "official", "perturbed", "real", "short", "fk", "quat"}


def check(golden: Golden) -> None:
    """Every case, told apart by its inputs; the options of a conversion are inputs too."""
    checks = {
        frozenset({"joints", "tgt_offsets", "feet_thre"}): check_conversion,
        frozenset({"new_joint_vecs"}): check_recovery,
        frozenset({"cont6d", "offsets", "quat", "root_pos"}): check_kinematics,
        frozenset({"c6", "q", "qseq", "r", "v", "w"}): check_quaternions,
    }
    for case in golden.cases.values():
        inputs = frozenset(case.inputs)
        if case.options[0] not in FIRST_WORDS or inputs not in checks:
            unknown(case.name)
        checks[inputs](case)


def compare(case: Case, ours: dict[str, Tensor], atol: dict[str, float]) -> None:
    """Every output of the case against ours; an output that we do not compute fails."""
    for name, theirs in case.outputs.items():
        if name not in ours:
            unknown(f"{case.name}/{name}")
        close(ours[name], theirs, atol.get(name, ATOL), f"{case.name}/{name}")


def check_conversion(case: Case) -> None:
    spec = FeatureSpec(joints=case.inputs["joints"].shape[1])
    skeleton, long = spec.skeleton, ATOL if spec.skeleton.metres == 1 else ATOL_MILLIMETRES
    joints, offsets = case.inputs["joints"][None], case.inputs["tgt_offsets"]
    threshold = float(case.inputs["feet_thre"])
    uniform = uniform_skeleton(joints, offsets, skeleton)
    features = from_joints(uniform, spec, contact_threshold=threshold)
    theirs = case.outputs["features"][None]
    for group, columns in spec.groups.items():
        atol = {"turn": ATOL, "rotations": ATOL, "contacts": 0.0}.get(group, long)
        close(features[0, :, columns], theirs[0, :, columns], atol, f"{case.name}/features/{group}")
    placed = place(uniform, spec)
    angle, root = root_path(theirs)
    # a repeated last frame changes nothing but adds the row of the last frame itself
    rows = from_joints(torch.cat([uniform, uniform[:, -1:]], 1), spec)[0]
    local = rows[:, spec.groups["positions"]].unflatten(1, (-1, 3))
    middle = torch.stack([0 * rows[:, 3], rows[:, 3], 0 * rows[:, 3]], -1)
    ours = {
        "uniform_skeleton": uniform[0],
        "global_positions": placed[0],
        "rifke_positions": torch.cat([middle[:, None], local], 1),
        "l_velocity": features[0, :, 1:3],
        "recover_from_ric": to_joints(theirs, spec)[0],
        "recover_from_rot": to_joints_from_rotations(theirs, offsets, spec)[0],
        "root_pos": root[:, 0].T,
        "root_rot_quat": yaw(angle[0]),
        "ik_quat_raw_joints": same_sign(inverse(joints, skeleton, False), case.outputs.get("ik_quat_raw_joints")),
        "ik_quat_smooth_global": same_sign(
            inverse(placed, skeleton, True), case.outputs.get("ik_quat_smooth_global")
        ),
        "features": case.outputs["features"],  # compared above, group by group
        "features_dtype_is_float64": torch.tensor([features.dtype == torch.float64]),
    }
    compare(case, ours, {n: long for n in ours if "quat" not in n})


def check_recovery(case: Case) -> None:
    features = case.inputs["new_joint_vecs"][None]
    spec = next(s for s in map(FeatureSpec, SKELETONS) if s.dims == features.shape[-1])
    angle, root = root_path(features)
    ours = {
        "recover_from_ric": to_joints(features, spec)[0],
        "root_pos": root[:, 0].T,
        "root_rot_quat": yaw(angle[0]),
    }
    atol = ATOL if spec.skeleton.metres == 1 else ATOL_MILLIMETRES
    compare(case, ours, {"recover_from_ric": atol, "root_pos": atol})


def check_kinematics(case: Case) -> None:
    offsets, root = case.inputs["offsets"], case.inputs["root_pos"]
    skeleton = SKELETONS[len(offsets)]
    by_quaternion = forward_kinematics(matrix(case.inputs["quat"]), root, offsets, skeleton)
    by_columns = forward_kinematics(matrix_from_6d(case.inputs["cont6d"]), root, offsets, skeleton)
    ours = {"joints_quat": by_quaternion, "joints_cont6d": by_columns}
    expected = case.outputs.get("get_offsets_joints_batch")
    if expected is not None:
        ours["get_offsets_joints_batch"] = bone_offsets(by_quaternion[: len(expected)], skeleton)
    compare(case, ours, {})


def check_quaternions(case: Case) -> None:
    q, r, v, w = (case.inputs[name] for name in "qrvw")
    unit, c6 = q / q.norm(dim=-1, keepdim=True), case.inputs["c6"]
    matrices = matrix_from_6d(c6)
    theirs = case.outputs
    ours = {
        "qmul": scalar_first(roma.quat_product(scalar_last(q), scalar_last(r))),
        "qinv": scalar_first(roma.quat_conjugation(scalar_last(q))),
        "qnormalize": unit,
        "qrot": roma.quat_action(scalar_last(unit), v),
        "qrot_unnormalised": rotated(q, v),
        "quaternion_to_matrix": matrix(unit),
        "quaternion_to_cont6d": torch.cat([matrix(unit)[..., 0], matrix(unit)[..., 1]], -1),
        "cont6d_to_matrix": matrices,
        "cont6d_to_quat": same_sign(quaternion(matrices), theirs.get("cont6d_to_quat")),
        "matrix_to_quat": same_sign(unit, theirs.get("matrix_to_quat")),
        "qbetween": between(v, w),
        "qfix": continuous(case.inputs["qseq"]),
    }
    for name in theirs:
        if name.startswith("qeuler_"):
            order = name.removeprefix("qeuler_").upper()
            ours[name] = torch.as_tensor(roma.unitquat_to_euler(order, scalar_last(unit), degrees=True))
    compare(case, ours, {name: 1e-2 for name in ours if name.startswith("qeuler")})  # degrees


def inverse(joints: Tensor, skeleton: Skeleton, is_smooth: bool) -> Float[Tensor, "frames joints wxyz"]:
    """Bone rotations of one clip as quaternions; joint 0 carries the turn to +z, none in frame 0."""
    points = joints.permute(3, 2, 0, 1).contiguous()
    forward = facing(points, skeleton, swap_hips=True)
    forward = smooth(forward) if is_smooth else forward
    turn = half_turn((forward / forward.norm(dim=0)).to(points), released=True)
    turn[0, :, 0], turn[1, :, 0] = 1, 0
    six = bone_rotations(bone_halves(points, skeleton, turn), skeleton)[:, :, 0]
    bones = quaternion(matrix_from_6d(six.permute(2, 0, 1)))
    root = torch.stack([turn[0, 0], 0 * turn[0, 0], turn[1, 0], 0 * turn[0, 0]], -1)
    return torch.cat([root[:, None], bones], 1)


def scalar_last(q: Tensor) -> Tensor:
    return q.roll(-1, -1)


def scalar_first(q: Tensor) -> Tensor:
    return q.roll(1, -1)


def matrix(q: Tensor) -> Tensor:
    return roma.unitquat_to_rotmat(scalar_last(q))


def quaternion(matrices: Tensor) -> Tensor:
    return scalar_first(roma.rotmat_to_unitquat(matrices))


def yaw(half: Tensor) -> Tensor:
    return torch.stack([half.cos(), 0 * half, half.sin(), 0 * half], -1)


def rotated(q: Tensor, v: Tensor) -> Tensor:
    """The authors' formula, which assumes unit quaternions, for any quaternion."""
    twice = 2 * torch.linalg.cross(q[..., 1:], v, dim=-1)
    return v + q[..., :1] * twice + torch.linalg.cross(q[..., 1:], twice, dim=-1)


def between(v: Tensor, w: Tensor) -> Tensor:
    real = (v.norm(dim=-1) * w.norm(dim=-1) + (v * w).sum(-1))[..., None]
    return torch.nn.functional.normalize(torch.cat([real, torch.linalg.cross(v, w, dim=-1)], -1), dim=-1)


def continuous(q: Tensor) -> Tensor:
    """Signs along the first axis chosen so that neighbours agree."""
    flips = torch.where((q[1:] * q[:-1]).sum(-1, keepdim=True) < 0, -1.0, 1.0).cumprod(0)
    return torch.cat([q[:1], q[1:] * flips])


def same_sign(q: Tensor, like: Tensor | None) -> Tensor:
    """q and -q are one rotation: takes the sign of the reference."""
    return q if like is None else q * torch.where((q * like).sum(-1, keepdim=True) < 0, -1.0, 1.0)
