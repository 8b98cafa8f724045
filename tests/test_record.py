"""Records: what may be written where, and what may stand in them."""

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
