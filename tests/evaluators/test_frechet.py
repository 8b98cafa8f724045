import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from evaluators.frechet import frechet, gaussian


def draw(rows: int, width: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    scales = torch.arange(1, width + 1) ** -0.5
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * scales + shift


def test_equals_the_usual_recipe():
    a, b = draw(211, 17, 0), draw(307, 17, 1, 0.1)
    x, y = a.double().numpy(), b.double().numpy()
    cov = [np.cov(v, rowvar=False) for v in (x, y)]
    root = np.real(np.trace(sqrtm(cov[0] @ cov[1])))
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov[0]) + np.trace(cov[1]) - 2 * root
    assert float(frechet(gaussian(a), gaussian(b))) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("ours", "theirs"), [(50, 50), (50, 907), (907, 50)])
def test_fewer_clips_than_dimensions(ours, theirs):
    """The trace of the root is the nuclear norm of the product of the centred sets: exact at any size."""
    a, b = draw(ours, 512, 0).double(), draw(theirs, 512, 1, 0.05).double()
    p, q = gaussian(a), gaussian(b)
    between = (a - p.mean) @ (b - q.mean).T / ((ours - 1) * (theirs - 1)) ** 0.5
    shared = torch.linalg.svdvals(between).sum()
    expected = (p.mean - q.mean).square().sum() + p.covariance.trace() + q.covariance.trace() - 2 * shared
    assert float(frechet(p, q)) == pytest.approx(float(expected), rel=1e-9)
    assert float(frechet(p, p)) == pytest.approx(0, abs=1e-9)


def test_known_gaussians():
    """In one dimension it is (m_a - m_b)^2 + (s_a - s_b)^2."""
    a, b = torch.tensor([[-1.0], [1.0]]), torch.tensor([[2.0], [8.0]])
    assert float(frechet(gaussian(a), gaussian(b))) == pytest.approx(25 + (2**0.5 - 18**0.5) ** 2)


def test_a_set_without_spread():
    """A collapsed generator: the distance is the mean's, and all of the real spread."""
    still, real = torch.full((5, 3), 2.0), draw(11, 3, 0)
    expected = (2 - real.double().mean(0)).square().sum() + real.double().var(0).sum()
    assert float(frechet(gaussian(still), gaussian(real))) == pytest.approx(float(expected))
    assert float(frechet(gaussian(real), gaussian(still))) == pytest.approx(float(expected))


def test_no_order_of_the_two():
    p, q = gaussian(draw(23, 7, 0)), gaussian(draw(29, 7, 1))
    assert float(frechet(p, q)) == pytest.approx(float(frechet(q, p)), rel=1e-12)
