"""Frames to tokens and back: one token for every `patch` frames."""

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn


class FramePatches(nn.Module):
    """Linear maps between frames and tokens; the last patch is filled up with zero frames.

    With `patch=1` this is MDM's input and output projection.
    """

    def __init__(self, feats: int, width: int, patch: int = 1) -> None:
        super().__init__()
        if patch < 1:
            raise ValueError(f"patch is {patch}; it counts frames per token: 1 or more")
        self.patch = patch
        self.embed = nn.Linear(patch * feats, width)
        self.unembed = nn.Linear(width, patch * feats)

    def tokens(
        self, motion: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"] | None
    ) -> tuple[Float[Tensor, "batch tokens width"], Bool[Tensor, "batch tokens"] | None]:
        """Tokens of the frames, and which of them hold a real frame (None: all).

        Padded frames share a patch with real ones only if `patch` is larger than 1; they count as zero there.
        """
        if self.patch == 1:
            return self.embed(motion), mask
        if mask is not None:
            motion = motion * mask[..., None]
        missing = -motion.shape[1] % self.patch
        motion = F.pad(motion, (0, 0, 0, missing))
        grouped = rearrange(motion, "batch (n patch) feats -> batch n (patch feats)", patch=self.patch)
        if mask is not None:
            padded = F.pad(mask, (0, missing))
            mask = rearrange(padded, "batch (n patch) -> batch n patch", patch=self.patch).any(-1)
        return self.embed(grouped), mask

    def frames(
        self, tokens: Float[Tensor, "batch tokens width"], frames: int
    ) -> Float[Tensor, "batch frames feats"]:
        """The first `frames` frames that the tokens stand for."""
        grouped = self.unembed(tokens)
        if self.patch == 1:
            return grouped
        return rearrange(grouped, "batch n (patch feats) -> batch (n patch) feats", patch=self.patch)[:, :frames]
