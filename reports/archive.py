"""The records and arrays behind a page, inside the page: put in when it is built, given back by `load`."""

import base64
import hashlib
import io
import lzma
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from casim import record
from casim.record import RunRecord
from reports.stored import Stored

ELEMENT = re.compile(r'<script type="application/x-xz" id="archive" data-sha256="([0-9a-f]{64})">([^<]*)</script>')
ARRAYS = ".npz"
LEFT_OUT = ("sample",)
"""Kinds of record whose arrays stay outside the page: motions that somebody sampled, of any number."""


@dataclass(frozen=True)
class Loaded:
    """A record that came back from a page."""

    record: RunRecord
    arrays: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    """By name of the artifact, then of the array."""


def pack(records: Sequence[Stored]) -> bytes:
    """All records and their arrays as a .tar.xz file. Same records, same bytes.

    Tables beside records stay out, and so do the arrays of the kinds `LEFT_OUT`.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for item in records:
            _add(archive, f"{item.id}/{record.FILE}", record.dump(item.record))
            for name in sorted(item.record.artifacts):
                if name.endswith(ARRAYS) and item.record.kind not in LEFT_OUT:
                    _add(archive, f"{item.id}/{name}", _plain(item.arrays(name)))
    return lzma.compress(buffer.getvalue(), preset=6)


def _plain(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Not compressed one by one: all files together compress better."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def element(archive: bytes) -> str:
    """The archive as an element of the page that no browser runs."""
    digest, text = hashlib.sha256(archive).hexdigest(), base64.b64encode(archive).decode()
    return f'<script type="application/x-xz" id="archive" data-sha256="{digest}">{text}</script>'


def load(page: Path | str) -> dict[str, Loaded]:
    """The records and arrays of a report, by id.

    A hash beside them tells damage; whoever alters both on purpose is found out by building the page again from the
    records themselves, which gives the same bytes.

    Args:
        page: the HTML file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no report of records, they are damaged, or of another version.
    """
    found = ELEMENT.search(Path(page).read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(
            f"{page} holds no records; name a page that python -m reports.build wrote from records (an index or a "
            "comparison holds none)"
        )
    data = base64.b64decode(found[2])
    if hashlib.sha256(data).hexdigest() != found[1]:
        raise ValueError(f"the records in {page} were changed after it was built; build it again")
    loaded: dict[str, Loaded] = {}
    arrays: dict[str, dict[str, Mapping[str, np.ndarray]]] = {}
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(data))) as archive:
        folder = ""
        for entry in archive.getmembers():
            held = archive.extractfile(entry)
            content = held.read() if held else b""
            if entry.name.endswith(f"/{record.FILE}"):  # the arrays of a record stand behind it
                folder = entry.name.removesuffix(f"/{record.FILE}")
                arrays[folder] = {}
                loaded[folder] = Loaded(record.parse(content, f"{page}: {folder}"), arrays[folder])
            else:
                with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                    name = entry.name.removeprefix(f"{folder}/")
                    arrays[folder][name] = {key: stored[key] for key in stored.files}
    return loaded
