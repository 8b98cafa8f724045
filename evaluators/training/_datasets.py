"""What an embedder learns from and is judged on: choreography of another seed, or a HumanML3D-layout folder."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

import numpy as np

from casim import record
from casim.data.choreography import SPLITS, Choreography
from casim.data.humanml3d import HumanML3D
from casim.types import MotionDataset
from evaluators.embed.tmr import spec_of

CHOREOGRAPHY = "choreography"
BENCHMARK = Choreography.Config()
Subset = Literal["all", "essential"]
SHORTEST = {22: 40, 21: 24}
"""Frames of the shortest clips that are kept, by number of joints (HumanML3D, KIT)."""


def choreography(seed: int, clips: int, subset: Subset) -> tuple[MotionDataset, MotionDataset]:
    """Training clips of another seed with no pair of actions held out, and the benchmark.

    Raises:
        ValueError: the seed is that of the benchmark, so that the clips to be judged would be trained on.
    """
    if seed == BENCHMARK.seed:
        raise ValueError(f"seed {seed} is that of the benchmark's clips; train on others")
    judged = replace(BENCHMARK, spec=replace(BENCHMARK.spec, subset=subset))
    learnt = replace(judged, seed=seed, train=clips, held_out_pairs=0)
    return Choreography(learnt), Choreography(judged)


def folder(place: str, subset: Subset) -> MotionDataset:
    """The data set of a folder; its statistics tell the skeleton, its record (if there is one) the converter.

    Raises:
        FileNotFoundError: it is no such folder.
        ValueError: its features are of no known skeleton.
    """
    path = Path(os.path.expandvars(os.path.expanduser(place)))
    if not (path / "Mean.npy").is_file():
        return HumanML3D(HumanML3D.Config(place))  # says what is missing
    spec = spec_of(len(np.load(path / "Mean.npy")))
    made = record.load(path).config if (path / record.FILE).is_file() else {}
    spec = replace(spec, converter=made.get("converter", spec.converter), subset=subset)
    return HumanML3D(HumanML3D.Config(place, spec, min_frames=SHORTEST[spec.joints]))


def judged_splits(dataset: MotionDataset) -> list[str]:
    """The splits that nothing is trained on.

    Raises:
        ValueError: there is none.
    """
    known = SPLITS if isinstance(dataset, Choreography) else cast(HumanML3D, dataset).splits
    found = [name for name in ("validation", "val", "test", "held_out") if name in known]
    if not found:
        raise ValueError(f"the data has neither val.txt nor test.txt (it has {', '.join(known)}); list some clips")
    return found
