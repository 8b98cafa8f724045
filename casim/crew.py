"""Who does the trainings of a suite: processes of this machine or jobs of a cluster; and the lock on its folder."""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from casim.suites import Cell
from casim.train import command

LOGS = "logs"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
PATIENCE = 60.0
"""Seconds that trainings of a killed command get to save and end."""


class Job(ABC):
    """A training under way."""

    @abstractmethod
    def poll(self) -> int | None:
        """Its exit code, None while it runs."""

    @abstractmethod
    def stop(self) -> None:
        """Asks it to save and end."""

    @abstractmethod
    def kill(self) -> None:
        """Ends it at once."""

    @abstractmethod
    def reason(self) -> str:
        """The last line that it wrote."""


Start = Callable[[Cell], Job]
"""Begins or continues a cell."""


class Process(Job):
    """A training as a process of this machine, with one thread; what it writes goes to a log."""

    def __init__(self, out: Path, lock: int, cell: Cell) -> None:
        self.log = out / LOGS / f"{cell.name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "casim.train", *cell.argv(out)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | ONE_THREAD,
                start_new_session=True,  # Ctrl-C reaches the suite alone, which then stops its trainings once
                pass_fds=(lock,),  # the lock lasts as long as any training
                preexec_fn=_end_with_parent,
            )

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        return self.process.poll()

    def stop(self) -> None:
        """SIGTERM: it saves after the current step."""
        self.process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def reason(self) -> str:
        """The last line of its log."""
        lines = self.log.read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")


_PRCTL = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


def _end_with_parent() -> None:
    """In a new process: SIGTERM when its parent dies, however that happens (Linux; elsewhere the lock must do)."""
    if _PRCTL is not None:
        _PRCTL(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG


@contextmanager
def locked(out: Path, patience: float = PATIENCE) -> Iterator[int]:
    """Holds the folder of a suite; gives the lock's file descriptor, which trainings inherit.

    Raises:
        ValueError: another command, or a training that it left behind, keeps it for more than `patience` seconds.
    """
    out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with (out / ".lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ValueError(
                        f"another suite command, or a training that it left behind, is at work in {out}; "
                        "wait until it ends, or stop it"
                    ) from None
                time.sleep(0.1)
        yield file.fileno()


@dataclass(frozen=True)
class Slurm:
    """What a cell asks of the cluster."""

    partition: str | None = None
    """Partition of the jobs; default: the cluster's own."""
    minutes: int = 60
    """Time limit of a cell; a cell that hits it is resumed by the same command."""
    gpus: int = 0
    """GPUs per cell."""
    cpus: int = 1
    """CPU threads per cell."""


class Submitted(Job):
    """A training as a job of a cluster."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def poll(self) -> int | None:
        """What the training gave as its exit code, 1 if the job failed, None while it waits or runs."""
        if not self.job.done():
            return None
        return 1 if self.job.exception() else self.job.result()

    def stop(self) -> None:
        """Cancels the job: the cluster sends SIGTERM first, at which the training saves."""
        self.job.cancel()

    def kill(self) -> None:
        """The cluster ends a cancelled job by itself."""

    def reason(self) -> str:
        """The last line of the job's log."""
        lines = str(self.job.exception() or self.job.stderr() or "it wrote nothing").strip().splitlines()
        return lines[-1].strip()


def cluster(out: Path, asked: Slurm, kind: str = "slurm") -> Start:
    """Begins cells as jobs through submitit.

    Jobs of one cell carry one name and wait for each other, so that a command that comes back to a folder whose
    jobs still run starts none twice.

    Raises:
        ValueError: submitit is not installed, or there is no such cluster here.
    """
    try:
        submitit = import_module("submitit")
    except ImportError:
        raise ValueError('--cluster slurm needs submitit: pip install "casim[cluster]"') from None
    try:
        executor = submitit.AutoExecutor(out / LOGS, cluster=kind)
    except RuntimeError as error:
        raise ValueError(f"no {kind} cluster here ({error}); use --cluster local") from error
    executor.update_parameters(timeout_min=asked.minutes, gpus_per_node=asked.gpus, cpus_per_task=asked.cpus)
    if kind == "slurm":
        executor.update_parameters(slurm_dependency="singleton")
        if asked.partition:
            executor.update_parameters(slurm_partition=asked.partition)

    def start(cell: Cell) -> Job:
        executor.update_parameters(name=f"{out.name}_{cell.name}")
        return Submitted(executor.submit(train, cell, out.resolve(), asked.cpus))

    return start


def train(cell: Cell, out: Path, threads: int) -> int:
    """The body of a job: begins or continues the cell as it stands when the job starts; gives the exit code."""
    if cell.standing(out) == "done":
        return 0
    return command(cell.argv(out, threads))
