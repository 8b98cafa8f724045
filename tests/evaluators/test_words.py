import json

import pytest

from evaluators.words import AUTHORS_SIZES, CLASSES, LISTS, OTHER, WordLists, framed, read_lists, split

LISTED = {"Loc_VIP": ["left"], "Body_VIP": ["arm"], "Obj_VIP": ["box"], "Act_VIP": ["box", "jog"], "Desc_VIP": []}


def test_fifteen_classes_with_the_lists_before_the_rest():
    assert len(CLASSES) == 15
    assert CLASSES[9:14] == LISTS
    assert CLASSES[-1] == OTHER


def test_our_lists_hold_no_word_twice_and_are_not_taken_for_the_authors():
    every = [word for words in vars(WordLists()).values() for word in words]
    assert len(set(every)) == len(every)
    assert WordLists().sizes != AUTHORS_SIZES


def test_the_first_list_that_holds_a_word_counts(tmp_path):
    (tmp_path / "lists.json").write_text(json.dumps(LISTED))
    lists = read_lists(tmp_path / "lists.json")
    assert lists.classes() == {"left": "Loc_VIP", "arm": "Body_VIP", "box": "Obj_VIP", "jog": "Act_VIP"}
    assert lists.sizes == (1, 1, 1, 2, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "exactly the keys Loc_VIP"),
        (json.dumps({**LISTED, "Vip": []}), "exactly the keys"),
        (json.dumps({**LISTED, "Obj_VIP": "box"}), "Obj_VIP must be an array of words"),
        (json.dumps({**LISTED, "Act_VIP": ["jog", 3]}), "Act_VIP must be an array of words"),
    ],
)
def test_broken_lists(tmp_path, text, message):
    (tmp_path / "lists.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_lists(tmp_path / "lists.json")


def test_split_and_framed():
    assert split("walk/VERB") == ("walk", "VERB")
    assert framed(["a/DET", "man/NOUN", "runs/VERB"], 2) == [
        ("sos", OTHER),
        ("a", "DET"),
        ("man", "NOUN"),
        ("eos", OTHER),
    ]
    assert framed([], 2) == [("sos", OTHER), ("eos", OTHER)]


@pytest.mark.parametrize("token", ["walk", "", "/VERB", "walk/", "and/or/CCONJ"])
def test_a_token_is_word_and_part(token):
    with pytest.raises(ValueError, match="no token of a caption"):
        split(token)


def test_unknown_part_of_speech():
    with pytest.raises(ValueError, match=r"'walk/VRB'.*Did you mean VERB"):
        split("walk/VRB")
    with pytest.raises(ValueError, match="unknown part of speech 'Act_VIP'"):
        split("walk/Act_VIP")
