import numpy as np
import pytest

from casim.skeleton import HUMANML3D, KIT, SKELETONS, Skeleton

both = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)


@both
def test_every_joint_hangs_on_the_root(skeleton: Skeleton) -> None:
    assert skeleton.parents[0] == -1
    assert all(0 <= parent < joint for joint, parent in enumerate(skeleton.parents) if joint)
    assert sorted(joint for chain in skeleton.chains for joint in chain[1:]) == list(range(1, len(skeleton)))


@both
def test_sides_mirror_each_other(skeleton: Skeleton) -> None:
    mirrored = skeleton.mirrored
    assert (mirrored[mirrored] == np.arange(len(skeleton))).all()
    assert all(
        skeleton.names[a][2:] == skeleton.names[b][2:] for a, b in zip(skeleton.left, skeleton.right, strict=True)
    )
    parents = np.array(skeleton.parents)
    assert (mirrored[parents[1:]] == parents[mirrored[1:]]).all()
    # rest poses mirror too: that is what lets features be mirrored column by column
    flipped = skeleton.rest_directions * [-1, 1, 1]
    np.testing.assert_array_equal(flipped[mirrored], skeleton.rest_directions)
    assert tuple(mirrored[list(skeleton.feet_left)]) == skeleton.feet_right
    right_hip, left_hip, right_shoulder, left_shoulder = skeleton.face_joints
    assert {right_hip, right_shoulder} <= set(skeleton.right)
    assert {left_hip, left_shoulder} <= set(skeleton.left)


@both
def test_rest_directions_are_axes(skeleton: Skeleton) -> None:
    assert (np.abs(skeleton.rest_directions).sum(1) == [0] + [1] * (len(skeleton) - 1)).all()


@both
def test_body_words_speak_of_both_sides(skeleton: Skeleton) -> None:
    for word, joints in skeleton.body_words.items():
        assert joints, word
        assert set(skeleton.mirrored[list(joints)]) == set(joints), word
    assert skeleton.body_words["hand"] == skeleton.body_words["hands"]


def test_arm_rotations_start_from_the_root_but_hang_on_the_chest() -> None:
    shoulder = HUMANML3D.index("l_collar")
    assert HUMANML3D.names[HUMANML3D.parents[shoulder]] == "spine3"
    assert HUMANML3D.previous[shoulder] == 0


def test_rest_pose_stands_upright() -> None:
    heights = {0: 0.0}
    offsets = HUMANML3D.rest_offsets
    for joint, parent in enumerate(HUMANML3D.parents[1:], 1):
        heights[joint] = heights[parent] + offsets[joint, 1]
    assert 1.4 < heights[HUMANML3D.index("neck")] - heights[HUMANML3D.index("l_ankle")] + 0.1 < 1.7


def test_errors_name_what_is_known() -> None:
    with pytest.raises(ValueError, match="l_wrist"):
        HUMANML3D.index("left_hand")
    with pytest.raises(ValueError, match="21 joints"):
        _ = KIT.rest_offsets
