"""MDM, decoder variant: noisy frames attend to each other and, by cross-attention, to the text.

Paper: Tevet et al. 2023, "Human Motion Diffusion Model"; with several text tokens, CASIM's decoder
(arXiv 2502.02063, its headline model) or MDM's later DistilBERT model. One class for all three.

Where we differ from the authors' code by default: padded frames are hidden from attention (MDM shows them) and a
LayerNorm closes the stack (CASIM's code does this, MDM's does not). `use_frame_mask=False`, `has_final_norm=False`,
`time_token` and `time_policy` are the authors' ways.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from casim.frame_denoiser import FrameDenoiser, FrameDenoiserConfig
from casim.nn.attention import unless_full
from casim.nn.positions import sinusoid
from casim.nn.transformer import DecoderBlock
from casim.types import Condition, Space


class MdmDecoder(FrameDenoiser):
    """Denoises motion by cross-attention from frames to text tokens."""

    @dataclass(frozen=True)
    class Config(FrameDenoiserConfig):
        """Size and quirks; sizes are the paper's."""

        time_token: Literal["none", "time", "time_text"] = "none"
        """A token in front of the frames (MDM's `emb_trans_dec`): the time embedding (MDM since February 2025), or
        that plus the text token (MDM before, and the published "with emb" weights; a single text token only)."""
        time_policy: Literal["add", "concat"] = "add"
        """Time is added to every text token, or is one more token in front of them (MDM's DistilBERT option)."""

    def __init__(self, config: Config, feats: Space) -> None:
        super().__init__(config, feats, DecoderBlock)
        self.config = config

    def denoise(
        self,
        x_t: Float[Tensor, "batch frames feats"],
        t: Int[Tensor, " batch"],
        condition: Condition,
        frames: Bool[Tensor, "batch frames"],
    ) -> Float[Tensor, "batch frames feats"]:
        """The clean motion behind `x_t`; text tokens carry the time step but no position."""
        time = self.time(t)[:, None]
        text, text_mask = self._text(time, condition)
        motion, mask = self.frames.tokens(x_t, frames if self.config.use_frame_mask else None)
        if condition.pooled is not None:
            motion = motion + condition.pooled[:, None]
        if self.config.time_token != "none":
            motion = torch.cat([self._time_token(time, text), motion], 1)
            mask = None if mask is None else F.pad(mask, (1, 0), value=True)
        positions = torch.arange(motion.shape[1], device=motion.device)
        motion = self.dropout(motion + sinusoid(positions, self.config.width).to(motion))
        motion = self.stack(motion, text, mask=unless_full(mask), context_mask=unless_full(text_mask))
        if self.config.time_token != "none":
            motion = motion[:, 1:]
        return self.frames.frames(motion, x_t.shape[1])

    def _text(
        self, time: Float[Tensor, "batch 1 width"], condition: Condition
    ) -> tuple[Float[Tensor, "batch keys width"], Bool[Tensor, "batch keys"]]:
        if self.config.time_policy == "add":
            return condition.tokens + time, condition.mask
        return torch.cat([time, condition.tokens], 1), F.pad(condition.mask, (1, 0), value=True)

    def _time_token(
        self, time: Float[Tensor, "batch 1 width"], text: Float[Tensor, "batch keys width"]
    ) -> Float[Tensor, "batch 1 width"]:
        if self.config.time_token == "time":
            return time
        if text.shape[1] != 1:
            raise ValueError(
                f"time_token='time_text' takes one text token, got {text.shape[1]}; "
                "use 'time', or a fixed-length injection"
            )
        return text
