import json
import os
from pathlib import Path

import pytest
from judged import choreography

from casim.mirror import mirror_text
from evaluators import phrases
from evaluators.phrases import Count


@pytest.mark.parametrize(
    ("caption", "sign", "limb"),
    [
        ("a person waves the left hand", 1, "hand"),
        ("Someone kicks with their right foot.", -1, "foot"),
        ("a man walks forward while slowly lifting his left arm", 1, "arm"),
        ("the figure turns right and then punches with the left fist", 1, "fist"),
        ("he lifts his right hand, then lowers the right arm", -1, "hand"),
        ("she picks up a box with her right hand", -1, "hand"),
    ],
)
def test_moving_limb(caption, sign, limb):
    event = phrases.moving_limb(caption)
    assert event is not None
    assert (event.sign, event.limb) == (sign, limb)


@pytest.mark.parametrize(
    "caption",
    [
        "a person raises both hands",
        "a person waves the left and right hands",
        "he kicks with the right leg, then with his left",
        "she raises the left hand and kicks with the left leg",
        "a person stands on the left leg",  # the other one moves
        "a man holds his right arm",
        "a person hops on the right foot",
        "a person walks forward with the left hand in the pocket",
        "a person steps forward with the right foot",
        "using his right hand he climbs",
        "a person makes a left hand turn",
        "someone walks to the left hand side",
        "a person turns left",
        "a person stands upright right away",
        "",
    ],
)
def test_captions_of_which_no_one_limb_moves(caption):
    assert phrases.moving_limb(caption) is None


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a person raises both arms", {("arm", 1), ("arm", -1)}),
        ("he waves with the left hand and kicks with the right leg", {("arm", 1), ("leg", -1)}),
        ("a person stands with the arms out", set()),
        ("a person lifts the knees", {("leg", 1), ("leg", -1)}),
        ("a person raises a hand", set()),
        ("someone applauds", {("arm", 1), ("arm", -1)}),
        ("a person walks forward", set()),
    ],
)
def test_limbs(caption, expected):
    assert phrases.limbs(caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a person walks forward", {"ahead": 1}),
        ("the man takes three steps backwards", {"ahead": -1}),
        ("she steps back", {"ahead": -1}),
        ("she steps back and forth", {}),
        ("she turns around and walks back", {}),
        ("a person walks forward and then backward", {}),
        ("a person bends forward", {}),
        ("a person swings the arms forward while standing", {}),
        ("someone shuffles to the left", {"aside": 1}),
        ("someone walks to the left", {}),
        ("someone walks sideways to the right", {"aside": -1}),
        ("a man turns to his right and walks ahead", {"ahead": 1, "turn": -1}),
        ("a person makes a left turn", {"turn": 1}),
        ("a person walks in a clockwise circle", {"turn": -1}),
        ("he spins counter-clockwise", {"turn": 1}),
        ("he spins anti clockwise", {"turn": 1}),
        ("a person rotates the right arm clockwise", {}),
        ("a person walks forward, stops. then turns left", {"ahead": 1, "turn": 1}),
        ("", {}),
    ],
)
def test_directions(caption, expected):
    assert phrases.directions(caption) == expected


@pytest.mark.parametrize(
    ("caption", "kinds"),
    [
        ("a person walks forward and then turns left", ("ahead", "turn")),
        ("a person walks forward before turning left", ("ahead", "turn")),
        ("after walking forward a person turns left", ("ahead", "turn")),
        ("a person turns left after walking forward", ("ahead", "turn")),
        ("a person turns left but before that walks forward", ("ahead", "turn")),
        ("before turning left a person walks forward", ("ahead", "turn")),
        ("a person turns left having first finished walking forward", ("ahead", "turn")),
        ("a person walks forward, after that he turns left", ("ahead", "turn")),
        ("he waves the left hand then waves the right hand", ("limb", "limb")),
    ],
)
def test_order(caption, kinds):
    found = phrases.order(caption)
    assert found is not None
    assert tuple(event.kind for event in found) == kinds


