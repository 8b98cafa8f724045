"""A whole text-to-motion model: frozen text encoder, injection and backbone, maybe behind a frozen codec."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from casim import motion_model, plugins
from casim.autoregressive import AutoregressiveBackbone
from casim.diffusion import normal
from casim.features import FeatureSpec
from casim.guidance import Guided
from casim.motion_codec import Standardised, frozen_codec
from casim.motion_model import MotionModel
from casim.setups import Setup, entry
from casim.text._cache import Cached
from casim.text.hashed import Hashed
from casim.types import (
    Backbone,
    Codec,
    Losses,
    MotionBatch,
    MotionDataset,
    TextEncoder,
    TextTokens,
    frame_mask,
    words_of,
)

DENOISING = ("sampler", "steps")
"""Sampling options of diffusion backbones."""


class Generated(NamedTuple):
    """Motions and which of their frames are real."""

    motion: Float[Tensor, "batch frames feats"]
    """Normalised, zero where `mask` is False."""
    mask: Bool[Tensor, "batch frames"]


class TextToMotion(MotionModel):
    """Motions from texts. The state dict holds `injection.*`, `backbone.*`, `codec.*` and the feature
    statistics."""

    setup: Setup

    def __init__(
        self,
        setup: Setup,
        spec: FeatureSpec,
        mean: np.ndarray,
        std: np.ndarray,
        max_frames: int,
        codec: Codec | None = None,
    ) -> None:
        """Fresh weights, but for `codec`; where the setup has a first stage and there is none, its weights too."""
        super().__init__(setup, spec, mean, std)
        self.setup, self.max_frames = setup, max_frames
        if codec is None and setup.first_stage.codec is not None:
            plain: Codec = plugins.build(setup.first_stage.codec, spec, mean, std)
            codec = Standardised(plain) if setup.first_stage.is_standardised else plain
        self.encoder: TextEncoder = Cached(plugins.build(setup.text))
        self.codec = None if codec is None else codec.requires_grad_(False).eval()
        self.backbone: Backbone = plugins.build(setup.backbone, spec.dims if codec is None else codec.space)
        injection = plugins.owner(setup.injection)
        self.injection = injection(setup.injection, self.encoder.width, self.backbone.condition_width)
        self.config["max_frames"] = max_frames

    def train(self, mode: bool = True) -> "TextToMotion":
        """Training mode for what is trained: the codec stays as it is."""
        super().train(mode)
        if self.codec is not None:
            self.codec.eval()
        return self

    @property
    def is_autoregressive(self) -> bool:
        """Whether the backbone writes codes one after another (and so has no denoising steps, and its own end)."""
        return isinstance(self.backbone, AutoregressiveBackbone)

    def encode(self, texts: Sequence[str], keywords: Sequence[Sequence[str]] | None = None) -> TextTokens:
        """Text tokens on the model's device; with keywords their pooled vectors stand behind that of the text."""
        text = self.encoder.encode(texts)
        if keywords is not None:
            more = self.encoder.encode([word for words in keywords for word in words]).pooled
            text = replace(text, pooled=torch.cat([text.pooled, more.view(len(texts), -1, more.shape[-1])], 1))
        return text.to(self.device)

    def unseen_words(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Words that no training caption had, where they mean nothing to the text encoder itself (hashed)."""
        if not isinstance(self.setup.text, Hashed.Config):
            return ()
        known = plugins.owner(self.setup.data).vocabulary(self.setup.data)
        words = dict.fromkeys(word for text in texts for word in words_of(text))
        return tuple(word for word in words if known is not None and word not in known)

    def check(self, batch: MotionBatch) -> None:
        """Refuses what the model cannot be trained on: too long a caption, codes that do not fit."""
        self.encode(batch.texts)

    @torch.no_grad()
    def inputs(
        self, batch: MotionBatch, dropped: Bool[Tensor, " batch"], generator: torch.Generator
    ) -> tuple[MotionBatch, TextTokens, Bool[Tensor, " batch"]]:
        """The batch (as codes, behind a codec), its text tokens, and the rows that lose their text."""
        text = self.encode(batch.texts, batch.keywords)
        return (batch if self.codec is None else self.codec.encode(batch, generator)), text, dropped

    def forward(
        self, batch: MotionBatch, text: TextTokens, dropped: Bool[Tensor, " batch"], generator: torch.Generator
    ) -> Losses:
        """Training loss."""
        return self.backbone.loss(batch, self.injection(text, dropped), generator)

    def guided(
        self,
        texts: Sequence[str],
        scale: float | None = None,
        keywords: Sequence[Sequence[str]] | None = None,
    ) -> Guided:
        """The condition of `texts` with its null, ready for the sampler; None: the run's own guidance."""
        text = self.encode(texts, keywords)
        scale = self.setup.sampling.guidance if scale is None else scale
        return Guided(self.injection(text), self.injection.null(text) if scale != 1.0 else None, scale)

    def canvas(self, frames: int) -> int:
        """How many frames the backbone works on when `frames` are wanted: all that it was trained with, if it was
        trained with padded frames in view, and what is not wanted is cut off."""
        return frames if getattr(self.setup.backbone, "use_frame_mask", True) else self.max_frames

    def sample(
        self,
        texts: Sequence[str],
        lengths: Sequence[int] | Int[Tensor, " batch"],
        seed: int = 0,
        guidance: float | None = None,
        **options: Any,
    ) -> Float[Tensor, "batch frames feats"]:
        """Normalised motions of `lengths` frames, zero behind each: `generate` with lengths that are given."""
        return self.generate(texts, lengths, seed, guidance, **options).motion

    @torch.no_grad()
    def generate(
        self,
        texts: Sequence[str],
        lengths: Sequence[int] | Int[Tensor, " batch"],
        seed: int = 0,
        guidance: float | None = None,
        keywords: Sequence[Sequence[str]] | None = None,
        extrapolate: bool = False,
        **options: Any,
    ) -> Generated:
        """Motions of `lengths` frames; an autoregressive model with `length="own"` may end each one before.

        Noise comes from (seed, batch): the same call to two models gives both the same noise in the frames wanted.

        Args:
            texts: one prompt per motion.
            lengths: frames of each.
            seed: of the noise.
            guidance: scale of classifier-free guidance; None: the run's own.
            keywords: CoMo's eleven keywords of each prompt, for runs that were trained with them.
            extrapolate: ask a denoising model of frames for more than it was trained for, where its positions have
                no end.
            options: override the run's own; denoising models: sampler, steps; autoregressive ones: length and the
                fields of `casim.decoding.Decoding`. None leaves the run's own, and an autoregressive model passes
                over sampler and steps.

        Raises:
            ValueError: no text, or more frames than the model was trained for.
        """
        lengths = self._checked(texts, lengths, extrapolate=extrapolate)
        self.eval()
        generator = torch.Generator().manual_seed(seed)
        mask, guided = frame_mask(lengths).to(self.device), self.guided(texts, guidance, keywords)
        options = {name: value for name, value in options.items() if value is not None}
        if self.is_autoregressive:
            options = {"length": "given"} | {n: v for n, v in options.items() if n not in DENOISING}
        else:
            options = {name: getattr(self.setup.sampling, name) for name in DENOISING} | options
            options |= {"extrapolate": True} if extrapolate else {}
        if self.codec is not None:
            codes = self.backbone.sample(guided, self.codec.code_mask(mask), generator, **options)
            if options.get("length") == "own":
                mask = mask & frame_mask(self.codec.frames_of(codes), mask.shape[1])
            return Generated(self.codec.decode(codes, mask), mask)
        if (canvas := self.canvas(mask.shape[1])) == mask.shape[1]:
            return Generated(self.backbone.sample(guided, mask, generator, **options), mask)
        whole = torch.ones(len(mask), canvas, dtype=torch.bool, device=self.device)
        options = {"noise": _wider((*mask.shape, self.spec.dims), canvas, generator, self.device)} | options
        motion = self.backbone.sample(guided, whole, generator, **options)
        return Generated(motion[:, : mask.shape[1]] * mask[..., None], mask)

    def _checked(
        self, texts: Sequence[str], lengths: Sequence[int] | Tensor, *, extrapolate: bool
    ) -> Int[Tensor, " batch"]:
        if not len(texts):
            raise ValueError("no text to sample from; give at least one prompt")
        lengths = torch.as_tensor(lengths)
        if (longest := int(lengths.max())) > self.max_frames and not extrapolate:
            limit = f"{self.max_frames} frames ({self.max_frames / self.spec.fps:.1f} s)"
            raise ValueError(
                f"{longest} frames asked for, but the model was trained for at most {limit}; ask for less"
            )
        return lengths

    def untrained(self, seed: int) -> "TextToMotion":
        """The same model with fresh random weights (the codec keeps its own): the null of every claim about what
        training taught."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = TextToMotion(
                self.setup, self.spec, self.mean.cpu().numpy(), self.std.cpu().numpy(), self.max_frames, self.codec
            )
        fresh.config = self.config
        return fresh.to(self.device).eval()

    @staticmethod
    def load(run: Path | str, device: torch.device | str = "cpu") -> "TextToMotion":
        """The model of a run folder or run name, in evaluation mode.

        Raises:
            FileNotFoundError: no such run, or no weights in it.
            ValueError: the config or the weights are not those of such a model.
        """
        stored = motion_model.read(run, Setup)
        mean, std = (stored.tensors[name].numpy() for name in ("mean", "std"))
        max_frames = entry(stored.config, "max_frames")
        model = TextToMotion(stored.setup, stored.spec, mean, std, max_frames)
        stored.fill(model, device)
        return model

    @staticmethod
    def for_dataset(setup: Setup, dataset: MotionDataset) -> "TextToMotion":
        """A fresh model for a dataset's features, for clips as long as the dataset's longest.

        Raises:
            ValueError: a first stage that was trained on other features, or whose codes the backbone does not take.
        """
        longest = getattr(setup.data, "max_frames", None) or int(dataset.split("train").lengths.max())
        codec = frozen_codec(setup.first_stage, dataset)
        model = TextToMotion(setup, dataset.spec, dataset.mean, dataset.std, longest, codec)
        model.adopt(dataset)
        return model


def _wider(
    seen: Sequence[int], canvas: int, generator: torch.Generator, device: torch.device
) -> Callable[[int], Float[Tensor, "batch canvas feats"]]:
    """The sampler's noise for `canvas` frames: in those seen the same as for a model that works on these alone."""
    beyond = torch.Generator().manual_seed(generator.initial_seed() + 1)
    batch, frames, feats = seen

    def noise(step: int) -> Float[Tensor, "batch canvas feats"]:
        parts = (
            normal((batch, frames, feats), generator, device),
            normal((batch, canvas - frames, feats), beyond, device),
        )
        return torch.cat(parts, 1)

    return noise
