import numpy as np
import pytest
import torch
from scipy import stats

from evaluators import variance
from evaluators.metrics.fid import Fid
from evaluators.metrics.r_precision import RPrecision
from evaluators.protocol import Space
from evaluators.variance import Items, Scores

PARTS = {"prompt": 1.0, "seed": 0.3, "both": 0.2, "noise": 0.5}
"""Variances of the effects behind the simulated scores of items."""


def drawn(generator, seeds, repeats, captions, prompt=None, **variances):
    """Scores of items with true mean 0, by seed, repeat and caption."""
    of = PARTS | variances
    prompt = generator.normal(0, of["prompt"] ** 0.5, captions) if prompt is None else prompt
    seed = generator.normal(0, of["seed"] ** 0.5, (seeds, 1, 1))
    both = generator.normal(0, of["both"] ** 0.5, (seeds, 1, captions))
    return prompt + seed + both + generator.normal(0, of["noise"] ** 0.5, (seeds, repeats, captions))


def scores(values, groups=variance.GROUPS) -> Scores:
    prompt = torch.arange(values.shape[-1])
    table = [[Items(torch.from_numpy(each.copy()), prompt) for each in row] for row in values]
    return variance.scores(Items.mean, table, groups)


def clips(generator, captions, shift=0.0, width=3) -> Space:
    real = torch.from_numpy(generator.normal(size=(captions, width)))
    motion = real + shift + 0.5 * torch.from_numpy(generator.normal(size=(captions, width)))
    text = real + 0.5 * torch.from_numpy(generator.normal(size=(captions, width)))
    return Space(motion, real, torch.arange(captions), text)


def holds(estimate, value):
    return estimate.interval[0] <= value <= estimate.interval[1]


def test_one_caption_per_group_is_the_usual_interval():
    """The jackknife of a mean that leaves out single items is the variance of the mean: Student's interval."""
    values = np.random.default_rng(0).normal(3, 2, 23)
    (estimate,) = variance.arm(scores(values[None, None], groups=23))
    expected = stats.t.interval(0.95, 22, values.mean(), stats.sem(values))
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.interval == pytest.approx(expected)
    assert (estimate.n, list(estimate.variances)) == (23, ["prompts"])


def test_every_source_is_found():
    """Means of what is estimated over many simulations are what was put in."""
    generator = np.random.default_rng(1)
    seeds, repeats, captions = 3, 2, 47
    found = [variance.arm(scores(drawn(generator, seeds, repeats, captions)))[0].variances for _ in range(80)]
    each = {name: np.array([of[name].variance for of in found]) for name in found[0]}
    expected = {
        "sampling": PARTS["noise"] / (seeds * repeats * captions),
        "training": PARTS["seed"] / seeds,
        "prompts": (PARTS["prompt"] + PARTS["both"] / seeds) / captions,
    }
    assert each.keys() == expected.keys()
    for name, values in each.items():
        assert abs(values.mean() - expected[name]) < 4 * values.std() / len(values) ** 0.5, name


def test_noise_alone_is_no_training():
    """Seeds that differ only by captions and noise: half the time nothing is left for training."""
    generator = np.random.default_rng(2)
    found = [variance.arm(scores(drawn(generator, 3, 1, 47, seed=0.0)))[0].variances for _ in range(60)]
    assert 0.3 < np.mean([of["training"].variance == 0 for of in found]) < 0.8


@pytest.mark.parametrize(("seeds", "repeats"), [(1, 1), (3, 1), (3, 2)])
def test_coverage_for_items(seeds, repeats):
    generator = np.random.default_rng(3)
    trained = {} if seeds > 1 else {"seed": 0.0, "both": 0.0}  # one seed cannot know about others
    draws = [drawn(generator, seeds, repeats, 43, **trained) for _ in range(120)]
    assert 0.88 <= np.mean([holds(variance.arm(scores(draw))[0], 0) for draw in draws]) <= 0.995


def test_coverage_for_a_difference():
    generator = np.random.default_rng(4)
    hits, widths = [], []
    for _ in range(80):
        prompt = 10 * generator.normal(size=43)
        a, b = (scores(drawn(generator, 3, 2, 43, prompt)) for _ in range(2))
        (estimate,) = variance.difference(a, b)
        hits.append(holds(estimate, 0))
        widths.append(estimate.interval[1] - estimate.interval[0])
    assert np.mean(hits) >= 0.9
    alone = variance.arm(a)[0].interval
    assert np.median(widths) < (alone[1] - alone[0]) / 2  # the captions' effect, shared by both arms, cancels


