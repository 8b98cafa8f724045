"""ASF and AMC files against forward kinematics written out bone by bone, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from captures import BONES, amc_text, amc_values, asf_text

from casim.prepare.acclaim import read_motion, read_skeleton


def turn(x: float, y: float, z: float) -> np.ndarray:
    """Rz Ry Rx, degrees."""
    (a, b, c), (s, t, u) = np.cos(np.radians([x, y, z])), np.sin(np.radians([x, y, z]))
    about_x = np.array([[1, 0, 0], [0, a, -s], [0, s, a]])
    about_y = np.array([[b, 0, t], [0, 1, 0], [-t, 0, b]])
    about_z = np.array([[c, -u, 0], [u, c, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def plain_kinematics(values: dict[str, np.ndarray], frame: int) -> dict[str, np.ndarray]:
    """Where every bone ends in one frame."""
    ends, turns = {"root": values["root"][frame, :3]}, {"root": turn(*values["root"][frame, 3:])}
    for name, *numbers, channels, parent in BONES:
        x, y, z, length, *axis = map(float, numbers)
        angles = dict(zip(channels.split(","), values.get(name, np.zeros((frame + 1, 0)))[frame], strict=False))
        own = turn(*(angles.get(channel, 0.0) for channel in ("rx", "ry", "rz")))
        turns[name] = turns[parent] @ turn(*axis) @ own @ turn(*axis).T
        ends[name] = ends[parent] + turns[name] @ (np.array([x, y, z]) * length)
    return ends


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    skeleton, motion = tmp_path / "01.asf", tmp_path / "01_01.amc"
    skeleton.write_text(asf_text())
    motion.write_text(amc_text(amc_values(11)))
    return skeleton, motion


def test_positions_are_those_of_plain_kinematics(files: tuple[Path, Path]) -> None:
    take = read_motion(files[1], read_skeleton(files[0]))
    assert take.positions.shape == (11, 2 * (len(BONES) + 1), 3)
    assert take.fps == 120
    assert take.metres == pytest.approx(0.0254 / 0.45)
    for frame in (0, 7, 10):
        ends = plain_kinematics(amc_values(11), frame)
        for name, *_, parent in BONES:
            for node, expected in ((name, ends[parent]), (f"end of {name}", ends[name])):
                np.testing.assert_allclose(take.positions[frame, take.names.index(node)], expected, atol=1e-6)


def test_radians(files: tuple[Path, Path], tmp_path: Path) -> None:
    expected = read_motion(files[1], read_skeleton(files[0])).positions
    values = amc_values(11)
    radians = {name: np.radians(rows) for name, rows in values.items()}
    radians["root"] = np.concatenate([values["root"][:, :3], np.radians(values["root"][:, 3:])], 1)
    files[0].write_text(asf_text("rad"))
    files[1].write_text(amc_text(radians, "RADIANS"))
    np.testing.assert_allclose(read_motion(files[1], read_skeleton(files[0])).positions, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (":hierarchy", ":other", "'hierarchy' is missing"),
        (":root", ":stem", "'root' is missing"),
        ("  length 2.1\n", "", "'length' is missing"),
        ("length 2.1", "length long", "could not convert"),
        ("0.0 XYZ", "0.0 ZYX", "axis order ZYX"),
        ("dof rx ry rz", "dof rx ry l", "moves by l"),
        ("  root lowerback", "  root nothing", "'nothing' below 'root'"),
        ("  root lowerback\n", "", "'upperback' before its parent 'lowerback'"),
    ],
)
def test_broken_skeletons(files: tuple[Path, Path], old: str, new: str, message: str) -> None:
    text = files[0].read_text()
    assert old in text
    files[0].write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=r"01\.asf is no ASF skeleton") as error:
        read_skeleton(files[0])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\nlfoot ", "\nlpaw ", "moves 'lpaw', which the skeleton does not have"),
        ("\n7\n", "\n7\nhead 0 0 0\n", "the same bones in the same order"),
        ("\nlowerback ", "\nlowerback 1 ", "does not have the"),
        ("\nlowerback ", "\nlowerback x", "does not have the"),
    ],
)
def test_broken_motion(files: tuple[Path, Path], old: str, new: str, message: str) -> None:
    files[1].write_text(files[1].read_text().replace(old, new))
    with pytest.raises(ValueError, match=r"01_01\.amc") as error:
        read_motion(files[1], read_skeleton(files[0]))
    assert message in str(error.value)


def test_no_frames(files: tuple[Path, Path]) -> None:
    files[1].write_text(":FULLY-SPECIFIED\n:DEGREES\n")
    with pytest.raises(ValueError, match=r"01_01\.amc has no frames"):
        read_motion(files[1], read_skeleton(files[0]))
