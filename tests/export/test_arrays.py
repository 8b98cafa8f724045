import csv
from pathlib import Path

import numpy as np
import pytest

from casim.export.arrays import write_csv, write_npz
from casim.export.bvh import write_bvh
from casim.export.gif import write_gif
from casim.skeleton import SKELETONS

JOINTS = np.random.default_rng(0).normal(size=(7, 21, 3))


def test_csv_has_named_columns_and_the_positions(tmp_path: Path) -> None:
    write_csv(tmp_path / "clip.csv", JOINTS, 12.5)
    with (tmp_path / "clip.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header[:4] == ["seconds", *(f"{SKELETONS[21].names[0]}_{axis}" for axis in "xyz")]
    table = np.array(rows, float)
    np.testing.assert_allclose(table[:, 0], np.arange(7) / 12.5)
    np.testing.assert_allclose(table[:, 1:].reshape(JOINTS.shape), JOINTS, rtol=1e-5)


def test_npz_comes_back_without_pickle(tmp_path: Path) -> None:
    write_npz(tmp_path / "clip.npz", {"joints": JOINTS, "prompts": np.array(["a", "b c"])})
    with np.load(tmp_path / "clip.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["joints"], JOINTS)
        assert arrays["prompts"].tolist() == ["a", "b c"]
    with pytest.raises(ValueError, match="allow_pickle=False"):
        write_npz(tmp_path / "other.npz", {"bad": np.array([{}])})
    assert not (tmp_path / "other.npz").exists()


@pytest.mark.parametrize("write", [write_csv, write_bvh, lambda path, joints, fps: write_gif(path, [joints], fps)])
@pytest.mark.parametrize(
    ("joints", "message"),
    [
        (np.zeros((7, 23, 3)), r"\[frames, 21 or 22 joints, 3\], got an array of shape \[7, 23, 3\]"),
        (np.zeros((0, 22, 3)), r"shape \[0, 22, 3\]"),
        (np.where(np.arange(7)[:, None, None] == 5, np.nan, JOINTS), "NaN or infinite position, first in frame 5"),
    ],
)
def test_what_is_no_clip_is_refused_and_nothing_written(tmp_path: Path, write, joints, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "clip.out", joints, 20.0)
    assert list(tmp_path.iterdir()) == []
