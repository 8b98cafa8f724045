from dataclasses import replace

import pytest
import torch
from judged import FRAMES, batch_of, choreography, layout, walkers
from torch.testing import assert_close

from casim.features import FeatureSpec, denormalise, from_clips, place, to_joints
from casim.types import ActionSpan, Alignment, frame_mask
from evaluators.damage import DAMAGES, Layout, damaged
from evaluators.movement import Movement
from evaluators.protocol import Space

TEXT = {"wrong_text", "opposite_text"}
LENGTHS = [61, 53, 47, 31, 23]


@pytest.fixture
def batch():
    texts = [f"a person jumps {word}" for word in ("twice", "three times", "forward", "left", "ahead")]
    made = batch_of(walkers(), texts, LENGTHS)
    space = Space(torch.zeros(5, 3), torch.zeros(5, 3), torch.arange(5))
    return replace(made, spaces={"guo": space}, actions=((),) * 5)


def test_the_suite():
    wanted = {
        "time_shuffle",
        "mirrored_side",
        "noise_1cm",
        "frozen_frames",
        "foot_slide",
        "wrong_text",
        "truncated",
    }
    assert wanted < set(DAMAGES)


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_the_same_every_time_and_leaves_its_batch_alone(batch, name):
    before = batch.positions.clone()
    first, second = DAMAGES[name](batch), DAMAGES[name](batch)
    assert_close(first.positions, second.positions, atol=0, rtol=0)
    assert torch.equal(first.mask, second.mask)
    assert first.reference.texts == second.reference.texts
    assert_close(batch.positions, before, atol=0, rtol=0)
    assert first.spaces == {}
    assert first.actions is None
    assert first.reference.ids == batch.reference.ids
    assert first.real_joints is batch.real_joints
    is_text = first.reference.texts != batch.reference.texts
    assert is_text == (name in TEXT) == (first.joints is batch.joints)


@pytest.mark.parametrize("name", sorted(set(DAMAGES) - TEXT))
def test_a_clip_is_damaged_alike_in_every_batch(batch, name):
    whole = DAMAGES[name](batch)
    part = replace(
        batch_of(batch.positions[3:4, :31], ["x"]),
        reference=replace(batch.reference.rows(3, 4), motion=torch.zeros(1, 31, 1), mask=torch.ones(1, 31) > 0),
    )
    alone = DAMAGES[name](part)
    length = int(alone.mask.sum())
    assert length == int(whole.mask[3].sum())
    assert_close(alone.positions[0, :length], whole.positions[3, :length])


def test_time_shuffle_keeps_every_frame(batch):
    after = DAMAGES["time_shuffle"](batch)
    for before, shuffled, length in zip(batch.positions, after.positions, LENGTHS, strict=True):
        assert sorted(before[:length, 0, 0].tolist()) == sorted(shuffled[:length, 0, 0].tolist())
        assert not torch.equal(before[:length], shuffled[:length])
        assert not shuffled[length:].any()


def test_reversed_time_twice_is_the_clip(batch):
    after = DAMAGES["reversed_time"](batch)
    assert_close(after.positions[1, 0], batch.positions[1, 52])
    again = DAMAGES["reversed_time"](after)
    assert_close(again.positions[batch.mask], batch.positions[batch.mask])


def test_noise_is_one_centimetre(batch):
    noise = (DAMAGES["noise_1cm"](batch).positions - batch.positions)[batch.mask]
    assert noise.std() == pytest.approx(0.01, rel=0.03)
    assert abs(noise.mean()) < 5e-4


def test_frozen_frames_stand_still_from_the_middle_on(batch):
    after = DAMAGES["frozen_frames"](batch)
    speed = after.positions.diff(dim=1).abs().sum((2, 3))
    assert (speed[0, :30] > 0).all()
    assert (speed[0, 30:] == 0).all()
    assert_close(after.positions[1, 26:53], batch.positions[1, 26].expand(27, 22, 3))


