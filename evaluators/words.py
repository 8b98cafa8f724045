"""Words as the evaluator of Guo et al. reads them: a vector each, and one of fifteen classes.

Source: Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022, and its files. A word's
class is its part of speech, or one of five special classes if it stands in one of five lists. The authors'
lists are part of their code and not here: the lists below are our own, of the same five kinds.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from casim.plugins import closest

LISTS = ("Loc_VIP", "Body_VIP", "Obj_VIP", "Act_VIP", "Desc_VIP")
"""The special classes, in the order in which a word is looked for."""
CLASSES = ("VERB", "NOUN", "DET", "ADP", "NUM", "AUX", "PRON", "ADJ", "ADV", *LISTS, "OTHER")
"""Classes of words in the order of their one-hot code."""
OTHER = "OTHER"
TAGS = frozenset({*CLASSES[:9], "CCONJ", "CONJ", "INTJ", "PART", "PROPN", "PUNCT", "SCONJ", "SYM", "X", OTHER})
"""The universal parts of speech; those without a class of their own are `OTHER`."""
START, END, UNKNOWN = "sos", "eos", "unk"
"""Markers around a caption, and the word in the place of those without a vector."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True)
class WordLists:
    """Words that get a class of their own, whatever their part of speech."""

    locations: tuple[str, ...] = _words(
        "left right forward forwards backward backwards up upwards down downwards sideways straight around "
        "clockwise counterclockwise diagonally"
    )
    body: tuple[str, ...] = _words(
        "head neck face chest waist hip shoulder arm elbow wrist hand fist finger leg thigh knee foot toe"
    )
    objects: tuple[str, ...] = _words("chair seat stair step ladder rail wall ball box rope bar table floor ground")
    actions: tuple[str, ...] = _words(
        "walk run jog stride jump hop leap skip kick punch wave greet clap applaud raise lift lower throw catch "
        "pick turn rotate spin swing bow bend squat crouch kneel sit stand lie crawl climb dance stretch retreat "
        "shuffle sidestep"
    )
    descriptions: tuple[str, ...] = _words(
        "slow slowly gently calmly fast quickly quick rapidly carefully angrily happily sadly twice thrice"
    )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Different words of each list."""
        return tuple(len(set(words)) for words in vars(self).values())

    def classes(self) -> dict[str, str]:
        """The special class of every listed word; the first list that holds it counts."""
        pairs = [(word, name) for name, words in zip(LISTS, vars(self).values(), strict=True) for word in words]
        return dict(reversed(pairs))


AUTHORS_SIZES = (12, 13, 10, 34, 12)
"""Different words of each of the authors' lists."""


def read_lists(path: Path) -> WordLists:
    """Lists from a JSON object with the five names of `LISTS`, each an array of words.

    Raises:
        FileNotFoundError: no such file.
        ValueError: something else is in it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(found, dict) or set(found) != set(LISTS):
        raise ValueError(f"{path} must be a JSON object with exactly the keys {', '.join(LISTS)}")
    for name, words in found.items():
        if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
            raise ValueError(f"{path}: {name} must be an array of words")
    return WordLists(*(tuple(found[name]) for name in LISTS))


def split(token: str) -> tuple[str, str]:
    """Word and part of speech of a token such as walk/VERB.

    Raises:
        ValueError: it is no word/POS, or its part of speech is unknown.
    """
    word, slash, part = token.partition("/")
    if not word or not slash or not part or "/" in part:
        raise ValueError(f"{token!r} is no token of a caption; tokens are word/POS, such as walk/VERB")
    if part not in TAGS:
        raise ValueError(f"{token!r}: " + closest("part of speech", part, TAGS))
    return word, part


def framed(tokens: Sequence[str], most: int) -> list[tuple[str, str]]:
    """(word, part of speech) of the first `most` tokens between the markers of start and end."""
    return [(START, OTHER), *map(split, tokens[:most]), (END, OTHER)]
