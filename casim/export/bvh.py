"""Joint positions as a BVH file: a rest skeleton fitted to the clip, and joint rotations that reproduce it.

Positions say nothing about the twist of a bone about its own axis. A joint with one child therefore turns its
parent's frame by the shortest arc onto the child; a joint with several children takes the rotation that fits all of
them best (W. Kabsch, "A solution for the best rotation to relate two sets of vectors", 1976).

Positions come back exactly (to the printed digits) if bone lengths are constant and the children of one joint keep
their angles; otherwise the rest of the misfit stays.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from casim.export.arrays import check_joints
from casim.record import write_atomic
from casim.skeleton import SKELETONS, Skeleton

CENTIMETRES = 100.0
"""BVH has no unit; most programs read centimetres."""
END_SITE = 0.05
"""Length in metres of the stub that BVH wants at the end of each limb."""


def write_bvh(
    path: Path, joints: Float[np.ndarray, "frames joints xyz"], fps: float, scale: float = CENTIMETRES
) -> None:
    """Writes a clip of joint positions (metres, y up) as BVH with rotations in the order Z, X, Y.

    Raises:
        ValueError: not a clip of a known skeleton, or NaN.
    """
    head, rows, _ = bvh_parts(joints, fps, scale)
    lines = [head, *(" ".join(f"{value:.6f}" for value in row) for row in rows)]
    write_atomic(path, ("\n".join(lines) + "\n").encode())


class Parts(NamedTuple):
    """What a BVH file is made of."""

    head: str
    """All lines before the rows."""
    rows: Float[np.ndarray, "frames channels"]
    """Position of the root, then degrees."""
    misfit: float
    """How far the file puts a joint from where the clip has it, at most: metres."""


def bvh_parts(joints: Float[np.ndarray, "frames joints xyz"], fps: float, scale: float = CENTIMETRES) -> Parts:
    """The parts of the BVH file of a clip.

    Raises:
        ValueError: not a clip of a known skeleton, or NaN.
    """
    check_joints(joints)
    joints = joints.astype(np.float64)
    skeleton = SKELETONS[joints.shape[1]]
    offsets = rest_offsets(joints, skeleton)
    turns = rotations(joints, offsets, skeleton)
    angles = np.unwrap(euler_zxy(turns[:, _depth_first(skeleton)]), period=360.0, axis=0)
    lines = ["HIERARCHY", *_hierarchy(skeleton, offsets * scale, scale * END_SITE), "MOTION"]
    lines += [f"Frames: {len(joints)}", f"Frame Time: {1 / fps:.8f}"]
    rows = np.concatenate([joints[:, 0] * scale, angles.reshape(len(joints), -1)], 1)
    misfit = np.linalg.norm(placed(joints[:, 0], turns, offsets, skeleton) - joints, axis=-1).max()
    return Parts("\n".join(lines), rows, float(misfit))


def placed(
    root: Float[np.ndarray, "frames xyz"],
    turns: Float[np.ndarray, "frames joints 3 3"],
    offsets: Float[np.ndarray, "joints xyz"],
    skeleton: Skeleton,
) -> Float[np.ndarray, "frames joints xyz"]:
    """Joints of a rest skeleton that stands at `root` and is turned by local rotations."""
    joints, world = np.repeat(root[:, None], len(offsets), 1), turns.copy()
    for joint in _depth_first(skeleton)[1:]:
        parent = skeleton.parents[joint]
        joints[:, joint] = joints[:, parent] + world[:, parent] @ offsets[joint]
        world[:, joint] = world[:, parent] @ turns[:, joint]
    return joints


def rest_offsets(
    joints: Float[np.ndarray, "frames joints xyz"], skeleton: Skeleton
) -> Float[np.ndarray, "joints xyz"]:
    """Offset of each joint from its parent in the rest pose, with the clip's mean bone lengths.

    Siblings keep the mean shape they have in the clip, turned to lie near the skeleton's rest directions.
    """
    offsets = np.zeros((len(skeleton.parents), 3))
    for parent, children in _children(skeleton).items():
        bones = joints[:, children] - joints[:, [parent]]
        length = np.linalg.norm(bones, axis=-1).mean(0)[:, None]
        target = np.asarray(skeleton.rest_directions, np.float64)[children] * length
        if len(children) > 1:
            shape = bones[0]
            for _ in range(3):  # Procrustes mean: align all frames to the mean, average, again
                turned = np.einsum("fij,fcj->fci", kabsch(bones, shape), bones)
                shape = turned.mean(0)
            # averaging shortens a little; lengths are the clip's
            shape = shape * length / np.maximum(np.linalg.norm(shape, axis=-1, keepdims=True), 1e-9)
            target = shape @ kabsch(shape[None], target)[0].T
        offsets[children] = target
    return offsets


def rotations(
    joints: Float[np.ndarray, "frames joints xyz"], offsets: Float[np.ndarray, "joints xyz"], skeleton: Skeleton
) -> Float[np.ndarray, "frames joints 3 3"]:
    """Local rotation of each joint against its parent; identity at the ends of limbs."""
    world = np.zeros((*joints.shape[:2], 3, 3))
    local = np.zeros_like(world)
    children = _children(skeleton)
    for joint in _depth_first(skeleton):
        parent = skeleton.parents[joint]
        above = world[:, parent] if parent >= 0 else np.broadcast_to(np.eye(3), (len(joints), 3, 3))
        below = children.get(joint, [])
        bones = joints[:, below] - joints[:, [joint]]
        if len(below) > 1:
            world[:, joint] = kabsch(np.broadcast_to(offsets[below], bones.shape), bones)
        elif below:
            world[:, joint] = shortest_arc(above @ offsets[below[0]], bones[:, 0]) @ above
        else:
            world[:, joint] = above
        local[:, joint] = above.swapaxes(-1, -2) @ world[:, joint]
    return local


def kabsch(
    source: Float[np.ndarray, "frames points xyz"], target: Float[np.ndarray, "... points xyz"]
) -> Float[np.ndarray, "frames 3 3"]:
    """The rotations that bring `source` closest to `target` in the sense of least squares."""
    u, _, vt = np.linalg.svd(np.swapaxes(source, -1, -2) @ target)
    v = vt.swapaxes(-1, -2)
    v[..., :, 2] *= np.linalg.det(v @ u.swapaxes(-1, -2))[..., None]  # no mirror images
    return v @ u.swapaxes(-1, -2)


def shortest_arc(
    source: Float[np.ndarray, "frames xyz"], target: Float[np.ndarray, "frames xyz"]
) -> Float[np.ndarray, "frames 3 3"]:
    """The smallest rotation of the direction `source` onto `target`; identity where either has no length."""
    a, b = (v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12) for v in (source, target))
    cosine = (a * b).sum(-1)[:, None, None]
    outer = b[:, :, None] * a[:, None] - a[:, :, None] * b[:, None]  # cross-product matrix of a x b
    arc = np.eye(3) + outer + outer @ outer / np.maximum(1 + cosine, 1e-12)
    # opposite directions: half a turn about any axis at right angles to a
    axis = np.cross(a, np.eye(3)[np.abs(a).argmin(-1)])
    axis /= np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-12)
    half = 2 * axis[:, :, None] * axis[:, None] - np.eye(3)
    arc = np.where(cosine < -1 + 1e-9, half, arc)
    empty = (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1) < 0.5)[:, None, None]
    return np.where(empty, np.eye(3), arc)


def euler_zxy(turns: Float[np.ndarray, "frames joints 3 3"]) -> Float[np.ndarray, "frames joints 3"]:
    """Angles (z, x, y) in degrees with R = Rz Rx Ry."""
    cosine = np.hypot(turns[..., 2, 0], turns[..., 2, 2])
    x = np.arctan2(turns[..., 2, 1], cosine)
    locked = cosine < 1e-7  # y and z turn about one axis: give it all to z
    z = np.where(
        locked,
        np.arctan2(turns[..., 1, 0], turns[..., 0, 0]),
        np.arctan2(-turns[..., 0, 1], turns[..., 1, 1]),
    )
    y = np.where(locked, 0.0, np.arctan2(-turns[..., 2, 0], turns[..., 2, 2]))
    return np.degrees(np.stack([z, x, y], -1))


def _children(skeleton: Skeleton) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            found.setdefault(parent, []).append(joint)
    return found


def _depth_first(skeleton: Skeleton) -> list[int]:
    children, order, stack = _children(skeleton), [], [0]
    while stack:
        order.append(stack.pop())
        stack.extend(reversed(children.get(order[-1], [])))
    return order


def _hierarchy(
    skeleton: Skeleton, offsets: Float[np.ndarray, "joints xyz"], stub: float, joint: int = 0, depth: int = 0
) -> list[str]:
    pad, inner = "  " * depth, "  " * (depth + 1)
    turns = "Zrotation Xrotation Yrotation"
    channels = f"6 Xposition Yposition Zposition {turns}" if joint == 0 else f"3 {turns}"
    lines = [f"{pad}{'JOINT' if depth else 'ROOT'} {skeleton.names[joint]}", pad + "{"]
    lines += [f"{inner}OFFSET {_numbers(offsets[joint])}", f"{inner}CHANNELS {channels}"]
    below = _children(skeleton).get(joint, [])
    for child in below:
        lines += _hierarchy(skeleton, offsets, stub, child, depth + 1)
    if not below:
        direction = offsets[joint] / max(float(np.linalg.norm(offsets[joint])), 1e-9)
        lines += [f"{inner}End Site", inner + "{", f"{inner}  OFFSET {_numbers(direction * stub)}", inner + "}"]
    return [*lines, pad + "}"]


def _numbers(values: Float[np.ndarray, " xyz"]) -> str:
    return " ".join(f"{value:.6f}" for value in values)
