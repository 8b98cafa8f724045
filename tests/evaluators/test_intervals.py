import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evaluators.intervals import (
    Resampling,
    contrast_interval,
    difference_interval,
    mean_interval,
    paired_interval,
    ratio_interval,
)

HOW = Resampling(resamples=400)


def crossed(generator, seeds, items, seed_deviation):
    """Scores with true mean 0: prompt effect + seed effect + residual."""
    effect = generator.normal(size=(1, items)) + seed_deviation * generator.normal(size=(seeds, 1))
    return effect + generator.normal(size=(seeds, items))


def covers(estimate):
    return estimate.interval[0] <= 0 <= estimate.interval[1]


def test_one_seed_equals_the_normal_interval():
    values = np.random.default_rng(1).normal(3, 2, (1, 1000))
    estimate = mean_interval(values)
    half = 1.96 * values.std() / np.sqrt(1000)
    assert estimate.value == pytest.approx(values.mean())
    np.testing.assert_allclose(estimate.interval, values.mean() + np.array([-half, half]), atol=0.02)


def test_seed_variance_is_the_unbiased_one():
    values = np.array([[0.0], [3.0], [9.0]]).repeat(11, 1)  # no prompt variance at all
    low, high = mean_interval(values, Resampling(resamples=20_000, confidence=0.5)).interval
    draws = np.add.outer([0.0, 3.0, 9.0], [0.0, 3.0, 9.0]).ravel() / 2  # two draws of three seeds
    assert (low, high) == tuple(np.percentile(draws, [25, 75]))
    assert draws.var() == pytest.approx(np.var([0, 3, 9], ddof=1) / 3)


@pytest.mark.parametrize(
    ("seeds", "items", "deviation", "least"), [(1, 31, 0.0, 0.9), (3, 31, 0.55, 0.86), (5, 101, 0.55, 0.86)]
)
def test_coverage(seeds, items, deviation, least):
    generator = np.random.default_rng(2)
    hits = [covers(mean_interval(crossed(generator, seeds, items, deviation), HOW)) for _ in range(200)]
    assert least <= np.mean(hits) <= 0.995


def test_coverage_of_items_alone_would_be_too_low():
    """The reason for resampling seeds: an interval over items of the seed means leaves the seeds' variance out."""
    generator = np.random.default_rng(3)
    draws = [crossed(generator, 3, 307, 0.55) for _ in range(200)]
    items_only = np.mean([covers(mean_interval(d.mean(0, keepdims=True), HOW)) for d in draws])
    both = np.mean([covers(mean_interval(d, HOW)) for d in draws])
    assert items_only < 0.5 < 0.75 < both


def test_difference_pairs_items():
    """A large prompt effect shared by both arms cancels in the difference."""
    generator = np.random.default_rng(4)
    prompts = 10 * generator.normal(size=(1, 101))
    a, b = (prompts + shift + 0.1 * generator.normal(size=(3, 101)) for shift in (1.0, 0.0))
    estimate = difference_interval(a, b)
    assert estimate.value == pytest.approx(1.0, abs=0.05)
    assert estimate.interval[1] - estimate.interval[0] < 0.2
    alone = mean_interval(a).interval
    assert alone[1] - alone[0] > 3


def test_difference_crosses_seeds():
    """Which seed of one arm stands beside which of the other changes nothing but the draw."""
    generator = np.random.default_rng(5)
    seeds = np.array([[0.0], [0.5], [1.0]])
    a, b = (seeds + 0.01 * generator.normal(size=(3, 53)) for _ in range(2))
    straight, shuffled = difference_interval(a, b), difference_interval(a, b[::-1])
    np.testing.assert_allclose(straight.interval, shuffled.interval, atol=0.1)
    assert straight.interval[1] - straight.interval[0] > 0.5  # pairing seeds would leave next to nothing


def test_paired_known_case():
    estimate = paired_interval(np.array([3.0, 4.0, np.nan]), np.array([1.0, 2.0, 7.0]))
    assert (estimate.value, estimate.interval, estimate.n) == (2.0, (2.0, 2.0), 2)


