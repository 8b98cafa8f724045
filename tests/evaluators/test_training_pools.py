import pytest

from casim.data.choreography import Choreography
from casim.types import ActionSpan, Alignment, MotionBatch
from evaluators.training import _pools as pools


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
