"""Batches for the contracts of metrics: real choreography at toy size, with everything that any metric reads.

Clips are asked for by seed, and each is the same in every batch. Features, joints (metres, 20 per second), captions
and their ground truth belong together. The vectors of the embedders' spaces are random, but those of a caption lie
close to those of its real clip.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from casim.data.choreography import Choreography
from evaluators import spaces
from evaluators.protocol import EvalBatch, Space

CLIPS = 61
EMBEDDERS = {"guo": 7, "tmr": 11}
"""Widths of the embedders' vectors."""


@cache
def dataset() -> Choreography:
    return Choreography(Choreography.Config(train=CLIPS, held_out_pairs=0, min_frames=47, max_frames=59))


def identical(seeds: Sequence[int], draws: int = 1) -> EvalBatch:
    """Real clips in place of generated ones, perfectly recognised; every seed `draws` times."""
    return _batch(tuple((seed, 0) for seed in seeds for _ in range(draws)), error=0.0)


def imperfect(seeds: Sequence[int], draws: int = 1) -> EvalBatch:
    """In every second clip the motion shakes, other actions were found and vectors are off, in each draw anew."""
    return _batch(tuple((seed, draw) for seed in seeds for draw in range(draws)), error=0.4)


def padded(batch: EvalBatch, frames: int, filler: float) -> EvalBatch:
    """The same clips with further frames that are not real."""

    def wider(values: Tensor | None) -> Tensor | None:
        if values is None:
            return None
        return torch.cat([values, torch.full_like(values[:, :1], filler).repeat_interleave(frames, 1)], 1)

    def longer(mask: Tensor) -> Tensor:
        return F.pad(mask, (0, frames))

    real = batch.reference
    changed = replace(
        batch,
        motion=wider(batch.motion),
        mask=longer(batch.mask),
        reference=replace(real, motion=wider(real.motion), mask=longer(real.mask)),
        joints=wider(batch.joints),
        real_joints=wider(batch.real_joints),
    )
    return replace(changed, spaces={**batch.spaces, **_plain(changed, batch.spaces["guo"].prompt)})


@lru_cache(maxsize=64)
def _batch(rows: tuple[tuple[int, int], ...], error: float) -> EvalBatch:
    clips, items = dataset().split("train"), [seed % CLIPS for seed, _ in rows]
    real = clips.batch(items)
    errors = torch.tensor([error * (seed % 2) for seed, _ in rows])
    joints = torch.from_numpy(clips.joints(items)[:, : real.mask.shape[1]]).float()
    shaken = errors[:, None, None, None] * torch.stack([_normal(joints.shape[1:], 4, *row) for row in rows])
    seen = [(item + (seed % 2) * (error > 0)) % CLIPS for item, (seed, _) in zip(items, rows, strict=True)]
    prompt = torch.tensor([seed for seed, _ in rows])
    batch = EvalBatch(
        real.motion + real.mask[..., None] * errors[:, None, None],
        real.mask,
        real,
        actions=tuple(clips.plans[item].alignment().actions for item in seen),
        joints=joints + 0.1 * shaken,
        real_joints=joints,
        fps=20.0,
    )
    embedded = {name: _embedded(width, rows, errors, prompt) for name, width in EMBEDDERS.items()}
    return replace(batch, spaces={**embedded, **_plain(batch, prompt)})


def _plain(batch: EvalBatch, prompt: Tensor) -> dict[str, Space]:
    return {
        "essential": spaces.essential(batch, dataset().spec, prompt),
        "joints": spaces.joints(batch, prompt),
    }


def _embedded(width: int, rows: Sequence[tuple[int, int]], errors: Tensor, prompt: Tensor) -> Space:
    real = torch.stack([_normal((width,), 1, seed) for seed, _ in rows])
    beside = torch.stack([_normal((width,), 2, seed) for seed, _ in rows])
    off = torch.stack([_normal((width,), 3, *row) for row in rows])
    return Space(real + errors[:, None] * off, real, prompt, real + 0.3 * beside)


def _normal(shape: Sequence[int], *key: int) -> Tensor:
    """Normal numbers that follow from `key`; the first ones are the same for every number of frames."""
    return torch.from_numpy(np.random.default_rng(key).standard_normal(shape)).float()
