"""What comes first: the same words, the two actions exchanged.

The classes say whether the action that stands first in `ACTIONS` happens first, so that neither word nor place
alone gives the answer; a probe must read which action has which place. All captions are told in the order of
events. A mean of word vectors without context is the same for both texts of a pair.
"""

from itertools import combinations

from analysis.minimal_pairs import Contrast, Pair, Side, grow

CLASSES = ("listed order", "other order")
WHO = ("a person", "the man", "a woman", "someone", "the figure", "a dancer")
ACTIONS = {
    "walks": "strolls",
    "jumps": "leaps",
    "kneels": "crouches",
    "waves": "beckons",
    "spins": "twirls",
    "kicks": "boots",
    "bows": "curtsies",
    "claps": "applauds",
}
"""Each with a synonym."""
RANDOM = ("reads", "whispers", "cooks", "sleeps")
TEMPLATES = {
    "{who} {x}.": "{a} and then {b}",
    "here {who} {x}": "{a}, then {b}",
    "{who} first {x}.": "{a} and afterwards {b}",
    "in this clip {who} {x} again.": "{a} and next {b}",
    "{who} {x} in the end.": "{a} and {b}",
    "at first {who} {x} slowly.": "{a}, and later {b}",
    "{who} stands up, {x}": "{a}, and finally {b}",
    "slowly {who} {x}.": "{a} for a while before it {b}",
    "{who} quickly {x} once.": "{a}, after which it {b}",
    "{who} {x} and stops.": "{a}, immediately {b}",
    "we see that {who} {x}.": "{a} until it {b}",
    "to begin with {who} {x}.": "{a}, soon after that {b}",
}
"""Captions, and the stretch within that is exchanged."""


def _contrasts(joined: str) -> list[Contrast]:
    """Every two actions joined in this way, in both orders."""

    def told(a: str, b: str) -> Side:
        phrase, synonym, *random = (joined.format(a=word, b=b) for word in (a, ACTIONS[a], *RANDOM))
        return Side(phrase, synonym, tuple(random))

    return [(told(a, b), told(b, a)) for a, b in combinations(ACTIONS, 2)]


def _pairs() -> tuple[Pair, ...]:
    grown = (grow(CLASSES, [text], {"who": WHO}, _contrasts(joined)) for text, joined in TEMPLATES.items())
    return tuple(pair for pairs in grown for pair in pairs)


PAIRS = _pairs()
