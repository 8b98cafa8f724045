"""What a run is made of: a codec (a first stage), or a generator (text encoder, injection, backbone), maybe behind
one."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from casim import plugins, record
from casim.cli import FIXED, HIDDEN
from casim.injection import KINDS
from casim.types import Backbone, Codec, MotionDataset, TextEncoder

FAMILIES: dict[str, tuple[Any, str]] = {
    "data": (MotionDataset, "casim.data"),
    "codec": (Codec, "casim.codecs"),
    "text": (TextEncoder, "casim.text"),
    "backbone": (Backbone, "casim.backbones"),
}


@dataclass(frozen=True)
class SamplingConfig:
    """How motions are sampled unless the caller says otherwise."""

    sampler: Literal["ddpm", "ddim"] = "ddpm"
    """Diffusion backbones only."""
    steps: int | None = None
    """Denoising steps; None takes every step of the training schedule. Diffusion backbones only."""
    guidance: float = 2.5
    """Scale of classifier-free guidance; 1 turns it off."""


@dataclass(frozen=True)
class FirstStage:
    """The run whose codec a backbone works behind, and what it was when the second stage began."""

    run: str = ""
    """Folder or name of the run; empty: the backbone works on motion itself."""
    sha256: str = ""
    """Hash of the run's weights; empty until they are read (`casim.motion_codec.with_first_stage`)."""
    codec: Any = None
    """Config of the codec; None until it is read."""
    is_standardised: bool = False
    """Latents are brought to mean 0 and deviation 1 per channel before the second stage sees them
    (`casim.motion_codec.Standardised`), so that equal noise hides them equally whatever the codec's scale."""

    def to_json(self) -> dict[str, Any]:
        """The stage as it stands in a run's config; what has not been read yet, or is not so, is left out."""
        known: dict[str, Any] = {"run": record.without_host(self.run)}
        if self.is_standardised:
            known["is_standardised"] = True
        return (
            known if self.codec is None else known | {"sha256": self.sha256, "codec": plugins.describe(self.codec)}
        )

    @staticmethod
    def from_json(config: Mapping[str, Any]) -> "FirstStage":
        """The stage of a run's config; runs older than codecs have none.

        Raises:
            ValueError: an unknown codec or field, or a value of another type.
        """
        values = config.get("first_stage", {"run": ""})
        codec = _restored("codec", values["codec"]) if "codec" in values else None
        is_standardised = values.get("is_standardised", False)
        return FirstStage(entry(values, "run", "first_stage"), values.get("sha256", ""), codec, is_standardised)


Parts = TypeVar("Parts", bound="_Parts")


@dataclass(frozen=True)
class _Parts:
    """Plugins by the part that they play."""

    parts: ClassVar[tuple[str, ...]]
    """Fields that are configs of plugins."""

    def with_plugin(self: Parts, part: str, name: str) -> Parts:
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

    def _described(self) -> dict[str, Any]:
        return {part: plugins.describe(getattr(self, part)) for part in self.parts}


@dataclass(frozen=True)
class Setup(_Parts):
    """What a generator is made of; the first fields are configs of plugins."""

    parts: ClassVar[tuple[str, ...]] = ("data", "text", "injection", "backbone")
    data: Any
    text: Any
    injection: Any
    backbone: Any
    sampling: SamplingConfig = SamplingConfig()
    first_stage: Annotated[FirstStage, HIDDEN, FIXED] = FirstStage()

    def to_json(self) -> dict[str, Any]:
        """The setup as JSON values."""
        stage = {"first_stage": self.first_stage.to_json()} if self.first_stage.run else {}
        return self._described() | {"sampling": asdict(self.sampling)} | stage

    @staticmethod
    def from_json(config: Mapping[str, Any]) -> "Setup":
        """The setup of a run's config.

        Raises:
            ValueError: an unknown plugin or field, a missing part, or a value of another type.
        """
        parts = {part: _restored(part, entry(config, part)) for part in Setup.parts}
        sampling = plugins.restore(SamplingConfig, entry(config, "sampling"))
        return Setup(**parts, sampling=sampling, first_stage=FirstStage.from_json(config))


@dataclass(frozen=True)
class CodecSetup(_Parts):
    """What a first stage is made of: no text."""

    parts: ClassVar[tuple[str, ...]] = ("data", "codec")
    data: Any
    codec: Any

    def to_json(self) -> dict[str, Any]:
        """The setup as JSON values."""
        return self._described()

    @staticmethod
    def from_json(config: Mapping[str, Any]) -> "CodecSetup":
        """The setup of a run's config.

        Raises:
            ValueError: an unknown plugin or field, a missing part, or a value of another type.
        """
        return CodecSetup(**{part: _restored(part, entry(config, part)) for part in CodecSetup.parts})


def restored(config: Mapping[str, Any]) -> Setup | CodecSetup:
    """The setup of a run's config, whichever stage it is.

    Raises:
        ValueError: an unknown plugin or field, a missing part, or a value of another type.
    """
    return CodecSetup.from_json(config) if "codec" in config else Setup.from_json(config)


def entry(config: Any, name: str, part: str = "") -> Any:
    """A value of a run's config, or of a part of it.

    Raises:
        ValueError: there is none.
    """
    if not isinstance(config, Mapping) or name not in config:
        where = f"{part!r} of the run's config" if part else "the run's config"
        raise ValueError(f"{where} has no {name!r}; it was not written by casim.train")
    return config[name]


def _restored(part: str, values: Any) -> Any:
    return plugins.restore(_kind(part, entry(values, "plugin", part)).Config, values)


def _kind(part: str, name: str) -> Any:
    """The plugin class of one part of a setup."""
    if part != "injection":
        base, package = FAMILIES[part]
        return plugins.load(base, package, name)
    if name not in KINDS:
        raise ValueError(plugins.closest("injection", name, KINDS))
    return KINDS[name]
