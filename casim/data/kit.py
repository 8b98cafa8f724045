"""KIT-ML: captioned motion capture of 21 joints at 12.5 fps, as HumanML3D's authors converted it.

Paper: Plappert et al., "The KIT Motion-Language Dataset", Big Data 2016; conversion: Guo et al., CVPR 2022.
Layout, and where we differ from the authors' loader: `casim.data._folder`.
"""

from dataclasses import dataclass, field

from casim.data._folder import FolderConfig, FolderDataset
from casim.features import FeatureSpec
from casim.skeleton import KIT


class Kit(FolderDataset):
    """The data set in a folder."""

    @dataclass(frozen=True)
    class Config(FolderConfig):
        """Where the data is and which clips to keep."""

        folder: str = "$CASIM_DATA/kit"
        spec: FeatureSpec = field(default_factory=lambda: FeatureSpec(len(KIT), KIT.fps))
        min_frames: int = 24
        caption_fps: float = KIT.fps
        """Frames per second that caption times are counted at. 12.5 (T2M-GPT's loader) cuts out what the caption is
        about, because the motions have 12.5 frames per second; 20, as the loaders of Guo et al. and MDM count (and
        CASIM's, which is MDM's), starts 1.6 times too late. Captions of whole clips are read alike by both."""

    config: Config

    @property
    def caption_fps(self) -> float:
        """Frames per second that caption times, in seconds, are counted at."""
        return self.config.caption_fps
