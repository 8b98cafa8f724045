"""Features and joints: round trips, invariances, and what the two converters do differently."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from bodies import moving
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from torch.testing import assert_close

from casim.features import (
    FeatureSpec,
    denormalise,
    from_clips,
    from_joints,
    normalise,
    place,
    to_joints,
    to_joints_from_rotations,
)
from casim.kinematics import bone_offsets, half_turn, smooth, uniform_skeleton
from casim.mirror import mirror_features, mirror_joints, mirror_text
from casim.skeleton import HUMANML3D

frames_drawn, seeds = st.integers(2, 97), st.integers(0, 999)
converters = st.sampled_from(["legacy", "fixed"])
skeletons = st.sampled_from([22, 21])


def clips(batch: int, frames: int, joints: int = 22, seed: int = 0, **options: float) -> torch.Tensor:
    return torch.stack([moving(frames, joints, seed + i, **options) for i in range(batch)])


@pytest.mark.parametrize(("joints", "dims", "essential"), [(22, 263, 67), (21, 251, 64)])
def test_widths(joints: int, dims: int, essential: int) -> None:
    assert FeatureSpec(joints).dims == dims
    assert FeatureSpec(joints, subset="essential").dims == essential
    for subset in ("all", "essential"):
        spec = FeatureSpec(joints, subset=subset)
        columns = np.concatenate([np.arange(spec.dims)[group] for group in spec.groups.values()])
        assert (columns == np.arange(spec.dims)).all()
        assert from_joints(clips(3, 5, joints), spec).shape == (3, 4, spec.dims)


@given(frames_drawn, seeds, skeletons)
def test_positions_come_back_from_fixed_features(frames: int, seed: int, joints: int) -> None:
    spec = FeatureSpec(joints, converter="fixed")
    motion = clips(3, frames, joints, seed)
    placed = place(motion, spec)
    unit = 1 / spec.skeleton.metres
    assert_close(to_joints(from_joints(motion, spec), spec), placed[:, :-1], atol=3e-5 * unit, rtol=0)
    essential = FeatureSpec(joints, converter="fixed", subset="essential")
    assert_close(to_joints(from_joints(motion, essential), essential), placed[:, :-1], atol=3e-5 * unit, rtol=0)


@given(frames_drawn, seeds)
def test_rotations_give_the_same_positions(frames: int, seed: int) -> None:
    spec = FeatureSpec(converter="fixed")
    motion = clips(1, frames, seed=seed)
    features = from_joints(motion, spec)
    offsets = bone_offsets(motion[0, 0], spec.skeleton)
    assert_close(to_joints_from_rotations(features, offsets, spec), to_joints(features, spec), atol=1e-4, rtol=0)


@given(frames_drawn, seeds, converters, st.floats(-3.1, 3.1))
def test_placement_of_the_input_does_not_matter(frames: int, seed: int, converter: str, angle: float) -> None:
    spec = FeatureSpec(converter=converter)  # type: ignore[arg-type]
    motion = clips(2, frames, seed=seed).double()
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=torch.float64)
    moved = motion @ turn.T + torch.tensor([3.1, -0.7, 5.3], dtype=torch.float64)
    rotations = spec.groups["rotations"]
    first, second = from_joints(motion, spec), from_joints(moved, spec)
    assert_close(first, second, atol=1e-6, rtol=0)
    assert first[..., rotations].abs().max() <= 1 + 1e-9


@given(frames_drawn, seeds, converters)
def test_rotation_columns_are_orthonormal(frames: int, seed: int, converter: str) -> None:
    spec = FeatureSpec(converter=converter)  # type: ignore[arg-type]
    six = from_joints(clips(1, frames, seed=seed).double(), spec)[..., spec.groups["rotations"]].unflatten(
        -1, (21, 2, 3)
    )
    assert_close(six @ six.transpose(-1, -2), torch.eye(2, dtype=torch.float64).expand(*six.shape[:3], 2, 2))


@given(frames_drawn, seeds, skeletons, converters)
def test_mirrored_features_are_features_of_the_mirror_image(
    frames: int, seed: int, joints: int, converter: str
) -> None:
    spec = FeatureSpec(joints, converter=converter)  # type: ignore[arg-type]
    motion = clips(2, frames, joints, seed).double()
    assert torch.equal(mirror_joints(mirror_joints(motion)), motion)
    features = from_joints(motion, spec)
    assert torch.equal(mirror_features(mirror_features(features, spec), spec), features)
    ours, theirs = mirror_features(features, spec), from_joints(mirror_joints(motion), spec)
    assert_close(ours, theirs, atol=1e-6 / spec.skeleton.metres, rtol=0)
    essential = FeatureSpec(joints, converter=converter, subset="essential")  # type: ignore[arg-type]
    narrow = features[..., : essential.dims]
    assert torch.equal(mirror_features(narrow, essential), ours[..., : essential.dims])


@given(st.lists(st.integers(2, 61), min_size=1, max_size=5), converters)
def test_clips_of_different_lengths_convert_together_as_alone(lengths: list[int], converter: str) -> None:
    spec = FeatureSpec(converter=converter)  # type: ignore[arg-type]
    motions = [moving(frames, seed=i) for i, frames in enumerate(lengths)]
    for motion, features in zip(motions, from_clips(motions, spec), strict=True):
        assert_close(features, from_joints(motion[None], spec)[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("frames", [2, 3, 41, 196, 700])
def test_smoothing_is_scipys(frames: int) -> None:
    values = torch.randn(2, 3, frames, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    theirs = gaussian_filter1d(values.numpy(), 20, axis=-1, mode="nearest")
    assert_close(smooth(values), torch.from_numpy(theirs), atol=1e-12, rtol=0)


def test_long_clip_converts_like_its_parts() -> None:
    spec = FeatureSpec(converter="fixed", subset="essential")
    motion = moving(701)[None]
    assert_close(to_joints(from_joints(motion, spec), spec), place(motion, spec)[:, :-1], atol=3e-4, rtol=0)


@given(seeds, st.integers(3, 61))
def test_bones_keep_directions_and_get_the_given_lengths(seed: int, frames: int) -> None:
    motion = clips(2, frames, seed=seed)
    offsets = torch.from_numpy(HUMANML3D.rest_offsets).float()
    moved = uniform_skeleton(motion, offsets, HUMANML3D)
    lengths = bone_offsets(moved, HUMANML3D).norm(dim=-1)
    assert_close(lengths, offsets.norm(dim=-1).expand_as(lengths), atol=1e-5, rtol=0)
    parents = list(HUMANML3D.parents[1:])
    before, after = (torch.nn.functional.normalize(m[:, :, 1:] - m[:, :, parents], dim=-1) for m in (motion, moved))
    assert_close(after, before, atol=1e-4, rtol=0)
    assert_close(uniform_skeleton(moved, offsets, HUMANML3D), moved, atol=1e-4, rtol=0)


def test_contacts_are_feet_that_stand() -> None:
    motion = clips(1, 41, turning=0.0)
    ankle, toe = HUMANML3D.feet_left
    motion[:, 20:, [ankle, toe]] = motion[:, 20:21, [ankle, toe]]
    spec = FeatureSpec()
    contacts = from_joints(motion, spec)[0, :, spec.groups["contacts"]]
    assert (contacts[20:, :2] == 1).all()
    assert set(contacts.unique().tolist()) <= {0.0, 1.0}
    assert not from_joints(motion, spec, contact_threshold=0.0)[0, :20, -4:].any()


def test_meaning_of_the_first_columns() -> None:
    """One who walks straight on and turns left by a constant angle."""
    spec = FeatureSpec(converter="fixed")
    features = from_joints(clips(1, 301, turning=0.02), spec)[0]
    middle = features[100:200]
    # half the angle; to the person's left is from +z to +x; the sign is that of the turn back to +z
    assert_close(middle[:, 0], torch.full((100,), -0.01), atol=1e-3, rtol=0)
    assert (middle[:, 2] > 0.02).all()
    left_hip = 4 + 3 * (HUMANML3D.index("l_hip") - 1)
    assert (features[:, left_hip] > 0).all()


def test_converters_differ_as_documented() -> None:
    legacy, fixed = FeatureSpec(), FeatureSpec(converter="fixed")
    straight = clips(1, 61, turning=0.0)
    jump = [from_joints(straight, spec)[0, :, 0].abs() for spec in (legacy, fixed)]
    assert jump[0][0] > 20 * jump[1][0]  # the first frame's declared direction
    around = clips(1, 301, turning=0.05)  # twice past the back
    error = [
        (to_joints(from_joints(around, spec), spec) - place(around, spec)[:, :-1]).abs().max()
        for spec in (legacy, fixed)
    ]
    assert error[0] > 0.1
    assert error[1] < 1e-4
    # hips and shoulders of equal width cancel in legacy only
    pose = torch.randn(22, 3, generator=torch.Generator().manual_seed(3))
    pose[[2, 1, 17, 16]] = torch.tensor([[-1.0, 0, 0], [1, 0, 0], [-1, 1, 0], [1, 1, 0]])
    still = pose.expand(1, 5, 22, 3).clone()
    assert from_joints(still, fixed).isfinite().all()
    with pytest.raises(ValueError, match=r"clip 0, frame 0.*fixed"):
        from_joints(still, legacy)


@given(st.floats(-math.pi, math.pi), st.booleans())
def test_half_turn_turns_to_z(angle: float, released: bool) -> None:
    forward = torch.tensor([math.sin(angle), math.cos(angle)], dtype=torch.float64)[:, None, None]
    w, y = half_turn(forward, released=released)[:, 0, 0].tolist()
    assert w >= 0
    assert math.isclose(w * w + y * y, 1, abs_tol=1e-9)
    x, z = forward[:, 0, 0].tolist()
    cos, sin = w * w - y * y, 2 * w * y
    assert math.isclose(cos * x + sin * z, 0, abs_tol=1e-6)
    assert cos * z - sin * x > 0.999


def test_bone_exactly_against_its_rest_direction() -> None:
    spec = FeatureSpec(converter="fixed")
    motion = clips(1, 7, turning=0.0)
    elbow, shoulder = HUMANML3D.index("l_elbow"), HUMANML3D.index("l_shoulder")
    motion[:, :, elbow] = motion[:, :, shoulder] + torch.tensor([0, 0.3, 0])
    features = from_joints(motion, spec)
    assert features.isfinite().all()
    six = features[..., spec.groups["rotations"]].unflatten(-1, (21, 2, 3))
    assert_close(six.norm(dim=-1), torch.ones(six.shape[:-1]), atol=1e-4, rtol=0)


def test_statistics_round_trip() -> None:
    features, mean, std = torch.randn(3, 5, 7), torch.randn(7), torch.rand(7) + 0.5
    assert_close(denormalise(normalise(features, mean, std), mean, std), features)


def test_positions_have_gradients() -> None:
    spec = FeatureSpec(subset="essential")
    features = torch.randn(2, 7, spec.dims, requires_grad=True)
    to_joints(features, spec).square().sum().backward()
    assert features.grad is not None
    assert (features.grad[:, :-1].abs().sum((0, 1)) > 0).all()


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("A person raises the Left hand.", "A person raises the Right hand."),
        ("walks counterclockwise, then left", "walks clockwise, then right"),
        ("turns counter-clockwise", "turns clockwise"),
        ("turns anti clockwise", "turns clockwise"),
        ("CLOCKWISE on his left-hand side", "COUNTERCLOCKWISE on his right-hand side"),
        ("stands upright, brightly", "stands upright, brightly"),
        ("steps leftwards; his lefthand", "steps rightwards; his righthand"),
        ("left/ADJ arm/NOUN clockwise/NOUN", "right/ADJ arm/NOUN counterclockwise/NOUN"),
    ],
)
def test_mirrored_text(text: str, mirrored: str) -> None:
    assert mirror_text(text) == mirrored
    if "-" not in text and "anti" not in text:
        assert mirror_text(mirrored) == text


def bad(frame: int, value: float) -> torch.Tensor:
    motion = clips(3, 11)
    motion[2, frame, 5, 1] = value
    return motion


@pytest.mark.parametrize(
    ("motion", "message"),
    [
        (bad(4, math.nan), r"clip 2, frame 4: the position of r_knee is NaN"),
        (bad(7, math.inf), r"clip 2, frame 7"),
        (clips(2, 1), r"at least 2"),
        (clips(2, 5)[:, :, :21], r"\(21, 3\).*\(22, 3\)"),
        (clips(2, 5) * 0, r"clip 0, frame 0"),
    ],
)
def test_bad_joints(motion: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_joints(motion, FeatureSpec())


def test_bad_geometry_names_the_clip() -> None:
    motion = clips(45, 101)
    motion[42, 13, 20] = motion[42, 13, 18]
    with pytest.raises(ValueError, match="clip 42, frame 13: the bone to l_wrist has no length"):
        from_joints(motion, FeatureSpec())
    names = [f"walk{i}" for i in range(45)]
    with pytest.raises(ValueError, match="clip walk42, frame 13"):
        from_clips(list(motion), FeatureSpec(), names)


def test_wrong_widths() -> None:
    with pytest.raises(ValueError, match=r"262 wide.*263"):
        to_joints(torch.zeros(1, 3, 262), FeatureSpec())
    with pytest.raises(ValueError, match=r"263 wide.*'essential' have 67"):
        to_joints(torch.zeros(1, 3, 263), FeatureSpec(subset="essential"))
    with pytest.raises(ValueError, match="no rotations"):
        to_joints_from_rotations(torch.zeros(1, 3, 67), torch.zeros(22, 3), FeatureSpec(subset="essential"))
    with pytest.raises(ValueError, match="22 or 21"):
        FeatureSpec(joints=24)


def test_official_clip() -> None:
    """The released features come from 171 frames, of which 170 are left: the last rows smooth over another end."""
    if "CASIM_DATA" not in os.environ:
        pytest.skip("set CASIM_DATA to the folder with humanml3d/ to check the official clip")
    folder = Path(os.environ["CASIM_DATA"]) / "humanml3d"
    joints, theirs = (torch.from_numpy(np.load(folder / f"012314_{name}.npy")) for name in ("joints", "vecs"))
    spec = FeatureSpec()
    assert_close(to_joints(theirs[None], spec)[0], joints, atol=1e-6, rtol=0)
    error = (from_joints(joints[None], spec)[0] - theirs[:169]).abs()
    whole = {"turn": 3.1e-4, "velocity": 3.1e-4, "height": 3.1e-4, "positions": 6.9e-3}
    whole |= {"rotations": 1.4e-2, "velocities": 4.2e-4, "contacts": 0.0}
    for group, limit in whole.items():
        columns = error[:, spec.groups[group]]
        assert columns.max() <= limit, group
        assert columns[:89].max() <= 1e-5, group
