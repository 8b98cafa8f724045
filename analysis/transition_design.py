"""Cells of the transition probe: ways to join the same segments, and which of them the segments have room for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from casim.long_form import Joining
from casim.timeline import Layout

WINDOW = 60
"""Frames of the metrics' window around the middle of a seam: the same in every cell."""
MARGIN = 10
"""Frames of a segment, at least, that no neighbour touches."""
HANDSHAKES = (0, 5, 10, 20, 30, 40)
BLENDS = (0, 5, 10, 15)

Method = Literal["concatenate", "linear_blend", "double_take"]


@dataclass(frozen=True)
class Cell:
    """A way to join segments."""

    method: Method
    handshake: int = 0
    """Frames that neighbours share."""
    blend: int = 0
    """Frames beside a handshake that the second take changes; 0: no second take."""

    @property
    def name(self) -> str:
        """As in the record: `double_take h20 b10`, `linear_blend h20`, `concatenate`."""
        if self.method == "concatenate":
            return self.method
        blend = f" b{self.blend}" if self.method == "double_take" else ""
        return f"{self.method} h{self.handshake}{blend}"

    @property
    def needs(self) -> int:
        """Fewest frames of a segment: own ones, and a window around each seam that holds no other seam."""
        return max(2 * self.handshake + 2 * self.blend + MARGIN, self.handshake + WINDOW)

    @property
    def joining(self) -> Joining:
        """For `casim.long_form`."""
        return Joining(self.method, self.handshake, self.blend, MARGIN)

    def layout(self, lengths: Sequence[int]) -> Layout:
        """Segments of these lengths, handshakes included."""
        return Layout(tuple(lengths), self.handshake, self.blend)


def cells(handshakes: Sequence[int], blends: Sequence[int]) -> list[Cell]:
    """All cells: concatenation for handshake 0, and for every other one a linear blend and each double take.

    Raises:
        ValueError: none, or a negative number of frames.
    """
    if not handshakes or not blends or min(*handshakes, *blends) < 0:
        raise ValueError(f"handshakes and blends count frames, got {tuple(handshakes)} and {tuple(blends)}")
    found = [Cell("concatenate")]
    for handshake in sorted({*handshakes} - {0}):
        found.append(Cell("linear_blend", handshake))
        found += [Cell("double_take", handshake, blend) for blend in sorted({*blends})]
    return found


def feasible(wanted: Sequence[Cell], shortest: int) -> tuple[list[Cell], dict[str, str]]:
    """The cells that segments of `shortest` frames have room for, and why the others are left out."""
    kept = [cell for cell in wanted if cell.needs <= shortest]
    left_out = {
        cell.name: f"needs segments of {cell.needs} frames, the shortest has {shortest}"
        for cell in wanted
        if cell.needs > shortest
    }
    return kept, left_out
