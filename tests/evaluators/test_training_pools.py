from itertools import combinations

import numpy as np
import pytest
import torch

from casim.data.choreography import Choreography
from casim.types import ActionSpan, Alignment, MotionBatch
from evaluators.training import _pools as pools

CLIPS = 7


def by_enumeration(text, motion, k):
    """Share of all pools of 4 in which each caption's motion is among the k nearest."""
    found = []
    for i in range(CLIPS):
        others = [j for j in range(CLIPS) if j != i]
        draws = [
            sum(bool((text[i] - motion[j]).norm() <= (text[i] - motion[i]).norm()) for j in pool) < k
            for pool in combinations(others, 3)
        ]
        found.append(np.mean(draws))
    return found


@pytest.mark.parametrize("k", [1, 2, 3])
def test_expectation_over_all_pools(monkeypatch, k):
    monkeypatch.setattr(pools, "POOL", 4)
    torch.manual_seed(0)
    text, motion = torch.randn(2, CLIPS, 3)
    assert pools.hits(text, motion, k) == pytest.approx(by_enumeration(text, motion, k))


def test_one_pool_is_the_plain_count():
    torch.manual_seed(0)
    text = torch.randn(pools.POOL, 5)
    motion = text + torch.randn(pools.POOL, 5)
    nearest = torch.cdist(text, motion).argsort(1)[:, :3]
    plain = (nearest == torch.arange(pools.POOL)[:, None]).any(1)
    assert pools.hits(text, motion, 3) == pytest.approx(plain.double().numpy())


def test_perfect_random_and_collapsed_vectors():
    torch.manual_seed(0)
    text = torch.randn(400, 5)
    assert pools.hits(text, text, 1) == pytest.approx(1)
    assert pools.hits(text, torch.randn(400, 5), 1).mean() == pytest.approx(1 / 32, abs=0.02)
    assert pools.hits(torch.zeros(400, 5), torch.zeros(400, 5), 3) == pytest.approx(0)


def test_ceiling():
    assert pools.ceiling(list(range(40)), 1) == pytest.approx(1)
    assert pools.ceiling(["same"] * 40, 3) == pytest.approx(3 / 32)
    assert pools.ceiling(["a", "a", *range(30)], 1) == pytest.approx((30 + 2 / 2) / 32)  # a single pool
    assert pools.ceiling(["a", "a", *range(30)], 2) == pytest.approx(1)


def test_meanings():
    def clip(kind, *names):
        return Alignment((), (), tuple(ActionSpan(n, i, i + 1) for i, n in enumerate(names)), kind, False)

    alignments = (
        clip("pair", "walk", "jump"),
        clip("pair", "jump", "walk"),
        clip("while", "walk", "jump"),
        clip("while", "jump", "walk"),
    )
    batch = (
        Choreography(Choreography.Config(train=4, validation=1, test=1, held_out=1)).split("train").batch(range(4))
    )
    found = pools.meanings(MotionBatch(batch.motion, batch.mask, batch.texts, batch.ids, alignments))
    assert len(set(found)) == 3
    assert found[2] == found[3]
    assert pools.meanings(MotionBatch(batch.motion, batch.mask, batch.texts, batch.ids)) == list(batch.texts)


def test_too_few_clips():
    with pytest.raises(ValueError, match="32 clips, but the split test has 31"):
        pools.check_size("test", 31)
