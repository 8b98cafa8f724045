"""The first stage of two: a codec with what its features mean, trained alone, then frozen behind a backbone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from casim import checkpoint, motion_model, plugins, record
from casim.features import FeatureSpec
from casim.motion_model import MotionModel
from casim.setups import CodecSetup, FirstStage, Setup
from casim.types import Codec, Losses, MotionBatch, MotionDataset


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
    return replace(setup, first_stage=FirstStage(run, record.sha256(weights), codec))


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
    return model.codec
