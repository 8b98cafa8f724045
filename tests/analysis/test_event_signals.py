import numpy as np
import pytest

from analysis.event_signals import SIGNALS, plain_alignment, signal_of, signals, word_rho
from analysis.statistics import Spans


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("raises the left hand", ["left hands", "", "left hands", "left hands"]),
        ("kicks with the right foot", ["feet", "", "", "right feet", "right feet"]),
        ("turns to the left then jumps", ["turning", "", "", "", "", "vertical"]),
        ("a person sits", ["", "", "low pelvis"]),
    ],
)
def test_words_get_the_signal_of_what_they_name(text: str, wanted: list[str]) -> None:
    found = [SIGNALS[i] if i >= 0 else "" for i in signal_of(text.split())]
    assert found[-1] == wanted[-1]
    assert [name in (want, "hands") for name, want in zip(found, wanted, strict=True)] == [True] * len(wanted)


def moving(frames: int = 31) -> np.ndarray:
    """Two still bodies; the second's left wrist moves in the second half."""
    joints = np.zeros((2, frames, 22, 3))
    joints[..., 1, 0], joints[..., 2, 0] = 0.1, -0.1
    joints[1, frames // 2 :, 20, 1] = np.arange(frames - frames // 2) * 0.1
    return joints


def test_the_hand_that_moves_is_the_one_whose_signal_rises() -> None:
    made = signals(moving(), np.array([31, 31]))
    left, right = (made[1, SIGNALS.index(f"{side} hands")] for side in ("left", "right"))
    assert left[-5] > 0.05 > left[3]
    assert np.ptp(right) == 0
    assert np.abs(np.nan_to_num(made[0, :5])).max() == 0


def test_attention_that_follows_its_signal_has_rank_correlation_one() -> None:
    texts = ["lifts the left hand", "lifts the left hand"]
    lengths = np.array([31, 23])
    spans = Spans.of([plain_alignment(t, int(n)) for t, n in zip(texts, lengths, strict=True)], lengths)
    which = np.array([signal_of(t.split()) for t in texts])
    random = np.random.default_rng(0)
    made = random.random((2, len(SIGNALS), 31))
    maps = np.take_along_axis(made, np.maximum(which, 0)[..., None], axis=1) ** 3
    maps[1, :, 23:] = 7  # padding, whatever it holds
    rho = word_rho(maps, spans, made, which)
    assert np.isnan(rho[which < 0]).all()
    np.testing.assert_allclose(rho[which >= 0], 1)
    np.testing.assert_allclose(word_rho(-maps, spans, made, which)[which >= 0], -1)
