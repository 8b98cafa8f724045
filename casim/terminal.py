"""Tables in a terminal of any width, or in a file: no digit is cut."""

import copy
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

WIDE = 160
"""Least width of tables where no terminal shows them."""


def console() -> Console:
    """Standard output, for tables: a file or a pipe has room for all columns, whatever the terminal's width."""
    found = Console()
    return found if found.is_terminal else Console(width=max(found.width, WIDE))


def tabulate(table: Table, where: Console) -> None:
    """Prints a table; where it is too wide, in parts that repeat the first column, so that no cell is cut."""
    wide = where.options.update(width=sys.maxsize)
    if where.measure(table, options=wide).maximum <= where.width:
        where.print(table)
        return
    for column in table.columns:  # headings break at spaces, cells do not
        column.width, column.no_wrap, column.overflow = _need(column), False, "fold"
    first, *rest = table.columns
    while rest:
        parts = [_with_columns(table, [first, *rest[:count]]) for count in range(1, len(rest) + 1)]
        fitting = [part for part in parts if where.measure(part, options=wide).maximum <= where.width]
        part = (fitting or parts[:1])[-1]
        where.print(part)
        rest = rest[len(part.columns) - 1 :]


def _need(column: Column) -> int:
    """Characters of the longest line of a column's cells, or of the longest word of its heading."""
    cells = [str(_text(cell)).splitlines() for cell in column.cells]
    return max(map(cell_len, [*str(_text(column.header)).split(), *(line for lines in cells for line in lines)]))


def _text(cell: Any) -> Text:
    return Text.from_markup(cell) if isinstance(cell, str) else cell


def _with_columns(table: Table, columns: Sequence[Column]) -> Table:
    part = copy.copy(table)
    part.columns = [replace(column, _index=index) for index, column in enumerate(columns)]
    return part