def test_foot_slide_moves_standing_feet():
    batch = choreography()
    before, after = Movement.of(batch), Movement.of(DAMAGES["foot_slide"](batch))
    drift = (after.joints - before.joints)[..., 0].diff(dim=1)
    low = before.joints[:, 1:, [7, 8, 10, 11], 1].amin(-1) < 0.05
    assert_close(drift[low & before.steps], torch.full_like(drift[low & before.steps], 0.03), atol=1e-5, rtol=0)
    assert drift[~low & before.steps].abs().max() < 1e-5
    assert_close(after.joints[..., 1:], before.joints[..., 1:])


def test_floating_and_truncated(batch):
    lift = DAMAGES["floating"](batch).positions - batch.positions
    assert_close(lift[0, :, 7, 1], 0.3 * (torch.arange(FRAMES) >= 15.25).float())
    assert DAMAGES["truncated"](batch).mask.sum(1).tolist() == [37, 32, 29, 19, 14]


def test_wrong_text_gives_every_clip_the_caption_of_another_of_its_kind():
    batch = choreography()
    tagged = replace(batch, reference=replace(batch.reference, tags=tuple((t,) for t in batch.reference.texts)))
    after = DAMAGES["wrong_text"](tagged).reference
    assert sorted(after.texts) == sorted(batch.reference.texts)
    assert all(a != b for a, b in zip(after.texts, batch.reference.texts, strict=True))
    assert after.tags == tuple((text,) for text in after.texts)
    assert after.alignment is not None
    for text, new, old in zip(after.texts, after.alignment, batch.wanted, strict=True):
        assert new.kind == old.kind
        assert new.words == tuple(text.split())


def test_opposite_text_and_its_ground_truth(batch):
    names = ("kick_left", "walk_forward", "jump")
    truth = Alignment((), (), tuple(ActionSpan(name, 3, 11) for name in names), "triple", False)
    after = DAMAGES["opposite_text"](replace(batch, reference=replace(batch.reference, alignment=(truth,) * 5)))
    assert [a.action for a in after.wanted[0].actions] == ["kick_right", "walk_backward", "jump"]
    assert after.reference.texts[:4] == (
        "a person jumps three times",
        "a person jumps two times",
        "a person jumps backward",
        "a person jumps right",
    )


@pytest.mark.parametrize("joints", [22, 21])
@pytest.mark.parametrize("name", DAMAGES)
def test_features_are_those_of_the_damaged_joints(name, joints):
    spec = FeatureSpec(joints, 20.0 if joints == 22 else 12.5, "fixed", "essential")
    metres = spec.skeleton.metres
    how = Layout(spec, torch.full((spec.dims,), 0.3), torch.full((spec.dims,), 1.7))
    before = batch_of(walkers(joints=joints), ["a person walks forward"] * 4 + ["he stops"], LENGTHS)
    rows = from_clips([clip[:n] / metres for clip, n in zip(walkers(joints=joints), LENGTHS, strict=True)], spec)
    motion = torch.zeros(5, FRAMES, spec.dims)
    for row, made in zip(motion, rows, strict=True):
        row[: len(made)] = made
    batch = replace(before, motion=motion, fps=spec.fps)
    after = damaged(batch, name, how)
    assert after.motion.shape == motion.shape
    if name in TEXT:
        assert after.motion is batch.motion
        return
    assert not after.motion[~after.mask].any()
    for row, joined, length in zip(after.motion, after.positions, after.mask.sum(1).tolist(), strict=True):
        back = to_joints(denormalise(row[None, :length], how.mean, how.std), spec) * metres
        assert_close(back, place(joined[None, :length] / metres, spec) * metres, atol=1e-4, rtol=0)


def test_unknown_damage_is_refused(batch):
    with pytest.raises(ValueError, match="unknown damage 'rust'; there are time_shuffle, "):
        damaged(batch, "rust", layout())


def test_masks_stay_masks():
    batch = choreography()
    for damage in DAMAGES.values():
        mask = damage(batch).mask
        assert torch.equal(mask, frame_mask(mask.sum(1), mask.shape[1]))
