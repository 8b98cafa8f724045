from collections import Counter

import numpy as np
import pytest
import torch

from analysis import stimuli
from analysis.attention_calibration import Surrogates
from analysis.attention_designs import clause_centres, contrasts, equivalence
from analysis.statistics import GRID, Spans, resample
from casim.data.choreography import Choreography, ChoreographyClips

DATA = Choreography.Config(train=211, validation=5, test=97, held_out=7)
PAIRS = 11


@pytest.fixture(scope="module")
def split() -> ChoreographyClips:
    return Choreography(DATA).split("test")


@pytest.fixture(scope="module")
def squares(split: ChoreographyClips) -> stimuli.Stimuli:
    return stimuli.squares(split, PAIRS, 0)


def spans_of(made: stimuli.Stimuli) -> Spans:
    return Spans.of(made.clips.alignment or (), made.clips.lengths.numpy())


def test_squares_tell_and_show_each_action_first_and_second_equally_often(squares: stimuli.Stimuli) -> None:
    told, shown = Counter(), Counter()
    for alignment in squares.clips.alignment or ():
        first_told = alignment.spans[min(s.word for s in alignment.spans if s.is_content)].segment
        told[alignment.actions[first_told].action] += 1
        shown[alignment.actions[0].action] += 1
    for action in shown:
        assert told[action] == shown[action]
    assert sum(shown.values()) == 4 * PAIRS


@pytest.mark.parametrize(("follows", "time", "place"), [("time", 1.0, 0.0), ("place", 0.0, 1.0)])
def test_planted_maps_move_with_what_they_follow(
    squares: stimuli.Stimuli, follows: str, time: float, place: float
) -> None:
    spans = spans_of(squares)
    frames = int(spans.lengths.max())
    maps = spans.inside(frames) * 0.3 + 0.1
    if follows == "place":  # the words told first get the first action's frames, whichever it is
        flags = np.array([a.is_reversed for a in squares.clips.alignment or ()])
        maps = np.where(flags[:, None, None], _exchanged(spans, frames), maps)
    found = contrasts(
        clause_centres(maps, spans)[None], spans, [a.is_reversed for a in squares.clips.alignment or ()]
    )
    assert found["time"].mean() == pytest.approx(time, abs=0.1)
    assert found["place"].mean() == pytest.approx(place, abs=0.1)


def _exchanged(spans: Spans, frames: int) -> np.ndarray:
    """Each word covers the interval of the other action."""
    inside = spans.inside(frames)
    found = np.zeros(inside.shape)
    for clip, segments in enumerate(spans.segments):
        for segment in (0, 1):
            other = inside[clip][segments == 1 - segment][:1]
            found[clip, segments == segment] = other
    return found * 0.3 + 0.1


def test_another_wording_keeps_the_motion_and_its_truth(split: ChoreographyClips) -> None:
    items = [i for i, plan in enumerate(split.plans) if plan.kind == "pair"][:17]
    own = split.batch(items)
    for is_reordered in (False, True):
        made = stimuli.retold(split, items, 0, is_reordered=is_reordered).clips
        assert torch.equal(made.motion, own.motion)
        assert sum(a == b for a, b in zip(made.texts, own.texts, strict=True)) <= 1
        for new, old, text in zip(made.alignment or (), own.alignment or (), made.texts, strict=True):
            assert new.actions == old.actions
            assert (new.is_reversed != old.is_reversed) == is_reordered
            assert " ".join(new.words) == text


@pytest.mark.parametrize("name", stimuli.CONTROLS)
def test_controls_keep_the_number_of_words_and_their_intervals(split: ChoreographyClips, name: str) -> None:
    own = split.batch(range(13))
    made = stimuli.control(name, own, 0).clips
    assert made.texts != own.texts
    for new, old in zip(made.alignment or (), own.alignment or (), strict=True):
        assert len(new.words) == len(old.words)
        assert [s.word for s in new.spans] == list(range(len(new.words)))
        assert Counter((s.start, s.end) for s in new.spans) == Counter((s.start, s.end) for s in old.spans)
        if name == "shuffled":
            assert Counter(new.words) == Counter(old.words)
        if name == "nonsense":
            changed = [s.is_content for s in new.spans]
            assert [a != b for a, b in zip(new.words, old.words, strict=True)] == changed
    assert stimuli.control(name, own, 0).clips.texts == made.texts


def test_equivalence_is_claimed_of_equal_and_not_of_different_values() -> None:
    random = np.random.default_rng(0)
    plain = random.random((3, 83))
    near = plain + 0.02 * random.standard_normal((3, 83))
    assert equivalence(near, plain).value < 0.05
    assert equivalence(plain + 0.1, near).value > 0.5


def test_surrogates_have_the_spectrum_and_not_the_phase_of_the_maps(split: ChoreographyClips) -> None:
    clips = split.batch(range(97))
    spans = Spans.of(clips.alignment or (), clips.lengths.numpy())
    random = np.random.default_rng(0)
    maps = (
        1 + 0.2 * spans.inside(int(spans.lengths.max())) + 0.01 * random.random((97, 1, int(spans.lengths.max())))
    )
    made = Surrogates.of(maps, spans).draw(random)
    assert made.shape == maps.shape
    noise = resample(made, spans.lengths, GRID), resample(maps, spans.lengths, GRID)
    power = [np.abs(np.fft.rfft(n - n.mean(-1, keepdims=True)))[:, :, 1:4].mean() for n in noise]
    assert power[0] == pytest.approx(power[1], rel=0.4)
    inside = spans.inside(maps.shape[-1])
    tied = [(m[inside].mean() - m[~inside & (m > 0)].mean()) for m in (made, maps)]
    assert tied[0] < 0.6 * tied[1]
