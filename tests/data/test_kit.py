"""What KIT has of its own: the rest is tested with `humanml3d`."""

from pathlib import Path

import numpy as np
import pytest
from bodies import write_joint_folder

from casim import cli
from casim.data.humanml3d import KNOWN_BAD, HumanML3D
from casim.data.kit import Kit
from casim.prepare.__main__ import COMMANDS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_joint_folder(tmp_path / "raw", joints=21)
    argv = ["joints", str(tmp_path / "raw"), "--out", str(tmp_path / "set"), "--skeleton", "000001"]
    assert cli.run(COMMANDS, argv) == 0
    return tmp_path / "set"


def test_defaults(folder: Path) -> None:
    data = Kit(Kit.Config(folder=str(folder)))
    assert (data.spec.joints, data.spec.fps, data.spec.dims) == (21, 12.5, 251)
    assert (data.config.min_frames, data.config.max_frames, data.caption_fps) == (24, 196, 12.5)
    assert len(data.split("train")) == 4


@pytest.mark.parametrize(("frames", "is_kept"), [(23, False), (24, True), (199, True), (200, False)])
def test_length_rules(folder: Path, frames: int, is_kept: bool) -> None:
    np.save(folder / "new_joint_vecs" / "000001.npy", np.zeros((frames, 251), np.float32))
    assert ("000001" in Kit(Kit.Config(folder=str(folder))).split("train").ids) == is_kept


@pytest.mark.parametrize(("fps", "first", "frames"), [(12.5, 25, 48), (20.0, 40, 60)])
def test_caption_times(folder: Path, fps: float, first: int, frames: int) -> None:
    """A part from second 2 to 6 of 100 frames: 50, cut to fours; by Guo's count 80, of which 60 are there."""
    motion = np.zeros((100, 251), np.float32)
    motion[:, 0] = np.arange(100)
    np.save(folder / "new_joint_vecs" / "000001.npy", motion)
    (folder / "texts" / "000001.txt").write_text("a part#a/DET part/NOUN#2.0#6.0\n")
    data = Kit(Kit.Config(folder=str(folder), caption_fps=fps))
    train = data.split("train")
    batch = train.batch([train.ids.index("A_000001")])
    start = batch.motion[0, 0, 0] * data.std[0] + data.mean[0]
    assert (round(float(start)), int(batch.lengths)) == (first, frames)
    assert batch.tags == (("a/DET", "part/NOUN"),)


def test_other_widths_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"Mean.npy is \(251,\), expected \(263,\)"):
        HumanML3D(HumanML3D.Config(folder=str(folder)))


def test_humanml3d_ids_are_not_bad_here(folder: Path) -> None:
    bad = min(KNOWN_BAD)
    for kind, ending in (("new_joint_vecs", "npy"), ("texts", "txt")):
        (folder / kind / f"000001.{ending}").rename(folder / kind / f"{bad}.{ending}")
    (folder / "train.txt").write_text(f"{bad}\n")
    assert Kit(Kit.Config(folder=str(folder))).split("train").ids == (bad,)
