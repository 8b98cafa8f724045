"""A small rule tagger for captions without part-of-speech tags: word lists, endings and the word before.

HumanML3D's captions were tagged by spaCy: hyphens dropped, words of letters only, nouns and verbs lemmatised except
"left", possessives as DET. These rules imitate that for motion captions; records of what they tagged name `NAME`.
"""

import re

NAME = "casim rules 1"
"""Name of the tagger in records."""

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
    """The words of a caption as word/POS, lower case; words with digits are left out."""
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
