"""MLD's denoiser: diffusion over the latents of a motion VAE, or over frames where there is no codec.

Paper: Chen et al. 2023, "Executing your Commands via Motion Diffusion in Latent Space"; with several text tokens,
CASIM's MLD (arXiv 2502.02063, table 9; unpublished code). Sampling as published: `sampler="ddim"`, 50 steps,
guidance 7.5; the config says where those steps lie.

Where we differ from the authors' code by default: padded text and padded frames are hidden from attention, and no
position depends on the longest caption or clip of the batch. `use_frame_mask=False` and `is_motion_last=True` are
the authors' ways without a VAE; their ReLU before the text projection is the injection's `is_rectified`.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from casim.diffusion import DiffusionBackbone, DiffusionConfig
from casim.frame_denoiser import FrameDenoiserConfig
from casim.nn.attention import unless_full
from casim.nn.patches import FramePatches
from casim.nn.positions import LearnedPositions, TimeEmbedding, halved_sinusoid
from casim.nn.transformer import BlockConfig, DecoderBlock, EncoderBlock, SkipStack, Stack
from casim.types import Condition, Space

LATENT_DIFFUSION = DiffusionConfig(
    schedule="scaled_linear", prediction="epsilon", spacing="leading", offset=1, ends_clean=False
)


class Mld(DiffusionBackbone):
    """Denoises latents (or frames) beside a time token and the text tokens."""

    @dataclass(frozen=True)
    class Config(FrameDenoiserConfig):
        """Size and quirks; sizes are the paper's."""

        width: int = 256
        """Latents of this width enter as they are and leave through the last LayerNorm, as in the paper; others,
        and frames, pass through linear maps. The LayerNorm fixes the length of the answer, which fits noise in 256
        dimensions but not in few: a narrow model does better with another width than its latents'."""
        layers: int = 9
        max_frames: int = 196
        """Most frames, or latents, that can be sampled at once."""
        diffusion: DiffusionConfig = field(default_factory=lambda: LATENT_DIFFUSION)
        arch: Literal["encoder", "decoder"] = "encoder"
        """One sequence of motion, time and text; or motion that attends to time and text."""
        has_skips: bool = True
        """Long connections between the first and the last blocks. The authors' decoder has none."""
        is_motion_last: bool = False
        """Positions count time and text first, then motion, in the encoder: the authors' way without a VAE. With
        text padded to the longest caption, outputs then depend on the other captions of the batch."""
        positions: int = 500
        """Learned positions: motion, time and text together."""
        time_width: int = 768
        """Width of the sinusoid of the time step; the authors' is as wide as their text features."""

    def __init__(self, config: Config, feats: Space) -> None:
        super().__init__(feats, config.diffusion, config.max_frames)
        self.config = config
        self.condition_width = config.width
        is_direct = self.feats == config.width and config.patch == 1
        self.frames = None if is_direct else FramePatches(self.feats, config.width, config.patch)
        self.time = TimeEmbedding(config.width, config.time_width, halved_sinusoid)
        self.positions = LearnedPositions(config.positions, config.width)
        is_encoder = config.arch == "encoder"
        self.context_positions = None if is_encoder else LearnedPositions(config.positions, config.width)
        sizes = BlockConfig(config.width, config.heads, config.ff, config.dropout, config.is_pre_norm)
        self.stack = (SkipStack if config.has_skips else Stack)(
            EncoderBlock if is_encoder else DecoderBlock,
            sizes,
            config.layers,
            has_final_norm=config.has_final_norm,
        )

    def denoise(
        self,
        x_t: Float[Tensor, "batch frames feats"],
        t: Int[Tensor, " batch"],
        condition: Condition,
        frames: Bool[Tensor, "batch frames"],
    ) -> Float[Tensor, "batch frames feats"]:
        """The noise in `x_t` (or the clean motion, see `DiffusionConfig.prediction`)."""
        motion, mask = x_t, frames if self.config.use_frame_mask else None
        if self.frames is not None:
            motion, mask = self.frames.tokens(x_t, mask)
        if condition.pooled is not None:
            motion = motion + condition.pooled[:, None]
        text = torch.cat([self.time(t)[:, None], condition.tokens], 1)  # batch 1+cond width
        text_mask = F.pad(condition.mask, (1, 0), value=True)
        motion = self._attended(motion, mask, text, text_mask)
        return motion if self.frames is None else self.frames.frames(motion, x_t.shape[1])

    def _attended(
        self,
        motion: Float[Tensor, "batch tokens width"],
        mask: Bool[Tensor, "batch tokens"] | None,
        text: Float[Tensor, "batch cond width"],
        text_mask: Bool[Tensor, "batch cond"],
    ) -> Float[Tensor, "batch tokens width"]:
        """The motion tokens behind the stack. What order they enter in is seen in the positions alone."""
        tokens, cond = motion.shape[1], text.shape[1]
        if self.context_positions is not None:
            text = text + self.context_positions(cond)
            motion = motion + self.positions(tokens)
            return self.stack(motion, text, mask=unless_full(mask), context_mask=unless_full(text_mask))
        motion_first, text_first = (cond, 0) if self.config.is_motion_last else (0, self._longest)
        text = text + self.positions(cond, text_first)
        motion = motion + self.positions(tokens, motion_first)
        mask = torch.ones_like(motion[..., 0], dtype=torch.bool) if mask is None else mask
        whole = unless_full(torch.cat([text_mask, mask], 1))
        return self.stack(torch.cat([text, motion], 1), whole)[:, cond:]

    @property
    def _longest(self) -> int:
        """Motion tokens of the longest motion: time and text have the positions behind it."""
        return -(-self.max_frames // self.config.patch)
