import warnings
from pathlib import Path

import numpy as np
import pybvh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casim.export.bvh import euler_zxy, kabsch, rest_offsets, rotations, shortest_arc, write_bvh
from casim.skeleton import SKELETONS


def _turns(generator: np.random.Generator, *shape: int) -> np.ndarray:
    q, r = np.linalg.qr(generator.normal(size=(*shape, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
    q[..., 0] *= np.linalg.det(q)[..., None]
    return q


def _rigid_clip(seed: int, frames: int = 13, count: int = 22) -> np.ndarray:
    """A clip with constant bones and freely turning joints."""
    generator, skeleton = np.random.default_rng(seed), SKELETONS[count]
    offsets = skeleton.rest_directions * generator.uniform(0.1, 0.5, (count, 1)) + generator.normal(
        0, 0.02, (count, 3)
    )
    world = _turns(generator, frames, count)
    joints = np.zeros((frames, count, 3))
    joints[:, 0] = generator.normal(size=(frames, 3))
    placed = [0]
    while len(placed) < count:
        for joint, parent in enumerate(skeleton.parents):
            if parent in placed and joint not in placed:
                joints[:, joint] = joints[:, parent] + world[:, parent] @ offsets[joint]
                placed.append(joint)
    return joints


def _read(path: Path, count: int) -> tuple[np.ndarray, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it guesses which way is up
        clip = pybvh.read_bvh_file(path)
    names = [node.name for node in clip.nodes]
    order = [names.index(name) for name in SKELETONS[count].names]
    return clip.node_positions()[:, order] / 100, clip.fps


@pytest.mark.parametrize("count", [21, 22])
@given(seed=st.integers(0, 10_000))
def test_another_reader_gives_the_positions_back(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int
) -> None:
    joints = _rigid_clip(seed, count=count)
    path = tmp_path_factory.mktemp("bvh") / "clip.bvh"
    write_bvh(path, joints, 12.5)
    positions, fps = _read(path, count)
    assert fps == pytest.approx(12.5, rel=1e-6)
    np.testing.assert_allclose(positions, joints, atol=1e-5)  # a hundredth of a millimetre: the printed digits


def test_changing_bone_lengths_cost_what_they_change(tmp_path: Path) -> None:
    joints = _rigid_clip(3)
    noisy = joints + np.random.default_rng(0).normal(0, 0.002, joints.shape)
    write_bvh(tmp_path / "clip.bvh", noisy, 20.0)
    positions, _ = _read(tmp_path / "clip.bvh", 22)
    error = np.linalg.norm(positions - noisy, axis=-1)
    assert 1e-4 < error.mean() < 0.01


def test_a_still_clip_in_one_frame(tmp_path: Path) -> None:
    joints = _rigid_clip(5, frames=1)
    write_bvh(tmp_path / "clip.bvh", joints, 20.0)
    np.testing.assert_allclose(_read(tmp_path / "clip.bvh", 22)[0], joints, atol=1e-5)


def test_the_rest_pose_stands(tmp_path: Path) -> None:
    skeleton = SKELETONS[22]
    offsets = rest_offsets(_rigid_clip(7), skeleton)
    directions = offsets[1:] / np.linalg.norm(offsets[1:], axis=1, keepdims=True)
    assert (directions * skeleton.rest_directions[1:]).sum(1).min() > 0.8


def test_rotations_do_not_jump() -> None:
    """A limb that swings slowly turns its joint slowly."""
    first = _rigid_clip(2, frames=1)
    angles = np.linspace(0, 0.6, 29)
    joints = np.repeat(first, len(angles), axis=0)
    elbow, wrist = 18, 20
    forearm = first[0, wrist] - first[0, elbow]
    cos, sin = np.cos(angles), np.sin(angles)
    turn = np.stack([cos, -sin, 0 * cos, sin, cos, 0 * cos, 0 * cos, 0 * cos, 1 + 0 * cos], -1).reshape(-1, 3, 3)
    joints[:, wrist] = first[0, elbow] + turn @ forearm
    turns = rotations(joints, rest_offsets(joints, SKELETONS[22]), SKELETONS[22])
    step = turns[1:, elbow] @ turns[:-1, elbow].swapaxes(-1, -2)
    assert np.arccos((np.trace(step, axis1=1, axis2=2) - 1) / 2).max() < 0.03


@given(seed=st.integers(0, 10_000))
def test_kabsch_finds_the_rotation(seed: int) -> None:
    generator = np.random.default_rng(seed)
    source, turn = generator.normal(size=(7, 3, 3)), _turns(generator, 7)
    np.testing.assert_allclose(kabsch(source, source @ turn.swapaxes(-1, -2)), turn, atol=1e-8)
    flat = source * [1, 1, 0]  # points in a plane have a mirror image; it must not be taken
    np.testing.assert_allclose(np.linalg.det(kabsch(flat, flat)), 1, atol=1e-9)


@given(seed=st.integers(0, 10_000))
def test_shortest_arc_is_a_rotation_onto_the_target(seed: int) -> None:
    source, target = np.random.default_rng(seed).normal(size=(2, 11, 3))
    target[0], target[1], target[2] = -source[0], 3 * source[1], 0
    arc = shortest_arc(source, target)
    np.testing.assert_allclose(arc @ arc.swapaxes(-1, -2), np.broadcast_to(np.eye(3), arc.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(arc), 1, atol=1e-9)
    turned = (arc @ source[..., None])[..., 0]
    np.testing.assert_allclose(np.cross(turned, target), 0, atol=1e-7)
    assert ((turned * target).sum(-1)[[0, 1, *range(3, 11)]] > 0).all()
    np.testing.assert_allclose(arc[1:3], np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-9)


@given(x=st.sampled_from([-90.0, -89.999, -30.0, 0.0, 90.0]), y=st.floats(-179, 179), z=st.floats(-179, 179))
def test_angles_give_the_rotation_back_even_at_the_pole(x: float, y: float, z: float) -> None:
    from scipy.spatial.transform import Rotation

    matrix = Rotation.from_euler("ZXY", [z, x, y], degrees=True).as_matrix()
    again = Rotation.from_euler("ZXY", euler_zxy(matrix[None, None])[0, 0], degrees=True).as_matrix()
    np.testing.assert_allclose(again, matrix, atol=1e-6)
