"""Command line: turns a typed function into a command; a user's mistake is one line and exit code 2."""

import errno
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

USER_ERRORS = (ValueError, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
ECHO = 1.0
"""Seconds in which a second SIGTERM counts as the first: `timeout` sends one to the command, one to its group."""
GOES_ON = "the same command goes on where it stopped"
"""What an interrupted command says where what it finished is kept (`if_stopped`)."""

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
