"""The actions of the choreography benchmark: what each one moves, and how fast it is done."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Action:
    """One thing that a person in the benchmark can do."""

    name: str
    side: Literal["left", "right"] | None
    """The side that a caption must name; None where there is none."""
    half: Literal["lower", "upper"]
    """Body half: any lower action goes with any upper one at the same time."""
    period: float
    """Frames at 20 fps of one repetition at normal speed: a stride, a jump, a clap."""
    moves_root: bool = False
    """True if the person ends up elsewhere or facing another way."""
    is_countable: bool = False
    """True if captions may ask for it twice or three times."""
    is_held: bool = False
    """True if it is entered, held and left once rather than repeated."""

    @property
    def stem(self) -> str:
        """The name without its side."""
        return self.name.removesuffix(f"_{self.side}")


def _sided(stem: str, half: Literal["lower", "upper"], period: float, **flags: bool) -> tuple[Action, Action]:
    return (
        Action(f"{stem}_left", "left", half, period, **flags),
        Action(f"{stem}_right", "right", half, period, **flags),
    )


ACTIONS: tuple[Action, ...] = (
    Action("walk_forward", None, "lower", 22, moves_root=True),
    Action("walk_backward", None, "lower", 24, moves_root=True),
    *_sided("sidestep", "lower", 18, moves_root=True),
    *_sided("turn", "lower", 16, moves_root=True),
    Action("jump", None, "lower", 18, is_countable=True),
    Action("squat", None, "lower", 26, is_countable=True),
    Action("sit", None, "lower", 22, is_held=True),
    *_sided("kick", "lower", 18, is_countable=True),
    *_sided("wave", "upper", 10),
    *_sided("raise", "upper", 20, is_held=True),
    *_sided("punch", "upper", 13, is_countable=True),
    Action("clap", None, "upper", 9, is_countable=True),
    Action("bow", None, "upper", 26, is_held=True),
)
"""All actions; their order is the order of the columns of action labels."""

INDEX: dict[str, int] = {action.name: i for i, action in enumerate(ACTIONS)}
"""Place of each action's name in `ACTIONS`."""

SPEEDS: dict[str, float] = {"slow": 0.65, "normal": 1.0, "fast": 1.5}
"""Repetitions per second relative to normal."""
