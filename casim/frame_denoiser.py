"""Base of the diffusion backbones that denoise frames with one transformer stack: MDM's encoder and decoder."""

from dataclasses import dataclass, field

from casim.diffusion import DiffusionBackbone, DiffusionConfig
from casim.nn.dropout import Dropout
from casim.nn.patches import FramePatches
from casim.nn.positions import TimeEmbedding
from casim.nn.transformer import BlockConfig, EncoderBlock, Stack
from casim.types import Space


@dataclass(frozen=True)
class FrameDenoiserConfig:
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
    """LayerNorm behind the last block. On in CASIM's decoder; off in its encoder and in MDM."""
    use_frame_mask: bool = True
    """Hide padded frames from attention. Off in MDM's published models, on in CASIM."""
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)


class FrameDenoiser(DiffusionBackbone):
    """Frames in patches, an embedding of the time step, and a stack of blocks; subclasses say how text joins."""

    def __init__(self, config: FrameDenoiserConfig, feats: Space, block: type[EncoderBlock]) -> None:
        super().__init__(feats, config.diffusion, config.max_frames)
        self.condition_width = config.width
        self.frames = FramePatches(self.feats, config.width, config.patch)
        self.time = TimeEmbedding(config.width)
        self.dropout = Dropout(config.dropout)
        sizes = BlockConfig(config.width, config.heads, config.ff, config.dropout, config.is_pre_norm)
        self.stack = Stack(block, sizes, config.layers, has_final_norm=config.has_final_norm)
