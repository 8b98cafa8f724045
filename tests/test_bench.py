from pathlib import Path

import pytest
import torch

from casim import bench, cli, record


def test_features(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--threads", str(torch.get_num_threads()), "--clips", "2", "--frames", "11", "--repeats", "2"]
    assert cli.run(bench.COMMANDS, ["features", "--out", str(tmp_path / "run"), *options]) == 0
    found = record.load(tmp_path / "run")
    assert (found.kind, found.status) == ("bench", "done")
    assert found.results["joints_to_features/legacy/all"].unit == "frames/s"
    assert all(measure.value > 0 for measure in found.results.values())
    assert "frames/s" in capsys.readouterr().out


def test_bad_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(bench.COMMANDS, ["features", "--out", str(tmp_path / "run"), "--frames", "1"]) == 2
    assert "frames at least 2" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
