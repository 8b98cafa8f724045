"""How alike are two vectors of an encoder, once what all its vectors share is taken away?

The states of a text encoder point into a narrow cone, and few rogue dimensions make up most of a cosine (Ethayarajh
2019, arXiv:1909.00512; Timkey and van Schijndel 2021, arXiv:2109.04404), so that a raw cosine says little. Each
correction is fitted on other captions than those compared. Pure numpy.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

Vectors = Float[np.ndarray, "items width"]
SHARE = 100
"""All-but-the-top takes away one direction per so many dimensions (Mu and Viswanath 2018, arXiv:1702.01417)."""
FLAT = 1e-6
"""A dimension that varies less than this share of the largest spread is not scaled."""


def corrections(background: Vectors) -> dict[str, Callable[[Vectors], Vectors]]:
    """What is done to vectors before their cosine is taken, fitted on `background`.

    - raw: nothing; centred: the mean is taken away; standardised: and every dimension has unit spread;
    - top removed: the mean and the main directions are taken away;
    - rank: dimensions are ranked within each vector, which makes of the cosine Spearman's correlation.
    """
    mean, spread = background.mean(0), background.std(0)
    scale = np.where(spread > FLAT * spread.max(initial=0), spread, 1)
    count = max(1, round(background.shape[1] / SHARE))
    top = np.linalg.svd(background - mean, full_matrices=False)[2][:count]
    return {
        "raw": lambda x: x,
        "centred": lambda x: x - mean,
        "standardised": lambda x: (x - mean) / scale,
        "top removed": lambda x: (x - mean) - (x - mean) @ top.T @ top,
        "rank": lambda x: rankdata(x, axis=-1, nan_policy="propagate") - (x.shape[1] + 1) / 2,
    }


def cosine(a: Vectors, b: Vectors) -> Float[np.ndarray, " items"]:
    """Cosine of each row of `a` with that of `b`; 0 where one is zero, NaN where one is missing."""
    product = (a * b).sum(1)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide(product, norms, out=np.where(np.isnan(product), np.nan, 0.0), where=norms > 0)


def sign_flip_p(differences: Float[np.ndarray, " items"], seed: int = 0, draws: int = 4096) -> float:
    """Two-sided p of a mean difference of 0: how often random signs give one as large.

    All signs are tried where there are at most `draws` of them, so that p is at least 2 in that number.
    """
    known = differences[~np.isnan(differences)]
    if not len(known):
        return 1.0
    is_small = 2 ** len(known) <= draws
    if is_small:
        signs = 1 - 2 * (np.arange(2 ** len(known))[:, None] >> np.arange(len(known)) & 1)
    else:
        signs = np.random.default_rng(seed).choice((-1, 1), size=(draws, len(known)))
    reached = int((np.abs(signs @ known) >= np.abs(known.sum()) - 1e-9).sum())
    return reached / len(signs) if is_small else (1 + reached) / (1 + draws)
