"""Caption files of HumanML3D: one line per caption, `caption#tokens#start#end`."""

import math
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Caption:
    """One caption of a clip."""

    text: str
    tokens: tuple[str, ...]
    """word/POS, lemmatised."""
    start: float = 0.0
    """Seconds; start = end = 0 means the whole clip."""
    end: float = 0.0

    @property
    def is_whole(self) -> bool:
        """True if the caption is about the whole clip."""
        return self.start == 0 and self.end == 0

    def line(self) -> str:
        """The caption as it stands in a file.

        Raises:
            ValueError: the caption or a token holds a separator.
        """
        if any("#" in part or "\n" in part for part in (self.text, *self.tokens)) or not self.text.strip():
            raise ValueError(f"caption {self.text!r} is empty, or holds '#' or a line break")
        return f"{self.text}#{' '.join(self.tokens)}#{self.start}#{self.end}\n"


def read_captions(path: Path) -> tuple[Caption, ...]:
    """The captions of a file; blank lines are no captions, a NaN time counts as 0, as in HumanML3D.

    Raises:
        ValueError: a broken line, with file and line number; a file without captions.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    captions = tuple(_parse(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip())
    if not captions:
        raise ValueError(f"{path} holds no caption; write one, or list the clip in uncaptioned.txt")
    return captions


def _parse(line: str, where: str) -> Caption:
    parts = line.strip().split("#")
    if len(parts) != 4:
        raise ValueError(f"{where}: {len(parts)} parts, expected caption#tokens#start#end: {line[:60]!r}")
    text, tokens, *times = parts
    try:
        start, end = (0.0 if math.isnan(time) else time for time in map(float, times))
    except ValueError:
        raise ValueError(f"{where}: start and end must be seconds, got {times[0]!r} and {times[1]!r}") from None
    if not text.strip():
        raise ValueError(f"{where}: the caption is empty")
    if not (0 <= start <= end < math.inf):
        raise ValueError(f"{where}: the caption lasts from {start} to {end} seconds")
    return Caption(text.strip(), tuple(tokens.split()), start, end)
