"""What a caption asks for that joints can show: limbs with their side, directions, turns, order, counts. No model.

The rules read narrowly: a caption that they do not surely understand asks for nothing, and metrics do not apply to
it. They know English captions of the kind of HumanML3D, KIT and choreography. `evaluators.calibration` tells how
well the real clips of a dataset do by them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from casim.mirror import mirror_text
from casim.skeleton import HUMANML3D
from casim.tagger import tag


def _forms(verbs: str) -> dict[str, str]:
    """Every regular form of each verb, and the verb."""
    found: dict[str, str] = {}
    for verb in verbs.split():
        stems = {verb.removesuffix("e"), verb + verb[-1]}
        found |= dict.fromkeys({stem + end for stem in stems for end in ("ed", "ing", "es")}, verb)
        found |= {verb: verb, f"{verb}s": verb}
    return found


MOVES = _forms(
    "walk step stride run jog move go jump hop leap skip march crawl shuffle sidestep slide travel retreat advance "
    "sprint pace gallop creep tiptoe stroll strut stumble drift"
) | {"ran": "run", "went": "go"}
"""Forms of verbs that take the body somewhere."""
TURNS = _forms("turn rotate spin pivot twirl circle curve")
"""Forms of verbs that turn the body."""
SINKS = _forms("squat crouch bow bend")
"""Forms of verbs that lower the head."""
ACTS = _forms(
    "kick wave punch raise lift swing clap greet box applaud swipe jab flail salute pump wiggle flex curl tap "
    "thrust lunge scratch"
)
"""Forms of further verbs, which the tagger does not know or takes for nouns."""
_VERBS = MOVES | TURNS | SINKS | ACTS
LEAPS = frozenset({"jump", "hop", "leap"})
"""Verbs that lift the hips."""
STRAFES = frozenset({"step", "sidestep", "shuffle"})
"""To the left or right, these move the body aside; people who walk or run there turn first."""
STILL = frozenset(
    ("stand", "balance", "hold", "keep", "stay", "rest", "lean", "remain", "have", "be", "place", "put")
)
"""Verbs whose limb does not move, or hardly."""
VAGUE = frozenset({"use", "start", "begin"})
"""Verbs that do not tell what a limb does, nor for how much of the clip."""
CLOCK = {"clockwise": -1, "counterclockwise": 1, "anticlockwise": 1}
AHEAD = {"forward": 1, "forwards": 1, "ahead": 1, "backward": -1, "backwards": -1, "back": -1}
ASIDE = {"left": 1, "leftward": 1, "leftwards": 1, "right": -1, "rightward": -1, "rightwards": -1}
_ARM, _LEG = ({HUMANML3D.index(f"l_{name}") for name in names} for names in (("elbow", "wrist"), ("knee", "ankle")))
LIMBS: dict[str, Literal["arm", "leg"]] = {
    word: "arm" if _ARM & set(joints) else "leg"
    for word, joints in HUMANML3D.body_words.items()
    if (_ARM | _LEG) & set(joints)
}
"""Words for parts of arms and legs, and which of the two they belong to."""
LEG_VERBS = frozenset({"dance", "climb", "sit", "kneel", "kick"})
"""Further verbs that need legs."""
ORDERING = ("then", "finally", "before", "after", "having")
"""Words that put two events in order, the first of which comes first, or (before that, after, having) second."""
OPPOSITES = {
    "forward": "backward", "backward": "forward", "forwards": "backwards", "backwards": "forwards",
    "ahead": "backward", "step back": "step forward", "steps back": "steps forward",
    "stepping back": "stepping forward", "twice": "three times", "thrice": "two times",
    "two times": "three times", "three times": "two times",
}  # fmt: skip
_OPPOSITE = re.compile(rf"\b(?:{'|'.join(sorted(OPPOSITES, key=len, reverse=True))})\b", re.IGNORECASE)
_TIMES = {"twice": 2, "thrice": 3}
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Word:
    """A word of a caption."""

    form: str
    """Lower case, as written; empty at the end of a sentence."""
    lemma: str
    """Base form, where it is known."""
    tag: str
    """Part of speech; "." at the end of a sentence."""

    @property
    def is_verb(self) -> bool:
        """True for verbs, and for nouns of movement ("two steps forward")."""
        return (self.form in _VERBS or self.tag == "VERB") and self.form not in ASIDE


@dataclass(frozen=True)
class Event:
    """Something that a caption asks for."""

    kind: Literal["limb", "ahead", "aside", "turn", "mention"]
    """limb: a limb moves; ahead, aside: the body goes that way; turn: it turns; mention: any other side."""
    sign: int
    """1: left, or forward; -1: right, or backward; 0: no side is named, or both."""
    at: int
    """Index among the caption's `words`."""
    verb: str = ""
    """What is done, in its base form where that is known."""
    limb: str = ""
    """Word for the limb, as written."""


