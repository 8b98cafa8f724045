"""Clips on their way into a prepared folder: joint positions, captions and a split."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from casim.data._caption_files import Caption
from casim.tagger import check_tokens

SPLITS = ("train", "val", "test")
_SHARES = (80, 85, 100)
"""Where the splits of clips without one end, in percent: HumanML3D's own shares."""


@dataclass(frozen=True)
class JointClip:
    """One clip."""

    name: str
    joints: Float32[np.ndarray, "frames joints xyz"]
    captions: tuple[Caption, ...]
    """A caption without tokens is tagged when it is written."""
    split: str
    is_templated: bool = False
    """True if the captions are sentences made from labels, not annotations."""


def check_ids(where: object, names: Sequence[str]) -> None:
    """Refuses ids that stand twice, are no file names, or that a mirror image would take.

    Raises:
        ValueError: names the ids.
    """
    known = set(names)
    problems = {
        "lists more than once": (name for name, count in Counter(names).items() if count > 1),
        "has ids that are no file names": (name for name in names if not re.fullmatch(r"\w[\w.-]*", name)),
        "has ids that a mirror would take": (name for name in names if f"M{name}" in known),
    }
    for problem, bad in problems.items():
        if found := sorted(bad):
            raise ValueError(f"{where} {problem}: {some(found)}")


def check_captions(name: str, captions: Iterable[Caption]) -> None:
    """Refuses captions that cannot be written, and tokens that are not word/POS.

    Raises:
        ValueError: names the clip.
    """
    for caption in captions:
        try:
            caption.line()
            check_tokens(caption.tokens)
        except ValueError as error:
            raise ValueError(f"clip {name}: {error}") from None


def some(names: Sequence[str]) -> str:
    """The first five names."""
    return ", ".join(names[:5]) + (f", ... ({len(names)} in all)" if len(names) > 5 else "")


def drawn_split(name: str) -> str:
    """The split that the hash of an id draws, with HumanML3D's shares."""
    return _split_at(float(_hash(name) % 100))


def drawn_splits(labels: Mapping[str, str]) -> dict[str, str]:
    """A split for every clip: within each label HumanML3D's shares, in the order of the hashes of the ids."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, label in labels.items():
        groups[label].append(name)
    return {
        name: _split_at(100 * (place + 0.5) / len(names))
        for names in groups.values()
        for place, name in enumerate(sorted(names, key=_hash))
    }


def _split_at(percent: float) -> str:
    return next(split for split, end in zip(SPLITS, _SHARES, strict=True) if percent < end)


def _hash(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)
