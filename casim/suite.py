"""`python -m casim.suite NAME`: trains a matrix of recipes x seeds; run again, it goes on where it stood.

Finished cells are left alone, broken off ones are resumed bit for bit, a failed one does not stop the others. The
local machine takes two cells at a time, one process and one thread each; `--cluster slurm` makes every cell a job.
"""

import csv
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from casim import cli, terminal
from casim.crew import Job, Process, Slurm, Start, cluster, locked
from casim.suites import SUITES, Cell, Suite, named
from casim.trainer import LOG

EVERY = 0.2
"""Seconds between two looks at the trainings."""


@dataclass(frozen=True)
class Options:
    """Which cells, where and how."""

    only: str = "*"
    """Cells whose name fits this pattern, like "*tokens*" or "*_seed0"."""
    list: bool = False
    """Show the cells and how far they are, and train none."""
    jobs: int | None = None
    """Cells at a time; default 2 on this machine, all on a cluster."""
    out: Path | None = None
    """Folder of the runs; default runs/SUITE."""
    cluster: Literal["local", "slurm"] = "local"
    """local: this machine; slurm: a job for each cell (needs the extra "cluster")."""
    slurm: Slurm = field(default_factory=Slurm)


def command(argv: Sequence[str] | None = None) -> int:
    """The command line: a suite's name, then options; gives the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        Console().print(_overview(), soft_wrap=True, highlight=False)
        return 0 if argv else 2
    return cli.guarded(lambda: _parsed(argv))


def _overview() -> str:
    suites = [named(name) for name in SUITES]
    rows = "\n".join(f"  [bold]{s.name}[/]  {s.about.splitlines()[0]} {len(s.cells)} cells." for s in suites)
    return (
        "usage: python -m casim.suite NAME [--list] [--only PATTERN] [--jobs 2] [--out FOLDER] ...\n"
        f"       python -m casim.suite NAME --help   lists every option\n\nsuites:\n{rows}"
    )


def _parsed(argv: Sequence[str]) -> int:
    suite = named(argv[0])
    options = tyro.cli(Options, args=argv[1:], prog=f"python -m casim.suite {suite.name}", description=suite.about)
    return run(suite, options)


def run(suite: Suite, options: Options) -> int:
    """Trains what is not done yet; gives 0 if all cells chosen are done then, 1 if any failed, 130 if stopped.

    Raises:
        ValueError: no cell fits `only`, a folder holds another run, or another command is at work in it.
    """
    out, cells, console = options.out or Path("runs") / suite.name, _chosen(suite, options), terminal.console()
    left = _left(cells, out)  # another config in any folder is found before anything starts
    failed, is_stopped = {}, False
    if left and not options.list:
        is_local = options.cluster == "local"
        start = None if is_local else cluster(out, options.slurm)
        with locked(out) as lock, _board(suite.name, cells, out, console) as board:
            left = _left(cells, out)  # another command may have had the folder meanwhile
            crew = Crew(start or partial(Process, out, lock), options.jobs or (2 if is_local else len(left)))
            failed = crew.work(left, board)
            is_stopped = bool(crew.signals)
    console.print(_table(suite, cells, out, failed))
    if is_stopped:
        console.print(f"stopped; {cli.GOES_ON}")
    return 130 if is_stopped else int(bool(failed))


def _chosen(suite: Suite, options: Options) -> list[Cell]:
    cells = [cell for cell in suite.cells if fnmatchcase(cell.name, options.only)]
    stages = {cell.first_stage for cell in cells} - {""}
    cells = [cell for cell in suite.cells if cell in cells or cell.name in stages]
    if not cells:
        raise ValueError(f"no cell of {suite.name} fits {options.only!r}; --list shows their names")
    if options.jobs is not None and options.jobs < 1:
        raise ValueError(f"--jobs must be at least 1, got {options.jobs}")
    return cells


def _left(cells: Sequence[Cell], out: Path) -> list[Cell]:
    standings = [cell.standing(out) for cell in cells]
    return [cell for cell, standing in zip(cells, standings, strict=True) if standing != "done"]


class Crew:
    """Works through cells, a few at a time, until all are through or a signal stops it."""

    def __init__(self, start: Start, size: int) -> None:
        self.start, self.size = start, size
        self.running: list[tuple[Cell, Job]] = []
        self.signals = 0
        """SIGINT and SIGTERM received: at the first the trainings save and end, at the second they end at once."""
        self._heeded = 0

    def work(self, cells: Sequence[Cell], board: "Board") -> dict[str, str]:
        """Trains the cells; gives the reasons of those that failed, by name."""
        waiting, failed = list(cells), dict[str, str]()
        with self._signals():
            try:
                while self.running or (waiting and not self.signals):
                    while len(self.running) < self.size and not self.signals:
                        if (cell := self._next(waiting)) is None:
                            break
                        waiting.remove(cell)
                        self.running.append((cell, self.start(cell)))
                        board.begin(cell)
                    self._heed()
                    failed |= self._collect(board)
                    board.update()
                    time.sleep(EVERY)
            finally:  # whatever went wrong here, no training is left alone
                for _, job in self.running:
                    job.stop()
        return failed

    def _next(self, waiting: Sequence[Cell]) -> Cell | None:
        """The first cell whose first stage is neither waiting nor under way; None if there is none."""
        busy = {cell.name for cell in waiting} | {cell.name for cell, _ in self.running}
        return next((cell for cell in waiting if cell.first_stage not in busy), None)

    def _collect(self, board: "Board") -> dict[str, str]:
        """Takes leave of the trainings that ended; gives the reasons of those that failed."""
        failed = {}
        codes = [(cell, job, job.poll()) for cell, job in self.running]
        self.running = [(cell, job) for cell, job, code in codes if code is None]
        for cell, job, code in codes:
            if code and not self.signals:
                failed[cell.name] = job.reason()
                board.end(cell, f"failed with exit code {code}: {failed[cell.name]}")
            elif code is not None:
                board.end(cell, "stopped" if code else "done")
        return failed

    def _heed(self) -> None:
        if self.signals > self._heeded:
            for _, job in self.running:
                job.stop() if self.signals == 1 else job.kill()
            self._heeded = self.signals

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def count(number: int, frame: Any) -> None:
            self.signals += 1

        before = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Board:
    """Live progress: one line for the whole suite, one for each training under way."""

    def __init__(self, name: str, cells: Sequence[Cell], out: Path, progress: Progress) -> None:
        self.out, self.progress = out, progress
        self.steps = {cell.name: int(_last_row(out / cell.name).get("step", 0)) for cell in cells}
        self.tasks: dict[str, TaskID] = {}
        self.ends: Counter[str] = Counter()
        total = sum(cell.config.training.steps for cell in cells)
        self.whole = progress.add_task(name, total=total, completed=sum(self.steps.values()), note="")

    def begin(self, cell: Cell) -> None:
        """A training started."""
        total = cell.config.training.steps
        self.tasks[cell.name] = self.progress.add_task(cell.name, total=total, note="starting")

    def end(self, cell: Cell, words: str) -> None:
        """A training ended; what it came to stays above the bars."""
        self.update()
        self.progress.remove_task(self.tasks.pop(cell.name))
        self.ends[words.split()[0]] += 1
        self.progress.console.print(f"{cell.name}: {words}", markup=False, highlight=False, soft_wrap=True)

    def update(self) -> None:
        """Draws how far the trainings are by their logs, which they write with every checkpoint."""
        for name, task in self.tasks.items():
            if row := _last_row(self.out / name):
                self.steps[name] = int(row["step"])
                self.progress.update(task, completed=self.steps[name], note=f"loss {float(row['loss']):.4f}")
        counts = [f"{number} {word}" for word, number in self.ends.items()]
        note = ", ".join([f"{len(self.tasks)} running", *counts])
        self.progress.update(self.whole, completed=sum(self.steps.values()), note=note)
        self.progress.refresh()


@contextmanager
def _board(name: str, cells: Sequence[Cell], out: Path, console: Console) -> Iterator[Board]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # drawn from the loop: a thread beside it could hold a lock while a training is forked
    with Progress(
        *columns, console=console, auto_refresh=False, transient=True, speed_estimate_period=900
    ) as progress:
        yield Board(name, cells, out, progress)


def _last_row(folder: Path) -> dict[str, str]:
    """The last line of a training's log; empty if there is none yet."""
    path = folder / LOG
    rows = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
    return rows[-1] if rows else {}


def _table(suite: Suite, cells: Sequence[Cell], out: Path, failed: Mapping[str, str]) -> Table:
    table = Table(
        Column("cell", overflow="fold"),
        "state",
        "steps",
        "minutes",
        "loss",
        title=f"{suite.name}, in {out}",
        title_justify="left",
    )
    for cell in cells:
        row = _last_row(out / cell.name)
        state = f"failed: {failed[cell.name]}" if cell.name in failed else cell.standing(out)
        steps = f"{row.get('step', 0)}/{cell.config.training.steps}"
        numbers = (f"{float(row['seconds']) / 60:.1f}", f"{float(row['loss']):.4f}") if row else ("-", "-")
        table.add_row(cell.name, Text(state), steps, *numbers)
    return table


if __name__ == "__main__":
    sys.exit(command())
