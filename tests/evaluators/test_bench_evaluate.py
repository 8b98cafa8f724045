from pathlib import Path

import pytest
import torch

from casim import cli, record
from evaluators import bench


def test_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    options = ["--threads", str(threads), "--clips", "41", "--width", "7", "--repeats", "3"]
    assert cli.run(bench.main, ["--out", str(tmp_path / "run"), *options]) == 0
    found = record.load(tmp_path / "run")
    assert (found.kind, found.status, found.threads) == ("bench", "done", threads)
    assert set(found.results) == {*bench.PAPER, *bench.OTHERS, "paper"}
    parts = [found.results[name].value for name in bench.PAPER]
    assert found.results["paper"].value == pytest.approx(sum(parts))
    assert all(measure.value > 0 and measure.n == 3 for measure in found.results.values())
    assert "r_precision, mm_dist, fid, diversity together" in found.results["paper"].protocol
    assert "paper:" in capsys.readouterr().out


@pytest.mark.parametrize("bad", [["--clips", "31"], ["--repeats", "0"], ["--threads", "0"]])
def test_bad_sizes(bad: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(bench.main, ["--out", str(tmp_path / "run"), *bad]) == 2
    assert "clips at least 32" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
