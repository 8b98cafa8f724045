import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from judged import batch_of, standing, walkers
from torch.testing import assert_close

from casim.skeleton import HUMANML3D, KIT
from evaluators.movement import Movement, asymmetry, held


def turned(joints, angle):
    """Clips turned to the left by an angle, and moved."""
    x, y, z = joints.unbind(-1)
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.stack([cos * x + sin * z + 3, y, cos * z - sin * x - 2], -1)


def test_travel_is_forward_and_to_the_left_of_the_body():
    time = torch.arange(61) / 20
    body = standing()
    body[0, :, :, 2] += 1.5 * time[:, None]  # faces +z: forward
    body[0, :, :, 0] += 0.5 * time[:, None]  # +x: to its left
    for angle in (0, 1, 3):
        forward, left = Movement.of(batch_of(turned(body, angle))).travel * 20
        assert_close(forward, torch.full((1, 60), 1.5).double(), atol=1e-4, rtol=0)
        assert_close(left, torch.full((1, 60), 0.5).double(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("rate", [-0.2, 0.1])
def test_turn_to_the_left_is_positive(rate):
    body = torch.cat([turned(standing(1), rate * frame) for frame in range(97)], 1)  # passes the back
    turn = Movement.of(batch_of(body)).turn
    assert_close(turn[:, 20:-20], torch.full((1, 56), rate).double(), atol=1e-4, rtol=0)


@given(angle=st.floats(-3.2, 3.2), seed=st.integers(0, 99))
def test_the_own_frame_does_not_see_where_the_body_stands(angle, seed):
    body = walkers()
    first, second = (Movement.of(batch_of(joints)) for joints in (body, turned(body, angle)))
    for name in ("local", "speed", "spread", "turn", "travel", "bones"):
        assert_close(getattr(first, name), getattr(second, name), atol=1e-4, rtol=0)


@given(extra=st.integers(1, 41), filler=st.sampled_from([0.0, 7.0, float("nan")]))
def test_padding_changes_nothing(extra, filler):
    lengths = [61, 47, 29, 13, 5]
    body = walkers()
    wide = torch.cat([body, torch.full((5, extra, 22, 3), filler)], 1)
    first, second = (Movement.of(batch_of(joints, lengths=lengths)) for joints in (body, wide))
    assert_close(first.spread, second.spread)
    for name in ("facing", "travel"):
        values, wider = getattr(first, name), getattr(second, name)
        assert_close(wider[..., : values.shape[-1]], values)
    for name in ("local", "speed", "turn", "jerk"):
        values, wider = getattr(first, name), getattr(second, name)
        assert_close(wider[:, : values.shape[1]], values, equal_nan=True)
    for name in ("speed", "turn"):
        assert not getattr(second, name)[~second.steps].any()
    assert not second.travel[:, ~second.steps].any()


def test_held_repeats_the_last_real_frame():
    values = torch.arange(10).view(2, 5)
    mask = torch.tensor([[True] * 2 + [False] * 3, [True] * 5])
    assert held(values, mask).tolist() == [[0, 1, 1, 1, 1], [5, 6, 7, 8, 9]]


def test_jerk_of_a_cubic_path_is_its_third_derivative():
    time = torch.arange(31).double() / 20
    body = standing(31)
    body[0, :, 20] += time[:, None] ** 3 * torch.tensor([0.1, -0.2, 0.05])  # one wrist: 6 x .1 + 6 x .2 + 6 x .05
    assert_close(Movement.of(batch_of(body)).jerk, torch.full((1, 28), 2.1).double(), atol=1e-6, rtol=0)


def test_limbs_are_averaged_over_their_joints():
    movement = Movement.of(batch_of(walkers(3)))
    left, right = movement.limbs(["arm", None, "toes"])
    assert left.sum(1).tolist() == pytest.approx([1, 0, 1])
    assert {HUMANML3D.names[i] for i in left[0].nonzero()[:, 0]} == {"l_shoulder", "l_elbow", "l_wrist"}
    assert {HUMANML3D.names[i] for i in right[2].nonzero()[:, 0]} == {"r_ankle", "r_foot"}


def test_asymmetry():
    body = standing(count=3)
    wave = torch.sin(torch.arange(61) / 3)
    body[0, :, 20, 1] += wave
    body[1, :, [20, 21], 1] += wave[:, None]
    found = asymmetry(Movement.of(batch_of(body)), ["hand"] * 3)
    assert found.tolist() == pytest.approx([1, 0, 0], abs=1e-4)
    assert asymmetry(Movement.of(batch_of(body)), [None] * 3).tolist() == [0, 0, 0]


def test_kit_in_metres():
    movement = Movement.of(batch_of(walkers(joints=21)))
    assert movement.skeleton is KIT
    assert movement.limbs(["hand"] * 5).sum() == pytest.approx(10)


def empty(batch):
    return replace(batch, mask=torch.zeros_like(batch.mask))


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (batch_of(walkers(joints=21) * 1000), "must be finite and in metres"),
        (batch_of(walkers() * float("nan")), "must be finite and in metres"),
        (batch_of(torch.zeros(1, 9, 24, 3)), "24 joints; known skeletons have 22 or 21"),
        (batch_of(standing(3)), "3 frames show no movement"),
        (empty(batch_of(standing())), "at least one frame"),
        (replace(batch_of(standing()), joints=None), "set EvalBatch.joints"),
    ],
)
def test_joints_that_cannot_be_read_are_refused(batch, words):
    with pytest.raises(ValueError, match=words):
        Movement.of(batch)


def test_real_joints_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="no joints of the real clips"):
        Movement.real(replace(batch_of(standing()), real_joints=None))
