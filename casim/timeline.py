"""What happens when in a long motion: prompts with their times, and how segments overlap to become one motion."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

STRONGEST = 0.85
"""Most that a ramp keeps of the first take (DoubleTake)."""


@dataclass(frozen=True)
class Segment:
    """A prompt and how long it is shown."""

    text: str
    seconds: float


@dataclass(frozen=True)
class Layout:
    """Segments of one motion; neighbours share `handshake` frames, so the whole is that much shorter each time."""

    lengths: tuple[int, ...]
    """Frames of each segment, its handshakes included."""
    handshake: int = 0
    """Frames that two neighbours share."""
    blend: int = 0
    """Frames on either side of a handshake that a second take changes."""

    def __post_init__(self) -> None:
        if self.handshake < 0 or self.blend < 0:
            raise ValueError(f"handshake and blend count frames, got {self.handshake} and {self.blend}")
        for number, length in enumerate(self.lengths, 1):
            if length < 1:
                raise ValueError(f"segment {number} is shorter than one frame")
            if length <= self.handshake and len(self.lengths) > 1:
                raise ValueError(
                    f"the handshake of {self.handshake} frames is not shorter than segment {number} "
                    f"of {length} frames: take a shorter handshake or a longer segment"
                )

    @staticmethod
    def shown(frames: Sequence[int], handshake: int, blend: int = 0) -> "Layout":
        """The layout in which segments are shown for `frames` each and change in the middle of their handshakes."""
        last = len(frames) - 1
        before, after = handshake // 2, handshake - handshake // 2
        lengths = (shown + before * (i > 0) + after * (i < last) for i, shown in enumerate(frames))
        return Layout(tuple(lengths), handshake, blend)

    @property
    def total(self) -> int:
        """Frames of the whole motion."""
        return sum(self.lengths) - (len(self.lengths) - 1) * self.handshake

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Frame of the whole motion at which each segment starts, its handshake included."""
        return tuple(accumulate((length - self.handshake for length in self.lengths[:-1]), initial=0))

    @property
    def seams(self) -> tuple[tuple[int, int], ...]:
        """First and last + 1 frame of each handshake in the whole motion."""
        return tuple((start, start + self.handshake) for start in self.starts[1:])

    @property
    def boundaries(self) -> tuple[int, ...]:
        """Frames at which each segment begins to be shown, and the total: the middles of the handshakes."""
        return (0, *(start + self.handshake // 2 for start in self.starts[1:]), self.total)

    def is_transition(self) -> Bool[np.ndarray, "segments frames"]:
        """True in the frames of each segment that it shares with a neighbour; as wide as the longest."""
        frame, length = np.arange(max(self.lengths)), np.array(self.lengths)[:, None]
        is_first, is_last = (np.arange(len(self.lengths))[:, None] == i for i in (0, len(self.lengths) - 1))
        head = (frame < self.handshake) & ~is_first
        return head | (frame >= length - self.handshake) & (frame < length) & ~is_last

    def kinds(self) -> Int[np.ndarray, " frames"]:
        """For each frame of the whole motion: 0 a segment's own, 1 beside a handshake (blended), 2 a handshake."""
        kinds = np.zeros(self.total, dtype=np.int64)
        for first, end in self.seams:
            kinds[max(first - self.blend, 0) : end + self.blend] = 1
        for first, end in self.seams:
            kinds[first:end] = 2
        return kinds


def ramps(blend: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """How much of the first take is kept in the `blend` frames before a handshake, and in those behind it.

    Falls from .85 towards 0 before, rises from 0 towards .85 behind. The authors count with a float step, which for
    some lengths gives one value too many; here there are always `blend`.
    """
    rising = tuple(STRONGEST * i / blend for i in range(blend))
    return tuple(STRONGEST * (blend - i) / blend for i in range(blend)), rising


def read_timeline(path: Path) -> list[Segment]:
    """The segments of a JSON list or a CSV table with `text` and either `seconds`, or `start` and `end` (seconds).

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, or its times are negative, overlap or leave gaps.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no timeline at {path}")
    try:
        rows = _rows(path.read_text(encoding="utf-8-sig"), path.suffix.lower())
        return segments_of(rows)
    except (ValueError, csv.Error) as error:  # JSON and Unicode errors are ValueErrors
        raise ValueError(f"{path}: {error}") from error


def segments_of(rows: Sequence[Mapping[str, Any]]) -> list[Segment]:
    """The segments of rows with `text` and `seconds`, or `text`, `start` and `end`.

    Raises:
        ValueError: no row, other keys, no text, or times that are negative, overlap or leave gaps.
    """
    if not rows:
        raise ValueError("a timeline without segments")
    segments: list[Segment] = []
    clock = 0.0
    for number, row in enumerate(rows, 1):
        if set(row) not in ({"text", "seconds"}, {"text", "start", "end"}):
            found = ", ".join(map(str, row)) or "nothing"
            raise ValueError(f"segment {number} has {found}; it wants text and seconds, or text, start and end")
        text = row["text"].strip() if isinstance(row["text"], str) else ""
        if not text:
            raise ValueError(f"segment {number} has no text; say what the motion shall be")
        if "seconds" in row:
            start, end = clock, clock + _number(row, "seconds", number)
        else:
            start, end = _number(row, "start", number), _number(row, "end", number)
        _check_times(number, start, end, clock)
        segments.append(Segment(text, end - start))
        clock = end
    return segments


def _rows(text: str, suffix: str) -> list[Mapping[str, Any]]:
    if suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text), skipinitialspace=True, strict=True))
    if suffix != ".json":
        raise ValueError(f"a timeline is .json or .csv, got {suffix or 'a name without an ending'!r}")
    rows = json.loads(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError('a timeline is a list of objects: [{"text": "a person waves", "seconds": 3}, ...]')
    return rows


def _number(row: Mapping[str, Any], name: str, segment: int) -> float:
    value = row[name]
    try:
        number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{name} of segment {segment} must be seconds, 0 or more, got {value!r}")
    return number


def _check_times(number: int, start: float, end: float, clock: float) -> None:
    if end <= start:
        raise ValueError(f"segment {number} ends at {end:g} s, not behind its start at {start:g} s")
    if start < clock - 1e-6:
        raise ValueError(f"segment {number} starts at {start:g} s and overlaps the one before, until {clock:g} s")
    if start > clock + 1e-6:
        raise ValueError(f"nothing is said from {clock:g} to {start:g} s: segment {number} must start there")


def frames_shown(segments: Sequence[Segment], fps: float) -> list[int]:
    """Frames for which each segment is shown: the ends are rounded, so that errors do not add up."""
    ends = [round(end * fps) for end in accumulate((s.seconds for s in segments), initial=0.0)]
    return [end - start for start, end in pairwise(ends)]