@pytest.mark.parametrize(
    "caption",
    [
        "a person walks forward while turning left",
        "a person walks forward and turns left",
        "a person walks forward then turns left then waves the right hand",
        "a person walks forward then jumps",
        "then a person walks forward and turns left",
        "a person walks forward and turns left then",
        "someone walks forward then walks forward",
    ],
)
def test_captions_without_a_clear_order(caption):
    assert phrases.order(caption) is None


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a person waves the left hand twice", Count(2, "limb", 1, "hand")),
        ("he kicks with his right leg 4 times", Count(4, "limb", -1, "leg")),
        ("someone jumps up three times quickly", Count(3, "leap")),
        ("squatting thrice the man smiles", Count(3, "sink")),
        ("a person walks forward twice", None),
        ("a person jumps twice and squats three times", None),
        ("a person jumps twice and jumps back", None),
        ("he raises the left hand twice then waves the left hand", None),
        ("they raise both hands and repeat this twice", None),
        ("a person jumps several times", None),
        ("a person jumps at two", None),
        ("he jumps. she does it twice", None),
    ],
)
def test_count(caption, expected):
    assert phrases.count(caption) == expected


def test_opposite():
    caption = "a person waves the left hand twice then steps back and turns clockwise"
    other = "a person waves the right hand three times then steps forward and turns counterclockwise"
    assert phrases.opposite(caption) == other
    assert phrases.opposite("he walks ahead three times") == "he walks backward two times"
    assert phrases.opposite("forward and backward") == "backward and forward"
    assert phrases.opposite("nothing of the kind") == "nothing of the kind"


def test_words_keep_what_they_were():
    found = [(word.form, word.lemma) for word in phrases.words("He's striding 3 times, 180 degrees; up-right")]
    assert found[:4] == [("he", "he"), ("striding", "stride"), ("three", "three"), ("times", "time")]
    assert [form for form, _ in found if not form] == ["", ""]  # ends of the sentences


def test_all_of_choreography_is_read_as_it_was_meant():
    """Every limb, direction and turn of the ground truth is found in its caption, and nothing else."""
    batch = choreography()
    for text, wanted in zip(batch.reference.texts, batch.wanted, strict=True):
        names = [action.action for action in wanted.actions]
        sides = {"left": 1, "right": -1}
        asked = {(n.split("_")[0], sides.get(n.split("_")[-1], 0)) for n in names}
        arms = {("arm", s) for verb, s in asked if verb in ("wave", "raise", "punch")}
        legs = {("leg", s) for verb, s in asked if verb == "kick"}
        both = {("arm", 1), ("arm", -1)} if "clap" in names else set()
        assert phrases.limbs(text) == arms | legs | both
        turns = {s for verb, s in asked if verb == "turn"}
        aside = {s for verb, s in asked if verb == "sidestep"}
        ahead = {1 if n == "walk_forward" else -1 for n in names if n.startswith("walk")}
        expected = {"turn": turns, "aside": aside, "ahead": ahead}
        assert phrases.directions(text) == {k: min(v) for k, v in expected.items() if len(v) == 1}


def test_the_mirror_image_of_a_real_caption_asks_for_the_other_side():
    if "CASIM_DATA" not in os.environ:
        pytest.skip("set CASIM_DATA to the folder with texts/ to read real captions")
    path = Path(os.environ["CASIM_DATA"]) / "texts" / "humanml3d_texts_8848.json"
    clips = json.loads(path.read_text(encoding="utf-8")).values()
    captions = [caption for clip in clips for caption in clip["humanml3d"] if "clock-wise" not in caption][::23]
    asking = 0
    for caption in captions:
        found, mirrored = (phrases.events(text) for text in (caption, mirror_text(caption)))
        expected = [(e.kind, e.sign if e.kind == "ahead" else -e.sign, e.at) for e in found]
        assert [(e.kind, e.sign, e.at) for e in mirrored] == expected
        asking += any(event.sign for event in found)
    assert asking > 0.4 * len(captions)
