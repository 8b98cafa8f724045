import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from casim.data.choreography import Choreography, joints, plans
from casim.features import FeatureSpec, from_joints
from casim.types import MotionBatch, frame_mask
from evaluators import spaces
from evaluators.protocol import EvalBatch

CLIPS, FRAMES = 7, 41
CONFIG = Choreography.Config(train=CLIPS, min_frames=FRAMES, max_frames=FRAMES + 2)
PROMPT = torch.arange(CLIPS)


def bodies() -> Float[Tensor, "clips frames joints xyz"]:
    return torch.from_numpy(joints(plans(CONFIG, "train")))[:, :FRAMES].float()


def batch_of(motion: Tensor, mask: Tensor, positions: Tensor | None = None) -> EvalBatch:
    ids = tuple(map(str, range(len(motion))))
    reference = MotionBatch(motion, mask, ids, ids)
    return EvalBatch(motion, mask, reference, joints=positions, real_joints=positions)


def in_joints(positions: Tensor, mask: Tensor | None = None) -> Tensor:
    mask = torch.ones(positions.shape[:2], dtype=torch.bool) if mask is None else mask
    return spaces.joints(batch_of(torch.zeros(*mask.shape, 3), mask, positions), PROMPT).motion


def test_essential_is_mean_and_deviation_of_the_first_columns():
    motion, lengths = torch.randn(CLIPS, FRAMES, 263), [FRAMES - i for i in range(CLIPS)]
    space = spaces.essential(batch_of(motion, frame_mask(lengths)), FeatureSpec(), PROMPT)
    assert space.motion.shape == (CLIPS, 2 * 67)
    own = motion[3, : lengths[3], :67]
    torch.testing.assert_close(space.real[3], torch.cat([own.mean(0), own.std(0, correction=0)]))


def test_essential_is_the_same_for_both_sets_of_columns():
    whole, part = (from_joints(bodies(), FeatureSpec(subset=subset)) for subset in ("all", "essential"))
    mask = frame_mask([FRAMES - 1] * CLIPS)
    a, b = (
        spaces.essential(batch_of(motion, mask), FeatureSpec(subset=subset), PROMPT).motion
        for motion, subset in ((whole, "all"), (part, "essential"))
    )
    torch.testing.assert_close(a, b)


def test_wrong_width_is_refused():
    with pytest.raises(ValueError, match="263"):
        spaces.essential(batch_of(torch.zeros(2, 5, 67), frame_mask([5, 5])), FeatureSpec(), torch.arange(2))


def test_joints_neither_see_where_a_clip_stands_nor_where_it_looks():
    turn = torch.tensor([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [-0.8, 0.0, 0.6]])
    moved = bodies() @ turn.T + torch.tensor([3.0, 0.0, -5.0])
    torch.testing.assert_close(in_joints(moved), in_joints(bodies()), atol=1e-4, rtol=1e-4)


def test_joints_hold_pose_in_metres_and_velocity_in_metres_per_second():
    still = bodies()[:, :1].expand(-1, FRAMES, -1, -1)
    walking = still + torch.arange(FRAMES)[:, None, None] * torch.tensor([0.0, 0.0, 0.05])  # a metre per second
    pose, pose_spread, speed, speed_spread = in_joints(walking).unflatten(1, (-1, 22, 3)).split([1, 1, 1, 1], 1)
    height = still[:, 0, :, 1]
    torch.testing.assert_close(pose[:, 0, :, 1], height)
    torch.testing.assert_close(pose[:, 0, 0, [0, 2]], torch.zeros(CLIPS, 2))
    assert pose_spread.max() < 1e-5
    torch.testing.assert_close(speed.norm(dim=-1), torch.ones(CLIPS, 1, 22), atol=1e-4, rtol=0)
    assert speed_spread.max() < 1e-3


def test_joints_face_plus_z():
    """Left is +x: the left hip of the mean pose is on the positive side, the right one on the other."""
    pose = in_joints(bodies())[:, :66].unflatten(1, (22, 3))
    assert bool((pose[:, 1, 0] > 0.03).all())
    assert bool((pose[:, 2, 0] < -0.03).all())


@pytest.mark.parametrize("filler", [0.0, 7.0, float("nan")])
def test_padding_changes_nothing(filler):
    lengths = [FRAMES - 3 * i for i in range(CLIPS)]
    mask = frame_mask(lengths)
    padded = torch.where(mask[..., None, None], bodies(), filler)
    torch.testing.assert_close(in_joints(padded, mask), in_joints(bodies(), mask))


def test_a_lying_person_has_a_vector():
    """Hips and shoulders straight above each other: no horizontal direction."""
    lying = torch.zeros(CLIPS, 5, 22, 3)
    lying[..., [1, 16], 1] = 1.0
    assert torch.isfinite(in_joints(lying)).all()


def test_one_frame_has_no_speed():
    assert (in_joints(bodies()[:, :1])[:, 132:] == 0).all()


def test_joints_are_needed():
    batch = batch_of(torch.zeros(2, 5, 3), frame_mask([5, 5]))
    with pytest.raises(ValueError, match="real_joints"):
        spaces.joints(batch, torch.arange(2))
