"""Minimal pairs of captions: two texts that differ in one thing, and two controls that differ at the same place.

A set is a file of `analysis/pairs/` with `PAIRS`, or a user's CSV or JSON file. Every pair has an anchor (`first`),
its opposite (`second`), the anchor with a synonym, and the anchor with an unrelated word. All that differs lies in
one stretch of words, so that the states of that stretch can be compared.

A set asks one question with two answers (`classes`): which of them a caption has is what a probe shall read. As
many captions have the one as the other; the anchor is now of the one class and now of the other.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from itertools import product
from pathlib import Path
from random import Random
from string import Formatter
from typing import Any, cast

from casim import plugins
from casim.types import words_of

PACKAGE = "analysis.pairs"
SLOT = "x"
"""The slot of a template that takes what differs."""
PER_TEMPLATE = 12


@dataclass(frozen=True)
class Pair:
    """Two captions that differ in one thing, and their controls."""

    first: str
    """The anchor."""
    second: str
    """The anchor with the opposite."""
    classes: tuple[str, str] = ("first", "second")
    """What the first says and what the second says instead."""
    synonym: str = ""
    """The anchor with another word of the same meaning; empty: none is known."""
    random: str = ""
    """The anchor with a word that has nothing to do with it; empty: none is known."""
    template: str = ""
    """What pairs of one pattern share: a probe is tested on patterns it has not seen. Empty: a pattern of its
    own."""
    context: str = ""
    """What else varies, apart from pattern and contrast: the control task hangs on it."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Anchor, opposite, and the controls there are."""
        return tuple(text for text in (self.first, self.second, self.synonym, self.random) if text)

    def span(self, text: str) -> tuple[int, int]:
        """First word, and one past the last, of the stretch of `text` outside of which all the texts agree.

        Never empty: where a text merely lacks words, the next word stands for the gap, or the last of the text.
        """
        rows = [words_of(other) for other in self.texts]
        front = _shared(rows)
        back = _shared([row[front:][::-1] for row in rows])
        count = len(words_of(text))
        start = min(front, count - 1)
        return start, max(count - back, start + 1)


def _shared(rows: Sequence[Sequence[str]]) -> int:
    """How many words all rows have in common at their start."""
    same = [len(set(column)) == 1 for column in zip(*rows, strict=False)]
    return same.index(False) if False in same else len(same)


@dataclass(frozen=True)
class Side:
    """A phrase of one class, another of the same meaning, and some that fit its place and mean neither class."""

    phrase: str
    synonym: str
    random: tuple[str, ...]


Contrast = tuple[Side, Side]
"""A phrase of the first class and one of the second."""


def contrast(one: str, other: str, random: Sequence[str]) -> Contrast:
    """A contrast from two "phrase = synonym", and phrases that mean neither."""

    def side(text: str) -> Side:
        phrase, synonym = text.split(" = ")
        return Side(phrase, synonym, tuple(random))

    return side(one), side(other)


def grow(
    classes: tuple[str, str],
    templates: Sequence[str],
    fillers: Mapping[str, Sequence[str]],
    contrasts: Sequence[Contrast],
    count: int = PER_TEMPLATE,
) -> tuple[Pair, ...]:
    """`count` pairs of every template, drawn without replacement from all ways to fill it, the same every time.

    In every other pair the anchor is of the other class. Who acts, the filler `who`, is the pair's context.

    Raises:
        ValueError: a template that cannot be filled in so many ways.
    """
    grown = []
    for template in templates:
        names = [name for _, name, _, _ in Formatter().parse(template) if name and name != SLOT]
        ways = list(product(contrasts, *(fillers[name] for name in names)))
        if len(ways) < count:
            raise ValueError(f"{template!r} can be filled in {len(ways)} ways only, {count} are wanted")
        draw = Random(template)
        for number, way in enumerate(draw.sample(ways, count)):
            sides, values = cast(Contrast, way[0]), cast(tuple[str, ...], way[1:])
            one, other = sides[:: 1 if number % 2 == 0 else -1]
            told = classes if number % 2 == 0 else (classes[1], classes[0])
            filled = dict(zip(names, values, strict=True))
            phrases = (one.phrase, other.phrase, one.synonym, draw.choice(one.random))
            first, second, synonym, random = (template.format(**filled, **{SLOT: phrase}) for phrase in phrases)
            grown.append(Pair(first, second, told, synonym, random, template, filled.get("who", "")))
    return tuple(grown)


