"""MDM, encoder variant: text tokens and noisy frames in one sequence of a transformer encoder.

Paper: Tevet et al. 2023, "Human Motion Diffusion Model"; with several text tokens, CASIM's encoder
(arXiv 2502.02063). One class for both: MDM is the case of a single token.

Where we differ from the authors' code by default: padded frames are hidden from attention (MDM shows them), frames
keep their positions however many tokens the longest caption of the batch has (CASIM counts them), and a LayerNorm
closes the stack. `first_frame=None`, `use_frame_mask=False` and `has_final_norm=False` are the authors' ways.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from casim.frame_denoiser import FrameDenoiser, FrameDenoiserConfig
from casim.nn.attention import unless_full
from casim.nn.positions import sinusoid
from casim.nn.transformer import EncoderBlock
from casim.types import Condition, Space


class MdmEncoder(FrameDenoiser):
    """Denoises motion by self-attention over text tokens followed by frames."""

    @dataclass(frozen=True)
    class Config(FrameDenoiserConfig):
        """Size and quirks; sizes are the paper's."""

        first_frame: int | None = 128
        """Position of the first motion token; text tokens count from 0. None: right behind the padded text (MDM,
        CASIM); with text padded to the longest caption, outputs then depend on the other captions of the batch."""

    def __init__(self, config: Config, feats: Space) -> None:
        super().__init__(config, feats, EncoderBlock)
        self.config = config

    def denoise(
        self,
        x_t: Float[Tensor, "batch frames feats"],
        t: Int[Tensor, " batch"],
        condition: Condition,
        frames: Bool[Tensor, "batch frames"],
    ) -> Float[Tensor, "batch frames feats"]:
        """The clean motion behind `x_t`; the time embedding is added to every text token."""
        text = condition.tokens + self.time(t)[:, None]
        motion, motion_mask = self.frames.tokens(x_t, frames if self.config.use_frame_mask else None)
        if condition.pooled is not None:
            motion = motion + condition.pooled[:, None]
        cond = text.shape[1]
        mask = torch.ones_like(motion[..., 0], dtype=torch.bool) if motion_mask is None else motion_mask
        mask = unless_full(torch.cat([condition.mask, mask], 1))
        x = torch.cat([text, motion], 1)  # batch cond+tokens width
        x = self.stack(self.dropout(x + self._positions(cond, motion.shape[1]).to(x)), mask)
        return self.frames.frames(x[:, cond:], x_t.shape[1])

    def _positions(self, cond: int, tokens: int) -> Float[Tensor, "cond_tokens width"]:
        device = self.frames.embed.weight.device
        first = cond if self.config.first_frame is None else self.config.first_frame
        counts = [torch.arange(cond, device=device), torch.arange(first, first + tokens, device=device)]
        return sinusoid(torch.cat(counts), self.config.width)
