"""Takes of every skeleton, unit, rate and axis to the 22 joints, and what is refused."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bodies import moving
from hypothesis import given
from hypothesis import strategies as st

from casim.prepare.joint_names import COLLAR, TABLES, plain
from casim.prepare.takes import UNITS, Reading, Take, convert
from casim.skeleton import HUMANML3D

JOINT = HUMANML3D.index


def smpl_take(frames: int = 31, fps: float = 20.0, seed: int = 3) -> Take:
    """A body whose nodes have our own names; it has the bone lengths of an adult."""
    points = moving(frames, seed=seed).double().numpy()
    legs = sum(np.linalg.norm(points[0, a] - points[0, b]) for a, b in ((1, 4), (4, 7)))
    return Take(HUMANML3D.names, points * 0.83 / legs, fps)


def take_of(table: dict[str, Any], frames: int = 13) -> tuple[Take, dict[str, np.ndarray]]:
    """Random nodes of all names in a table, the first where several will do; also by name."""
    random = np.random.default_rng(7)
    names = [
        n for value in table.values() for n in ((value.split("|")[0],) if isinstance(value, str) else value[:2])
    ]
    nodes = {name: random.normal(size=(frames, 3)) for name in dict.fromkeys(map(plain, names))}
    own = {plain(name): name for name in names}
    return Take(tuple(own[name] for name in nodes), np.stack(list(nodes.values()), 1), 20.0), nodes


def test_own_names_come_back_as_they_are() -> None:
    take = smpl_take()
    joints, said = convert(take, "x.bvh", Reading(), None)
    np.testing.assert_allclose(joints, take.positions, atol=1e-12)
    assert said == ["joints named as SMPL", "20 fps", "a unit is 1 m"]


@pytest.mark.parametrize("title", TABLES)
def test_every_table_is_recognised_and_placed(title: str) -> None:
    table = TABLES[title]
    take, nodes = take_of(table)
    joints, said = convert(take, "x", Reading(unit="m", t_pose="keep"), None)
    assert said[0] == f"joints named as {title}"
    found = dict(zip(HUMANML3D.names, joints.swapaxes(0, 1), strict=True))
    for joint, value in table.items():
        if isinstance(value, str):
            expected = nodes[plain(value.split("|")[0])]
        else:
            start, end = (nodes[plain(name)] for name in value[:2])
            expected = start + value[2] * (end - start)
        np.testing.assert_allclose(found[joint], expected, atol=1e-12, err_msg=joint)
    for side in "lr":
        if f"{side}_collar" not in table:
            middle = found["spine3"] + COLLAR * (found[f"{side}_shoulder"] - found["spine3"])
            np.testing.assert_allclose(found[f"{side}_collar"], middle, atol=1e-12)


def test_names_differ_in_case_and_prefix() -> None:
    take, _ = take_of(TABLES["MotionBuilder, three spine joints (Mixamo, LaFAN1)"])
    plain, _ = convert(take, "x", Reading(unit="m"), None)
    mixamo = replace(take, names=tuple(f"mixamorig:{name.upper()}" for name in take.names))
    np.testing.assert_array_equal(convert(mixamo, "x", Reading(unit="m"), None)[0], plain)


def test_alternatives() -> None:
    take, _ = take_of(TABLES["MotionBuilder, two spine joints (SFU)"])
    toeless = replace(take, names=tuple(name.replace("LeftToeBase", "end of LeftFoot") for name in take.names))
    np.testing.assert_array_equal(
        convert(toeless, "x", Reading(unit="m"), None)[0], convert(take, "x", Reading(unit="m"), None)[0]
    )


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_told_by_the_legs(unit: str) -> None:
    metres = smpl_take()
    take = replace(metres, positions=metres.positions / UNITS[unit])
    for reading in (Reading(), Reading(unit=unit)):  # type: ignore[arg-type]
        joints, said = convert(take, "x", reading, None)
        np.testing.assert_allclose(joints, metres.positions, atol=1e-9)
        assert f"a unit is {UNITS[unit]:.4g} m" in said


def test_the_unit_of_the_file_counts() -> None:
    joints, _ = convert(replace(smpl_take(), metres=0.5), "x", Reading(), None)
    np.testing.assert_allclose(joints, 0.5 * smpl_take().positions)


def test_z_up() -> None:
    take = smpl_take()
    x, y, z = np.moveaxis(take.positions, -1, 0)
    lying = replace(take, positions=np.stack([x, -z, y], -1))
    np.testing.assert_allclose(convert(lying, "x", Reading(up="z"), None)[0], take.positions, atol=1e-12)


@pytest.mark.parametrize(("fps", "step"), [(120.0, 6), (100.0, 5), (60.0, 3), (20.0, 1)])
def test_multiples_of_the_rate_keep_frames_as_they_are(fps: float, step: int) -> None:
    take = smpl_take(67, fps)
    np.testing.assert_array_equal(convert(take, "x", Reading(), None)[0], take.positions[::step])


@given(st.floats(20, 1000), st.integers(2, 400))
def test_any_rate_keeps_time(fps: float, frames: int) -> None:
    """A body that moves evenly is where it should be at every twentieth of a second, up to the last frame."""
    start = smpl_take(1).positions
    velocity = np.array([0.3, 0.0, -1.1])
    take = Take(HUMANML3D.names, start + velocity * (np.arange(frames) / fps)[:, None, None], fps)
    joints, _ = convert(take, "x", Reading(), None)
    times = np.arange(len(joints)) / 20
    np.testing.assert_allclose(joints, start + velocity * times[:, None, None], atol=1e-4)
    assert -1e-4 < (frames - 1) / fps - times[-1] < 1 / 20 + 1e-4


def test_the_rate_can_be_put_right() -> None:
    take = smpl_take(60, 120.0)
    joints, said = convert(take, "x", Reading(fps=60.0), None)
    np.testing.assert_array_equal(joints, take.positions[::3])
    assert "60 fps" in said


@pytest.mark.parametrize("fps", [0.0, -20.0, 12.5, 2e5, float("nan"), float("inf")])
def test_nonsense_rates(fps: float) -> None:
    with pytest.raises(ValueError, match=r"walk\.bvh: .*frames per second.*from 20 to 1000"):
        convert(smpl_take(), "walk.bvh", Reading(fps=fps), None)
    with pytest.raises(ValueError, match="frames per second"):
        convert(smpl_take(fps=fps), "walk.bvh", Reading(), None)


def test_a_t_pose_in_front_is_left_out() -> None:
    slow = smpl_take(11).positions
    share = np.arange(6)[:, None, None] / 6
    dense = np.concatenate([(1 - share) * a + share * b for a, b in itertools.pairwise(slow)])  # 120 fps
    arms = [JOINT(f"{s}_{j}") for s in "lr" for j in ("shoulder", "elbow", "wrist")]
    posed = dense[:1].copy()
    posed[:, arms] += [0.0, 0.4, 0.1]
    take = Take(HUMANML3D.names, np.concatenate([posed, dense]), 120.0)
    for t_pose, is_dropped in (("auto", True), ("drop", True), ("keep", False)):
        joints, said = convert(take, "x", Reading(t_pose=t_pose), None)  # type: ignore[arg-type]
        np.testing.assert_allclose(joints, (dense if is_dropped else take.positions)[::6], atol=1e-12)
        assert ("first frame left out (T-pose)" in said) == is_dropped


def test_a_lost_thorax_is_restored() -> None:
    """Everything above hangs on it: the upper body is moved up again by the bone below."""
    take = smpl_take()
    spine = [JOINT(f"spine{i}") for i in (1, 2, 3)]
    names = "spine3 neck head l_collar r_collar l_shoulder r_shoulder l_elbow r_elbow l_wrist r_wrist"
    above = [JOINT(name) for name in names.split()]
    thorax = take.positions[:, spine[1]] - take.positions[:, spine[0]]
    lost = take.positions.copy()
    lost[:, above] += (take.positions[:, spine[1]] - take.positions[:, spine[2]])[:, None]
    joints, said = convert(replace(take, positions=lost), "x", Reading(), None)
    expected = lost.copy()
    expected[:, above] += thorax[:, None]
    np.testing.assert_allclose(joints, expected, atol=1e-12)
    assert "thorax without length: the bone below it repeated" in said


def test_other_bones_without_length_are_refused() -> None:
    take = smpl_take()
    take.positions[:, JOINT("r_wrist")] = take.positions[:, JOINT("r_elbow")]
    with pytest.raises(ValueError, match=r"x\.bvh: the bone to r_wrist has no length"):
        convert(take, "x.bvh", Reading(), None)


def test_missing_joints_are_named() -> None:
    take, _ = take_of(TABLES["MotionBuilder, two spine joints (SFU)"])
    fewer = replace(take, names=tuple("Prop" if name == "LeftHand" else name for name in take.names))
    with pytest.raises(ValueError, match=r"x has no joint for l_wrist, looked for as 'LeftHand'.*--names"):
        convert(fewer, "x", Reading(unit="m"), None)


def test_empty_and_broken_takes() -> None:
    take = smpl_take()
    with pytest.raises(ValueError, match="x has no frames"):
        convert(replace(take, positions=take.positions[:0]), "x", Reading(), None)
    take.positions[5, 3] = np.nan
    with pytest.raises(ValueError, match="x, frame 5: NaN"):
        convert(take, "x", Reading(), None)
    with pytest.raises(ValueError, match="x has no frame but its T-pose"):
        convert(smpl_take(1), "x", Reading(t_pose="drop"), None)
    tiny = replace(smpl_take(), positions=smpl_take().positions * 1e-5)
    with pytest.raises(ValueError, match="a person's in no unit; give --unit m, cm"):
        convert(tiny, "x", Reading(), None)


def test_names_of_ones_own(tmp_path: Path) -> None:
    take = smpl_take()
    numbered = replace(take, names=tuple(f"bone{i}" for i in range(22)))
    path = tmp_path / "names.json"
    path.write_text(json.dumps({name: f"bone{i}" for i, name in enumerate(HUMANML3D.names)}))
    reading = Reading(names=path)
    joints, said = convert(numbered, "x", reading, reading.read_names())
    np.testing.assert_allclose(joints, take.positions, atol=1e-12)
    assert said[0] == "joints named as --names"
    path.write_text(json.dumps({"l_rist": "bone20"}))
    with pytest.raises(ValueError, match="no joint 'l_rist' among the 22"):
        reading.read_names()
    for value in (["a", "b"], ["a", 1, 0.5], 7, ["a", "b", "c"]):
        path.write_text(json.dumps({"l_wrist": value}))
        with pytest.raises(ValueError, match=r"l_wrist is .*; wanted a name, or"):
            reading.read_names()
    path.write_text("[]")
    with pytest.raises(ValueError, match="holds a list"):
        reading.read_names()
    path.write_text("{")
    with pytest.raises(ValueError, match="no JSON"):
        reading.read_names()
    with pytest.raises(FileNotFoundError, match="no file"):
        Reading(names=tmp_path / "none").read_names()