def names() -> tuple[str, ...]:
    """The sets that come with the package."""
    return plugins.names(PACKAGE)


def load(name: str) -> tuple[Pair, ...]:
    """The pairs of a set, by its name.

    Raises:
        ValueError: no such set; the message suggests the nearest names.
    """
    if name not in names():
        raise ValueError(plugins.closest("pair set", name, names()))
    pairs: tuple[Pair, ...] = import_module(f"{PACKAGE}.{name}").PAIRS
    check(pairs, name)
    return pairs


def read(path: Path) -> tuple[Pair, ...]:
    """The pairs of a user's file.

    A CSV with a header, or a JSON list of objects: `first` and `second`, and where wanted `first_class` and
    `second_class`, `synonym`, `random`, `template`, `context`. Without classes every `first` is of one class.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another format, an unknown column, a pair without its texts, or what `check` refuses.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no pair file {path}; give a CSV or JSON with the columns first and second")
    pairs = tuple(_pair(row, f"{path.name}, pair {number}") for number, row in enumerate(_rows(path), start=1))
    check(pairs, path.name)
    return pairs


def _rows(path: Path) -> list[Any]:
    try:
        text = path.read_text()
        if path.suffix.lower() == ".csv":
            return list(csv.DictReader(io.StringIO(text)))
        if path.suffix.lower() == ".json" and isinstance(rows := json.loads(text), list):
            return rows
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read ({error}); give a CSV or JSON of pairs") from error
    raise ValueError(f"{path} must be a .csv with a header or a .json list of objects")


def _pair(row: Any, where: str) -> Pair:
    known = [field.name for field in fields(Pair) if field.name != "classes"] + ["first_class", "second_class"]
    if not isinstance(row, dict) or not all(isinstance(v, str) for v in row.values()):
        raise ValueError(f"{where}: every value must be text under a column of the header: {', '.join(known)}")
    if unknown := sorted(set(row) - set(known)):
        raise ValueError(f"{where}: " + plugins.closest("column", unknown[0], known))
    if lacking := [name for name in ("first", "second") if not words_of(row.get(name, ""))]:
        raise ValueError(f"{where}: {lacking[0]} has no words")
    told = tuple(row.pop(f"{name}_class", "") or name for name in ("first", "second"))
    return Pair(classes=(told[0], told[1]), **row)


def check(pairs: Sequence[Pair], name: str) -> None:
    """Refuses a set that could answer nothing.

    Raises:
        ValueError: fewer than two pairs, two texts of one pair with equal words, the same pair twice, or anything
            but two classes.
    """
    if len(pairs) < 2:
        raise ValueError(f"{name} has {len(pairs)} pairs; give at least two, better 100 in ten patterns")
    for pair in pairs:
        if len({words_of(text) for text in pair.texts}) < len(pair.texts):
            raise ValueError(
                f"{name}: equal texts in one pair: {pair.first!r}; all its texts must differ in a word"
            )
    kinds = sorted({frozenset(pair.classes) for pair in pairs}, key=sorted)
    if len(kinds) > 1 or len(kinds[0]) != 2:
        raise ValueError(f"{name} must have two classes, got {sorted({c for p in pairs for c in p.classes})}")
    seen: set[frozenset[tuple[str, ...]]] = set()
    for pair in pairs:
        key = frozenset((words_of(pair.first), words_of(pair.second)))
        if key in seen:
            raise ValueError(f"{name} has a pair twice: {pair.first!r} and {pair.second!r}")
        seen.add(key)
