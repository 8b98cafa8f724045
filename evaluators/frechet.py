"""Frechet distance of two sets of vectors, each described by a Gaussian (Heusel et al. 2017).

|m_a - m_b|^2 + tr(A) + tr(B) - 2 tr((A B)^(1/2)), with covariances over n - 1. The last trace is the sum of the
roots of the eigenvalues of the symmetric A^(1/2) B A^(1/2), which exists for any number of clips; the usual
`scipy.linalg.sqrtm` of the unsymmetric product fails, or turns complex, with fewer clips than dimensions.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Float64
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a set of vectors."""

    mean: Float64[Tensor, " width"]
    covariance: Float64[Tensor, "width width"]


@lru_cache(maxsize=2)  # real clips are the same in every repeat; tensors are told apart by identity
def gaussian(vectors: Float[Tensor, "batch width"]) -> Gaussian:
    """Mean and covariance of the rows of `vectors`, at least two."""
    vectors = vectors.double()
    centred = vectors - vectors.mean(0)
    return Gaussian(vectors.mean(0), centred.T @ centred / (len(vectors) - 1))


def frechet(a: Gaussian, b: Gaussian) -> Float64[Tensor, ""]:
    """Frechet distance of two Gaussians: a squared distance."""
    values, vectors = torch.linalg.eigh(a.covariance)
    values = _above_rounding(values)
    held = values > 0
    root = vectors[:, held] * values[held].sqrt()
    shared = _above_rounding(torch.linalg.eigvalsh(root.T @ b.covariance @ root)).sqrt().sum()
    apart = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace() - 2 * shared
    return apart.clamp_min(0)  # negative by rounding alone


def _above_rounding(eigenvalues: Float64[Tensor, " width"]) -> Float64[Tensor, " width"]:
    """Ascending eigenvalues with those that are rounding set to 0: the root of 1e-16 is no rounding any more."""
    if not len(eigenvalues):
        return eigenvalues
    least = torch.finfo(eigenvalues.dtype).eps * len(eigenvalues) * eigenvalues[-1]
    return torch.where(eigenvalues > least, eigenvalues, 0.0)
