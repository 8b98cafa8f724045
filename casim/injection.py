"""How text reaches a motion model: one pooled vector (`Fixed`) or every token (`Casim`).

CASIM (arXiv 2502.02063) projects every token of a frozen text encoder; earlier models project one pooled vector.
Both give a `Condition`, so that a backbone is written once and the injection is the only difference of two arms.
With context layers both run the same trainable layers over the tokens and have equal numbers of parameters.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from casim.nn.positions import sinusoid
from casim.nn.transformer import BlockConfig, EncoderBlock, Stack
from casim.types import Condition, TextTokens


@dataclass(frozen=True)
class ContextConfig:
    """Trainable layers between the frozen text encoder and the motion model."""

    layers: int = 0
    """Transformer layers over the projected tokens; 0: the projection alone, as in the papers."""
    heads: int = 4
    dropout: float = 0.1


class Injection(nn.Module):
    """Projects text tokens to the width of the motion model; subclasses say which tokens the model gets."""

    def __init__(self, config: "Casim.Config | Fixed.Config", text_width: int, width: int):
        super().__init__()
        context = config.context
        self.is_rectified = config.is_rectified
        self.projection = nn.Linear(text_width, width)
        self.context = _Context(context, width) if context.layers else None

    def forward(self, text: TextTokens, dropped: Bool[Tensor, " batch"] | None = None) -> Condition:
        """The condition of a batch; rows where `dropped` is True become the null condition.

        The null condition has the text features zeroed before the projection and keeps the mask, as in CASIM and
        MDM.
        """
        raise NotImplementedError

    def null(self, text: TextTokens) -> Condition:
        """The null condition of a batch, for classifier-free guidance."""
        return self(text, torch.ones(len(text), dtype=torch.bool, device=text.tokens.device))

    def _project(
        self,
        features: Float[Tensor, "batch words features"],
        mask: Bool[Tensor, "batch words"],
        dropped: Bool[Tensor, " batch"] | None,
    ) -> Float[Tensor, "batch words width"]:
        if dropped is not None:
            features = features.masked_fill(dropped[:, None, None], 0.0)
        tokens = self.projection(features.relu() if self.is_rectified else features)
        return tokens if self.context is None else self.context(tokens, mask)


class Casim(Injection):
    """Token-level injection: the model attends to every token."""

    @dataclass(frozen=True)
    class Config:
        """Options of token-level injection."""

        context: ContextConfig = ContextConfig()
        is_rectified: bool = False
        """ReLU before the projection, as in MLD: negative text features are lost."""

    def __init__(self, config: Config, text_width: int, width: int):
        super().__init__(config, text_width, width)

    def forward(self, text: TextTokens, dropped: Bool[Tensor, " batch"] | None = None) -> Condition:
        """One condition token per text token, with the text's mask."""
        return Condition(self._project(text.tokens, text.mask, dropped), text.mask)


class Fixed(Injection):
    """Fixed-length injection: the model gets a constant number of vectors."""

    @dataclass(frozen=True)
    class Config:
        """Options of fixed-length injection."""

        pool: Literal["encoder", "mean", "cls"] = "encoder"
        """encoder: the text encoder's own pooled vector (the papers). mean, cls: the tokens after the context
        layers, averaged or the first one, so that both arms have the same trainable text layers."""
        to_frames: bool = False
        """Adds the vector to every motion token as well."""
        context: ContextConfig = ContextConfig()
        is_rectified: bool = False
        """ReLU before the projection, as in MLD: negative text features are lost."""

    def __init__(self, config: Config, text_width: int, width: int):
        super().__init__(config, text_width, width)
        self.pool, self.to_frames = config.pool, config.to_frames

    def forward(self, text: TextTokens, dropped: Bool[Tensor, " batch"] | None = None) -> Condition:
        """One condition token per pooled slot; never masked."""
        if self.pool == "encoder":
            mask = torch.ones(text.pooled.shape[:2], dtype=torch.bool, device=text.pooled.device)
            tokens = self._project(text.pooled, mask, dropped)
        else:
            tokens = self._pooled(self._project(text.tokens, text.mask, dropped), text.mask)
            mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return Condition(tokens, mask, tokens.mean(1) if self.to_frames else None)

    def _pooled(
        self, tokens: Float[Tensor, "batch words width"], mask: Bool[Tensor, "batch words"]
    ) -> Float[Tensor, "batch 1 width"]:
        if self.pool == "cls":
            return tokens[:, :1]
        weights = mask[..., None].to(tokens.dtype)
        return (tokens * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)


class _Context(nn.Module):
    """LayerNorm, sinusoid positions and encoder layers over projected tokens."""

    def __init__(self, config: ContextConfig, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        block = BlockConfig(width, config.heads, 2 * width, config.dropout, is_pre_norm=True)
        self.stack = Stack(EncoderBlock, block, config.layers, has_final_norm=True)

    def forward(
        self, tokens: Float[Tensor, "batch words width"], mask: Bool[Tensor, "batch words"]
    ) -> Float[Tensor, "batch words width"]:
        tokens = self.norm(tokens)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return self.stack(tokens + sinusoid(places, tokens.shape[2]).to(tokens.dtype), mask)


KINDS: dict[str, type[Injection]] = {"casim": Casim, "fixed": Fixed}
