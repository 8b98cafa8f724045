"""ACTOR's transformers between a sequence and one vector: the networks of TMR.

Paper: Petrovich et al., "Action-Conditioned 3D Human Motion Synthesis with Transformer VAE", ICCV 2021
(arXiv:2104.05670), in the form of TMR (arXiv:2305.00976): post-norm, GELU, sinusoidal positions, no final norm.
"""

from dataclasses import dataclass

import torch
from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from casim.nn.attention import unless_full
from casim.nn.dropout import Dropout
from casim.nn.positions import sinusoid
from casim.nn.transformer import BlockConfig, DecoderBlock, EncoderBlock, Stack


@dataclass(frozen=True)
class ActorConfig:
    """Size of one transformer; the defaults are TMR's."""

    width: int = 256
    """Width of the tokens and of the vector."""
    layers: int = 6
    heads: int = 4
    ff: int = 1024
    """Width of the hidden layer of the feed-forward parts."""
    dropout: float = 0.1

    def stack(self, block: type[EncoderBlock]) -> Stack:
        """The blocks."""
        sizes = BlockConfig(self.width, self.heads, self.ff, self.dropout)
        return Stack(block, sizes, self.layers, has_final_norm=False)


class ActorEncoder(nn.Module):
    """A sequence to `slots` vectors: what becomes of as many learned tokens that stand in front of it."""

    def __init__(self, config: ActorConfig, slots: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(slots, config.width))
        self.dropout = Dropout(config.dropout)
        self.stack = config.stack(EncoderBlock)

    def forward(
        self, x: Float[Tensor, "batch tokens width"], mask: Bool[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch slots width"]:
        """The learned tokens behind the last block; masked tokens are seen by nobody."""
        slots = len(self.tokens)
        x = torch.cat([repeat(self.tokens, "slots width -> batch slots width", batch=len(x)), x], 1)
        x = self.dropout(x + sinusoid(torch.arange(x.shape[1], device=x.device), x.shape[2]))
        mask = torch.cat([mask.new_ones(len(mask), slots), mask], 1)
        return self.stack(x, unless_full(mask))[:, :slots]


class ActorDecoder(nn.Module):
    """One vector to a sequence: positions alone ask for it, through cross-attention."""

    def __init__(self, config: ActorConfig) -> None:
        super().__init__()
        self.dropout = Dropout(config.dropout)
        self.stack = config.stack(DecoderBlock)

    def forward(
        self, latent: Float[Tensor, "batch width"], mask: Bool[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        """As many tokens as the mask has columns; masked ones are seen by nobody."""
        positions = sinusoid(torch.arange(mask.shape[1], device=latent.device), latent.shape[1])
        queries = self.dropout(repeat(positions, "tokens width -> batch tokens width", batch=len(latent)))
        return self.stack(queries, latent[:, None], unless_full(mask))
