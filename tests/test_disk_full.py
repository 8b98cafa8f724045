"""A disk that is full while saving: one line, nothing half-written, and the run resumes once there is room."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from casim import checkpoint, record
from casim.checkpoint import STATE

IN_SMALL_DISK = """
mount -t tmpfs -o size=$1 small "$2" || exit 77
shift; disk=$1; shift
"$@" --training.steps 6 && exit 1
ls -A "$disk/run" > "$disk.names"
mount -o remount,size=50m "$disk"
cp -r "$disk/run" "$disk.full"
test -e "$disk/run/training.safetensors" && again=--resume || again=--overwrite
"$@" --training.steps 6 "$again" && cp -r "$disk/run" "$disk.resumed"
"""
SIZES = ("--data.train", "48", "--data.validation", "7", "--data.test", "7", "--data.held-out", "7")
MODEL = ("--data.max-frames", "44", "--backbone.width", "32", "--backbone.layers", "1", "--backbone.ff", "23")


def train_on_small_disk(folder: Path, size: str) -> subprocess.CompletedProcess[str]:
    """Trains on a disk of `size` until it is full, then makes room and trains on; leaves copies of both states."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("a disk of a given size is made by unshare (util-linux), which is not installed")
    disk = folder / "disk"
    disk.mkdir()
    train = [sys.executable, "-m", "casim.train", "choreography_casim", *SIZES, *MODEL]
    train += ["--training.batch-size", "4", "--training.checkpoint-every", "2", "--device", "cpu", "--threads", "1"]
    done = subprocess.run(
        [unshare, "-rm", "bash", "-c", IN_SMALL_DISK, "-", size, str(disk), *train, "--out", str(disk / "run")],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"this machine lets no test mount a disk of its own: {done.stderr.strip()}")
    return done


@pytest.mark.slow
@pytest.mark.parametrize("size", ["150k", "700k"])
def test_full_disk(tmp_path: Path, size: str) -> None:
    """150 kB are too small for the first checkpoint, 700 kB for the first one beside its successor."""
    done = train_on_small_disk(tmp_path, size)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(told) == 1
    assert "disk full while writing" in told[0]
    assert ".safetensors" in told[0]
    names = (tmp_path / "disk.names").read_text().split()
    assert not [name for name in names if name.endswith(".tmp")]
    for name in set(names) & {STATE, checkpoint.WEIGHTS}:
        assert checkpoint.load_tensors(tmp_path / "disk.full" / name)
    assert record.load(tmp_path / "disk.full").status != "done"
    assert (STATE in names) == (size == "700k")
    assert record.load(tmp_path / "disk.resumed").status == "done"
