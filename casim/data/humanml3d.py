"""HumanML3D: captioned motion capture of 22 joints at 20 fps.

Paper: Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022. Reads the data set itself
and every folder of 22 joints that `python -m casim.prepare` makes. Layout, and where we differ from the authors'
loader: `casim.data._folder`.
"""

from dataclasses import dataclass, field

from casim.data._folder import FolderConfig, FolderDataset
from casim.features import FeatureSpec

KNOWN_BAD = frozenset({"007975", "M007975", "009707", "M009707", "011059", "M011059"})
"""Ids of the release whose features are NaN or a single frame."""


class HumanML3D(FolderDataset):
    """The data set in a folder."""

    known_bad = KNOWN_BAD

    @dataclass(frozen=True)
    class Config(FolderConfig):
        """Where the data is and which clips to keep."""

        folder: str = "$CASIM_DATA/humanml3d"
        spec: FeatureSpec = field(default_factory=FeatureSpec)
        min_frames: int = 40
