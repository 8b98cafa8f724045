"""Bootstrap intervals for scores of items crossed with training seeds, and for differences of two arms.

A score is known for every item (prompt) under every training seed of an arm. Both are samples: other prompts and
other trainings would give other numbers. So both are resampled, independently of each other (two-way bootstrap;
Owen 2007, "The pigeonhole bootstrap"). With a single seed only items can be resampled, and the interval says
nothing about training.

Differences of arms use the same resampled items for all (each arm was asked the same prompts from the same noise)
and resample the seeds of each arm by themselves: seed k of one arm has no more to do with seed k of the other than
with seed j. All functions are pure; the same `Resampling` gives the same interval.

Simulated coverage of the nominal 95 % (variances of prompts and residual 1; `tests/evaluators/test_intervals.py`
repeats a part): seed variance .3: 30 prompts x 3 seeds .92, 300 x 3 .81, 30 x 5 .94, 100 x 10 .93; seed variance
.01: .95 to .97. So three seeds that differ much are too few for any resampling: look at the single seeds beside the
interval. Where all items are right, or all wrong, no resample differs: the interval is then Wilson's, of the items
alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.stats import binomtest

from casim.record import Measure


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn."""

    resamples: int = 2000
    """Bootstrap replicates."""
    confidence: float = 0.95
    """Share of replicates inside the interval."""
    seed: int = 0
    """Seed of the resampling."""


DEFAULT = Resampling()


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval; `n` items had a value."""

    value: float
    interval: tuple[float, float] | None
    n: int

    def measure(self, protocol: str, *, higher_is_better: bool | None = True, unit: str = "share") -> Measure:
        """The same as an entry of a run record."""
        return Measure(
            value=self.value,
            interval=self.interval,
            n=self.n,
            unit=unit,
            higher_is_better=higher_is_better,
            protocol=protocol,
        )


def mean_interval(
    values: Float[np.ndarray, "seeds items"], how: Resampling = DEFAULT, *, is_share: bool = False
) -> Estimate | None:
    """Mean over seeds and items with its two-way bootstrap interval.

    Not-a-number marks an item without a value (a caption without sides has no side accuracy); it is left out of
    numerator and denominator of every replicate. None if no item has a value.
    """
    if np.isnan(values).all():
        return None
    value = float(np.nanmean(values))
    if is_share and value in (0.0, 1.0):
        return Estimate(value, _wilson(value, _items(values), how), _items(values))
    draws = _replicates(values, 0, how)
    return Estimate(value, _percentiles(draws, how), _items(values))


def _wilson(share: float, items: int, how: Resampling) -> tuple[float, float]:
    """Wilson's score interval of a share of items, for shares of none or all: no resampling gives these a width."""
    found = binomtest(round(share * items), items).proportion_ci(how.confidence, method="wilson")
    return float(found.low), float(found.high)


def difference_interval(
    a: Float[np.ndarray, "seeds_a items"],
    b: Float[np.ndarray, "seeds_b items"],
    how: Resampling = DEFAULT,
) -> Estimate | None:
    """Mean of `a` minus mean of `b` over the same items, with its interval (items paired, seeds crossed).

    Where values are missing this is the difference of the two means, not the mean of the differences of complete
    pairs: leaving out an item because the *other* arm has no value for it would change what an arm's own number
    means.
    """
    return contrast_interval((a, b), (1.0, -1.0), how)


Arms = Sequence[Float[np.ndarray, "_ items"]]
"""Scores of several arms, each seeds x items; the same items in all, any number of seeds in each."""


def contrast_interval(arms: Arms, weights: Sequence[float], how: Resampling = DEFAULT) -> Estimate | None:
    """Weighted sum of the means of several arms, with its interval. None if an arm has no value at all."""
    if any(np.isnan(arm).all() for arm in arms):
        return None
    value, draws = _contrast(arms, weights, how)
    return Estimate(value, _percentiles(draws, how), min(map(_items, arms)))


def ratio_interval(
    arms: Arms, top: Sequence[float], bottom: Sequence[float], how: Resampling = DEFAULT
) -> Estimate | None:
    """One weighted sum of the arms' means divided by another, both from the same replicates, with its interval.

    None if an arm has no value, or if the interval of the divisor holds 0: then no interval bounds the quotient
    (Fieller 1954).
    """
    divisor = contrast_interval(arms, bottom, how)
    if divisor is None or divisor.interval is None or divisor.interval[0] <= 0 <= divisor.interval[1]:
        return None
    (above, over), (below, under) = (_contrast(arms, weights, how) for weights in (top, bottom))
    quotients = np.divide(over, under, out=np.full_like(over, np.nan), where=under != 0)
    return Estimate(above / below, _percentiles(quotients, how), divisor.n)


def _contrast(
    arms: Arms, weights: Sequence[float], how: Resampling
) -> tuple[float, Float[np.ndarray, " resamples"]]:
    """The weighted sum of means, and that of every replicate."""
    value = sum(weight * float(np.nanmean(arm)) for weight, arm in zip(weights, arms, strict=True))
    draws = [weight * _replicates(arm, i, how) for i, (weight, arm) in enumerate(zip(weights, arms, strict=True))]
    return value, np.sum(draws, axis=0)


def paired_interval(
    a: Float[np.ndarray, " items"],
    b: Float[np.ndarray, " items"],
    how: Resampling = DEFAULT,
) -> Estimate | None:
    """Mean of `a - b` over the items where both have a value, resampling items only."""
    return mean_interval((a - b)[None], how)


def _items(values: Float[np.ndarray, "seeds items"]) -> int:
    return int((~np.isnan(values)).any(0).sum())


def _replicates(
    values: Float[np.ndarray, "seeds items"], arm: int, how: Resampling
) -> Float[np.ndarray, " resamples"]:
    """The weighted mean of every replicate of arm `arm` (0, 1, ...): counts of items times counts of seeds."""
    seeds, items = values.shape
    item_counts = _counts(items, items, how.resamples, (how.seed, 0))
    # A resample of all S seeds understates their variance by (S-1)/S, a third of it at three seeds; S-1 draws are
    # unbiased (Rao and Wu 1988).
    seed_counts = _counts(seeds, max(seeds - 1, 1), how.resamples, (how.seed, 1 + arm))
    if seeds == 1:
        seed_counts = np.ones_like(seed_counts)
    known = ~np.isnan(values)
    total = ((seed_counts @ np.where(known, values, 0.0)) * item_counts).sum(1)
    weight = ((seed_counts @ known.astype(float)) * item_counts).sum(1)
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)


@lru_cache(maxsize=128)
def _counts(kinds: int, draws: int, resamples: int, seed: tuple[int, int]) -> Float[np.ndarray, "resamples kinds"]:
    """How often each of `kinds` is drawn in `draws` draws with replacement, for every replicate."""
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(draws, np.full(kinds, 1 / kinds), size=resamples).astype(float)
    counts.flags.writeable = False  # shared between calls
    return counts


def _percentiles(draws: Float[np.ndarray, " resamples"], how: Resampling) -> tuple[float, float] | None:
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return None
    tail = 50 * (1 - how.confidence)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)
