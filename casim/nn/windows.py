"""Random stretches of consecutive frames, for training on windows."""

from dataclasses import replace
from typing import TypeVar

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from casim.types import MotionBatch, frame_mask

Cut = TypeVar("Cut", Tensor, MotionBatch)


def starts(batch: MotionBatch, frames: int, generator: torch.Generator | None) -> Int[Tensor, " batch"]:
    """Where a window of `frames` begins in each clip, drawn; 0 for clips that are shorter."""
    first, total = batch.place or (0, len(batch))
    share = torch.rand(total, generator=generator)[first : first + len(batch)].to(batch.motion.device)
    return (share * (batch.lengths - frames + 1).clamp_min(1)).long()


def cut(what: Cut, start: Int[Tensor, " batch"], frames: int) -> Cut:
    """The `frames` frames from each start on, of a batch of clips or of rows that belong to them.

    Shorter clips stay whole. The cut clips know nothing of intervals.
    """
    if isinstance(what, Tensor):
        return _rows(what, start, frames)
    width = min(frames, what.motion.shape[1])
    mask = frame_mask(what.lengths.clamp_max(frames), width)
    motion = _rows(what.motion, start, frames) * mask[..., None]
    return replace(what, motion=motion, mask=mask, alignment=None)


def _rows(
    rows: Shaped[Tensor, "batch frames feats"], start: Int[Tensor, " batch"], frames: int
) -> Shaped[Tensor, "batch window feats"]:
    index = start[:, None] + torch.arange(min(frames, rows.shape[1]), device=rows.device)
    index = index.clamp_max(rows.shape[1] - 1)
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[2]))
