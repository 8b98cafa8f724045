"""Where the uncertainty of an arm's score comes from, for scores of whole sets and for means of items alike.

An arm has been trained with several seeds, each training has generated several motions (repeats) for the same
captions, and every such set of clips has a score. Other noise, other trainings and other captions would each have
given other scores, and papers usually show the first of the three alone. Here they are kept apart, as parts of the
variance of the arm's mean over seeds and repeats:

- sampling: variance of the repeats (each averaged over seeds), divided by their number. Needs two repeats.
- training: variance of the seeds' means, less what captions and noise alone make the seeds differ, divided by the
  number of seeds. Needs two seeds.
- prompts: what a jackknife over groups of captions finds, less sampling. All motions of a caption leave together,
  so the jackknife sees captions and noise at once. It compares sets of equal size, so the bias that a score such as
  FID has at any finite size cancels. With a single repeat the noise cannot be told apart and is counted here.

The interval is the mean +- a quantile of Student's t times the root of jackknife and training variance. Degrees of
freedom after Satterthwaite, where the training part counts as uncertain as before the subtraction. With one seed it
says nothing about training. The difference of two arms is judged on the same captions and the same noise: effects
that both arms share cancel group by group and repeat by repeat.

Simulated coverage of the nominal 95 % (`tests/evaluators/test_variance.py` repeats a part):

- means of items, variances of prompts and residual 1 (1,000 simulations): one seed x 300 prompts .95; seed variance
  .01 and seeds x prompts .3: 3 x 300 .96, with three repeats .95; seed variance .3: 3 x 300 .92, 3 x 30 .95,
  5 x 30 .94. Differences .95 to .99.
- sets of 100 captions in 6 dimensions, two repeats (200 simulations): three seeds whose means differ, FID .97, KID
  .92, R-precision .97, coverage .95, differences .97 to .99; one seed .92 to .99, differences .95 to .99.

The two-way bootstrap of `evaluators.intervals` reached .78 for 3 x 300 at seed variance .3, as percentiles of three
seeds cannot tell how far off a fourth may be. It stays for scores of items, of which some may have no value.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import stats
from torch import Tensor

from evaluators import intervals
from evaluators.protocol import Space

GROUPS = 10
"""Groups of captions that the jackknife leaves out in turn."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Items:
    """A set of clips each of which has a value of its own; NaN where it has none."""

    values: Float[Tensor, " batch"]
    prompt: Int[Tensor, " batch"]

    def __getitem__(self, items: Sequence[int] | Tensor, /) -> "Items":
        index = torch.as_tensor(items)
        return Items(self.values[index], self.prompt[index])

    def mean(self) -> Float[Tensor, " 1"]:
        """The score of the set."""
        return self.values.double().nanmean()[None]


Rows = TypeVar("Rows", Space, Items)


@dataclass(frozen=True)
class Scores:
    """Scores of an arm: of every training seed and repeat, with all captions and without each group of them."""

    whole: Float[np.ndarray, "seeds repeats parts"]
    without: Float[np.ndarray, "groups seeds repeats parts"]
    captions: tuple[int, ...]

    def seed(self, number: int) -> "Scores":
        """Those of one training seed, by its place."""
        return Scores(self.whole[[number]], self.without[:, [number]], self.captions)


@dataclass(frozen=True)
class Source:
    """What one source adds to the variance of a mean, judged from `n` draws of it."""

    variance: float
    n: int


@dataclass(frozen=True)
class SourcedEstimate(intervals.Estimate):
    """A mean with its interval, and its variance by source; a source that nothing is known of is left out."""

    variances: Mapping[str, Source]


def scores(
    score: Callable[[Rows], Float[Tensor, " parts"]], table: Sequence[Sequence[Rows]], groups: int = GROUPS
) -> Scores:
    """Scores of an arm: (groups + 1) x seeds x repeats calls of `score`.

    Args:
        score: a pure function of a set, e.g. `Fid().score` or `Items.mean`.
        table: sets of clips by training seed and repeat, all of the same captions.
        groups: groups of captions; fewer if there are fewer captions.

    Raises:
        ValueError: seeds with different numbers of repeats, sets of different captions, a single caption, or a
            score that is not a number.
    """
    repeats = [len(row) for row in table]
    if not repeats or min(repeats) < 1 or len(set(repeats)) > 1:
        raise ValueError(f"every training seed needs as many repeats as the others, at least one; got {repeats}")
    captions = table[0][0].prompt.unique()
    if len(captions) < 2:
        raise ValueError(f"an interval needs at least 2 captions, got {len(captions)}; evaluate more")
    shuffled = np.random.default_rng(0).permutation(len(captions))
    group = torch.from_numpy(shuffled % min(groups, len(captions))).to(captions)
    found = np.array([[_with_and_without(score, rows, captions, group) for rows in row] for row in table])
    if np.isnan(found).any():
        raise ValueError("the score of some set is not a number; leave out what the score does not apply to")
    return Scores(found[:, :, 0], np.moveaxis(found[:, :, 1:], 2, 0), tuple(captions.tolist()))


