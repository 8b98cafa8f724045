"""What a report says, as data: sections made of verdicts, figures, tables and honest absences. No HTML here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NewType

import numpy as np
from jaxtyping import Float, UInt8

Svg = NewType("Svg", str)
"""SVG that `reports.figures` or `reports.heat` made: safe to stand in the page as it is."""

Word = Literal[
    "supported",
    "not supported",
    "undetermined",
    "semantic",
    "positional",
    "mixed",
    "persists",
    "does not persist",
    "kept",
    "lost",
    "trade-off",
    "smoother",
    "no smoother",
]
"""The words a verdict may use."""
Outcome = Literal["passed", "failed", "not run"]


@dataclass(frozen=True)
class Cell:
    """A table cell with more than plain text."""

    text: str
    note: str = ""
    """Second line, smaller: an interval, a hash."""
    tone: Literal["", "good", "bad", "warn", "code"] = ""
    order: float | None = None
    """What the cell is sorted by where its text is no number of the column's unit."""


@dataclass(frozen=True)
class Link:
    """A table cell that leads to another file."""

    href: str
    """Relative."""
    text: str
    note: str = ""


@dataclass(frozen=True)
class Column:
    """A table column."""

    label: str
    note: str = ""
    """Second line of the heading: unit, direction, N."""
    is_number: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under named columns; the first cell of a row names it."""

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | Cell | Link, ...], ...]
    note: str = ""
    """What must be read with it: the protocol in words."""


@dataclass(frozen=True)
class Figure:
    """A drawing, its text alternative, and the numbers it shows."""

    id: str
    title: str
    text: str
    """What the drawing shows, for those who cannot see it."""
    wide: Svg
    narrow: Svg
    """The same for a phone."""
    caption: str = ""
    data: Table | None = None


@dataclass(frozen=True)
class Track:
    """One skeleton of a player."""

    name: str
    joints: Float[np.ndarray, "frames joints xyz"]
    """Metres, y up."""
    arm: str = ""
    """Tracks of one arm share a stage, which shows the training chosen."""
    seed: int | None = None
    """Training seed; None for real clips."""


@dataclass(frozen=True)
class Player:
    """Motion beside the words that asked for it; `strip` shows it standing still."""

    id: str
    prompt: str
    words: tuple[str, ...]
    fps: float
    tracks: tuple[Track, ...]
    strip: Figure
    heat: Float[np.ndarray, "words frames"]
    """Attention, as shares."""
    starts: tuple[int, ...]
    """First frame of each word's true interval."""
    ends: tuple[int, ...]
    """One past its last."""
    is_timed: tuple[bool, ...]
    """Words about one action alone."""
    heads: UInt8[np.ndarray, "seeds layers heads words frames"] | None = None
    """Attention of every head of some trainings while each makes its own motion, 255 the strongest."""
    seeds: tuple[int, ...] = ()
    """Training seed of each row of `heads`."""


@dataclass(frozen=True)
class Effect:
    """The number a verdict rests on."""

    label: str
    value: float
    interval: tuple[float, float] | None
    note: str = ""


@dataclass(frozen=True)
class Gate:
    """A condition that is the same for every record, and how the numbers met it."""

    name: str
    rule: str
    observed: str
    outcome: Outcome


@dataclass(frozen=True)
class Verdict:
    """An answer to a question, with everything it hangs on."""

    id: str
    question: str
    word: Word
    claim: str
    """One sentence."""
    effects: tuple[Effect, ...]
    gates: tuple[Gate, ...]
    change: str
    """What would change this."""
    scope: str
    """Where the answer holds."""


@dataclass(frozen=True)
class Absence:
    """Something that is not there, why, and the command that makes it."""

    what: str
    why: str
    command: str


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Code:
    """A command to copy."""

    label: str
    text: str


@dataclass(frozen=True)
class Group:
    """Blocks under a heading, folded away if they are the second look."""

    title: str
    blocks: "tuple[Block, ...]"
    is_folded: bool = False


Block = Verdict | Figure | Table | Player | Absence | Prose | Code | Group


@dataclass(frozen=True)
class Section:
    """A chapter of the report."""

    id: str
    title: str
    lead: str
    """What the reader learns here, in one or two sentences."""
    blocks: tuple[Block, ...]
    rank: int = 50
    """Chapters stand in the order of their ranks, then of their ids."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts among the blocks."""
        return tuple(block for block in walk(self.blocks) if isinstance(block, Verdict))


@dataclass(frozen=True)
class Report:
    """The whole page."""

    title: str
    about: str
    sections: tuple[Section, ...]
    notices: tuple[str, ...] = ()
    """What a reader must know before any number: mixed or uncommitted code."""


def walk(blocks: "Sequence[Block]") -> "Iterator[Block]":
    """All blocks, those inside groups included, in reading order."""
    for block in blocks:
        yield block
        if isinstance(block, Group):
            yield from walk(block.blocks)
