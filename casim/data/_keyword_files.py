"""CoMo's keywords: for every clip eleven places (body parts and manner), each with one or more alternatives.

The file is JSON: `{"000001": [["left arm waves", "the left hand is raised"], ["..."], ...], ...}`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

Keywords = tuple[tuple[str, ...], ...]
"""Alternatives at each place."""


def read_keywords(path: Path) -> Mapping[str, Keywords]:
    """The keywords of every clip.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such JSON, a place is empty, or clips differ in their number of places.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no keyword file {path}; give --data.keywords FILE, or leave it out")
    try:
        held = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(held, dict) or not held:
        raise ValueError(f'{path} must map ids of clips to lists of alternatives: {{"000001": [["..."], ...]}}')
    found = {clip: _checked(places, f"{path}: {clip}") for clip, places in held.items()}
    counts = {len(places): clip for clip, places in found.items()}
    if len(counts) > 1:
        (a, first), (b, second) = list(counts.items())[:2]
        raise ValueError(f"{path}: {first} has {a} places, {second} has {b}; give every clip as many")
    return found


def _checked(places: object, where: str) -> Keywords:
    if not isinstance(places, list) or not places:
        raise ValueError(f"{where} is no list of places")
    for place in places:
        good = isinstance(place, list) and place and all(isinstance(word, str) and word.strip() for word in place)
        if not good:
            raise ValueError(f"{where}: every place needs a list of one or more texts, got {place!r}")
    return tuple(tuple(word.strip() for word in place) for place in places)
