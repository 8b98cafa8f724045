"""Convolutions over time that see real frames alone: a clip gives the same by itself and in any padded batch.

The networks are those of T2M-GPT's VQ-VAE (Zhang et al. 2023, after Jukebox): convolutions without normalisation,
residual stacks with growing dilation, halving and doubling of the frame rate.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

Sequence = Float[Tensor, "batch channels places"]
Mask = Bool[Tensor, "batch places"]


@dataclass(frozen=True)
class TemporalConfig:
    """Size and kind of an encoder or decoder."""

    width: int = 512
    """Channels inside."""
    depth: int = 3
    """Residual blocks of a stack."""
    dilation_growth: int = 3
    """Dilations are powers of it, the largest first."""
    halvings: int = 2
    """How often the frame rate is halved: a code stands for 2 ** halvings frames."""
    activation: Literal["relu", "silu"] = "relu"
    """Inside residual blocks; between other convolutions it is ReLU."""

    @property
    def stride(self) -> int:
        """Frames of a code."""
        return 2**self.halvings


def at_stride(mask: Bool[Tensor, "batch places"], stride: int) -> Bool[Tensor, "batch codes"]:
    """The places that real frames take where `stride` frames make one; the last one may hold fewer."""
    places = -(-mask.shape[1] // stride)
    lengths = -(-mask.sum(1) // stride)
    return torch.arange(places, device=mask.device) < lengths[:, None]


class ResidualBlock(nn.Module):
    """Two convolutions, the first one dilated, beside the input."""

    def __init__(self, width: int, dilation: int, activation: str) -> None:
        super().__init__()
        self.activation = F.relu if activation == "relu" else F.silu
        self.wide = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.narrow = nn.Conv1d(width, width, 1)

    def forward(self, x: Sequence, mask: Mask) -> Sequence:
        """`x` and what the block adds."""
        inner = self.wide(self.activation(x) * mask[:, None])
        return x + self.narrow(self.activation(inner))


class ResidualStack(nn.Module):
    """Blocks whose dilation shrinks to 1."""

    def __init__(self, config: TemporalConfig) -> None:
        super().__init__()
        dilations = [config.dilation_growth**i for i in reversed(range(config.depth))]
        self.blocks = nn.ModuleList(ResidualBlock(config.width, d, config.activation) for d in dilations)

    def forward(self, x: Sequence, mask: Mask) -> Sequence:
        """`x` after all blocks."""
        for block in self.blocks:
            x = block(x, mask)
        return x


class TemporalEncoder(nn.Module):
    """Frames to one vector for every `stride` of them."""

    def __init__(self, config: TemporalConfig, feats: int, width: int) -> None:
        """From `feats` channels to vectors of `width`."""
        super().__init__()
        self.config = config
        self.enter = nn.Conv1d(feats, config.width, 3, padding=1)
        self.halving = nn.ModuleList(nn.Conv1d(config.width, config.width, 4, 2, 1) for _ in range(config.halvings))
        self.stacks = nn.ModuleList(ResidualStack(config) for _ in range(config.halvings))
        self.leave = nn.Conv1d(config.width, width, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch codes width"]:
        """A vector for each place of `at_stride(mask, stride)`; zero where that is False."""
        missing = -x.shape[1] % self.config.stride
        x, mask = F.pad(x, (0, 0, 0, missing)), F.pad(mask, (0, missing))
        h = F.relu(self.enter((x * mask[..., None]).transpose(1, 2)))
        for halve, stack in zip(self.halving, self.stacks, strict=True):
            h = halve(h * mask[:, None])
            mask = at_stride(mask, 2)
            h = stack(h, mask)
        return self.leave(h * mask[:, None]).transpose(1, 2) * mask[..., None]


class TemporalDecoder(nn.Module):
    """Vectors back to frames."""

    def __init__(self, config: TemporalConfig, width: int, feats: int) -> None:
        """From vectors of `width` to `feats` channels."""
        super().__init__()
        self.enter = nn.Conv1d(width, config.width, 3, padding=1)
        self.stacks = nn.ModuleList(ResidualStack(config) for _ in range(config.halvings))
        self.doubling = nn.ModuleList(
            nn.Conv1d(config.width, config.width, 3, padding=1) for _ in range(config.halvings)
        )
        self.inner = nn.Conv1d(config.width, config.width, 3, padding=1)
        self.leave = nn.Conv1d(config.width, feats, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "batch codes width"], mask: Bool[Tensor, "batch codes"]
    ) -> Float[Tensor, "batch frames feats"]:
        """`stride` frames for each place of `x`; what padded places give is garbage."""
        h = F.relu(self.enter((x * mask[..., None]).transpose(1, 2)))
        for stack, double in zip(self.stacks, self.doubling, strict=True):
            h = stack(h, mask).repeat_interleave(2, -1)
            mask = mask.repeat_interleave(2, -1)
            h = double(h * mask[:, None])
        h = F.relu(self.inner(h * mask[:, None]))
        return self.leave(h * mask[:, None]).transpose(1, 2)
