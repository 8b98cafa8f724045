"""Transformer blocks with post- or pre-normalisation, and stacks of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from casim.nn.attention import Attention
from casim.nn.cache import KeyValueCache
from casim.nn.dropout import Dropout


@dataclass(frozen=True)
class BlockConfig:
    """Size and kind of a transformer block."""

    width: int
    heads: int
    ff: int
    """Width of the hidden layer of the feed-forward part."""
    dropout: float = 0.1
    is_pre_norm: bool = False
    """Normalise before each branch (and so not the residual stream) instead of after each sum."""
    activation: Literal["gelu", "relu"] = "gelu"
    """`gelu` is the exact one (erf)."""


class EncoderBlock(nn.Module):
    """Self-attention and feed-forward, each with a residual connection and a LayerNorm."""

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        self.config = config
        self.self_attention = Attention(config.width, config.heads, config.dropout)
        self.attention_norm = nn.LayerNorm(config.width)
        self.widen = nn.Linear(config.width, config.ff)
        self.narrow = nn.Linear(config.ff, config.width)
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "batch queries width"],
        mask: Bool[Tensor, "batch keys"] | None = None,
        causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch queries width"]:
        """The tokens after one block; tokens whose mask is False are seen by nobody.

        With a cache `x` are the tokens that are new, and the mask is that of the old ones and the new ones.
        """
        x = self._residual(x, self.attention_norm, lambda y: self.self_attention(y, None, mask, causal, cache))
        return self._residual(x, self.feed_forward_norm, self._feed_forward)

    def _residual(self, x: Tensor, norm: nn.Module, branch: Callable[[Tensor], Tensor]) -> Tensor:
        if self.config.is_pre_norm:
            return x + self.dropout(branch(norm(x)))
        return norm(x + self.dropout(branch(x)))

    def _feed_forward(self, x: Tensor) -> Tensor:
        activation = F.gelu if self.config.activation == "gelu" else F.relu
        return self.narrow(self.dropout(activation(self.widen(x))))


class DecoderBlock(EncoderBlock):
    """An encoder block with cross-attention to a context between its two parts."""

    def __init__(self, config: BlockConfig) -> None:
        super().__init__(config)
        self.cross_attention = Attention(config.width, config.heads, config.dropout)
        self.cross_norm = nn.LayerNorm(config.width)

    def forward(  # type: ignore[override]
        self,
        x: Float[Tensor, "batch queries width"],
        context: Float[Tensor, "batch keys width"],
        mask: Bool[Tensor, "batch queries"] | None = None,
        context_mask: Bool[Tensor, "batch keys"] | None = None,
        causal: bool = False,
    ) -> Float[Tensor, "batch queries width"]:
        """The tokens after one block; masked tokens and masked context are seen by nobody."""
        x = self._residual(x, self.attention_norm, lambda y: self.self_attention(y, None, mask, causal))
        x = self._residual(x, self.cross_norm, lambda y: self.cross_attention(y, context, context_mask))
        return self._residual(x, self.feed_forward_norm, self._feed_forward)


class Stack(nn.Module):
    """Blocks in a row, and a LayerNorm behind them if asked for."""

    def __init__(
        self, block: type[EncoderBlock], config: BlockConfig, layers: int, *, has_final_norm: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(block(config) for _ in range(layers))
        self.norm = nn.LayerNorm(config.width) if has_final_norm else nn.Identity()

    def forward(
        self, x: Float[Tensor, "batch queries width"], *args: Any, **options: Any
    ) -> Float[Tensor, "batch queries width"]:
        """`x` through all blocks; the other arguments go to every block."""
        for block in self.blocks:
            x = block(x, *args, **options)
        return self.norm(x)


class SkipStack(Stack):
    """A stack with long connections in the shape of a U (MLD): the last block also sees what the first one gave.

    Of 2 k + 1 blocks, block k + i takes the output of block k - i beside that of its predecessor; a linear map
    brings the two back to one width. All matrices begin as Xavier draws, as in the authors' code.
    """

    def __init__(
        self, block: type[EncoderBlock], config: BlockConfig, layers: int, *, has_final_norm: bool
    ) -> None:
        if layers % 2 == 0:
            raise ValueError(f"a stack with long connections has an odd number of layers, got {layers}; add one")
        super().__init__(block, config, layers, has_final_norm=has_final_norm)
        self.merges = nn.ModuleList(nn.Linear(2 * config.width, config.width) for _ in range(layers // 2))
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(
        self, x: Float[Tensor, "batch queries width"], *args: Any, **options: Any
    ) -> Float[Tensor, "batch queries width"]:
        """`x` through all blocks; the other arguments go to every block."""
        depth, seen = len(self.merges), []
        for number, block in enumerate(self.blocks):
            if number > depth:
                x = self.merges[number - depth - 1](torch.cat([x, seen.pop()], -1))
            x = block(x, *args, **options)
            if number < depth:
                seen.append(x)
        return self.norm(x)
