"""Captions of the choreography benchmark, and which word describes which action."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from casim.data._actions import ACTIONS

SUBJECTS = ("a person", "someone", "a man", "a woman", "the figure", "the person")

PHRASES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "walk_forward": (
        ("walks", "walking", "forward"),
        ("strides", "striding", "ahead"),
        ("steps", "stepping", "forward"),
    ),
    "walk_backward": (
        ("walks", "walking", "backward"),
        ("steps", "stepping", "back"),
        ("retreats", "retreating", "backward"),
    ),
    "sidestep": (
        ("sidesteps", "sidestepping", "to the {side}"),
        ("shuffles", "shuffling", "{side}"),
        ("steps", "stepping", "sideways to the {side}"),
    ),
    "turn": (
        ("turns", "turning", "{side}"),
        ("rotates", "rotating", "to the {side}"),
        ("turns", "turning", "to the {side}"),
    ),
    "jump": (("jumps", "jumping", ""), ("hops", "hopping", "up"), ("leaps", "leaping", "into the air")),
    "squat": (("squats", "squatting", ""), ("crouches", "crouching", "down"), ("squats", "squatting", "down")),
    "sit": (("sits", "sitting", "down"), ("takes", "taking", "a seat"), ("sits", "sitting", "on a chair")),
    "kick": (
        ("kicks", "kicking", "with the {side} leg"),
        ("kicks", "kicking", "the {side} foot"),
        ("swings", "swinging", "the {side} leg"),
    ),
    "wave": (
        ("waves", "waving", "the {side} hand"),
        ("waves", "waving", "with the {side} arm"),
        ("greets", "greeting", "with the {side} hand"),
    ),
    "raise": (
        ("raises", "raising", "the {side} arm"),
        ("lifts", "lifting", "the {side} hand"),
        ("raises", "raising", "the {side} hand"),
    ),
    "punch": (
        ("punches", "punching", "with the {side} fist"),
        ("punches", "punching", "with the {side} hand"),
        ("boxes", "boxing", "with the {side} arm"),
    ),
    "clap": (("claps", "clapping", ""), ("claps", "clapping", "the hands"), ("applauds", "applauding", "")),
    "bow": (("bows", "bowing", ""), ("bends", "bending", "forward"), ("bows", "bowing", "down")),
}
"""Per verb its synonyms: third person, gerund, complement."""

SPEEDS = {-1: ("slowly", "gently", "calmly"), 0: ("",), 1: ("quickly", "fast", "rapidly")}
COUNTS = {0: ("",), 2: ("twice", "two times"), 3: ("three times", "thrice")}

FILLERS = {"a", "the", "with", "to", "on", "into"}
"""Words inside a phrase that say nothing of its action."""

_VERBS = (
    "walk walks walking, stride strides striding, step steps stepping, retreat retreats retreating, sidestep "
    "sidesteps sidestepping, shuffle shuffles shuffling, turn turns turning, rotate rotates rotating, jump jumps "
    "jumping, hop hops hopping, leap leaps leaping, squat squats squatting, crouch crouches crouching, sit sits "
    "sitting, take takes taking, kick kicks kicking, swing swings swinging, wave waves waving, greet greets "
    "greeting, raise raises raising, lift lifts lifting, punch punches punching, box boxes boxing, clap claps "
    "clapping, applaud applauds applauding, bow bows bowing, bend bends bending, finish finished"
)
_OTHERS = {
    "DET": "a the that",
    "NOUN": "person man woman figure leg foot hand arm fist air seat chair",
    "PRON": "someone",
    "ADP": "with to on into up down after before",
    "ADV": "forward ahead backward back sideways then first finally slowly gently calmly quickly fast rapidly "
    "twice thrice",
    "NUM": "two three",
    "CCONJ": "and but",
    "SCONJ": "while",
}
TAGS = {form: f"{verb.split()[0]}/VERB" for verb in _VERBS.split(",") for form in verb.split()[1:]}
TAGS |= {word: f"{word}/{part}" for part, words in _OTHERS.items() for word in words.split()}
TAGS |= {"hands": "hand/NOUN", "times": "time/NOUN", "having": "have/AUX"}
"""Lemma and part of speech of every word of the vocabulary but the sides, as HumanML3D writes them."""

NOBODY = -1


@dataclass(frozen=True)
class Told:
    """One action as a caption tells it; `speed` is -1, 0 or 1, `count` 0, 2 or 3."""

    action: int
    speed: int
    count: int


@dataclass(frozen=True)
class Word:
    """A word of a caption and the action (by order of time) that it is about."""

    text: str
    segment: int
    is_content: bool


LETTERS = "abcdefghijklmnopqr"
"""Places of actions in templates, in order of time; `s` is the subject."""
Pick = Callable[[int], int]
"""Draws a whole number below its argument."""

PAIRS = (
    ("{s} {a} and then {b}", False),
    ("{s} first {a} then {b}", False),
    ("{s} {a} before {B}", False),
    ("after {A} {s} {b}", False),
    ("{s} {b} after {A}", True),
    ("{s} {b} but before that {a}", True),
    ("before {B} {s} {a}", True),
    ("{s} {b} having first finished {A}", True),
)
"""Templates of two actions, a before b in time: small letters third person, capitals gerund; is it reversed?"""
TRIPLES = (
    ("{s} {a} then {b} and finally {c}", False),
    ("{s} first {a} then {b} then {c}", False),
    ("after {A} and {B} {s} {c}", False),
    ("{s} {c} after {A} and then {B}", True),
    ("before {C} {s} {a} and then {b}", True),
    ("{s} {b} after {A} and finally {c}", True),
)
WHILES = ("{s} {a} while {B}", "{s} {b} while {A}", "while {A} {s} {b}", "while {B} {s} {a}")
TEMPLATES = {
    "single": (("{s} {a}", False),),
    "pair": PAIRS,
    "triple": TRIPLES,
    "while": tuple((w, False) for w in WHILES),
}


def caption(kind: str, told: Sequence[Told], is_reversed: bool, pick: Pick) -> tuple[str, tuple[Word, ...]]:
    """A caption of `kind` for the actions in order of time, and its words."""
    choices = [text for text, reverse in TEMPLATES[kind] if reverse == is_reversed]
    return _filled(choices[pick(len(choices))], told, pick)


def sequence_caption(told: Sequence[Told], pick: Pick) -> tuple[str, tuple[Word, ...]]:
    """A caption of two or more actions in order of time: first this, then that, then ..."""
    places = [f"{{{LETTERS[segment]}}}" for segment in range(len(told))]
    return _filled(" ".join(["{s}", "first", " then ".join(places)]), told, pick)


def _filled(template: str, told: Sequence[Told], pick: Pick) -> tuple[str, tuple[Word, ...]]:
    words: list[Word] = []
    for part in template.split():
        if part == "{s}":
            words += [Word(w, NOBODY, False) for w in SUBJECTS[pick(len(SUBJECTS))].split()]
        elif part.startswith("{"):
            segment = LETTERS.index(part[1].lower())
            words += _phrase(told[segment], segment, is_gerund=part[1].isupper(), pick=pick)
        else:
            words.append(Word(part, NOBODY, False))
    return " ".join(word.text for word in words), tuple(words)


def _phrase(told: Told, segment: int, *, is_gerund: bool, pick: Pick) -> list[Word]:
    name = ACTIONS[told.action]
    side = next((s for s in ("left", "right") if name.endswith(f"_{s}")), "")
    forms = PHRASES[name.removesuffix(f"_{side}") if side else name]
    third, gerund, complement = forms[pick(len(forms))]
    speeds, counts = SPEEDS[told.speed], COUNTS[told.count]
    parts = [gerund if is_gerund else third, complement.format(side=side)]
    parts += [counts[pick(len(counts))], speeds[pick(len(speeds))]]
    if told.speed and pick(2):
        parts = [parts[3], *parts[:3]]
    return [Word(w, segment, w not in FILLERS) for w in " ".join(parts).split()]


def tags(words: Sequence[str]) -> tuple[str, ...]:
    """The words of a caption as word/POS: a side is an adjective before a part of the body, else a noun."""
    after = [*words, ""][1:]
    return tuple(
        f"{word}/{'ADJ' if TAGS.get(next_word, '').endswith('/NOUN') else 'NOUN'}"
        if word in ("left", "right")
        else TAGS[word]
        for word, next_word in zip(words, after, strict=True)
    )


def vocabulary() -> tuple[str, ...]:
    """Every word that a caption can hold, sorted."""
    texts = [*SUBJECTS, *(t for pairs in TEMPLATES.values() for t, _ in pairs), "left right"]
    texts += [" ".join(form) for forms in PHRASES.values() for form in forms]
    texts += [word for group in (SPEEDS, COUNTS) for words in group.values() for word in words]
    return tuple(sorted({w for text in texts for w in text.split() if w and "{" not in w}))
