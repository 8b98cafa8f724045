"""`python -m casim.bundle RUN ...`: trained runs become part of the package: float16, with record and curve."""

import shutil
from pathlib import Path
from typing import Annotated

from rich.console import Console

from casim import checkpoint, record
from casim.cli import POSITIONAL, main_exit
from casim.trainer import LOG


def main(runs: Annotated[tuple[str, ...], POSITIONAL] = (), out: Path = checkpoint.BUNDLED) -> None:
    """Copies finished runs to the folder of the models that come with the package.

    Args:
        runs: Folders or names of runs.
        out: Folder that gets one folder per run.
    """
    if not runs:
        raise ValueError("no run to bundle; name one or more run folders")
    for name in runs:
        folder = checkpoint.find_run(name)
        Console().print(f"{bundle(folder, out / folder.name)}", markup=False, soft_wrap=True)


def bundle(run: Path, folder: Path) -> Path:
    """Writes the run with float16 weights to `folder`; its record keeps the training and names the new files.

    Raises:
        ValueError: the run did not finish.
    """
    entry = record.load(run)
    if entry.status != "done":
        raise ValueError(f"{run} is {entry.status}; only finished runs are bundled")
    tensors = checkpoint.load_tensors(run / checkpoint.WEIGHTS)
    checkpoint.save_tensors(folder / checkpoint.WEIGHTS, tensors, half=True)
    checkpoint.save_config(folder, checkpoint.load_config(run))
    shutil.copy(run / LOG, folder / LOG)
    entry.inputs = {"float32 weights": record.Source(run=run.name, sha256=record.sha256(run / checkpoint.WEIGHTS))}
    entry.artifacts = {}
    record.attach(entry, folder, folder / checkpoint.WEIGHTS, folder / checkpoint.CONFIG, folder / LOG)
    return record.save(entry, folder)


if __name__ == "__main__":
    main_exit(main)
