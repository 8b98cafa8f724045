import inspect
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


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--batch", "0"), "at least 1"),
        (("--threads", "0"), "at least 1"),
        (("--repeats", "0"), "at least 1"),
        (("--device", "abacus"), "no device 'abacus' here"),
    ],
)
def test_bad_settings_of_training(
    argv: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(bench.COMMANDS, ["train", "--out", str(tmp_path / "run"), *argv]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_records_lie_below_runs_by_default() -> None:
    for name, command in bench.COMMANDS.items():
        assert inspect.signature(command).parameters["out"].default == Path(f"runs/bench_{name}")


def test_evaluate_runs_the_evaluators_bench(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In a process of its own, whose exit code it passes on."""
    options = ["--threads", "1", "--clips", "37", "--width", "5", "--repeats", "2"]
    assert cli.run(bench.COMMANDS, ["evaluate", "--out", str(tmp_path / "run"), *options]) == 0
    found = record.load(tmp_path / "run")
    assert (found.kind, found.name, found.status) == ("bench", "evaluate", "done")
    assert "s" in {measure.unit for measure in found.results.values()}
    assert "record:" in capfd.readouterr().out
