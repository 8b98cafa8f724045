"""Oracle: tells which choreography actions a motion shows, and when.

What: a dilated 1-d convolutional tagger, one sigmoid per action and frame. Source: our own; trained by `python -m
evaluators.train oracle` on clips that no generator sees. It reads the essential features (what recovery of joints
reads: the first 67 of 22 joints), denormalised, and standardises them itself, so it works for runs of any
normalisation or feature subset. Limits: it knows the actions of choreography and nothing else, and it was trained
on motion of the same program that made the benchmark, so a quirk of that program is invisible to it.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from casim import checkpoint
from casim.features import FeatureSpec
from casim.types import ActionSpan, Alignment
from evaluators.embedder import Embedder, check_finite, load

BUNDLED = checkpoint.BUNDLED / "oracle"


class Oracle(Embedder):
    """Probability of every action at every frame, and the action spans that follow from them."""

    @dataclass(frozen=True)
    class Config:
        """Size of the tagger and its decision rule."""

        actions: tuple[str, ...]
        """Names of the actions, in the order of the outputs."""
        feats: int = 67
        """Features read: the first ones of a motion."""
        width: int = 96
        """Channels."""
        dilations: tuple[int, ...] = (1, 2, 4, 8)
        """Dilation of each convolution; with kernel 5 these see 61 frames."""
        kernel: int = 5
        """Frames per convolution."""
        threshold: float = 0.5
        """An action is shown in the frames where its probability is above this ..."""
        min_frames: int = 6
        """... for at least so many frames in a row (0.3 s)."""

    has_text = False
    spec = FeatureSpec(converter="fixed", subset="essential")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(config.feats))
        self.register_buffer("std", torch.ones(config.feats))
        self.input = nn.Linear(config.feats, config.width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.width, config.width, config.kernel, padding="same", dilation=d)
            for d in config.dilations
        )
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in config.dilations)
        self.output = nn.Linear(config.width, len(config.actions))

    def standardise(self, features: Float[Tensor, "batch frames feats"]) -> Float[Tensor, "batch frames read"]:
        """The features that the tagger reads, of mean 0 and deviation 1 on its training clips.

        Raises:
            ValueError: the motion has fewer features than are read.
        """
        if features.shape[-1] < self.config.feats:
            raise ValueError(
                f"the oracle reads the first {self.config.feats} features of 22-joint motion, "
                f"got {features.shape[-1]}"
            )
        return (features[..., : self.config.feats] - self.mean) / self.std

    def hidden(
        self, standardised: Float[Tensor, "batch frames read"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """State of every frame; padded frames change nothing."""
        keep = rearrange(mask, "batch frames -> batch frames 1")
        x = self.input(standardised)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            y = rearrange(norm(x) * keep, "batch frames width -> batch width frames")
            x = x + rearrange(F.gelu(convolution(y)), "batch width frames -> batch frames width")
        return x

    def forward(
        self, standardised: Float[Tensor, "batch frames read"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames actions"]:
        """Logit of every action at every frame, from `standardise`d features."""
        return self.output(self.hidden(standardised, mask))

    @torch.no_grad()
    def motion(
        self, features: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch width"]:
        """One vector per clip, the mean state of its frames, for distances between sets of motions.

        Raises:
            ValueError: fewer features than are read, or a clip holds NaN.
        """
        check_finite(features, mask)
        keep = rearrange(mask, "batch frames -> batch frames 1")
        return (self.hidden(self.standardise(features), mask) * keep).sum(1) / keep.sum(1)

    @torch.no_grad()
    def recognise(
        self, features: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"]
    ) -> tuple[tuple[ActionSpan, ...], ...]:
        """The spans of every action shown in each clip, from denormalised features, in order of time."""
        probabilities = self(self.standardise(features), mask).sigmoid()
        active = (probabilities > self.config.threshold) & rearrange(mask, "batch frames -> batch frames 1")
        return tuple(self._spans(clip) for clip in active.numpy())

    def _spans(self, active: Bool[np.ndarray, "frames actions"]) -> tuple[ActionSpan, ...]:
        edges = np.diff(np.pad(active.astype(np.int8), ((1, 1), (0, 0))), axis=0).T  # actions frames+1
        starts, ends = np.nonzero(edges == 1), np.nonzero(edges == -1)
        runs = zip(starts[0].tolist(), starts[1].tolist(), ends[1].tolist(), strict=True)
        long = [(s, e, a) for a, s, e in runs if e - s >= self.config.min_frames]
        return tuple(ActionSpan(self.config.actions[a], s, e) for s, e, a in sorted(long))


def targets(
    alignments: tuple[Alignment, ...], frames: int, actions: tuple[str, ...]
) -> Float[Tensor, "batch frames actions"]:
    """1 where an action happens, else 0."""
    labels = torch.zeros(len(alignments), frames, len(actions))
    for row, alignment in zip(labels, alignments, strict=True):
        for span in alignment.actions:
            row[span.start : span.end, actions.index(span.action)] = 1
    return labels


def bundled() -> Oracle:
    """The oracle that comes with the package."""
    return cast(Oracle, load(BUNDLED, "oracle"))
