"""The order of training batches as a pure function of (seed, step), so that a resumed run continues exactly."""

from functools import lru_cache

import numpy as np
from jaxtyping import Int

WINDOW = 8
"""Batches that are sorted by length together: little padding, still well mixed."""


def batch_items(lengths: Int[np.ndarray, " clips"], batch: int, seed: int, step: int) -> Int[np.ndarray, " batch"]:
    """Indices of the clips of training step `step` (from 0); each epoch sees every clip at most once.

    Clips of a batch have similar lengths; the rest of an epoch that fills no batch is left for other epochs.

    Raises:
        ValueError: fewer clips than one batch needs.
    """
    per_epoch = len(lengths) // batch
    if per_epoch == 0:
        raise ValueError(f"{len(lengths)} training clips do not fill one batch of {batch}; use a smaller batch")
    order = _epoch(lengths.tobytes(), lengths.dtype.str, batch, seed, step // per_epoch)
    return order[step % per_epoch]


@lru_cache(maxsize=4)
def _epoch(lengths: bytes, dtype: str, batch: int, seed: int, epoch: int) -> Int[np.ndarray, "batches batch"]:
    sizes = np.frombuffer(lengths, dtype)
    random = np.random.default_rng((seed, epoch))
    items = random.permutation(len(sizes))[: len(sizes) // batch * batch]
    windows = np.array_split(items, max(1, len(items) // (batch * WINDOW)))
    sorted_items = np.concatenate([window[np.argsort(sizes[window], kind="stable")] for window in windows])
    batches = sorted_items.reshape(-1, batch)
    return batches[random.permutation(len(batches))]
