"""A whole text-to-motion model: frozen text encoder, injection and backbone, with what its features mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from casim import checkpoint, plugins
from casim.diffusion import normal
from casim.features import FeatureSpec, denormalise, to_joints
from casim.guidance import Guided
from casim.injection import KINDS
from casim.text._cache import Cached
from casim.text.hashed import Hashed
from casim.types import (
    Backbone,
    Losses,
    MotionBatch,
    MotionDataset,
    TextEncoder,
    TextTokens,
    frame_mask,
    words_of,
)

FAMILIES: dict[str, tuple[Any, str]] = {
    "data": (MotionDataset, "casim.data"),
    "text": (TextEncoder, "casim.text"),
    "backbone": (Backbone, "casim.backbones"),
}
PARTS = ("data", "text", "injection", "backbone")
"""Parts of a setup that are plugins."""


@dataclass(frozen=True)
class SamplingConfig:
    """How motions are sampled unless the caller says otherwise."""

    sampler: Literal["ddpm", "ddim"] = "ddpm"
    steps: int | None = None
    """Denoising steps; None takes every step of the training schedule."""
    guidance: float = 2.5
    """Scale of classifier-free guidance; 1 turns it off."""


@dataclass(frozen=True)
class Setup:
    """What a model is made of; each field but the last is the config of a plugin."""

    data: Any
    text: Any
    injection: Any
    backbone: Any
    sampling: SamplingConfig = SamplingConfig()

    def to_json(self) -> dict[str, Any]:
        """The setup as JSON values."""
        parts = {part: plugins.describe(getattr(self, part)) for part in PARTS}
        return parts | {"sampling": asdict(self.sampling)}

    @staticmethod
    def from_json(config: Mapping[str, Any]) -> "Setup":
        """The setup of a run's config.

        Raises:
            ValueError: an unknown plugin or field, a missing part, or a value of another type.
        """
        parts = {}
        for part in PARTS:
            values = entry(config, part)
            parts[part] = plugins.restore(_kind(part, entry(values, "plugin", part)).Config, values)
        return Setup(**parts, sampling=plugins.restore(SamplingConfig, entry(config, "sampling")))

    def with_plugin(self, part: str, name: str) -> "Setup":
        """The setup with the plugin `name` for one part.

        Fields that both configs have, of one type, keep their values; the others get the new plugin's defaults.
        What names the old plugin's own things does not pass over: free strings (weights, a folder), and in data
        and text what nobody set, since defaults there fit the plugin's files.

        Raises:
            ValueError: no such plugin; the message suggests the nearest names.
        """
        old, config = getattr(self, part), _kind(part, name).Config
        types, default = {field.name: field.type for field in fields(old)}, type(old)()
        kept = {
            field.name: getattr(old, field.name)
            for field in fields(config)
            if types.get(field.name) == field.type is not str
            and (part not in ("data", "text") or getattr(old, field.name) != getattr(default, field.name))
        }
        return replace(self, **{part: config(**kept)})


def entry(config: Any, name: str, part: str = "") -> Any:
    """A value of a run's config, or of a part of it.

    Raises:
        ValueError: there is none.
    """
    if not isinstance(config, Mapping) or name not in config:
        where = f"{part!r} of the run's config" if part else "the run's config"
        raise ValueError(f"{where} has no {name!r}; it was not written by casim.train")
    return config[name]


def _kind(part: str, name: str) -> Any:
    """The plugin class of one part of a setup."""
    if part != "injection":
        base, package = FAMILIES[part]
        return plugins.load(base, package, name)
    if name not in KINDS:
        raise ValueError(plugins.closest("injection", name, KINDS))
    return KINDS[name]


class TextToMotion(nn.Module):
    """Motions from texts. The state dict holds `injection.*`, `backbone.*` and the feature statistics."""

    mean: Float[Tensor, " feats"]
    std: Float[Tensor, " feats"]

    def __init__(self, setup: Setup, spec: FeatureSpec, mean: np.ndarray, std: np.ndarray, max_frames: int):
        super().__init__()
        self.setup, self.spec, self.max_frames = setup, spec, max_frames
        self.encoder: TextEncoder = Cached(plugins.build(setup.text))
        self.backbone: Backbone = plugins.build(setup.backbone, spec.dims)
        injection = plugins.owner(setup.injection)
        self.injection = injection(setup.injection, self.encoder.width, self.backbone.condition_width)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32))
        self.config: dict[str, Any] = setup.to_json()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    @cached_property
    def _dataset(self) -> MotionDataset:
        return plugins.build(self.setup.data)

    def dataset(self) -> MotionDataset:
        """The dataset that the model was trained on, rebuilt from its config."""
        return self._dataset

    def encode(self, texts: Sequence[str]) -> TextTokens:
        """Text tokens on the model's device."""
        return self.encoder.encode(texts).to(self.device)

    def unseen_words(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Words that no training caption had, where they mean nothing to the text encoder itself (hashed)."""
        if not isinstance(self.setup.text, Hashed.Config):
            return ()
        known = plugins.owner(self.setup.data).vocabulary(self.setup.data)
        words = dict.fromkeys(word for text in texts for word in words_of(text))
        return tuple(word for word in words if known is not None and word not in known)

    def forward(
        self, batch: MotionBatch, text: TextTokens, dropped: Bool[Tensor, " batch"], generator: torch.Generator
    ) -> Losses:
        """Training loss; rows where `dropped` is True see the null condition."""
        return self.backbone.loss(batch, self.injection(text, dropped), generator)

    def guided(self, texts: Sequence[str], scale: float | None = None) -> Guided:
        """The condition of `texts` with its null, ready for the sampler; None: the run's own guidance."""
        text = self.encode(texts)
        scale = self.setup.sampling.guidance if scale is None else scale
        return Guided(self.injection(text), self.injection.null(text) if scale != 1.0 else None, scale)

    def canvas(self, frames: int) -> int:
        """How many frames the backbone works on when `frames` are wanted: all that it was trained with, if it was
        trained with padded frames in view, and what is not wanted is cut off."""
        return frames if getattr(self.setup.backbone, "use_frame_mask", True) else self.max_frames

    @torch.no_grad()
    def sample(
        self,
        texts: Sequence[str],
        lengths: Sequence[int] | Int[Tensor, " batch"],
        seed: int = 0,
        guidance: float | None = None,
        **options: Any,
    ) -> Float[Tensor, "batch frames feats"]:
        """Normalised motions of `lengths` frames, zero behind each; `options` (sampler, steps) override the run's.

        Noise comes from (seed, batch): the same call to two models gives both the same noise in the frames wanted.

        Raises:
            ValueError: no text, or more frames than the model was trained for.
        """
        if not len(texts):
            raise ValueError("no text to sample from; give at least one prompt")
        lengths = torch.as_tensor(lengths)
        if (longest := int(lengths.max())) > self.max_frames:
            limit = f"{self.max_frames} frames ({self.max_frames / self.spec.fps:.1f} s)"
            raise ValueError(
                f"{longest} frames asked for, but the model was trained for at most {limit}; ask for less"
            )
        self.eval()
        own = {"sampler": self.setup.sampling.sampler, "steps": self.setup.sampling.steps}
        options = own | {name: value for name, value in options.items() if value is not None}
        generator = torch.Generator().manual_seed(seed)
        mask = frame_mask(lengths).to(self.device)
        if (canvas := self.canvas(longest)) == longest:
            return self.backbone.sample(self.guided(texts, guidance), mask, generator, **options)
        whole = torch.ones(len(mask), canvas, dtype=torch.bool, device=self.device)
        options = {"noise": _wider((*mask.shape, self.spec.dims), canvas, generator, self.device)} | options
        motion = self.backbone.sample(self.guided(texts, guidance), whole, generator, **options)
        return motion[:, :longest] * mask[..., None]

    def joints(self, motion: Float[Tensor, "batch frames feats"]) -> Float[Tensor, "batch frames joints xyz"]:
        """Joint positions of normalised motions, in the dataset's unit (metres; KIT: millimetres)."""
        return to_joints(denormalise(motion, self.mean, self.std), self.spec)

    def untrained(self, seed: int) -> "TextToMotion":
        """The same model with fresh random weights: the null of every claim about what training taught."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = TextToMotion(
                self.setup, self.spec, self.mean.cpu().numpy(), self.std.cpu().numpy(), self.max_frames
            )
        fresh.config = self.config
        return fresh.to(self.device).eval()

    def save(self, folder: Path, extra: dict[str, Any], *, half: bool = False) -> Path:
        """Writes weights and config (with `extra`: recipe, training) to a run folder; gives the weights' path."""
        config = {**extra, **self.config, "spec": asdict(self.spec), "max_frames": self.max_frames}
        checkpoint.save_config(folder, config)
        checkpoint.save_tensors(folder / checkpoint.WEIGHTS, self.state_dict(), half=half)
        return folder / checkpoint.WEIGHTS

    @staticmethod
    def load(run: Path | str, device: torch.device | str = "cpu") -> "TextToMotion":
        """The model of a run folder or run name, in evaluation mode.

        Raises:
            FileNotFoundError: no such run, or no weights in it.
            ValueError: the config or the weights are not those of such a model.
        """
        folder = checkpoint.find_run(run)
        config = checkpoint.load_config(folder)
        try:
            setup, spec = Setup.from_json(config), plugins.restore(FeatureSpec, entry(config, "spec"))
            max_frames = entry(config, "max_frames")
        except ValueError as error:
            raise ValueError(f"{folder / checkpoint.CONFIG}: {error}") from error
        tensors = checkpoint.load_tensors(folder / checkpoint.WEIGHTS)
        if not {"mean", "std"} <= set(tensors):
            raise ValueError(
                f"{folder / checkpoint.WEIGHTS} has no statistics: it is no text-to-motion model of casim"
            )
        model = TextToMotion(setup, spec, tensors["mean"].numpy(), tensors["std"].numpy(), max_frames)
        checkpoint.load_into(model, tensors, str(folder / checkpoint.WEIGHTS))
        model.config = config
        return model.to(device).eval()

    @staticmethod
    def for_dataset(setup: Setup, dataset: MotionDataset) -> "TextToMotion":
        """A fresh model for a dataset's features, for clips as long as the dataset's longest."""
        longest = getattr(setup.data, "max_frames", None) or int(dataset.split("train").lengths.max())
        model = TextToMotion(setup, dataset.spec, dataset.mean, dataset.std, longest)
        model.__dict__["_dataset"] = dataset
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
