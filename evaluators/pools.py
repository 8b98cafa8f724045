"""R-precision over every pool there is: the chance that a caption's own motion is among the k nearest of a pool.

A pool is the motion of a caption beside `pool - 1` motions of other captions (Guo et al. 2022: batches of 32). The
authors draw one pool per caption, and leave out those of the last, incomplete batch. Here nothing is drawn: if r of
c other motions are nearer to the caption than its own, a random pool holds a hypergeometric number of nearer ones
(r of c, pool - 1 drawn), so its chance is known. Its mean over all captions is the expectation of the authors'
number over all ways to form batches, and equals it where the set is a single batch.

Ties: a motion takes a random place among those as near, and the mean over these places counts. So a generator that
gives the same motion to every caption scores what guessing does, k / pool. As near is what the precision of the
vectors (float32 from an embedder) cannot tell apart; chances are float64.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from scipy.stats import hypergeom
from torch import Tensor

from evaluators.distances import blocks, slack


@dataclass(frozen=True)
class Ranks:
    """For each caption, how many motions of other captions are nearer to it than its own, or as near."""

    nearer: Int[Tensor, " batch"]
    tied: Int[Tensor, " batch"]
    others: Int[Tensor, " batch"]
    """Motions of other captions."""


def rank_own(
    text: Float[Tensor, "batch width"], motion: Float[Tensor, "batch width"], prompt: Int[Tensor, " batch"]
) -> Ranks:
    """Where each row's motion stands among the motions of other captions, by distance to the row's caption."""
    centre = motion.double().mean(0)  # from which digits are not lost on what all motions share
    text, motion = ((vectors - centre).to(motion.dtype) for vectors in (text, motion))
    equal, lengths = slack(text, motion), motion.square().sum(1)
    found = []
    for rows in blocks(len(text)):
        # squared distances, each row less the square of its caption, which changes no order
        apart = torch.addmm(lengths, text[rows], motion.T, alpha=-2)
        own = apart.diagonal(rows.start)[:, None].clone()
        same = prompt[rows, None] == prompt
        apart.masked_fill_(same, torch.inf)
        nearer, near = (apart < own - equal).sum(1), (apart <= own + equal).sum(1)
        found.append((nearer, near - nearer, (~same).sum(1)))
    return Ranks(*(torch.cat(column) for column in zip(*found, strict=True)))


def chance_among_nearest(ranks: Ranks, top: int, pool: int) -> Float64[Tensor, "batch top"]:
    """Chance that a row's own motion is among the 1, 2, ... `top` nearest of a random pool.

    Raises:
        ValueError: a pool cannot be filled with motions of other captions.
    """
    fewest = int(ranks.others.min())
    if fewest < pool - 1:
        raise ValueError(
            f"a pool of {pool} needs {pool - 1} motions of other captions, but a caption has only {fewest}; "
            "evaluate more captions or choose a smaller pool"
        )
    chance = torch.empty(len(ranks.nearer), top, dtype=torch.float64, device=ranks.nearer.device)
    for others in ranks.others.unique().tolist():
        rows = ranks.others == others
        summed = torch.from_numpy(_summed_chances(others, top, pool)).to(chance)
        first, places = ranks.nearer[rows], ranks.tied[rows] + 1
        chance[rows] = (summed[first + places] - summed[first]) / places[:, None]
    return chance


@lru_cache(maxsize=32)
def _summed_chances(others: int, top: int, pool: int) -> Float[np.ndarray, "sums top"]:
    """Row r: the chances of having 0, 1, ... r - 1 nearer ones among all `others`, added up."""
    nearer = np.arange(others + 1)[:, None]
    chances = hypergeom.cdf(np.arange(top), others, nearer, pool - 1)
    return np.concatenate([np.zeros((1, top)), np.cumsum(chances, 0)])
