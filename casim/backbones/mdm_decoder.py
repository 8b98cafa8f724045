"""MDM, decoder variant: noisy frames attend to each other and, by cross-attention, to the text.

Paper: Tevet et al. 2023, "Human Motion Diffusion Model"; with several text tokens, CASIM's decoder
(arXiv 2502.02063, its headline model) or MDM's later DistilBERT model. One class for all three.

Where we differ from the authors' code by default: padded frames are hidden from attention (MDM shows them) and a
LayerNorm closes the stack (CASIM's code does this, MDM's does not). `use_frame_mask=False`, `has_final_norm=False`,
`time_token` and `time_policy` are the authors' ways.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from casim.diffusion import DiffusionBackbone, DiffusionConfig
from casim.nn.attention import unless_full
from casim.nn.dropout import Dropout
from casim.nn.patches import FramePatches
from casim.nn.positions import TimeEmbedding, sinusoid
from casim.nn.transformer import BlockConfig, DecoderBlock, Stack
from casim.types import Condition


class MdmDecoder(DiffusionBackbone):
    """Denoises motion by cross-attention from frames to text tokens."""

    @dataclass(frozen=True)
    class Config:
        """Size and quirks; sizes are the paper's."""

        width: int = 512
        layers: int = 8
        heads: int = 4
        ff: int = 1024
        """Width of the feed-forward hidden layer."""
        dropout: float = 0.1
        max_frames: int = 196
        """Most frames that can be sampled at once."""
        patch: int = 1
        """Frames per motion token."""
        is_pre_norm: bool = False
        """Normalise before each branch instead of after each sum."""
        has_final_norm: bool = True
        """LayerNorm behind the last block. On in CASIM's decoder, off in MDM's."""
        use_frame_mask: bool = True
        """Hide padded frames from attention. Off in MDM's published models, on in CASIM."""
        time_token: Literal["none", "time", "time_text"] = "none"
        """A token in front of the frames (MDM's `emb_trans_dec`): the time embedding (MDM since February 2025), or
        that plus the text token (MDM before, and the published "with emb" weights; a single text token only)."""
        time_policy: Literal["add", "concat"] = "add"
        """Time is added to every text token, or is one more token in front of them (MDM's DistilBERT option)."""
        diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)

    def __init__(self, config: Config, feats: int) -> None:
        super().__init__(feats, config.diffusion, config.max_frames)
        self.config = config
        self.condition_width = config.width
        self.frames = FramePatches(feats, config.width, config.patch)
        self.time = TimeEmbedding(config.width)
        self.dropout = Dropout(config.dropout)
        block = BlockConfig(config.width, config.heads, config.ff, config.dropout, config.is_pre_norm)
        self.stack = Stack(DecoderBlock, block, config.layers, has_final_norm=config.has_final_norm)

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
