"""Tables keep their digits, wherever they are printed."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from casim import terminal


def table(columns: int) -> Table:
    made = Table("score", *(f"arm {number} of all" for number in range(columns)), title="scores")
    for row in ("one", "another"):
        made.add_row(
            row, *(f"0.{number:06d}" if number % 2 else f"[bold]1.{number:06d}[/]" for number in range(columns))
        )
    return made


@pytest.mark.parametrize("width", [23, 40, 79, 400])
def test_narrow_tables_come_in_parts_and_keep_all_digits(width: int) -> None:
    where = Console(file=io.StringIO(), width=width)
    terminal.tabulate(table(11), where)
    text = where.file.getvalue()  # type: ignore[attr-defined]
    assert all(text.count(f"{(number + 1) % 2}.{number:06d}") == 2 for number in range(11))
    assert "…" not in text
    assert text.count("scores") == {23: 11, 400: 1}.get(width, text.count("scores"))


def test_tables_in_a_file_are_wide(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    terminal.tabulate(table(7), terminal.console())
    assert max(map(len, capsys.readouterr().out.splitlines())) > 100
    monkeypatch.setenv("COLUMNS", "300")
    assert terminal.console().width == 300
