"""What the models of both stages share: features with their statistics, a dataset, a run folder."""

from abc import abstractmethod
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from casim import checkpoint, plugins
from casim.features import FeatureSpec, denormalise, to_joints
from casim.setups import CodecSetup, Setup, entry
from casim.types import MotionBatch, MotionDataset


class MotionModel(nn.Module):
    """A model that the trainer trains, and what its features mean."""

    mean: Float[Tensor, " feats"]
    std: Float[Tensor, " feats"]

    def __init__(self, setup: Setup | CodecSetup, spec: FeatureSpec, mean: np.ndarray, std: np.ndarray) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32))
        self.config: dict[str, Any] = setup.to_json() | {"spec": asdict(spec)}
        self._data_config = setup.data

    @abstractmethod
    def inputs(
        self, batch: MotionBatch, dropped: Bool[Tensor, " batch"], generator: torch.Generator
    ) -> tuple[Any, ...]:
        """What `forward` wants, before its generator, for a batch whose rows `dropped` lose their text.

        Everything frozen runs here: without gradient and in full precision.
        """

    def check(self, batch: MotionBatch) -> None:
        """Refuses what the model cannot be trained on, before anything is written.

        Raises:
            ValueError: with the reason.
        """

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    @cached_property
    def _dataset(self) -> MotionDataset:
        return plugins.build(self._data_config)

    def dataset(self) -> MotionDataset:
        """The dataset that the model was trained on, rebuilt from its config."""
        return self._dataset

    def adopt(self, dataset: MotionDataset) -> None:
        """Makes a dataset, built already, the one that `dataset` gives."""
        self.__dict__["_dataset"] = dataset

    def joints(self, motion: Float[Tensor, "batch frames feats"]) -> Float[Tensor, "batch frames joints xyz"]:
        """Joint positions of normalised motions, in the dataset's unit (metres; KIT: millimetres)."""
        return to_joints(denormalise(motion, self.mean, self.std), self.spec)

    def save(self, folder: Path, extra: dict[str, Any], *, half: bool = False) -> Path:
        """Writes weights and config (with `extra`: recipe, training) to a run folder; gives the weights' path."""
        checkpoint.save_config(folder, {**extra, **self.config})
        checkpoint.save_tensors(folder / checkpoint.WEIGHTS, self.state_dict(), half=half)
        return folder / checkpoint.WEIGHTS


class Stored(NamedTuple):
    """What a run folder holds."""

    folder: Path
    config: dict[str, Any]
    setup: Any
    spec: FeatureSpec
    tensors: dict[str, Tensor]

    def fill(self, model: MotionModel, device: torch.device | str) -> None:
        """Gives a fresh model the weights and the config, and puts it into evaluation mode on `device`.

        Raises:
            ValueError: the weights are not those of such a model.
        """
        checkpoint.load_into(model, self.tensors, str(self.folder / checkpoint.WEIGHTS))
        model.config = self.config
        model.to(device).eval()


def read(run: Path | str, kind: type[Setup] | type[CodecSetup]) -> Stored:
    """The run of a folder or name.

    Raises:
        FileNotFoundError: no such run, or no weights in it.
        ValueError: the config is not of that kind of setup, or the weights are not those of a model of motion.
    """
    folder = checkpoint.find_run(run)
    config = checkpoint.load_config(folder)
    try:
        setup, spec = kind.from_json(config), plugins.restore(FeatureSpec, entry(config, "spec"))
    except ValueError as error:
        raise ValueError(f"{folder / checkpoint.CONFIG}: {error}") from error
    tensors = checkpoint.load_tensors(folder / checkpoint.WEIGHTS)
    if not {"mean", "std"} <= set(tensors):
        raise ValueError(f"{folder / checkpoint.WEIGHTS} has no statistics: it is no motion model of casim")
    return Stored(folder, config, setup, spec, tensors)
