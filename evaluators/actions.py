"""Rules that compare the actions found in a clip with those its caption asks for. Pure Python, no model.

A found action may come as several spans (kicking twice); a wanted action is one span of the clip's alignment.
"""

import re
from collections.abc import Sequence
from itertools import combinations

from casim.types import ActionSpan, Alignment

OVERLAP = 0.5
"""Two actions happen at the same time if they share at least this part of the shorter one's frames."""


def other_side(text: str) -> str:
    """The same words with left and right exchanged; unchanged if neither is there."""
    swap = {"left": "right", "right": "left"}
    return re.sub(r"(?<![a-z])(left|right)(?![a-z])", lambda match: swap[match[0]], text)


def names(spans: Sequence[ActionSpan]) -> set[str]:
    """The actions of `spans`."""
    return {span.action for span in spans}


def centroid(spans: Sequence[ActionSpan], action: str) -> float:
    """Mean frame of an action, over all its spans."""
    own = [(s.start, s.end) for s in spans if s.action == action]
    return sum((e - s) * (s + e - 1) / 2 for s, e in own) / sum(e - s for s, e in own)


def is_together(spans: Sequence[ActionSpan], a: str, b: str) -> bool:
    """True if two actions share at least `OVERLAP` of the frames of the shorter one."""
    frames = [{f for s in spans if s.action == name for f in range(s.start, s.end)} for name in (a, b)]
    return len(frames[0] & frames[1]) >= OVERLAP * min(len(frames[0]), len(frames[1]))


def ordered_pairs(wanted: Alignment) -> list[tuple[str, str]]:
    """(first, later) for every two wanted actions that are asked for one after the other."""
    return [(a.action, b.action) for a, b in combinations(wanted.actions, 2) if not _same_time(a, b)]


def is_exact(found: Sequence[ActionSpan], wanted: Alignment) -> bool:
    """True if all wanted actions were found, nothing else was, and each two stand to each other as asked.

    One after the other: mean frames in that order, and not at the same time. "While": at the same time.
    """
    if names(found) != names(wanted.actions):
        return False
    return all(
        is_together(found, a.action, b.action) == _same_time(a, b)
        and (_same_time(a, b) or centroid(found, a.action) < centroid(found, b.action))
        for a, b in combinations(wanted.actions, 2)
    )


def _same_time(a: ActionSpan, b: ActionSpan) -> bool:
    return (a.start, a.end) == (b.start, b.end)
