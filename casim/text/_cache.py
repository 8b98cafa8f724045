"""Embeddings kept on disk by content: a caption is encoded once, however often and by whatever run it is asked for.

One folder per encoder (its config and the hash of its weights), two files that only grow:

- `rows.f32`: float32 rows, per prompt its pooled vector's slots, then its token states;
- `index.jsonl`: one line per prompt, written after its rows: the text, its first row and its word map.

A lock on the index lets processes take turns. Rows are mapped into memory, so that a large cache costs page cache,
not process memory.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jaxtyping import Float

from casim import plugins
from casim.types import TextEncoder, TextTokens, WordMap

OFF = "off"
BATCH = 256


def cache_folder(encoder: TextEncoder) -> Path | None:
    """Where the embeddings of `encoder` are kept: below `$CASIM_CACHE`, by default `~/.cache/casim`.

    None, that is memory only, if `$CASIM_CACHE` is "off", and for encoders without weights, which compute faster
    than a disk reads.
    """
    root = os.environ.get("CASIM_CACHE") or Path.home() / ".cache" / "casim"
    if root == OFF or not encoder.identity():
        return None
    content = json.dumps([plugins.describe(encoder.config), encoder.identity()], sort_keys=True)
    name = plugins.describe(encoder.config)["plugin"]
    return Path(root) / "text" / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


class Cached(TextEncoder):
    """The encoder it wraps, but every text is encoded once: the rest comes from memory or disk, bit for bit."""

    @dataclass(frozen=True)
    class Config:
        """Not used: the wrapped encoder's config is the config."""

    def __init__(self, encoder: TextEncoder, folder: Path | str | None = "default") -> None:
        """Wraps `encoder`; `folder` None keeps embeddings in memory only, "default" asks `cache_folder`."""
        self.encoder = encoder
        self.config: Any = encoder.config
        self.width = encoder.width
        self.max_words = encoder.max_words
        place = cache_folder(encoder) if folder == "default" else folder
        self.store = _Memory(self.width) if place is None else _Disk(Path(place), self.width)

    def identity(self) -> str:
        """The wrapped encoder's."""
        return self.encoder.identity()

    def encode(self, texts: Sequence[str]) -> TextTokens:
        """What the wrapped encoder gives for `texts`; only unseen ones pass through it."""
        if not texts:
            self.check(texts, [])
        unseen = [text for text in dict.fromkeys(texts) if text not in self.store.entries]
        for start in range(0, len(unseen), BATCH):
            new = unseen[start : start + BATCH]
            self.store.add(new, self.encoder.encode(new))
        return self._assemble([self.store.entries[text] for text in texts])

    def _assemble(self, entries: "Sequence[_Entry]") -> TextTokens:
        first = np.array([e.start for e in entries])
        slots = np.array([e.slots for e in entries])
        counts = np.array([len(e.words.token_word) for e in entries])
        mask = np.arange(counts.max()) < counts[:, None]
        tokens = np.zeros((*mask.shape, self.width), np.float32)
        tokens[mask] = self.store.rows[((first + slots)[:, None] + np.arange(counts.max()))[mask]]
        pooled = self.store.rows[first[:, None] + np.arange(slots[0])]
        words = tuple(e.words for e in entries)
        return TextTokens(torch.from_numpy(tokens), torch.from_numpy(mask), torch.from_numpy(pooled), words)


@dataclass(frozen=True)
class _Entry:
    start: int
    slots: int
    words: WordMap


def _packed(texts: Sequence[str], encoded: TextTokens, start: int) -> tuple[np.ndarray, dict[str, _Entry]]:
    """Rows to append, and the entries that find them if the first comes to lie at row `start`."""
    slots, rows, entries = encoded.pooled.shape[1], [], {}
    for i, text in enumerate(texts):
        rows += [encoded.pooled[i], encoded.tokens[i][encoded.mask[i]]]
        entries[text] = _Entry(start, slots, encoded.words[i])
        start += slots + len(encoded.words[i].token_word)
    return torch.cat(rows).float().cpu().numpy(), entries


