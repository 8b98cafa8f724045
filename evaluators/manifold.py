"""Overlap of two sets of vectors, told by balls around each vector that reach to its k-th nearest neighbour.

Precision and recall: Kynkaanniemi et al. 2019 ("Improved precision and recall metric"); density and coverage: Naeem
et al. 2020 ("Reliable fidelity and diversity metrics"). Balls are open, and a vector is no neighbour of its own, so
that a set against itself has density exactly 1.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from evaluators.distances import blocks, slack, squared

NEIGHBOURS = 5
"""k: the ball around a vector reaches to its fifth nearest neighbour in its own set."""
FEWEST = NEIGHBOURS + 1
"""Clips from which a ball can be drawn."""


@dataclass(frozen=True)
class Overlap:
    """How a generated set lies in a real one."""

    precision: Float64[Tensor, ""]
    """Share of the generated clips inside the ball of any real one."""
    recall: Float64[Tensor, ""]
    """Share of the real clips inside the ball of any generated one."""
    density: Float64[Tensor, ""]
    """Mean number of real balls around a generated clip, divided by k: not bounded by 1."""
    coverage: Float64[Tensor, ""]
    """Share of the real clips whose ball holds a generated one."""


@lru_cache(maxsize=1)  # four metrics ask for the same set, one after the other; tensors are told apart by identity
def overlap(motion: Float[Tensor, "clips width"], real: Float[Tensor, "reals width"]) -> Overlap:
    """The four numbers for a generated and a real set."""
    motion, real = motion.double(), real.double()
    equal = slack(motion, real)
    motion_reach, real_reach = reach(motion) - equal, reach(real) - equal
    around = torch.zeros(len(motion), dtype=torch.long, device=motion.device)
    recalled, covered = [], []
    for rows in blocks(len(real)):
        apart = squared(real[rows], motion)
        inside = apart < real_reach[rows, None]
        around += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((apart < motion_reach).any(1))
    return Overlap(
        precision=(around > 0).double().mean(),
        recall=torch.cat(recalled).double().mean(),
        density=around.double().mean() / NEIGHBOURS,
        coverage=torch.cat(covered).double().mean(),
    )


def reach(vectors: Float64[Tensor, "batch width"]) -> Float64[Tensor, " batch"]:
    """Squared distance of each row to its k-th nearest neighbour."""
    found = []
    for rows in blocks(len(vectors)):
        apart = squared(vectors[rows], vectors)
        apart.diagonal(rows.start).fill_(torch.inf)
        found.append(apart.topk(NEIGHBOURS, largest=False, sorted=True).values[:, -1])
    return torch.cat(found)
