import pytest
import torch

from evaluators.distances import BLOCK
from evaluators.manifold import NEIGHBOURS, overlap


def draw(rows: int, seed: int, width: int = 3) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def naive(motion: torch.Tensor, real: torch.Tensor) -> list[float]:
    """Precision, recall, density, coverage as their papers define them, one distance at a time."""

    def reaches(vectors: torch.Tensor) -> list[float]:
        return [
            sorted(float((v - w).norm()) for j, w in enumerate(vectors) if j != i)[NEIGHBOURS - 1]
            for i, v in enumerate(vectors)
        ]

    motion_reach, real_reach = reaches(motion), reaches(real)
    apart = [[float((m - r).norm()) for m in motion] for r in real]
    around = [sum(row[j] < reach for row, reach in zip(apart, real_reach, strict=True)) for j in range(len(motion))]
    recalled = [any(d < reach for d, reach in zip(row, motion_reach, strict=True)) for row in apart]
    covered = [any(d < reach for d in row) for row, reach in zip(apart, real_reach, strict=True)]
    return [
        sum(n > 0 for n in around) / len(motion),
        sum(recalled) / len(real),
        sum(around) / NEIGHBOURS / len(motion),
        sum(covered) / len(real),
    ]


def four(motion: torch.Tensor, real: torch.Tensor) -> list[float]:
    found = overlap(motion, real)
    return [float(value) for value in (found.precision, found.recall, found.density, found.coverage)]


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
def test_equals_a_naive_loop(scale):
    motion, real = scale * draw(29, 0) + 0.5, draw(37, 1)
    found = four(motion, real)
    assert found == pytest.approx(naive(motion.double(), real.double()))
    assert len(set(found)) == 4  # no two of them are the same number by accident


def test_a_set_against_itself():
    real = draw(41, 0)
    assert four(real.clone(), real) == [1.0] * 4


def test_expectations_for_equal_distributions():
    """Density 1 and coverage 1 - 2^-5, at more clips than a block holds."""
    precision, recall, density, coverage = four(draw(BLOCK + 301, 0), draw(BLOCK + 301, 1))
    assert density == pytest.approx(1.0, abs=0.05)
    assert coverage == pytest.approx(1 - 2**-NEIGHBOURS, abs=0.015)
    assert precision == pytest.approx(recall, abs=0.03)


def test_modes():
    """A generator that knows one of two modes is precise, and recalls half."""
    near, far = draw(53, 0), draw(53, 1) + 100
    precision, recall, density, coverage = four(draw(53, 2), torch.cat([near, far]))
    assert (precision, density) == pytest.approx((1.0, 1.0), abs=0.15)
    assert (recall, coverage) == pytest.approx((0.5, 0.5), abs=0.06)


def test_the_last_set_is_not_taken_for_the_next():
    real = draw(13, 0)
    assert four(real.clone(), real) != four(real + 100, real)
