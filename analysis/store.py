"""Arrays that a probe makes once: one that was stopped goes on where it stood."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from casim import cli, record

FOLDER = "parts"


class Store:
    """Files below a folder, each named after everything that its arrays depend on."""

    def __init__(self, folder: Path, key: Mapping[str, object]) -> None:
        """Keeps `key`, what all arrays depend on; files lie in `folder/parts`."""
        self.folder, self.key = folder / FOLDER, key

    def get(
        self, name: str, own: Mapping[str, object], make: Callable[[], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """The arrays of `name`: from before, where the key and `own` are the same, else made now."""
        text = json.dumps({**self.key, **own, "name": name}, sort_keys=True, default=str)
        file = self.folder / f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"
        if file.exists():
            try:
                with np.load(file, allow_pickle=False) as held:
                    return dict(held)
            except (OSError, ValueError, EOFError, zipfile.BadZipFile):
                file.unlink()
        with cli.if_stopped(cli.GOES_ON):
            arrays = make()
            record.write_atomic(file, npz(arrays))
        return arrays


def npz(arrays: dict[str, Any]) -> bytes:
    """Named arrays as the bytes of an NPZ file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
