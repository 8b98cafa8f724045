"""The first stage of two: a codec with what its features mean, trained alone, then frozen behind a backbone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from casim import checkpoint, motion_model, plugins, record
from casim.features import FeatureSpec
from casim.motion_model import MotionModel
from casim.setups import CodecSetup, FirstStage, Setup
from casim.types import Codec, Condition, Losses, MotionBatch, MotionDataset


class MotionCodec(MotionModel):
    """Motion to latents or codes and back. The state dict holds `codec.*` and the feature statistics."""

    def __init__(self, setup: CodecSetup, spec: FeatureSpec, mean: np.ndarray, std: np.ndarray) -> None:
        super().__init__(setup, spec, mean, std)
        self.setup = setup
        self.codec: Codec = plugins.build(setup.codec, spec, mean, std)

    def inputs(
        self, batch: MotionBatch, dropped: Bool[Tensor, " batch"], generator: torch.Generator
    ) -> tuple[MotionBatch]:
        """The batch: a codec reads no text."""
        return (batch,)

    def forward(self, batch: MotionBatch, generator: torch.Generator) -> Losses:
        """Training loss."""
        return self.codec.loss(batch, None, generator)

    @torch.no_grad()
    def reconstruct(self, batch: MotionBatch) -> Float[Tensor, "batch frames feats"]:
        """Clips encoded and decoded, normalised as they came; a random codec takes its mean."""
        return self.codec.decode(self.codec.encode(batch).motion, batch.mask)

    @staticmethod
    def load(run: Path | str, device: torch.device | str = "cpu") -> "MotionCodec":
        """The codec of a run folder or run name, in evaluation mode.

        Raises:
            FileNotFoundError: no such run, or no weights in it.
            ValueError: the config or the weights are not those of such a model.
        """
        stored = motion_model.read(run, CodecSetup)
        mean, std = (stored.tensors[name].numpy() for name in ("mean", "std"))
        model = MotionCodec(stored.setup, stored.spec, mean, std)
        stored.fill(model, device)
        return model

    @staticmethod
    def for_dataset(setup: CodecSetup, dataset: MotionDataset) -> "MotionCodec":
        """A fresh codec for a dataset's features."""
        model = MotionCodec(setup, dataset.spec, dataset.mean, dataset.std)
        model.adopt(dataset)
        return model


def with_first_stage(setup: Setup) -> Setup:
    """The setup with what its first stage is now: config of the codec and hash of its weights.

    Raises:
        FileNotFoundError: the run has no weights.
        ValueError: no such run, or a run of something else than a codec.
    """
    run = setup.first_stage.run
    if not run:
        return setup
    folder = checkpoint.find_run(run)
    config, weights = checkpoint.load_config(folder), folder / checkpoint.WEIGHTS
    if "codec" not in config:
        raise ValueError(f"{run} is no first stage: it trained no codec; name a run of a codec: --first-stage RUN")
    if not weights.exists():
        raise FileNotFoundError(f"no weights at {weights}; the first stage {run} has not been trained")
    codec = CodecSetup.from_json(config).codec
    return replace(setup, first_stage=replace(setup.first_stage, sha256=record.sha256(weights), codec=codec))


class Standardised(Codec):
    """A codec of latents, brought to mean 0 and deviation 1 in each channel over training clips.

    Latent diffusion does so with one scalar (Rombach et al. 2022, appendix G); without it the same noise schedule
    hides latents of one codec later than those of another.
    """

    latent_mean: Float[Tensor, " channels"]
    latent_std: Float[Tensor, " channels"]

    def __init__(self, codec: Codec) -> None:
        """Around a codec, not yet measured.

        Raises:
            ValueError: the codec gives codes.
        """
        super().__init__(codec.spec, codec.mean.cpu().numpy(), codec.std.cpu().numpy())
        if not isinstance(codec.space, int):
            raise ValueError(f"{type(codec).__name__} gives codes, which have no scale; standardise latents alone")
        self.codec, self.space = codec, codec.space
        self.register_buffer("latent_mean", torch.zeros(codec.space))
        self.register_buffer("latent_std", torch.ones(codec.space))

    @torch.no_grad()
    def fit(self, dataset: MotionDataset, clips: int = 1024) -> None:
        """Measures drawn latents of the first `clips` training clips."""
        split, generator = dataset.split("train"), torch.Generator().manual_seed(0)
        items = range(min(clips, len(split)))
        parts = [split.batch(items[at : at + 128]) for at in range(0, len(items), 128)]
        drawn = [self.codec.encode(part, generator) for part in parts]
        latents = torch.cat([part.motion[part.mask] for part in drawn]).double()
        self.latent_mean.copy_(latents.mean(0))
        self.latent_std.copy_(latents.std(0).clamp(min=1e-6))

    def code_mask(self, frames: Bool[Tensor, "batch frames"]) -> Bool[Tensor, "batch codes"]:
        """As the codec's."""
        return self.codec.code_mask(frames)

    def encode(self, batch: MotionBatch, generator: torch.Generator | None = None) -> MotionBatch:
        """The clips as standardised latents, zero at padded places."""
        found = self.codec.encode(batch, generator)
        latents = (found.motion - self.latent_mean) / self.latent_std
        return replace(found, motion=latents * found.mask[..., None])

    def decode(
        self, codes: Shaped[Tensor, "batch codes channels"], frames: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames feats"]:
        """Normalised motion, zero beyond `frames`."""
        return self.codec.decode(codes * self.latent_std + self.latent_mean, frames)

    def loss(
        self, batch: MotionBatch, condition: Condition | None, generator: torch.Generator | None = None
    ) -> Losses:
        """The codec's own."""
        return self.codec.loss(batch, condition, generator)


def frozen_codec(stage: FirstStage, dataset: MotionDataset) -> Codec | None:
    """The codec of a first stage for a backbone on a dataset; None where there is no first stage.

    Raises:
        ValueError: the codec was trained on other features, or on features normalised otherwise.
    """
    if not stage.run:
        return None
    model = MotionCodec.load(stage.run)
    if model.spec != dataset.spec:
        raise ValueError(
            f"the first stage {stage.run} was trained on other features ({model.spec}) than this data has "
            f"({dataset.spec}); train it on the same data"
        )
    own = np.stack([dataset.mean, dataset.std]).astype(np.float32)
    gap = float(np.abs(own - np.stack([model.mean.numpy(), model.std.numpy()])).max())
    if gap > 0:
        raise ValueError(
            f"the first stage {stage.run} was trained with other statistics (mean and std of features differ by up "
            f"to {gap:.3g}); train it on the same data"
        )
    if not stage.is_standardised:
        return model.codec
    codec = Standardised(model.codec)
    codec.fit(dataset)
    return codec
