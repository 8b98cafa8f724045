import pytest

from casim.tagger import tag


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