def test_coverage_for_a_set():
    """What is covered is the expectation at this number of clips: the bias of FID is no error of the interval."""
    generator = np.random.default_rng(5)
    metric = Fid()
    found = [variance.arm(variance.scores(metric.score, [[clips(generator, 61, 0.3)]]))[0] for _ in range(100)]
    truth = np.mean([estimate.value for estimate in found])
    assert 0.87 <= np.mean([holds(estimate, truth) for estimate in found]) <= 0.995


def test_parts_are_estimated_one_by_one():
    generator = np.random.default_rng(6)
    metric = RPrecision(pool=8)
    whole = clips(generator, 37)
    table = [[whole, clips(generator, 37)], [clips(generator, 37), clips(generator, 37)]]
    estimates = variance.arm(variance.scores(metric.score, table))
    means = torch.stack([metric.score(space) for row in table for space in row]).mean(0)
    assert [estimate.value for estimate in estimates] == pytest.approx(means.tolist())
    assert all(holds(estimate, estimate.value) for estimate in estimates)


def test_all_motions_of_a_caption_leave_together():
    """So copies of a clip tell nothing new."""
    values = np.random.default_rng(7).normal(size=29)
    once = Items(torch.from_numpy(values), torch.arange(29))
    thrice = once[torch.arange(29).repeat(3)]
    (a,), (b,) = (variance.arm(variance.scores(Items.mean, [[rows]])) for rows in (once, thrice))
    assert a.interval == pytest.approx(b.interval)
    assert a.n == b.n == 29


def test_difference_pairs_repeats():
    """Noise that both arms share, as they do that start from the same one, is no uncertainty of the difference."""
    generator = np.random.default_rng(8)
    noise = generator.normal(size=(1, 3, 31))
    a, b = (scores(noise + shift + 0.01 * generator.normal(size=(2, 3, 31))) for shift in (1.0, 0.0))
    (estimate,) = variance.difference(a, b)
    assert estimate.value == pytest.approx(1.0, abs=0.01)
    assert estimate.interval[1] - estimate.interval[0] < 0.05
    assert estimate.variances["sampling"].variance < variance.arm(a)[0].variances["sampling"].variance / 100


def test_items_without_a_value_are_left_out():
    items = Items(torch.tensor([1.0, float("nan"), 4.0]), torch.arange(3))
    assert float(items.mean()) == 2.5
    assert variance.arm(variance.scores(Items.mean, [[items[[0, 2]]]]))[0].value == 2.5
    assert variance.arm(variance.scores(Items.mean, [[items]]))[0].value == 2.5
    with pytest.raises(ValueError, match="not a number"):
        variance.scores(Items.mean, [[Items(torch.tensor([float("nan"), 4.0]), torch.arange(2))]])


def test_no_spread_has_no_width():
    (estimate,) = variance.arm(scores(np.ones((2, 2, 13))))
    assert estimate.interval == (1.0, 1.0)


def test_variances_are_named_by_source_with_their_draws():
    (estimate,) = variance.arm(scores(drawn(np.random.default_rng(9), 3, 2, 23)))
    assert {source: part.n for source, part in estimate.variances.items()} == {
        "sampling": 2,
        "training": 3,
        "prompts": 23,
    }


def test_tables_that_do_not_fit_are_refused():
    ten, other = (Items(torch.zeros(10), torch.arange(10) + start) for start in (0, 1))
    with pytest.raises(ValueError, match=r"as many repeats as the others, at least one; got \[2, 1\]"):
        variance.scores(Items.mean, [[ten, ten], [ten]])
    with pytest.raises(ValueError, match="at least one"):
        variance.scores(Items.mean, [])
    with pytest.raises(ValueError, match="different captions"):
        variance.scores(Items.mean, [[ten], [other]])
    with pytest.raises(ValueError, match="2 captions, got 1"):
        variance.scores(Items.mean, [[ten[[0]]]])


def test_arms_that_do_not_fit_are_refused():
    ten = np.zeros((2, 2, 10))
    with pytest.raises(ValueError, match="different captions"):
        variance.difference(scores(ten), scores(ten[..., :9]))
    with pytest.raises(ValueError, match="2 and 1 repeats"):
        variance.difference(scores(ten), scores(ten[:, :1]))