@dataclass(frozen=True)
class Count:
    """How often something is asked for."""

    number: int
    kind: Literal["limb", "leap", "sink"]
    sign: int = 0
    """Side of the limb: 1 left, -1 right."""
    limb: str = ""


@lru_cache(100_000)
def words(caption: str) -> tuple[Word, ...]:
    """The words of a caption; hyphens are dropped, numbers up to ten spelt out, larger ones left out."""
    text = re.sub(r"\b(counter|anti)[- ]+clock", r"\1clock", caption.lower())
    text = re.sub(r"\d+", lambda found: _NUMBERS[int(found[0])] if int(found[0]) <= 10 else "", text)
    found: list[Word] = []
    for sentence in filter(str.strip, re.split(r"[.;!?]", text)):
        forms = re.findall(r"[^\W\d_]+", sentence.replace("-", "").replace("'s", ""))
        for form, tagged in zip(forms, tag(sentence), strict=True):
            lemma, _, part = tagged.rpartition("/")
            found.append(Word(form, _VERBS.get(form, lemma), part))
        found.append(Word("", "", "."))
    return tuple(found)


@lru_cache(100_000)
def events(caption: str) -> tuple[Event, ...]:
    """What the caption asks for, in reading order."""
    text, verb, found = words(caption), -1, []
    for at, word in enumerate(text):
        if word.tag == ".":
            verb = -1
            continue
        found.append(_event(text, at, verb))
        verb = at if word.is_verb else verb
    return tuple(event for event in found if event is not None)


def moving_limb(caption: str) -> Event | None:
    """The limb that moves, if all limbs said to move are of one kind and side, and no other side is mentioned."""
    limbs = [e for e in events(caption) if e.kind == "limb" and e.sign]
    mentioned = {e.sign for e in events(caption) if e.kind == "mention"}
    if len({(e.sign, LIMBS[e.limb]) for e in limbs}) != 1 or mentioned - {limbs[0].sign}:
        return None
    is_clear = all(e.verb not in VAGUE and e.verb not in MOVES for e in limbs)
    return limbs[0] if is_clear else None


def limbs(caption: str) -> frozenset[tuple[str, int]]:
    """The limbs that are said to move: ("arm", 1) is the left arm; both for "arms" or clapping."""
    found: set[tuple[str, int]] = set()
    for event in events(caption):
        if event.kind == "limb":
            is_plural = event.limb.endswith("s") or event.limb == "feet"
            sides = (event.sign,) if event.sign else (1, -1) * is_plural
            found |= {(LIMBS[event.limb], side) for side in sides}
    has_clap = any(word.lemma in ("clap", "applaud") for word in words(caption))
    return frozenset(found | {("arm", 1), ("arm", -1)} if has_clap else found)


def moves_legs(caption: str) -> bool:
    """True if the caption asks for something that legs do, whether it names them or not."""
    known = MOVES.keys() | TURNS.keys() | SINKS.keys()
    return any(word.form in known or word.lemma in LEG_VERBS for word in words(caption))


def directions(caption: str) -> dict[str, int]:
    """Sign by kind (ahead, aside, turn), for the kinds of which the caption names one way only."""
    signs: dict[str, set[int]] = {}
    for event in events(caption):
        if event.kind in ("ahead", "aside", "turn"):
            signs.setdefault(event.kind, set()).add(event.sign)
    return {kind: min(found) for kind, found in signs.items() if len(found) == 1}


def order(caption: str) -> tuple[Event, Event] | None:
    """(earlier, later) if the caption tells of exactly two different events, and one word that orders them."""
    forms = [word.form for word in words(caption)]
    marks = [at for at, form in enumerate(forms) if form in ORDERING]
    own = [e for e in events(caption) if e.kind in ("ahead", "aside", "turn") or (e.kind == "limb" and e.sign)]
    kinds = {(e.kind, e.sign, LIMBS.get(e.limb)) for e in own}
    if {"while", "whilst"} & set(forms) or len(marks) != 1 or len(own) != 2 or len(kinds) != 2:
        return None
    (a, b), mark = own, marks[0]
    is_that = forms[mark + 1] in ("that", "which", "this")  # "but before that"
    if a.at < mark < b.at:
        backwards = {"then": False, "finally": False, "having": True, "before": is_that, "after": not is_that}
    else:
        backwards = {"before": True, "after": False} if mark < a.at else {}
    if forms[mark] not in backwards:
        return None
    return (b, a) if backwards[forms[mark]] else (a, b)