def test_missing_values_are_left_out():
    values = np.array([[1.0, np.nan, 0.0], [1.0, np.nan, np.nan]])
    estimate = mean_interval(values)
    assert estimate.value == pytest.approx(2 / 3)
    assert estimate.n == 2
    assert 0 <= estimate.interval[0] <= estimate.interval[1] <= 1


def test_nothing_known_gives_none():
    nothing, some = np.full((2, 5), np.nan), np.ones((2, 5))
    assert mean_interval(nothing) is None
    assert difference_interval(some, nothing) is None
    assert difference_interval(nothing, some) is None


@given(seeds=st.sampled_from([1, 2, 3]), items=st.sampled_from([5, 7, 11]), seed=st.integers(0, 99))
def test_same_seed_same_interval_and_it_holds_the_mean(seeds, items, seed):
    values = np.random.default_rng(seed).random((seeds, items))
    how = Resampling(resamples=200, seed=seed)
    estimate = mean_interval(values, how)
    assert estimate == mean_interval(values.copy(), how)
    assert estimate.interval[0] <= estimate.value <= estimate.interval[1]
    assert values.min() <= estimate.interval[0] <= estimate.interval[1] <= values.max()


@given(seed=st.integers(0, 99))
def test_difference_is_antisymmetric_in_value(seed):
    generator = np.random.default_rng(seed)
    a, b = generator.random((3, 7)), generator.random((2, 7))
    assert difference_interval(a, b).value == pytest.approx(-difference_interval(b, a).value)


def test_a_contrast_is_the_weighted_sum_of_means_and_pairs_items():
    generator = np.random.default_rng(7)
    prompts = 10 * generator.normal(size=(1, 101))
    arms = [prompts + shift + 0.1 * generator.normal(size=(3, 101)) for shift in (1.0, 2.0, 4.0, 8.0)]
    effect = contrast_interval(arms, (-0.5, -0.5, 0.5, 0.5))
    assert effect.value == pytest.approx(4.5, abs=0.05)
    assert effect.interval[1] - effect.interval[0] < 0.2
    assert contrast_interval(arms, (1.0, 0.0, 0.0, 0.0)) == mean_interval(arms[0])
    assert contrast_interval([*arms, np.full((2, 101), np.nan)], (1.0, 0.0, 0.0, 0.0, 0.0)) is None


def test_contrast_of_four_arms_covers():
    generator = np.random.default_rng(8)
    weights, hits = (-0.5, -0.5, 0.5, 0.5), []
    for _ in range(200):
        prompts = generator.normal(size=(1, 31))
        arms = [prompts + crossed(generator, 3, 31, 0.4) for _ in weights]
        hits.append(covers(contrast_interval(arms, weights, HOW)))
    assert 0.88 <= np.mean(hits) <= 0.99


def test_a_ratio_has_its_parts_from_the_same_replicates():
    """Twice a contrast is twice as large in every replicate, so the interval has no width."""
    generator = np.random.default_rng(9)
    arms = [shift + generator.normal(size=(3, 53)) for shift in (5.0, 0.0)]
    twice = ratio_interval(arms, (2.0, -2.0), (1.0, -1.0))
    np.testing.assert_allclose([twice.value, *twice.interval], 2.0)
    part = ratio_interval(arms, (1.0, 0.0), (1.0, -1.0))
    assert part.interval[0] < 1.0 < part.interval[1]


def test_a_ratio_to_what_may_be_nothing_is_none():
    generator = np.random.default_rng(10)
    arms = [generator.normal(size=(3, 53)) for _ in range(2)]
    assert contrast_interval(arms, (1.0, -1.0)).interval[0] < 0
    assert ratio_interval(arms, (1.0, 0.0), (1.0, -1.0)) is None


def test_one_seed_agrees_with_scipy():
    values = np.random.default_rng(6).exponential(size=211)
    expected = stats.bootstrap((values,), np.mean, method="percentile", rng=0).confidence_interval
    np.testing.assert_allclose(mean_interval(values[None]).interval, expected, atol=0.03)


def test_measure_carries_the_protocol():
    measure = mean_interval(np.ones((1, 3))).measure("in words")
    assert (measure.value, measure.n, measure.protocol, measure.higher_is_better) == (1.0, 3, "in words", True)
