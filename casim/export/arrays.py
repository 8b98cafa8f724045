"""Joint positions as NPZ and CSV files."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from casim.record import write_atomic
from casim.skeleton import SKELETONS


def check_joints(joints: np.ndarray) -> None:
    """Refuses arrays that are no clip of a known skeleton.

    Raises:
        ValueError: not [frames, 21 or 22, 3], no frame, or a position that is NaN or infinite.
    """
    if joints.ndim != 3 or joints.shape[1] not in SKELETONS or joints.shape[2] != 3 or not len(joints):
        known = " or ".join(str(n) for n in sorted(SKELETONS))
        raise ValueError(f"a clip must be [frames, {known} joints, 3], got an array of shape {list(joints.shape)}")
    if not np.isfinite(joints).all():
        frame = int(np.flatnonzero(~np.isfinite(joints).all((1, 2)))[0])
        raise ValueError(f"the clip has a NaN or infinite position, first in frame {frame}")


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Named arrays, compressed."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomic(path, buffer.getvalue())


def write_csv(path: Path, joints: Float[np.ndarray, "frames joints xyz"], fps: float) -> None:
    """One line per frame: seconds, then x, y, z of every joint in metres, with a header of joint names."""
    check_joints(joints)
    names = SKELETONS[joints.shape[1]].names
    header = ",".join(["seconds"] + [f"{name}_{axis}" for name in names for axis in "xyz"])
    table = np.concatenate([np.arange(len(joints))[:, None] / fps, joints.reshape(len(joints), -1)], 1)
    text = io.StringIO()
    np.savetxt(text, table, fmt="%.6g", delimiter=",", header=header, comments="")
    write_atomic(path, text.getvalue().encode())
