"""Command line: turns a typed function into a command; a user's mistake is one line and exit code 2."""

import copy
import errno
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

USER_ERRORS = (ValueError, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
ECHO = 1.0
"""Seconds in which a second SIGTERM counts as the first: `timeout` sends one to the command, one to its group."""
GOES_ON = "the same command goes on where it stopped"
"""What an interrupted command says where what it finished is kept (`if_stopped`)."""
WIDE = 160
"""Least width of tables where no terminal shows them."""

FLAT = tyro.conf.arg(name="")
"""Marks a dataclass parameter whose fields are flags without the parameter's name: `Annotated[Options, FLAT]`."""
Run = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
"""Type of a parameter that names a run and is given without a flag."""
POSITIONAL = tyro.conf.Positional
"""Marks a parameter or field that is given without a flag: `Annotated[tuple[str, ...], POSITIONAL]`."""
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
"""Type of a parameter that names a folder and is given without a flag."""
Folders = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER ...")]
"""Type of a parameter that names folders and is given without a flag."""
HIDDEN, FIXED = tyro.conf.Suppress, tyro.conf.Fixed
"""Both together mark a dataclass field that no flag sets: `Annotated[Field, HIDDEN, FIXED]`."""
APPEND = tyro.conf.UseAppendAction
"""Marks a tuple field whose flag may be given several times: `Annotated[tuple[str, ...], APPEND]`."""


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


Main = Callable[..., Any] | Mapping[str, Callable[..., Any]]
"""A typed function, or several by the name of their sub-command."""


def run(main: Main, argv: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Parses `argv` into the parameters of `main`, calls it, and gives the exit code (see `guarded`)."""
    if isinstance(main, Mapping):
        return guarded(lambda: tyro.extras.subcommand_cli_from_dict(dict(main), args=argv, prog=prog))
    return guarded(lambda: tyro.cli(main, args=argv, prog=prog))


def guarded(call: Callable[[], Any]) -> int:
    """Calls a command and turns the ways it can end into an exit code.

    0 done, 1 a failure that is not the user's, 2 wrong input (one line on standard error), 130 interrupted (Ctrl-C,
    SIGTERM). The command may return an exit code of its own. `CASIM_TRACEBACK=1` shows the traceback of wrong input
    too.
    """
    try:
        with _terminable():
            result = call()
        return result if isinstance(result, int) else 0
    except SystemExit as stop:  # tyro: --help gives 0, a parse error 2
        return stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt as stop:
        return _fail("; ".join(["interrupted", *map(str, stop.args)]), 130)
    except USER_ERRORS as error:
        if os.environ.get("CASIM_TRACEBACK"):
            raise
        return _fail(" ".join(str(error).split()), 2)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return _fail(f"disk full while writing {error.filename or 'a file'}; nothing half-written was left", 2)
        raise


@contextmanager
def if_stopped(words: str) -> Iterator[None]:
    """When the command is interrupted inside, says so in these words, unless those further inside did."""
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.args = stop.args or (words,)
        raise


def warn(message: str) -> None:
    """Prints a warning on standard error."""
    told = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    told.print(f"warning: {message}")


@contextmanager
def _terminable() -> Iterator[None]:
    """Inside, SIGTERM ends the command as Ctrl-C does: what is open is closed and records say so.

    Where another handler is set, or outside the main thread, which alone may set one, nothing changes.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    last = -math.inf

    def stop(number: int, frame: Any) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > ECHO:
            raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _fail(message: str, code: int) -> int:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error:[/] {_plain(message)}")
    return code


def _plain(message: str) -> str:
    return message.replace("[", "\\[")


def main_exit(main: Main) -> None:
    """The body of `if __name__ == "__main__"` of every command."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    sys.exit(run(main, prog=f"python -m {spec.name.removesuffix('.__main__')}" if spec else None))