def _with_and_without(
    score: Callable[[Rows], Float[Tensor, " parts"]],
    rows: Rows,
    captions: Int[Tensor, " captions"],
    group: Int[Tensor, " captions"],
) -> Float[np.ndarray, "sets parts"]:
    """The score of a set, and of the set without each group of captions."""
    if not torch.equal(rows.prompt.unique(), captions):
        raise ValueError(
            "the sets of an arm are of different captions; score all seeds and repeats on the same ones"
        )
    own = group[torch.searchsorted(captions, rows.prompt)]
    rest = [rows[(own != number).nonzero()[:, 0]] for number in range(int(group.max()) + 1)]
    return torch.stack([score(part) for part in (rows, *rest)]).double().cpu().numpy()


def arm(found: Scores) -> tuple[SourcedEstimate, ...]:
    """Mean of an arm over seeds and repeats with its interval, for every part of the score."""
    return _estimates(found)


def difference(a: Scores, b: Scores) -> tuple[SourcedEstimate, ...]:
    """Mean of `a` minus mean of `b` with its interval, for every part of the score.

    Raises:
        ValueError: the arms were scored on different captions, in different groups, or have different repeats.
    """
    if a.captions != b.captions or len(a.without) != len(b.without):
        raise ValueError("the arms were scored on different captions, or in different groups; score both alike")
    ours, theirs = a.whole.shape[1], b.whole.shape[1]
    if ours != theirs:
        raise ValueError(f"the arms have {ours} and {theirs} repeats; give both as many, from the same noise")
    return _estimates(a, b)


def _estimates(*arms: Scores) -> tuple[SourcedEstimate, ...]:
    """Of the mean of an arm, or of the first one's less the second one's."""
    repeats = np.subtract.reduce([found.whole.mean(0) for found in arms])
    both = _jackknife(np.subtract.reduce([found.without.mean((1, 2)) for found in arms]))  # captions and noise
    sampling = repeats.var(0, ddof=1) / len(repeats) if len(repeats) > 1 else np.zeros_like(both)
    training, freedom = _training_and_freedom(both, arms)
    seeds, captions = min(len(found.whole) for found in arms), len(arms[0].captions)
    known = {
        "sampling": (sampling, len(repeats)),
        "training": (training, seeds),
        "prompts": (np.maximum(both - sampling, 0), captions),
    }
    told = {name: source for name, source in known.items() if source[1] > 1}
    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(both + training)
    return tuple(
        SourcedEstimate(
            value=float(mean),
            interval=(float(mean - half[part]), float(mean + half[part])),
            n=captions,
            variances={name: Source(float(variance[part]), n) for name, (variance, n) in told.items()},
        )
        for part, mean in enumerate(repeats.mean(0))
    )


def _training_and_freedom(
    both: Float[np.ndarray, " parts"], arms: tuple[Scores, ...]
) -> tuple[Float[np.ndarray, " parts"], Float[np.ndarray, " parts"]]:
    """What training seeds add to the variance of the mean, and the degrees of freedom of all variance together.

    Captions and noise make the seeds' means differ too; how much, the jackknife of their differences tells.
    """
    training, doubt = np.zeros_like(both), both**2 / (len(arms[0].without) - 1)
    for found in arms:
        seeds = len(found.whole)
        if seeds > 1:
            each = found.without.mean(2)
            by_chance = _jackknife(each - each.mean(1, keepdims=True)).sum(0) / (seeds - 1)
            spread = found.whole.mean(1).var(0, ddof=1)
            training += (spread - by_chance) / seeds
            doubt += (spread / seeds) ** 2 / (seeds - 1)
    training = np.maximum(training, 0)
    return training, np.divide((both + training) ** 2, doubt, out=np.ones_like(both), where=doubt > 0)


def _jackknife(without: Float[np.ndarray, "groups ..."]) -> Float[np.ndarray, "..."]:
    """Variance of a score, from its values without each group."""
    groups = len(without)
    return (groups - 1) / groups * ((without - without.mean(0)) ** 2).sum(0)
