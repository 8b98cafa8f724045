"""TMR: clips and captions in one space in which a cosine tells how well they fit.

What: two transformer encoders, trained with a decoder that makes the clip from either vector, and with InfoNCE.
Paper: Petrovich et al., "TMR: Text-to-Motion Retrieval Using Contrastive 3D Human Motion Synthesis", ICCV 2023
(arXiv:2305.00976). The authors' weights come in through `python -m evaluators.official tmr`; `python -m
evaluators.train tmr` makes own ones.

Where we differ from the authors' code: captions are read by any of this project's text encoders (theirs is
DistilBERT-base-uncased), a token can stand for several frames (`patch`), and NaN is an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from casim import plugins
from casim.features import FeatureSpec, check_width
from casim.nn.patches import FramePatches
from casim.skeleton import SKELETONS
from casim.types import TextEncoder
from evaluators.actor import ActorConfig, ActorDecoder, ActorEncoder
from evaluators.contrastive import Reading, draw
from evaluators.embedder import Embedder

EPSILON = 1e-12
"""Added to the deviation of every feature, as in the authors' code."""
CHUNK = 256
"""Captions read at a time."""


class Network(nn.Module):
    """The trained part: standardised clips, and token states of captions, to latents; latents to clips.

    What encoders give has one or two slots: the mean of the latent and, if it has a variance, its logarithm.
    """

    def __init__(self, sizes: ActorConfig, feats: int, text_width: int, *, patch: int = 1, slots: int = 2) -> None:
        super().__init__()
        self.frames = FramePatches(feats, sizes.width, patch)
        self.words = nn.Linear(text_width, sizes.width)
        self.motion_encoder = ActorEncoder(sizes, slots)
        self.text_encoder = ActorEncoder(sizes, slots)
        self.motion_decoder = ActorDecoder(sizes)

    def forward(
        self,
        motion: tuple[Float[Tensor, "batch frames feats"], Bool[Tensor, "batch frames"]],
        text: tuple[Float[Tensor, "batch words text_width"], Bool[Tensor, "batch words"]],
        noise: Float[Tensor, "2 batch width"] | None = None,
    ) -> tuple[Reading, Reading]:
        """What becomes of captions and of their clips, for `contrastive.losses`.

        Args:
            motion: standardised clips and their mask.
            text: token states and their mask.
            noise: standard normal, of captions and of clips; None takes the means as latents.
        """
        outputs = [self.encode_text(*text), self.encode_motion(*motion)]
        latents = [draw(o, n) for o, n in zip(outputs, (None, None) if noise is None else noise, strict=True)]
        from_text, from_motion = self.decode(torch.cat(latents), motion[1].repeat(2, 1)).chunk(2)
        return Reading(outputs[0], latents[0], from_text), Reading(outputs[1], latents[1], from_motion)

    def encode_motion(
        self, x: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch slots width"]:
        """Latents of standardised clips; whatever stands behind their ends changes nothing."""
        hidden = rearrange(~mask, "batch frames -> batch frames 1")
        tokens, _ = self.frames.tokens(x.masked_fill(hidden, 0.0), mask)
        return self.motion_encoder(tokens, self._token_mask(mask))

    def encode_text(
        self, tokens: Float[Tensor, "batch words text_width"], mask: Bool[Tensor, "batch words"]
    ) -> Float[Tensor, "batch slots width"]:
        """Latents of captions from their token states."""
        return self.text_encoder(self.words(tokens), mask)

    def decode(
        self, latent: Float[Tensor, "batch width"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames feats"]:
        """Standardised clips as long as the mask says, zero behind their ends."""
        frames = self.frames.frames(self.motion_decoder(latent, self._token_mask(mask)), mask.shape[1])
        return frames * rearrange(mask, "batch frames -> batch frames 1")

    def _token_mask(self, mask: Bool[Tensor, "batch frames"]) -> Bool[Tensor, "batch tokens"]:
        return mask[:, :: self.frames.patch]  # real frames come first, so a token is real if its first frame is


class Tmr(Embedder):
    """Means of the latents of clips and of captions."""

    @dataclass(frozen=True)
    class Config:
        """What is read, and how large the networks are."""

        text: Mapping[str, Any]
        """The frozen text encoder whose token states are read: its config as `plugins.describe` gives it."""
        spec: FeatureSpec = field(default_factory=FeatureSpec)
        """The features that are read."""
        sizes: ActorConfig = field(default_factory=ActorConfig)
        """Size of the three transformers."""
        patch: int = 1
        """Frames per token; the authors' 1 is dear on a laptop."""
        is_variational: bool = True
        """Latents have a variance; without it they are points."""
        is_official: bool = False
        """The weights are the authors'."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.spec, self.width = config, config.spec, config.sizes.width
        self.encoder = text_encoder(config.text)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(self.spec.dims))
        self.register_buffer("std", torch.ones(self.spec.dims))
        slots = 2 if config.is_variational else 1
        self.network = Network(config.sizes, self.spec.dims, self.encoder.width, patch=config.patch, slots=slots)

    @property
    def caveat(self) -> str:
        """Empty for the authors' weights."""
        if self.config.is_official:
            return ""
        return (
            f"this TMR was trained by this project and reads {self.config.text['plugin']} token states: compare "
            "its numbers with numbers of the same weights only, not with published ones"
        )

    def standardise(self, features: Float[Tensor, "batch frames feats"]) -> Float[Tensor, "batch frames feats"]:
        """The features in units of their deviation from the mean, of the clips that the weights were trained on.

        Raises:
            ValueError: the width is not that of `spec`.
        """
        check_width(features, self.spec)
        return (features - self.mean) / (self.std + EPSILON)

    @torch.no_grad()
    def motion(
        self, features: Float[Tensor, "batch frames feats"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch width"]:
        """Means of the latents of clips.

        Raises:
            ValueError: the features are not those of `spec`, or a clip has NaN or infinite ones.
        """
        return _finite(self.network.encode_motion(self.standardise(features), mask)[:, 0], "clip")

    @torch.no_grad()
    def text(
        self, texts: Sequence[str], tags: Sequence[Sequence[str]] | None = None
    ) -> Float[Tensor, "batch width"]:
        """Means of the latents of captions; `tags` are not read.

        Raises:
            ValueError: no caption, or one with more tokens than the text encoder holds.
        """
        parts = []
        for start in range(0, max(len(texts), 1), CHUNK):  # an empty list is refused by the text encoder
            read = self.encoder.encode(texts[start : start + CHUNK]).to(self.mean.device)
            parts.append(self.network.encode_text(read.tokens, read.mask)[:, 0])
        return _finite(torch.cat(parts), "caption")


def text_encoder(description: Mapping[str, Any]) -> TextEncoder:
    """The text encoder that a config describes.

    Raises:
        ValueError: an unknown encoder or field.
        FileNotFoundError: its weights are not there.
    """
    kind: Any = plugins.load(TextEncoder, "casim.text", description["plugin"])
    return kind(plugins.restore(kind.Config, description))


def spec_of(feats: int) -> FeatureSpec:
    """The features of a skeleton that are so many per frame.

    Raises:
        ValueError: there are none; the message lists the numbers.
    """
    specs = [FeatureSpec(n, s.fps, subset=subset) for n, s in SKELETONS.items() for subset in ("all", "essential")]
    found = {spec.dims: spec for spec in specs}
    if feats not in found:
        raise ValueError(f"no skeleton has {feats} features per frame; known: {', '.join(map(str, found))}")
    return found[feats]


def _finite(vectors: Float[Tensor, "batch width"], what: str) -> Float[Tensor, "batch width"]:
    bad = (~vectors.isfinite().all(1)).nonzero().flatten().tolist()
    if bad:
        raise ValueError(
            f"the vector of {what} {bad[0]} is NaN or infinite ({len(bad)} of {len(vectors)} are): its input is, "
            "or the weights are"
        )
    return vectors
