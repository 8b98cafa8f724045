"""Records on disk and the files beside them: all that a report reads."""

import csv
import hashlib
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casim import record
from casim.record import RunRecord

MAKE_SOME = "make some with `make demo`, or `python -m evaluators.run` and `python -m analysis.attention_probe`"


@dataclass(frozen=True)
class Stored:
    """A record, where it lies, and its artifacts."""

    id: str
    """The folder without host, user or absolute part."""
    folder: Path
    record: RunRecord

    def has(self, artifact: str) -> bool:
        """Whether the record names this artifact."""
        return artifact in self.record.artifacts

    def lacks(self, *settings: str) -> str:
        """Those of the settings that the record does not hold, as words; empty if it holds all."""
        return ", ".join(name for name in settings if name not in self.record.config)

    def read(self, artifact: str) -> bytes:
        """The bytes of an artifact, checked against the hash in the record.

        Raises:
            FileNotFoundError: the record names no such artifact, or the file is gone.
            ValueError: the file is not the one that the record was written for, or lies outside its folder.
        """
        if not self.has(artifact):
            raise FileNotFoundError(f"the record {self.id} names no artifact {artifact}")
        entry = self.record.artifacts[artifact]
        path = self.folder / entry.path
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(
                f"{self.id} names an artifact outside its folder, {entry.path}; its record was altered"
            )
        if not path.is_file():
            raise FileNotFoundError(f"{self.id} lacks its artifact {entry.path}; run its command again")
        if record.sha256(path) != entry.sha256:
            raise ValueError(
                f"{self.id}/{entry.path} was changed after its record was written; run its command again"
            )
        return path.read_bytes()

    def rows(self, artifact: str) -> list[dict[str, str]]:
        """The rows of a CSV artifact."""
        return list(csv.DictReader(io.StringIO(self.read(artifact).decode())))

    def arrays(self, artifact: str) -> dict[str, np.ndarray]:
        """The arrays of an NPZ artifact; nothing pickled is loaded."""
        with np.load(io.BytesIO(self.read(artifact)), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def stored(roots: Sequence[Path]) -> tuple[Stored, ...]:
    """All records below the roots, in order of id.

    Raises:
        FileNotFoundError: a root does not exist, or there is no record at all.
        ValueError: a file is no record of this version, holds a value that is no number, or shares its id.
    """
    for root in roots:
        if not root.exists():
            raise FileNotFoundError(f"no record at {root}; {MAKE_SOME}")
    found = [Stored(record.relative(folder), folder, entry) for folder, entry in record.find(*roots)]
    if not found:
        where = ", ".join(map(str, roots)) or "results/, casim/assets/ and runs/"
        raise FileNotFoundError(f"no records below {where}; {MAKE_SOME}")
    for item in found:
        _check_finite(item)
    ids = [item.id for item in found]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise ValueError(f"two records are called {twice[0]}; rename one of their folders")
    return tuple(sorted(found, key=lambda item: item.id))


def hashes(records: Iterable[Stored]) -> dict[str, str]:
    """SHA-256 of every record, by id."""
    return {item.id: hashlib.sha256(record.dump(item.record)).hexdigest() for item in records}


def _check_finite(item: Stored) -> None:
    for key, measure in item.record.results.items():
        values = [measure.value, *(measure.interval or ())]
        if not all(map(math.isfinite, values)):
            raise ValueError(f"{item.id}: the result {key!r} is not a finite number; run its command again")


def of_kind(records: Iterable[Stored], kind: str, name: str = "") -> tuple[Stored, ...]:
    """The finished records of a kind; with `name`, those whose results come from that command."""
    return tuple(
        r for r in records if r.record.kind == kind and r.record.status == "done" and name in ("", r.record.name)
    )
