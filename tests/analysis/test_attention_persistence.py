import numpy as np
import pytest

from analysis.attention_capture import Captured
from analysis.attention_persistence import divergence, icc, jensen_shannon, matched_correlation, top_overlap
from analysis.statistics import Spans
from casim.types import ActionSpan, Alignment, WordSpan


def spans(words: int, lengths: list[int]) -> Spans:
    told = [
        Alignment(
            tuple(f"w{clip}{i}" for i in range(words)),
            tuple(WordSpan(i, 0, n, 0, True) for i in range(words)),
            (ActionSpan("a", 0, n),),
            "single",
            False,
        )
        for clip, n in enumerate(lengths)
    ]
    return Spans.of(told, lengths)


def test_icc_of_the_table_in_its_source() -> None:
    """Shrout and Fleiss (1979), table 2: six targets, four judges, ICC(2,1) = .29."""
    judges = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert icc(np.array(judges, float)) == pytest.approx(0.29, abs=0.005)


def test_icc_of_equal_and_of_unrelated_conditions() -> None:
    random = np.random.default_rng(0)
    one = random.random(997)
    assert icc(np.stack([one, one, one], 1)) == pytest.approx(1)
    assert abs(icc(random.random((997, 3)))) < 0.06
    with_gap = np.stack([one, one], 1)
    with_gap[3, 0] = np.nan
    assert icc(with_gap) == pytest.approx(1)


def test_divergence_is_a_bit_at_most_and_symmetric() -> None:
    p, q = np.zeros((2, 3, 5)), np.zeros((2, 3, 5))
    p[:, 0], q[:, 2] = 1, 1
    np.testing.assert_allclose(jensen_shannon(p, q), 1)
    np.testing.assert_allclose(jensen_shannon(p, p), 0)
    random = np.random.default_rng(1)
    p, q = random.random((2, 2, 3, 5))
    np.testing.assert_allclose(jensen_shannon(p, q), jensen_shannon(7 * q, p))


def test_padded_frames_take_no_part_in_the_divergence() -> None:
    about = spans(3, [5, 2])
    random = np.random.default_rng(2)
    a, b = random.random((2, 2, 3, 5)), random.random((2, 5))
    first, second = (Captured((9,), x[:, None], x[:, None], b, np.ones(2)) for x in a)
    before = divergence(first, second, about)
    a[:, 1, :, 2:] = 0
    b[1, 2:] = 0
    np.testing.assert_allclose(divergence(first, second, about), before)


def test_overlap_of_the_most_attended_words() -> None:
    about = spans(5, [2])
    a = np.array([5.0, 4, 3, 2, 1])[None, :, None] * np.ones((1, 5, 2))
    assert top_overlap(a, a, about) == pytest.approx([1])
    assert top_overlap(a, a[:, ::-1], about) == pytest.approx([1 / 3])
    assert np.isnan(top_overlap(a[:, :3], a[:, :3], spans(3, [2]))).all()


def test_heads_in_another_order_are_found_again() -> None:
    random = np.random.default_rng(3)
    heads = random.standard_normal((7, 46, 11))
    half = np.arange(46) % 2 == 0
    order = random.permutation(7)
    assert matched_correlation(heads, heads[order], half) == pytest.approx(1)
    assert abs(matched_correlation(heads, random.standard_normal((7, 46, 11)), half)) < 0.15
