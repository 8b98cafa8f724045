"""Scores of sets beside what their papers write down, computed one pair at a time."""

from itertools import combinations

import pytest
import torch
from torch import Tensor

from evaluators.metrics.diversity import Diversity
from evaluators.metrics.diversity_gap import DiversityGap
from evaluators.metrics.fid import Fid
from evaluators.metrics.fid_inf import FidInf, is_in_first_half
from evaluators.metrics.kid import Kid
from evaluators.metrics.mm_dist import MmDist
from evaluators.metrics.multimodality import Multimodality
from evaluators.metrics.r_precision import RPrecision
from evaluators.protocol import Space

WIDTH = 7


def draw(rows: int, seed: int, width: int = WIDTH) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def space(rows: int = 23, *, seed: int = 0, prompt: Tensor | None = None, width: int = WIDTH) -> Space:
    real = draw(rows, seed, width)
    motion = 0.7 * real + draw(rows, seed + 1, width)
    return Space(motion, real, torch.arange(rows) if prompt is None else prompt, draw(rows, seed + 2, width))


def kernel(a: Tensor, b: Tensor) -> float:
    return (float(a.double() @ b.double()) / WIDTH + 1) ** 3


def test_kid_equals_a_naive_loop():
    prompt = torch.tensor([0, 1, 1, 2, 3, 3, 3, 4, 5, 6, 7])
    clips = space(11, prompt=prompt)
    motion, real = clips.motion, clips.real
    pairs = [(i, j) for i, j in combinations(range(11), 2) if prompt[i] != prompt[j]]
    within = [kernel(motion[i], motion[j]) + kernel(real[i], real[j]) for i, j in pairs]
    between = [kernel(motion[i], real[j]) + kernel(motion[j], real[i]) for i, j in pairs]
    expected = (sum(within) - sum(between)) / len(pairs)
    assert float(Kid().score(clips)) == pytest.approx(expected)


def test_kid_is_unbiased_where_fid_is_not():
    """Two samples of one distribution, of which every pair shares its caption; mean over many, at two sizes."""

    def mean(metric, rows):
        found = torch.stack([metric.score(space_of_equals(rows, seed)) for seed in range(150)])
        return float(found.mean()), float(found.std()) / len(found) ** 0.5

    for rows in (11, 31):
        value, error = mean(Kid(), rows)
        assert abs(value) < 4 * error
        value, error = mean(Fid(), rows)
        assert value > 20 * error


def space_of_equals(rows: int, seed: int) -> Space:
    shared = draw(rows, 10_000 + seed)
    motion, real = (shared + draw(rows, 20_000 + 2 * seed + k) for k in range(2))
    return Space(motion, real, torch.arange(rows))


def test_fid_inf_takes_the_bias_away():
    sets = [Space(draw(211, 2 * i, 16), draw(211, 2 * i + 1, 16), torch.arange(211)) for i in range(40)]
    finite, extrapolated = (torch.cat([metric.score(clips) for clips in sets]) for metric in (Fid(), FidInf()))
    assert (finite > 0.5).all()
    assert abs(extrapolated.mean()) < finite.mean() / 20


def test_halves_of_the_captions():
    """Balanced in any run of captions, and all motions of a caption in one half."""
    for start, step in ((0, 1), (1000, 1), (0, 2), (3, 7)):
        first = is_in_first_half(torch.arange(start, start + 501 * step, step))
        assert abs(int(first.sum()) - 250) < 20
    assert is_in_first_half(torch.tensor([8, 8, 8])).unique().numel() == 1


def test_fid_inf_needs_clips_in_both_halves():
    clips = space(8, prompt=torch.zeros(8, dtype=torch.long))
    with pytest.raises(ValueError, match=r"two clips in each half of the captions, not \[8, 0\]"):
        FidInf().score(clips)


def test_diversity_and_its_gap_equal_a_naive_loop():
    clips = space()
    each = [
        torch.stack([(v[i].double() - v[j].double()).norm() for i, j in combinations(range(23), 2)]).mean()
        for v in (clips.motion, clips.real)
    ]
    assert float(Diversity().score(clips)) == pytest.approx(float(each[0]))
    assert float(DiversityGap().score(clips)) == pytest.approx(abs(float(each[0] - each[1])))
    mirrored = Space(clips.real, clips.motion, clips.prompt)
    assert float(DiversityGap().score(mirrored)) == pytest.approx(abs(float(each[0] - each[1])))


def test_multimodality_equals_a_naive_loop():
    """Captions weigh alike, however many motions they have; order does not matter."""
    prompt = torch.tensor([4, 2, 4, 9, 2, 4, 9, 4])
    clips = space(8, prompt=prompt)
    means = [
        torch.stack(
            [
                (clips.motion[i].double() - clips.motion[j].double()).norm()
                for i, j in combinations((prompt == caption).nonzero()[:, 0].tolist(), 2)
            ]
        ).mean()
        for caption in (2, 4, 9)
    ]
    assert float(Multimodality().score(clips)) == pytest.approx(float(torch.stack(means).mean()))


def test_multimodality_needs_two_motions_of_each_caption():
    with pytest.raises(ValueError, match="caption 7 has one; generate 10 each"):
        Multimodality().score(space(5, prompt=torch.tensor([3, 3, 7, 8, 8])))


def test_mm_dist_is_the_mean_of_matched_distances():
    clips = space()
    assert clips.text is not None
    expected = torch.linalg.vector_norm(clips.text.double() - clips.motion.double(), dim=1).mean()
    assert float(MmDist().score(clips)) == pytest.approx(float(expected))


def test_r_precision_knows_its_pool():
    clips = space(40)
    wide, narrow = RPrecision().score(clips), RPrecision(pool=8).score(clips)
    assert (narrow > wide).all()
    with pytest.raises(ValueError, match="a pool of 32 needs 31 motions"):
        RPrecision().score(space(31))
    with pytest.raises(ValueError, match="choose 32"):
        RPrecision(pool=2)
    small = RPrecision(pool=8)
    small.update(_batch(space(7)))
    with pytest.raises(ValueError, match="at least 8 clips, got 7"):
        small.compute()


def _batch(clips: Space):
    from casim.types import MotionBatch, frame_mask
    from evaluators.protocol import EvalBatch

    motion, ids = torch.zeros(len(clips), 3, 2), tuple(map(str, range(len(clips))))
    mask = frame_mask([3] * len(clips))
    return EvalBatch(motion, mask, MotionBatch(motion, mask, ids, ids), spaces={"guo": clips})
