"""Records: what may be written where, and what may stand in them."""

import sys
from pathlib import Path

import pytest

from casim import record


def saved(folder: Path, kind: str) -> Path:
    record.save(record.RunRecord(kind=kind, name="x"), folder)
    return folder


def test_a_record_of_another_kind_is_not_replaced(tmp_path: Path) -> None:
    trained = saved(tmp_path, "train")
    with (
        pytest.raises(ValueError, match=r"another command \(train\)"),
        record.opened(record.begin("evaluate", "x", {}), trained),
    ):
        pass
    assert record.load(trained).kind == "train"
    with record.opened(record.begin("train", "again", {}), trained):
        pass
    assert record.load(trained).name == "again"


def test_what_overwrite_may_delete(tmp_path: Path) -> None:
    record.check_replaceable(tmp_path / "missing", "train")
    record.check_replaceable(tmp_path, "train")
    record.check_replaceable(saved(tmp_path / "run", "train"), "train")
    with pytest.raises(ValueError, match="would delete"):
        record.check_replaceable(tmp_path, "train")
    with pytest.raises(ValueError, match="another command"):
        record.check_replaceable(tmp_path / "run", "prepare")
    with pytest.raises(NotADirectoryError, match="is a file"):
        record.check_replaceable(tmp_path / "run" / record.FILE, "train")


def test_absolute_paths_do_not_stand_in_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASIM_DATA", str(tmp_path / "data"))
    folder, out = tmp_path / "data" / "set", tmp_path / "out"
    words = [f"--data.folder={folder}", f"--out={out}", "--out", f"{out}", "--steps=3", "a=b"]
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    config = {"data": {"folder": str(folder), "steps": 3}, "runs": [str(out), ("x", None)], "text": "a/b"}
    entry = record.begin("train", "x", config)
    expected = ["--data.folder=$CASIM_DATA/set", "--out=out", "--out", "out", "--steps=3", "a=b"]
    assert entry.argv[-6:] == expected
    known = {"data": {"folder": "$CASIM_DATA/set", "steps": 3}, "runs": ["out", ["x", None]], "text": "a/b"}
    assert entry.config == known
    assert config["data"]["folder"] == str(folder)  # the caller's own stays usable


def test_a_record_comes_back_with_a_line_for_every_result(tmp_path: Path) -> None:
    results = {
        f'a "b"/{n}': record.Measure(value=n / 3, interval=(0.1, 0.2), n=n, protocol="p\n") for n in range(3)
    }
    config = {"results": {}, "nested": {"results": {}, "text": '\n "results": {}'}}
    written = record.RunRecord(kind="probe", name="x", config=config, results=results)
    file = record.save(written, tmp_path)
    assert record.load(tmp_path) == written
    assert sum(line.startswith('  "a ') for line in file.read_text().splitlines()) == 3
    record.save(record.RunRecord(kind="probe", name="x"), tmp_path)
    assert record.load(tmp_path).results == {}
