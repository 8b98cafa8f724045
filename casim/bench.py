"""How fast the parts are, as records: `python -m casim.bench features`."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from casim import record as records
from casim.cli import main_exit
from casim.features import FeatureSpec, from_joints, to_joints
from casim.skeleton import HUMANML3D


def features(
    out: Path = Path("results/bench_features"),
    threads: int = 2,
    clips: int = 64,
    frames: int = 196,
    repeats: int = 7,
) -> None:
    """Joints to features and back, frames per second: the best of several repeats.

    Args:
        out: Folder of the record.
        threads: Threads of torch.
        clips: Clips per batch.
        frames: Frames per clip, at 20 fps.
        repeats: Timed runs, after one that warms up.
    """
    if min(threads, clips, repeats) < 1 or frames < 2:
        raise ValueError("threads, clips and repeats must be at least 1, and frames at least 2")
    torch.set_num_threads(threads)
    config = {"clips": clips, "frames": frames, "repeats": repeats}
    record = records.begin("bench", "features", config, threads=threads)
    joints = _walks(clips, frames)
    protocol = f"best of {repeats}; {clips} clips of {frames} frames; {threads} threads"
    with records.opened(record, out):
        for spec in (FeatureSpec(), FeatureSpec(converter="fixed"), FeatureSpec(subset="essential")):
            motion = from_joints(joints, spec)
            tail = f"/{spec.converter}/{spec.subset}"
            for name, call in (
                ("joints_to_features", lambda spec=spec: from_joints(joints, spec)),
                ("features_to_joints", lambda spec=spec, motion=motion: to_joints(motion, spec)),
            ):
                seconds = best_seconds(call, repeats)
                record.results[name + tail] = records.Measure(
                    value=clips * frames / seconds,
                    n=repeats,
                    unit="frames/s",
                    higher_is_better=True,
                    protocol=protocol + f"; {asdict(spec)}",
                )
    report(record, out)


COMMANDS = {"features": features}
"""The sub-commands by name."""


def best_seconds(call: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of several calls, after one that warms up."""
    call()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def report(record: records.RunRecord, out: Path) -> None:
    """Prints the numbers of a record and where it lies."""
    console = Console(soft_wrap=True, highlight=False)
    for name, measure in record.results.items():
        console.print(f"{name}: {measure.value:,.6g} {measure.unit}", markup=False)
    console.print(f"record: {out / records.FILE}", markup=False)


def _walks(clips: int, frames: int) -> Float[Tensor, "clips frames joints xyz"]:
    """Bodies that wander and sway: real geometry is not needed for speed, only non-degenerate bones."""
    random = torch.Generator().manual_seed(0)
    pose = torch.zeros(22, 3)
    offsets = torch.from_numpy(HUMANML3D.rest_offsets.astype(np.float32))
    for joint, parent in enumerate(HUMANML3D.parents[1:], 1):
        pose[joint] = pose[parent] + offsets[joint]
    sway = torch.randn(clips, frames, 22, 3, generator=random).cumsum(1) * 0.002
    path = torch.randn(clips, frames, 1, 3, generator=random).cumsum(1) * torch.tensor([0.01, 0.0, 0.01])
    return pose + sway + path


if __name__ == "__main__":
    main_exit(COMMANDS)
