"""MLD's motion VAE: a whole clip as one latent vector, or a few.

Paper: Chen et al. 2023, "Executing your Commands via Motion Diffusion in Latent Space". Learned tokens in front of
the frames gather the clip in a transformer with long connections; a second one turns the latents back into frames.

Where we differ from the authors' code: the loss counts real frames alone (theirs averages over padded ones too),
and joint errors are in metres on every skeleton (theirs are in the data set's unit, which breaks training on KIT's
millimetres).
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from casim.diffusion import normal
from casim.features import FeatureSpec, denormalise, to_joints
from casim.nn.attention import unless_full
from casim.nn.positions import LearnedPositions
from casim.nn.transformer import BlockConfig, DecoderBlock, EncoderBlock, SkipStack
from casim.types import Codec, Condition, Losses, MotionBatch


class Gaussian(NamedTuple):
    """Independent normal distributions, one for each number of the latents."""

    mean: Float[Tensor, "batch codes width"]
    log_variance: Float[Tensor, "batch codes width"]

    @property
    def std(self) -> Float[Tensor, "batch codes width"]:
        """Standard deviations."""
        return (0.5 * self.log_variance).exp()

    def divergence(self) -> Float[Tensor, ""]:
        """KL divergence from the standard normal distribution, mean over all numbers."""
        return 0.5 * (self.log_variance.exp() + self.mean.square() - 1 - self.log_variance).mean()


class MotionVae(Codec):
    """Clips to a constant number of latent vectors and back."""

    @dataclass(frozen=True)
    class Config:
        """Sizes (the paper's) and weights of the loss."""

        width: int = 256
        """Width of a latent."""
        latents: int = 1
        """Latents per clip, however long it is. The paper tries 1, 2, 5, 7 and 10."""
        layers: int = 9
        heads: int = 4
        ff: int = 1024
        """Width of the feed-forward hidden layer."""
        dropout: float = 0.1
        is_pre_norm: bool = False
        """Normalise before each branch instead of after each sum."""
        decoder: Literal["cross", "joint"] = "cross"
        """Frames attend to the latents, or latents and frames share one sequence (the authors' `all_encoder`)."""
        has_distribution_layer: bool = False
        """Mean and variance come from one token by a linear map (the authors' `MLP_DIST`), not from two tokens."""
        positions: int = 500
        """Learned positions: frames and latent tokens together."""
        joint_weight: float = 1.0
        """Weight of the error of joint positions in metres."""
        kl_weight: float = 1e-4
        """Weight of the KL divergence from the standard normal distribution."""

    def __init__(self, config: Config, spec: FeatureSpec, mean: np.ndarray, std: np.ndarray) -> None:
        super().__init__(spec, mean, std)
        if config.latents < 1:
            raise ValueError(f"latents is {config.latents}; a clip needs 1 or more")
        self.config, self.space = config, config.width
        width = config.width
        self.embed, self.unembed = nn.Linear(spec.dims, width), nn.Linear(width, spec.dims)
        tokens = config.latents if config.has_distribution_layer else 2 * config.latents
        self.tokens = nn.Parameter(torch.randn(tokens, width))
        self.distribution = nn.Linear(width, 2 * width) if config.has_distribution_layer else None
        self.encoder_positions = LearnedPositions(config.positions, width)
        self.decoder_positions = LearnedPositions(config.positions, width)
        sizes = BlockConfig(width, config.heads, config.ff, config.dropout, config.is_pre_norm)
        blocks = DecoderBlock if config.decoder == "cross" else EncoderBlock
        self.encoder = SkipStack(EncoderBlock, sizes, config.layers, has_final_norm=True)
        self.decoder = SkipStack(blocks, sizes, config.layers, has_final_norm=True)

    def code_mask(self, frames: Bool[Tensor, "batch frames"]) -> Bool[Tensor, "batch codes"]:
        """Every clip takes all latents."""
        return frames.new_ones(len(frames), self.config.latents)

    def encode(self, batch: MotionBatch, generator: torch.Generator | None = None) -> MotionBatch:
        """The clips as latents: the mean, or with `generator` a draw."""
        found = self.posterior(batch.motion, batch.mask)
        latents = found.mean if generator is None else found.mean + found.std * _noise(batch, found, generator)
        return replace(batch, motion=latents, mask=self.code_mask(batch.mask))

    def posterior(
        self, motion: Float[Tensor, "batch frames feats"], frames: Bool[Tensor, "batch frames"]
    ) -> Gaussian:
        """The distribution of the latents of normalised clips."""
        tokens = self.tokens.expand(len(motion), -1, -1)
        x = torch.cat([tokens, self.embed(motion)], 1)
        mask = F.pad(frames, (tokens.shape[1], 0), value=True)
        x = self.encoder(x + self.encoder_positions(x.shape[1]), unless_full(mask))[:, : tokens.shape[1]]
        if self.distribution is None:
            return Gaussian(*x.chunk(2, 1))
        return Gaussian(*self.distribution(x).chunk(2, -1))

    def decode(
        self, codes: Float[Tensor, "batch codes width"], frames: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames feats"]:
        """Normalised motion, zero beyond `frames`."""
        batch, latents, width = codes.shape
        if self.config.decoder == "cross":
            x = self.decoder_positions(frames.shape[1]).expand(batch, -1, -1)
            x = self.decoder(x, codes, mask=unless_full(frames))
        else:
            x = torch.cat([codes, codes.new_zeros(batch, frames.shape[1], width)], 1)
            mask = unless_full(F.pad(frames, (latents, 0), value=True))
            x = self.decoder(x + self.decoder_positions(x.shape[1]), mask)[:, latents:]
        return self.unembed(x) * frames[..., None]

    def loss(
        self, batch: MotionBatch, condition: Condition | None, generator: torch.Generator | None = None
    ) -> Losses:
        """Smooth L1 error of features and of joints (metres) at real frames, and KL; `condition` is not used."""
        found = self.posterior(batch.motion, batch.mask)
        latents = found.mean + found.std * _noise(batch, found, generator)
        given = self.decode(latents, batch.mask).float()
        parts = {
            "features": _error(given, batch.motion, batch.mask),
            "joints": _error(self._joints(given), self._joints(batch.motion), batch.mask),
            "kl": found.divergence().float(),
        }
        weighted = self.config.joint_weight * parts["joints"] + self.config.kl_weight * parts["kl"]
        return Losses(parts["features"] + weighted, parts)

    def _joints(self, motion: Float[Tensor, "batch frames feats"]) -> Float[Tensor, "batch frames xyz"]:
        """All joint positions of a frame in a row, in metres."""
        joints = to_joints(denormalise(motion, self.mean, self.std), self.spec)
        return joints.flatten(2) * self.spec.skeleton.metres


def _error(
    given: Float[Tensor, "batch frames numbers"],
    wanted: Float[Tensor, "batch frames numbers"],
    mask: Bool[Tensor, "batch frames"],
) -> Float[Tensor, ""]:
    """Smooth L1 error of the real frames of each item, mean over items."""
    per_frame = F.smooth_l1_loss(given, wanted, reduction="none").mean(-1) * mask
    return (per_frame.sum(1) / mask.sum(1)).mean()


def _noise(batch: MotionBatch, found: Gaussian, generator: torch.Generator | None) -> Tensor:
    """Normal noise, drawn for the whole global batch, so that any number of processes draws the same."""
    first, total = batch.place or (0, len(batch))
    noise = normal((total, *found.mean.shape[1:]), generator, found.mean.device)
    return noise[first : first + len(batch)]
