import pytest

from casim.types import ActionSpan, Alignment
from evaluators.actions import centroid, is_exact, ordered_pairs, other_side

WALK, WAVE, SIT = ActionSpan("walk", 0, 20), ActionSpan("wave_left", 20, 40), ActionSpan("sit", 40, 60)


def asks(*actions):
    return Alignment((), (), actions, "any", False)


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        ((WALK, WAVE), asks(WALK, WAVE), True),
        ((WALK,), asks(WALK, WAVE), False),
        ((WALK, WAVE, SIT), asks(WALK, WAVE), False),
        ((ActionSpan("walk", 30, 50), ActionSpan("wave_left", 0, 20)), asks(WALK, WAVE), False),
        ((WALK, ActionSpan("wave_right", 20, 40)), asks(WALK, WAVE), False),
        ((WALK, ActionSpan("wave_left", 1, 20)), asks(WALK, WAVE), False),  # at once instead of one after the other
        ((WALK, ActionSpan("wave_left", 0, 20)), asks(WALK, ActionSpan("wave_left", 0, 20)), True),
        ((WALK, WAVE), asks(WALK, ActionSpan("wave_left", 0, 20)), False),  # one after the other instead of "while"
        ((WALK, WAVE, SIT), asks(WALK, WAVE, SIT), True),
        ((WALK, WAVE, SIT), asks(WALK, ActionSpan("sit", 20, 40), ActionSpan("wave_left", 40, 60)), False),
        ((ActionSpan("walk", 0, 8), ActionSpan("walk", 12, 20), WAVE), asks(WALK, WAVE), True),  # two spans of one
        ((), asks(), True),
    ],
)
def test_exact(found, wanted, expected):
    assert is_exact(found, wanted) is expected


def test_centroid_weighs_spans_by_length():
    assert centroid((ActionSpan("a", 0, 10), ActionSpan("b", 5, 6), ActionSpan("a", 20, 25)), "a") == pytest.approx(
        (10 * 4.5 + 5 * 22) / 15
    )


def test_ordered_pairs_leave_out_simultaneous_ones():
    together = ActionSpan("clap", 20, 40)
    assert ordered_pairs(asks(WALK, WAVE, together)) == [("walk", "wave_left"), ("walk", "clap")]


def test_other_side():
    assert other_side("kick_left") == "kick_right"
    assert other_side("turn right") == "turn left"
    assert other_side("bright leftover") == "bright leftover"
    assert other_side(other_side("left right")) == "left right"
