"""The data that embedders of captions are trained on and checked with."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor, as_tensor

from casim import plugins, record
from casim.data.choreography import Choreography
from casim.data.humanml3d import HumanML3D
from casim.features import FeatureSpec
from casim.skeleton import SKELETONS
from casim.types import MotionBatch, MotionDataset

CHOREOGRAPHY = "choreography"
ANOTHER_SEED = 3_000_017
"""Added to the benchmark's seed: no run trains on clips of that seed, and neither does another embedder."""
BENCHMARK = Choreography.Config()
MIN_FRAMES = {22: 40, 21: 24}
"""Shortest clips of HumanML3D and KIT."""


@dataclass(frozen=True)
class Data:
    """A dataset, and what training has to know of it."""

    name: str
    """In words."""
    learnt: MotionDataset
    """Whose train split is trained on."""
    dataset: MotionDataset
    """Whose other splits are judged."""
    config: dict[str, Any]
    """Config of what is trained on, for a record."""
    validation: str
    """The split that settings are chosen on."""
    reported: tuple[str, ...]
    """The splits that figures are given for."""
    folder: Path | None
    """Where it is, if it is on disk."""
    meaning: str
    """What clips have in common that captions do not tell apart."""

    def features(self, batch: MotionBatch, dataset: MotionDataset) -> Float[Tensor, "batch frames feats"]:
        """Denormalised features of a batch of a dataset; padding is not zero in them."""
        return batch.motion * as_tensor(dataset.std) + as_tensor(dataset.mean)


def open_data(name: str) -> Data:
    """Choreography, or a folder in the layout of HumanML3D or KIT, told apart by the width of its statistics.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: the folder is of neither width, or lacks a split.
    """
    if name == CHOREOGRAPHY:
        return of_choreography(BENCHMARK)
    dataset = HumanML3D(_folder_config(Path(name)))
    where = record.relative(Path(name))
    if not {"train", "val"} <= set(dataset.splits):
        raise ValueError(f"{name} has the splits {', '.join(dataset.splits)}; training needs train and val")
    reported = ("val", *(split for split in dataset.splits if split == "test"))
    config = plugins.describe(dataset.config) | {"folder": where}
    return Data(where, dataset, dataset, config, "val", reported, Path(name), "the same caption")


def of_choreography(config: Choreography.Config) -> Data:
    """The procedural benchmark, learnt from clips of its own: another seed, and no pair of actions held out.

    An embedder that has never seen the held-out pairs would judge them by how strange they are to it.
    """
    splits = ("validation", "test", "held_out")
    own = replace(config, seed=config.seed + ANOTHER_SEED, held_out_pairs=0)
    alike = "the same actions in the same order"
    learnt, judged = Choreography(own), Choreography(config)
    return Data(CHOREOGRAPHY, learnt, judged, plugins.describe(own), splits[0], splits, None, alike)


def _folder_config(folder: Path) -> HumanML3D.Config:
    mean = folder / "Mean.npy"
    if not mean.is_file():
        raise FileNotFoundError(
            f"no file {mean}; --data is {CHOREOGRAPHY!r} or a folder that `python -m casim.prepare joints` makes"
        )
    width = np.load(mean, allow_pickle=False).size
    converter = "legacy"
    if (folder / record.FILE).is_file():
        converter = record.load(folder).config.get("converter", converter)
    for joints, skeleton in SKELETONS.items():
        spec = FeatureSpec(joints, skeleton.fps, converter)
        if spec.dims == width:
            return HumanML3D.Config(str(folder), spec, MIN_FRAMES[joints])
    raise ValueError(f"{mean} has {width} values; HumanML3D has 263 and KIT 251")