def count(caption: str) -> Count | None:
    """How often a limb moves, or the body leaps or sinks, if the caption names one number of times only.

    What is counted stands before the number, and the caption tells of it once.
    """
    text = words(caption)
    forms = [word.form for word in text]
    found = [(at, _TIMES[form]) for at, form in enumerate(forms) if form in _TIMES]
    found += [
        (at, _NUMBERS.index(form))
        for at, (form, after) in enumerate(pairwise(forms))
        if form in _NUMBERS[2:] and after == "times"
    ]
    if len(found) != 1:
        return None
    (at, number), own = found[0], {event.at: event for event in events(caption)}
    for before in range(at - 1, -1, -1):
        word, event = text[before], own.get(before)
        if event is not None and event.kind == "limb":
            same = [
                e
                for e in own.values()
                if e.kind == "limb" and (LIMBS[e.limb], e.sign) == (LIMBS[event.limb], event.sign)
            ]
            return Count(number, "limb", event.sign, event.limb) if event.sign and len(same) == 1 else None
        if word.is_verb or word.form in (*ORDERING, "and") or word.tag == ".":
            kind = "leap" if word.lemma in LEAPS else "sink" if word.form in SINKS else None
            is_once = sum(w.lemma == word.lemma for w in text) == 1
            return Count(number, kind) if kind and is_once else None
    return None


def opposite(caption: str) -> str:
    """The caption with left and right, forward and backward, and twice and three times exchanged."""
    return _OPPOSITE.sub(lambda found: OPPOSITES[found[0].lower()], mirror_text(caption))


def _event(text: Sequence[Word], at: int, verb: int) -> Event | None:
    """What the word at `at` tells; `verb` is the index of the verb before it in the sentence, or -1."""
    form, after = text[at].form, text[at + 1].form
    between = text[verb + 1 : at]
    if form in LIMBS:
        return _limb(text, at, verb)
    if form in ASIDE:
        if after in TURNS:
            return Event("turn", ASIDE[form], at, TURNS[after])
        if _is_of_limb(text, at):
            return None
    done = text[verb].lemma if verb >= 0 else ""
    goes, turns = (verb >= 0 and text[verb].form in verbs for verbs in (MOVES, TURNS))
    is_whole = (goes or turns) and not any(word.form in LIMBS for word in between)
    if form in CLOCK and is_whole:
        return Event("turn", CLOCK[form], at, done)
    if form in AHEAD and goes and is_whole:
        is_to_and_fro = after == "and" and text[at + 2].form == "forth"
        is_back = done == "step" and verb == at - 1 and after not in ("to", "up", "down", "into", "from")
        return Event("ahead", AHEAD[form], at, done) if form != "back" or (is_back and not is_to_and_fro) else None
    if form in ASIDE:
        is_aside = done in STRAFES or any(word.form == "sideways" for word in between)
        kind = "turn" if turns else "aside" if goes and is_aside else "mention"
        return Event(kind if is_whole else "mention", ASIDE[form], at, done)
    return None


def _is_of_limb(text: Sequence[Word], at: int) -> bool:
    """True if the side at `at` is that of a limb: "left (upper) arm", "left and right hand"."""
    for index in range(at + 1, len(text) - 1):
        if text[index].form in LIMBS:
            return text[index + 1].form not in ("side", "turn", "direction")
        if text[index].tag != "ADJ" and text[index].form not in ("and", "or", *ASIDE):
            return False
    return False


def _limb(text: Sequence[Word], at: int, verb: int) -> Event | None:
    """A limb moves if it is what the verb is done to, or done with."""
    if text[at + 1].form in ("side", "turn", "direction"):
        return None
    start = at
    while start - 1 > verb and (
        text[start - 1].tag in ("ADJ", "DET", "NUM", "CCONJ") or text[start - 1].form in ASIDE
    ):
        start -= 1
    sides = {ASIDE[word.form] for word in text[start:at] if word.form in ("left", "right")}
    sign = sides.pop() if len(sides) == 1 else 0
    done = text[verb].lemma if verb >= 0 else ""
    is_with = text[start - 1].form in ("with", "using") and start > 0
    is_object = all(word.tag == "ADV" for word in text[verb + 1 : start])
    is_carried = done in MOVES.values() and is_with and LIMBS[text[at].form] == "arm"  # "walks with the arms out"
    if verb >= 0 and (is_with or is_object) and done not in STILL and not is_carried:
        return Event("limb", sign, at, done, text[at].form)
    return Event("mention", sign, at, done, text[at].form) if sign else None
