"""What R-precision of an embedder can be at best and at worst: its ceiling and chance in pools of 32.

R-precision itself is `evaluators.pools`; the ceiling takes the same expectation over all pools.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from scipy.stats import hypergeom

from casim.types import Alignment, MotionBatch

POOL = 32
KS = (1, 2, 3)
CHANCE = {k: k / POOL for k in KS}
"""R-precision of vectors that say nothing."""


def check_size(split: str, clips: int) -> None:
    """Raises ValueError if a split is smaller than a pool."""
    if clips < POOL:
        raise ValueError(f"a pool holds {POOL} clips, but the split {split} has {clips}; put more clips into it")


def ceiling(meanings: Sequence[Hashable], k: int) -> float:
    """R-precision at `k` of an embedder that knows all meanings and draws lots among clips of the same one."""
    counts = Counter(meanings)
    same = np.array([counts[meaning] - 1 for meaning in meanings])
    others = np.arange(POOL)
    odds = hypergeom.pmf(others[None], len(meanings) - 1, same[:, None], POOL - 1)
    return float((odds * np.minimum(k / (others + 1), 1)).sum(1).mean())


def meanings(batch: MotionBatch) -> list[Hashable]:
    """What each caption says: its actions in order of time where they are known (not how fast or how often)."""
    if batch.alignment is None:
        return list(batch.texts)
    return [_meaning(alignment) for alignment in batch.alignment]


def _meaning(alignment: Alignment) -> Hashable:
    actions = tuple(span.action for span in alignment.actions)
    is_while = alignment.kind == "while"
    return is_while, tuple(sorted(actions)) if is_while else actions
