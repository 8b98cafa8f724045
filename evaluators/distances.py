"""Euclidean distances between vectors of clips: row by row, and over all pairs in blocks.

Scores that the literature estimates from a few hundred random pairs are means over *all* pairs here: the same
expectation, but no draw, no seed, and no dependence on the order of the clips. Squared distances come from a matrix
product, so differences below `slack` are rounding and count as none. Results are float64.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import combinations_with_replacement

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

BLOCK = 512
"""Rows taken at a time: a block of pairs stays in the cache of a core."""


def paired(a: Float[Tensor, "*batch width"], b: Float[Tensor, "*batch width"]) -> Float64[Tensor, "*batch"]:
    """Distance of each row of `a` to the same row of `b`."""
    return (a.double() - b.double()).norm(dim=-1)


def squared(a: Float[Tensor, "rows width"], b: Float[Tensor, "columns width"]) -> Float64[Tensor, "rows columns"]:
    """Squared distance of every row of `a` to every row of `b`, never negative."""
    a, b = a.double(), b.double()
    lengths = a.square().sum(1)[:, None] + b.square().sum(1)
    return lengths.addmm_(a, b.T, alpha=-2).clamp_min_(0)


def slack(*vectors: Float[Tensor, "_ width"]) -> float:
    """Squared distances that differ by no more are equal, as far as products in the vectors' precision can tell.

    Raises:
        ValueError: a vector is not finite, which comparisons would pass over in silence.
    """
    longest = sum(float(rows.square().sum(1).max()) for rows in vectors)
    if not math.isfinite(longest):
        raise ValueError("a vector holds NaN or infinite numbers; look at the motions and their embedder")
    return 64 * torch.finfo(vectors[0].dtype).eps * longest


def blocks(rows: int) -> Iterator[slice]:
    """The rows from first to last, `BLOCK` at a time."""
    return (slice(start, min(start + BLOCK, rows)) for start in range(0, rows, BLOCK))


def mean_over_pairs(
    values: Callable[[slice, slice], Float64[Tensor, "_ _"]], prompt: Int[Tensor, " batch"]
) -> Float64[Tensor, ""]:
    """Mean of a symmetric function of two clips over all pairs with different captions (a U-statistic).

    Clips of one caption depend on each other, and a clip on itself, so such pairs would bias the mean.

    Args:
        values: the function for the pairs of two ranges of rows.
        prompt: the caption of each row.

    Raises:
        ValueError: all clips are of one caption.
    """
    total, pairs = torch.zeros((), dtype=torch.float64, device=prompt.device), 0
    for a, b in combinations_with_replacement(blocks(len(prompt)), 2):
        same = prompt[a, None] == prompt[b]
        weight = 1 if a == b else 2
        total += weight * values(a, b).masked_fill_(same, 0).sum()
        pairs += weight * (same.numel() - int(same.sum()))
    if not pairs:
        raise ValueError(f"{len(prompt)} clips of a single caption make no pair; evaluate more captions")
    return total / pairs


@lru_cache(maxsize=2)  # real clips are the same in every repeat; tensors are told apart by identity
def mean_distance(vectors: Float[Tensor, "batch width"], prompt: Int[Tensor, " batch"]) -> Float64[Tensor, ""]:
    """Mean distance of two clips with different captions."""
    vectors = vectors.double()
    return mean_over_pairs(lambda a, b: squared(vectors[a], vectors[b]).sqrt_(), prompt)
