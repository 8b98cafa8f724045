"""Bundled models: float16 weights whose record names exactly the files that are there."""

from pathlib import Path

import pytest
import torch

from casim import checkpoint, record
from casim.bundle import main
from casim.cli import run


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "toy_seed3"
    checkpoint.save_config(folder, {"recipe": "toy"})
    checkpoint.save_tensors(folder / checkpoint.WEIGHTS, {"a": torch.rand(5, 7), "n": torch.arange(3)})
    (folder / "log.csv").write_text("step,loss,learning_rate,seconds\n")
    entry = record.begin("train", "toy_seed3", {}, seed=3)
    entry.status = "done"
    record.save(entry, folder)
    return folder


def test_bundled_files_are_those_of_the_record(trained: Path, tmp_path: Path) -> None:
    assert run(main, [str(trained), "--out", str(tmp_path / "assets")]) == 0
    folder = tmp_path / "assets" / "toy_seed3"
    entry = record.load(folder)
    assert {name: record.sha256(folder / name) for name in entry.artifacts} == {
        name: artifact.sha256 for name, artifact in entry.artifacts.items()
    }
    tensors, before = (checkpoint.load_tensors(f / checkpoint.WEIGHTS) for f in (folder, trained))
    torch.testing.assert_close(tensors["a"], before["a"], atol=1e-3, rtol=0)
    assert torch.equal(tensors["n"], before["n"])
    assert (folder / checkpoint.WEIGHTS).stat().st_size < (trained / checkpoint.WEIGHTS).stat().st_size


def test_unfinished_runs_are_refused(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    entry = record.load(trained)
    entry.status = "interrupted"
    record.save(entry, trained)
    assert run(main, [str(trained), "--out", str(tmp_path / "assets")]) == 2
    assert "interrupted" in capfd.readouterr().err
    assert not (tmp_path / "assets").exists()
    assert run(main, ["--out", str(tmp_path / "assets")]) == 2
