"""Statistics of attention maps: by hand, invariances, and planted maps that must be found or rejected."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import statistics as s
from casim.types import ActionSpan, Alignment, WordSpan


def pair(boundary: int, length: int, is_reversed: bool, names: tuple[str, str] = ("wave", "sit")) -> Alignment:
    """ "person FIRST FILLER SECOND" where the text may name the second action first."""
    spans = ((0, boundary), (boundary, length))
    order = (1, 0) if is_reversed else (0, 1)
    words = ("person", names[order[0]], "after" if is_reversed else "then", names[order[1]])
    said = {1: order[0], 3: order[1]}
    spans_of_words = tuple(
        WordSpan(w, *(spans[said[w]] if w in said else (0, length)), said.get(w, -1), w in said) for w in range(4)
    )
    actions = tuple(ActionSpan(name, *span) for name, span in zip(names, spans, strict=True))
    return Alignment(words, spans_of_words, actions, "pair", is_reversed)


def clips(count: int, seed: int = 0) -> tuple[s.Spans, np.ndarray]:
    """Pair clips of many lengths and boundaries, every second one reversed; the flags of the reversed ones."""
    random = np.random.default_rng(seed)
    lengths = random.integers(23, 61, count)
    alignments = [
        pair(int(n * random.uniform(0.25, 0.75)), int(n), bool(i % 2), (f"wave{i}", f"sit{i}"))
        for i, n in enumerate(lengths)
    ]
    return s.Spans.of(alignments, lengths), np.arange(count) % 2 == 1


def planted(spans: s.Spans, noise: float = 0.05, seed: int = 1) -> np.ndarray:
    """A map that attends to a word while what it says is under way."""
    frames = int(spans.lengths.max())
    random = np.random.default_rng(seed)
    return spans.inside(frames) * 0.2 + noise * random.random((*spans.starts.shape, frames)) + 0.1


def positional(spans: s.Spans, seed: int = 2) -> np.ndarray:
    """A map that moves through the words from left to right, whatever they say."""
    frames = int(spans.lengths.max())
    time = (np.arange(frames) / spans.lengths[:, None])[:, None]
    where = (np.arange(spans.starts.shape[1]) + 0.5)[:, None] / spans.words[:, None, None]
    bump = np.exp(-(((time - where) / 0.3) ** 2))
    return bump + 0.02 * np.random.default_rng(seed).random(bump.shape)


def one(values: list[float], start: int, end: int) -> tuple[np.ndarray, s.Spans]:
    """One clip of one content word."""
    alignment = Alignment(("wave",), (WordSpan(0, start, end, 0, True),), (), "single", False)
    return np.array(values)[None, None], s.Spans.of([alignment], [len(values)])


@pytest.mark.parametrize(
    ("values", "start", "end", "expected"),
    [
        ([0.9, 0.8, 0.1, 0.2], 0, 2, 1.0),
        ([0.1, 0.2, 0.9, 0.8], 0, 2, 0.0),
        ([0.5, 0.5, 0.5, 0.5], 1, 2, 0.5),
        ([0.3, 0.9, 0.3, 0.1], 0, 2, 0.875),  # of 4 pairs: 1 tie, 3 won
        ([0.3, 0.9, 0.3, 0.1], 0, 4, np.nan),  # covers the clip: no AUC
        ([0.3, 0.9, 0.3, 0.1], 2, 2, np.nan),
    ],
)
def test_auc_by_hand(values: list[float], start: int, end: int, expected: float) -> None:
    maps, spans = one(values, start, end)
    np.testing.assert_allclose(s.clip_auc(maps, spans), [expected])


@given(seed=st.integers(0, 99), scale=st.floats(0.1, 9), power=st.floats(0.5, 3))
def test_auc_depends_on_ranks_only_and_reversal_of_signs_mirrors_it(seed: int, scale: float, power: float) -> None:
    spans, _ = clips(5, seed)
    maps = np.random.default_rng(seed).random((*spans.starts.shape, int(spans.lengths.max())))
    auc = s.clip_auc(maps, spans)
    assert ((auc >= 0) & (auc <= 1)).all()
    np.testing.assert_allclose(s.clip_auc(scale * maps**power, spans), auc)
    np.testing.assert_allclose(s.clip_auc(1 - maps, spans), 1 - auc)


@given(seed=st.integers(0, 99), extra=st.integers(1, 17))
def test_padding_plays_no_part(seed: int, extra: int) -> None:
    spans, _ = clips(5, seed)
    maps = positional(spans, seed)
    padded = np.pad(maps, ((0, 0), (0, 0), (0, extra)), constant_values=7.0)
    for statistic in (s.clip_auc, s.share, s.found_boundary):
        np.testing.assert_allclose(statistic(padded, spans), statistic(maps, spans))
    real = (np.arange(padded.shape[-1]) < spans.lengths[:, None])[:, None]
    both = (np.where(real, f(padded, spans), 0)[..., : maps.shape[-1]] for f in (s.reverse_time, s.position_maps))
    for got, f in zip(both, (s.reverse_time, s.position_maps), strict=True):
        np.testing.assert_allclose(got, np.where(real[..., : maps.shape[-1]], f(maps, spans), 0))


def test_a_planted_alignment_is_found() -> None:
    spans, is_reversed = clips(60)
    maps = planted(spans)
    auc, null = s.clip_auc(maps, spans), s.clip_auc(s.position_maps(maps, spans), spans)
    assert auc.min() > 0.95
    assert (auc - null)[is_reversed].mean() > 0.3
    assert s.clip_auc(s.reverse_time(maps, spans), spans).mean() < 0.2
    found = s.found_boundary(maps, spans)
    assert s.rank_correlation(spans.boundary, found) > 0.95
    assert s.share(maps, spans).mean() > s.share(np.ones_like(maps), spans).mean() + 0.1


def test_a_planted_positional_map_is_rejected() -> None:
    spans, is_reversed = clips(60)
    maps = positional(spans)
    auc, null = s.clip_auc(maps, spans), s.clip_auc(s.position_maps(maps, spans), spans)
    assert auc[~is_reversed].mean() > 0.85  # looks like alignment where the text follows the motion
    assert auc[is_reversed].mean() < 0.15
    assert abs((auc - null).mean()) < 0.02
    assert abs(s.rank_correlation(spans.boundary, s.found_boundary(maps, spans))) < 0.35


def test_an_uninformed_map_scores_one_half() -> None:
    spans, _ = clips(200)
    maps = np.random.default_rng(3).random((*spans.starts.shape, int(spans.lengths.max())))
    assert abs(s.clip_auc(maps, spans).mean() - 0.5) < 0.02
    assert abs(s.rank_correlation(spans.boundary, s.found_boundary(maps, spans))) < 0.2


def test_share_by_hand() -> None:
    spans = s.Spans.of([pair(2, 4, False)], [4])
    maps = np.zeros((1, 4, 4))
    maps[0, 1], maps[0, 3] = [0.3, 0.3, 0.1, 0.0], [0.1, 0.3, 0.3, 0.0]
    np.testing.assert_allclose(s.share(maps, spans), [(0.75 + 0.5 + 0.75) / 3])  # the last frame has no mass
    np.testing.assert_allclose(s.share(np.ones_like(maps), spans), [0.5])


def test_boundary_by_hand() -> None:
    spans = s.Spans.of([pair(3, 8, True)], [8])
    assert spans.boundary[0] == pytest.approx(3 / 8)
    maps = np.full((1, 4, 8), 0.1)
    maps[0, 3, :5] = 0.4  # the first action is the second word of the reversed text
    np.testing.assert_allclose(s.found_boundary(maps, spans), [5 / 8])
    np.testing.assert_allclose(s.found_boundary(np.ones_like(maps), spans), [0.5])
    single = replace(spans, boundary=np.array([np.nan]))
    assert np.isnan(s.found_boundary(maps, single)).all()


@given(seed=st.integers(0, 99))
def test_reversing_twice_changes_nothing(seed: int) -> None:
    spans, _ = clips(5, seed)
    maps = positional(spans, seed)
    np.testing.assert_array_equal(s.reverse_time(s.reverse_time(maps, spans), spans), maps)


def test_the_position_null_never_sees_the_clip_itself_or_its_caption() -> None:
    spans = s.Spans.of([pair(9, 23, False), pair(7, 29, False), pair(11, 31, True, ("hop", "bow"))], [23, 29, 31])
    maps = planted(spans)
    changed = maps.copy()
    changed[0] = np.random.default_rng(0).random(changed[0].shape)
    before, after = s.position_maps(maps, spans), s.position_maps(changed, spans)
    np.testing.assert_array_equal(before[0], after[0])  # its own map
    np.testing.assert_array_equal(before[1], after[1])  # the same caption
    assert not np.array_equal(before[2], after[2])
    alone = replace(spans, words=np.array([4, 5, 6]))
    assert np.isnan(s.position_maps(maps, alone)).all()
    assert np.isnan(s.swap_prompts(maps, alone, np.random.default_rng(0))).all()


def test_swapped_prompts_are_a_null_for_planted_maps_and_none_for_positional_ones() -> None:
    spans, _ = clips(80)
    random = np.random.default_rng(5)
    for maps, is_semantic in ((planted(spans), True), (positional(spans), False)):
        null = np.array([s.clip_auc(s.swap_prompts(maps, spans, random), spans).mean() for _ in range(19)])
        p = s.permutation_p(s.clip_auc(maps, spans).mean(), null)
        assert p == pytest.approx(1 / 20) if is_semantic else p > 0.05


def test_rank_correlation_is_spearmans() -> None:
    from scipy.stats import spearmanr

    a, b = np.array([1.0, 2, 2, 5, 3]), np.array([2.0, 1, 4, 4, 3])
    assert s.rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert s.rank_correlation(a, np.ones(5)) == 0.0


def test_replicates_cover_the_correlation_and_are_paired() -> None:
    random = np.random.default_rng(0)
    true = random.random(90)
    found = true + 0.2 * random.random((3, 90))
    draws = s.rank_correlation_replicates(true, found)
    value = np.mean([s.rank_correlation(true, run) for run in found])
    low, high = s.estimate(value, draws, 90).interval or (0, 0)
    assert low < value < high < 1
    np.testing.assert_array_equal(draws, s.rank_correlation_replicates(true, found))
