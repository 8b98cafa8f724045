"""T2M-GPT's VQ-VAE: every four frames as one code out of 512.

Paper: Zhang et al. 2023, "T2M-GPT: Generating Human Motion from Textual Descriptions with Discrete
Representations".

Where we differ from the authors' code: clips of any length are encoded (the last code covers what is left), padded
frames are seen by nothing, and the codebook's averages are saved, so that a resumed training keeps its codebook.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from casim.features import FeatureSpec
from casim.nn.quantizer import Quantized, Quantizer
from casim.nn.temporal import TemporalConfig, TemporalDecoder, TemporalEncoder, at_stride
from casim.nn.windows import cut, starts
from casim.types import Codec, Condition, Losses, MotionBatch


class Vqvae(Codec):
    """Clips to codes and back."""

    @dataclass(frozen=True)
    class Config:
        """Sizes (the paper's) and weights of the loss."""

        codes: int = 512
        """Size of the codebook."""
        width: int = 512
        """Width of a code's vector."""
        network: TemporalConfig = field(default_factory=TemporalConfig)
        """Of encoder and decoder."""
        update: Literal["average", "average_reset", "gradient"] = "average_reset"
        """How codes learn: moving averages (that codes without use leave for vectors of the batch), or
        gradients."""
        decay: float = 0.99
        """Of the moving averages."""
        gives: Literal["codes", "latents"] = "codes"
        """What `encode` gives: codes, or the vectors before quantisation, for diffusion over them. Either is
        decoded through the nearest codes."""
        window: int | None = 64
        """Consecutive frames of each clip that a training step sees; None: the whole clip."""
        commitment_weight: float = 0.02
        position_weight: float = 0.5
        """Weight of the joint positions, which count once more."""

    def __init__(self, config: Config, spec: FeatureSpec, mean: np.ndarray, std: np.ndarray) -> None:
        super().__init__(spec, mean, std)
        self.config = config
        self.space = (config.codes,) if config.gives == "codes" else config.width
        self.encoder = TemporalEncoder(config.network, spec.dims, config.width)
        self.decoder = TemporalDecoder(config.network, config.width, spec.dims)
        self.quantizer = Quantizer(config.codes, config.width, config.update, config.decay)

    def code_mask(self, frames: Bool[Tensor, "batch frames"]) -> Bool[Tensor, "batch codes"]:
        """One place for every four frames, begun ones included."""
        return at_stride(frames, self.config.network.stride)

    def frames_of(self, codes: Int[Tensor, "batch codes channels"]) -> Int[Tensor, " batch"]:
        """Four frames for every code."""
        return (codes[..., 0] >= 0).sum(1) * self.config.network.stride

    def encode(self, batch: MotionBatch, generator: torch.Generator | None = None) -> MotionBatch:
        """The clips as codes (or latents); nothing is drawn."""
        mask = self.code_mask(batch.mask)
        motion = self.encoder(batch.motion, batch.mask)
        if self.config.gives == "codes":
            motion = torch.where(mask[..., None], self.quantizer(motion, mask).codes[..., None], -1)
        return replace(batch, motion=motion, mask=mask)

    def decode(
        self, codes: Shaped[Tensor, "batch codes channels"], frames: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames feats"]:
        """Normalised motion, zero beyond `frames`; codes of -1 are nothing."""
        if self.config.gives == "codes":
            mask, vectors = codes[..., 0] >= 0, self.quantizer.vectors(codes[..., 0])
        else:
            mask = self.code_mask(frames)[:, : codes.shape[1]]
            vectors = self.quantizer(codes, mask).vectors
        motion = self.decoder(vectors, mask)[:, : frames.shape[1]]
        motion = F.pad(motion, (0, 0, 0, frames.shape[1] - motion.shape[1]))
        return motion * frames[..., None]

    def quantized(
        self, batch: MotionBatch, generator: torch.Generator | None = None
    ) -> tuple[Quantized, Float[Tensor, "batch frames feats"]]:
        """What quantisation gives, and the reconstruction, zero in padded frames."""
        mask = self.code_mask(batch.mask)
        found = self.quantizer(self.encoder(batch.motion, batch.mask), mask, generator)
        motion = self.decoder(found.vectors, mask)[:, : batch.mask.shape[1]]
        return found, motion * batch.mask[..., None]

    def loss(
        self, batch: MotionBatch, condition: Condition | None, generator: torch.Generator | None = None
    ) -> Losses:
        """Smooth L1 error of features, and of joint positions once more, and commitment; `condition` is not
        used."""
        if self.config.window is not None:
            batch = cut(batch, starts(batch, self.config.window, generator), self.config.window)
        found, given = self.quantized(batch, generator)
        error = F.smooth_l1_loss(given.float(), batch.motion, reduction="none")
        last = 4 + 3 * (self.spec.joints - 1)
        parts = {
            "features": _mean(error, batch.mask),
            "positions": _mean(error[..., 4:last], batch.mask),
            "commitment": found.commitment,
            "perplexity": found.perplexity,
        }
        weighted = self.config.position_weight * parts["positions"]
        weighted = weighted + self.config.commitment_weight * parts["commitment"]
        return Losses(parts["features"] + weighted, parts)


def _mean(error: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"]) -> Float[Tensor, ""]:
    """Mean over features and over the real frames of the whole batch."""
    return (error.mean(-1) * mask).sum() / mask.sum()
