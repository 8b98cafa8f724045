"""What every metric must do, over every file of `evaluators.metrics`."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics import Metric
from toy_clips import identical, imperfect, padded

from casim import plugins
from evaluators.metric import ItemMetric, SetMetric
from evaluators.protocol import EvalBatch

NAMES = plugins.names("evaluators.metrics")
METRICS = {name: plugins.load(Metric, "evaluators.metrics", name) for name in NAMES}
SETS = {name: metric for name, metric in METRICS.items() if issubclass(metric, SetMetric)}
COUNT = 43


def values(metric: type[Metric], *batches: EvalBatch, **options) -> list[float]:
    """The value of every part; a metric with a value per clip has one part."""
    instance = metric(**options)
    for batch in batches:
        instance.update(batch)
    return instance.compute().reshape(-1).tolist()


def draws(metric: type[Metric]) -> int:
    return getattr(metric, "motions_per_prompt", 1)


@pytest.fixture(params=NAMES)
def metric(request) -> type[Metric]:
    return METRICS[request.param]


@pytest.fixture(params=SETS)
def set_metric(request) -> type[SetMetric]:
    return SETS[request.param]


def test_there_are_metrics():
    assert {"exact_prompt", "action_recall", "side_accuracy", "order_accuracy"} <= set(NAMES)
    assert {"fid", "fid_inf", "kid", "precision", "recall", "density", "coverage"} <= set(SETS)
    assert {"r_precision", "mm_dist", "diversity", "diversity_gap", "multimodality"} <= set(SETS)
    assert all(issubclass(metric, ItemMetric | SetMetric) for metric in METRICS.values())


def test_identical_sets_are_ideal(metric):
    if metric.ideal is not None:
        found = values(metric, identical(range(COUNT), draws(metric)))
        assert found == pytest.approx([metric.ideal] * len(found), abs=1e-6)


def test_order_of_clips_does_not_matter(metric):
    forward, backward = (imperfect(seeds, draws(metric)) for seeds in (range(41), range(40, -1, -1)))
    assert values(metric, forward) == pytest.approx(values(metric, backward))


def test_one_update_equals_many(metric):
    parts = [imperfect(part, draws(metric)) for part in (range(7), range(7, 12), range(12, 41))]
    assert values(metric, imperfect(range(41), draws(metric))) == pytest.approx(values(metric, *parts))


def test_two_processes_equal_one(metric):
    ours, theirs = metric(), metric()
    ours.update(imperfect(range(17), draws(metric)))
    theirs.update(imperfect(range(17, 41), draws(metric)))
    ours.merge_state(theirs)  # reduces each state as it would be over processes
    expected = values(metric, imperfect(range(41), draws(metric)))
    assert ours.compute().reshape(-1).tolist() == pytest.approx(expected)


def test_reset_forgets(metric):
    instance = metric()
    instance.update(imperfect(range(13), draws(metric)))
    instance.reset()
    batch = identical(range(COUNT), draws(metric))
    instance.update(batch)
    assert instance.compute().reshape(-1).tolist() == pytest.approx(values(metric, batch), abs=1e-12)


def test_declared_corruption_moves_it_the_declared_way(metric):
    """By .3 where it is a share; else by a tenth, if it was not 0 before."""
    batch = (imperfect if metric.ideal is None else identical)(range(COUNT), draws(metric))
    for before, after in zip(values(metric, batch), values(metric, metric.corruption(batch)), strict=True):
        worse = {True: before - after, False: after - before, None: abs(after - before)}[metric.higher_is_better]
        assert worse > (0.3 if metric.unit == "share" else max(0.1 * abs(before), 1e-3))


@pytest.mark.parametrize("filler", [0.0, 7.0])
def test_padded_frames_change_nothing(metric, filler):
    batch = imperfect(range(37), draws(metric))
    wider = padded(batch, 11, filler)
    assert values(metric, wider) == pytest.approx(values(metric, batch), nan_ok=True)


def test_what_is_said_of_it(metric):
    assert metric.unit
    assert metric.__doc__
    assert set(metric.declared.values()) <= {"worse", "same"}


@given(seeds=st.lists(st.integers(0, 999), min_size=1, max_size=13, unique=True))
def test_values_per_clip_average_to_the_score(seeds):
    batch = imperfect(seeds)
    for metric in METRICS.values():
        if not issubclass(metric, ItemMetric):
            continue
        each = metric().per_item(batch)
        assert each.shape == (len(seeds),)
        known = each[~each.isnan()]
        assert metric.unit != "share" or bool(((known >= 0) & (known <= 1)).all())
        assert values(metric, batch) == pytest.approx([float(each.nanmean())], nan_ok=True)


def test_score_is_a_pure_function_of_the_set(set_metric):
    batch = imperfect(range(COUNT), draws(set_metric))
    instance = set_metric()
    scores = [instance.score(batch.spaces[instance.space]) for _ in range(2)]
    assert scores[0].tolist() == scores[1].tolist() == values(set_metric, batch)
    assert scores[0].shape == (len(set_metric.parts),)
    assert scores[0].dtype == torch.float64


def test_identical_sets_are_ideal_in_every_space(set_metric):
    batch = identical(range(COUNT), draws(set_metric))
    if set_metric.ideal is None or set_metric.reads_text:
        return
    for space in batch.spaces:
        assert values(set_metric, batch, space=space) == pytest.approx([set_metric.ideal], abs=1e-6)


def test_too_few_clips_are_refused(set_metric):
    instance = set_metric()
    instance.update(imperfect(range(set_metric.minimum - 1)))
    with pytest.raises(ValueError, match=f"at least {set_metric.minimum} clips, got {set_metric.minimum - 1}"):
        instance.compute()


def test_vectors_that_are_not_there_are_refused(set_metric):
    batch = imperfect(range(5))
    with pytest.raises(ValueError, match="nobody"):
        set_metric(space="nobody").update(batch)
    if set_metric.reads_text:
        with pytest.raises(ValueError, match="captions"):
            set_metric(space="joints").update(batch)
        with pytest.raises(ValueError, match="captions"):
            set_metric().score(batch.spaces["joints"])


def test_ids_name_part_space_and_convention():
    assert SETS["fid"].ids("fid", "essential") == ("fid.essential.raw",)
    assert SETS["r_precision"].ids("r_precision", "guo") == tuple(f"r_precision@{k}.guo" for k in (1, 2, 3))