class _Memory:
    def __init__(self, width: int) -> None:
        self.entries: dict[str, _Entry] = {}
        self.count = 0
        self.rows: Float[np.ndarray, "rows width"] = np.zeros((1024, width), np.float32)

    def add(self, texts: Sequence[str], encoded: TextTokens) -> None:
        rows, entries = _packed(texts, encoded, self.count)
        needed = self.count + len(rows)
        if needed > len(self.rows):  # doubling: adding text by text stays linear
            grown = np.zeros((max(needed, 2 * len(self.rows)), rows.shape[1]), np.float32)
            grown[: self.count] = self.rows[: self.count]
            self.rows = grown
        self.rows[self.count : needed] = rows
        self.count = needed
        self.entries.update(entries)


class _Disk:
    def __init__(self, folder: Path, width: int) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PermissionError(
                f"cannot keep text embeddings in {folder}: {error.strerror}; set CASIM_CACHE to a folder, or to off"
            ) from error
        self.folder, self.width = folder, width
        self.entries: dict[str, _Entry] = {}
        self.rows: Float[np.ndarray, "rows width"] = np.zeros((0, width), np.float32)
        self._read = 0  # bytes of the index already read
        with self._locked(fcntl.LOCK_SH):
            self._load()

    def add(self, texts: Sequence[str], encoded: TextTokens) -> None:
        with self._locked(fcntl.LOCK_EX) as index:
            self._load()  # another process may have added some of them meanwhile: the first one counts
            new = [i for i, text in enumerate(texts) if text not in self.entries]
            if new:
                self._append(index, [texts[i] for i in new], encoded[new])
                self._load()

    def _append(self, index: BinaryIO, texts: Sequence[str], encoded: TextTokens) -> None:
        path = self.folder / "rows.f32"
        size = 4 * self.width
        with path.open("ab") as file:
            count = file.tell() // size
            file.truncate(count * size)  # a killed writer may have left part of a row
            rows, entries = _packed(texts, encoded, count)
            try:
                file.write(rows.tobytes())
                file.flush()
                index.truncate(self._read)  # and part of a line
                index.write("".join(_line(text, entry) for text, entry in entries.items()).encode())
                index.flush()
            except OSError:
                file.truncate(count * size)
                index.truncate(self._read)
                raise

    @contextmanager
    def _locked(self, kind: int) -> Iterator[BinaryIO]:
        with (self.folder / "index.jsonl").open("ab") as index:
            fcntl.flock(index, kind)  # closing the file gives the lock back
            yield index

    def _load(self) -> None:
        """Reads the lines that were added since the last time, and maps the rows if there are any."""
        with (self.folder / "index.jsonl").open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        if not whole:
            return
        try:
            entries = dict(_entry(line) for line in whole.splitlines())
            path = self.folder / "rows.f32"
            count = path.stat().st_size // (4 * self.width)  # whole rows
            self.rows = np.memmap(path, np.float32, "r", shape=(count, self.width))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged() from error
        if max(e.start + e.slots + len(e.words.token_word) for e in entries.values()) > len(self.rows):
            raise self._damaged()
        self.entries = entries | self.entries
        self._read += len(whole)

    def _damaged(self) -> ValueError:
        return ValueError(f"the text cache {self.folder} is damaged; delete that folder, it is made anew")


def _line(text: str, entry: _Entry) -> str:
    fields = [text, entry.start, entry.slots, entry.words.words, entry.words.token_word]
    return json.dumps(fields) + "\n"


def _entry(line: bytes) -> tuple[str, _Entry]:
    text, start, slots, words, token_word = json.loads(line)
    return text, _Entry(start, slots, WordMap(tuple(words), tuple(token_word)))
