"""What every metric must do, over every file of `evaluators.metrics`."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics import Metric

from casim import plugins
from casim.types import ActionSpan, Alignment, MotionBatch, frame_mask
from evaluators.protocol import EvalBatch

NAMES = plugins.names("evaluators.metrics")
ACTIONS = ("walk", "sit", "kick_left", "kick_right", "wave_left", "wave_right", "clap")
FRAMES, FEATS = 67, 5


def alignment(seed: int) -> Alignment:
    """One to three different actions, one after the other, or two at once."""
    generator = torch.Generator().manual_seed(seed)
    order = [ACTIONS[i] for i in torch.randperm(len(ACTIONS), generator=generator)]
    count = 1 + int(torch.randint(3, (), generator=generator))
    if count == 2 and seed % 2:
        return Alignment((), (), tuple(ActionSpan(name, 3, 61) for name in order[:2]), "while", False)
    spans = tuple(ActionSpan(name, 3 + 19 * i, 3 + 19 * (i + 1)) for i, name in enumerate(order[:count]))
    return Alignment((), (), spans, ("single", "pair", "triple")[count - 1], False)


def identical(seeds) -> EvalBatch:
    """Real clips in place of generated ones, perfectly recognised."""
    truth = tuple(alignment(seed) for seed in seeds)
    mask = frame_mask([FRAMES - seed % 5 for seed in seeds], FRAMES)
    motion = torch.stack([torch.randn(FRAMES, FEATS, generator=torch.Generator().manual_seed(s)) for s in seeds])
    ids = tuple(map(str, seeds))
    reference = MotionBatch(motion * mask[..., None], mask, ids, ids, truth)
    return EvalBatch(reference.motion, mask, reference, actions=tuple(t.actions for t in truth))


def imperfect(seeds) -> EvalBatch:
    """What was found belongs to another caption in every second clip."""
    batch = identical(seeds)
    found = [alignment(seed + 1).actions if seed % 2 else alignment(seed).actions for seed in seeds]
    return replace(batch, actions=tuple(found))


def score(metric: type[Metric], *batches: EvalBatch) -> float:
    instance = metric()
    for batch in batches:
        instance.update(batch)
    return float(instance.compute())


@pytest.fixture(params=NAMES)
def metric(request) -> type[Metric]:
    return plugins.load(Metric, "evaluators.metrics", request.param)


def test_there_are_metrics():
    assert {"exact_prompt", "action_recall", "side_accuracy", "order_accuracy"} <= set(NAMES)


def test_identical_sets_are_ideal(metric):
    if metric.ideal is not None:
        assert score(metric, identical(range(43))) == pytest.approx(metric.ideal)


def test_order_of_clips_does_not_matter(metric):
    assert score(metric, imperfect(range(41))) == pytest.approx(score(metric, imperfect(range(40, -1, -1))))


def test_one_update_equals_many(metric):
    parts = [range(7), range(7, 12), range(12, 41)]
    assert score(metric, imperfect(range(41))) == pytest.approx(score(metric, *(imperfect(p) for p in parts)))


def test_two_processes_equal_one(metric):
    ours, theirs = metric(), metric()
    ours.update(imperfect(range(17)))
    theirs.update(imperfect(range(17, 41)))
    ours.merge_state(theirs)  # reduces each state as it would be over processes
    assert float(ours.compute()) == pytest.approx(score(metric, imperfect(range(41))))


def test_reset_forgets(metric):
    instance = metric()
    instance.update(imperfect(range(13)))
    instance.reset()
    instance.update(identical(range(43)))
    assert float(instance.compute()) == pytest.approx(score(metric, identical(range(43))))


def test_declared_corruption_moves_it_the_declared_way(metric):
    batch = identical(range(43))
    before, after = score(metric, batch), score(metric, metric.corruption(batch))
    assert metric.higher_is_better is not None
    assert (after < before - 0.3) if metric.higher_is_better else (after > before + 0.3)


def test_padded_frames_change_nothing(metric):
    """Padding with further frames changes no score."""
    batch = imperfect(range(23))
    motion = torch.cat([batch.motion, torch.full((23, 11, FEATS), 7.0)], 1)
    mask = torch.cat([batch.mask, torch.zeros(23, 11, dtype=torch.bool)], 1)
    wider = replace(batch, motion=motion, mask=mask, reference=replace(batch.reference, motion=motion, mask=mask))
    assert score(metric, wider) == pytest.approx(score(metric, batch), nan_ok=True)


@given(seeds=st.lists(st.integers(0, 999), min_size=1, max_size=13, unique=True))
def test_values_per_clip_average_to_the_score(seeds):
    for name in NAMES:
        metric = plugins.load(Metric, "evaluators.metrics", name)
        if not hasattr(metric, "per_item"):
            continue
        values = metric().per_item(imperfect(seeds))
        assert values.shape == (len(seeds),)
        known = values[~values.isnan()]
        assert bool(((known >= 0) & (known <= 1)).all())
        assert score(metric, imperfect(seeds)) == pytest.approx(float(values.nanmean()), nan_ok=True)
