"""What a recipe is, and the list of them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from casim import plugins
from casim.setups import CodecSetup, Setup, entry, restored

PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True)
class Training:
    """Optimisation of a run."""

    steps: int = 600_000
    """Optimiser steps."""
    batch_size: int = 64
    """Clips per step over all processes."""
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    beta1: float = 0.9
    """First moment decay of AdamW."""
    beta2: float = 0.999
    """Second moment decay of AdamW."""
    warmup: int = 0
    """Steps of linear warm-up."""
    decay: bool = False
    """Cosine decay of the learning rate to zero at the last step; otherwise constant."""
    drop_at: int = 0
    """Step from which the learning rate is `drop_to` of what it was; 0: never."""
    drop_to: float = 0.05
    """Share of the learning rate that is left from `drop_at` on."""
    clip_norm: float = 0.0
    """Gradient norm limit; 0: none."""
    ema: float = 0.0
    """Decay of the average of the weights that is saved; 0: the weights themselves are saved."""
    text_dropout: float = 0.1
    """Share of training clips whose text is dropped, for classifier-free guidance."""
    seed: int = 10
    """Seed of initial weights, data order, noise and dropout."""
    checkpoint_every: int = 1_000
    """Steps between checkpoints from which an interrupted run resumes."""
    precision: str = "no"
    """Automatic mixed precision: no, bf16 or fp16."""

    def __post_init__(self) -> None:
        """Checks every number.

        Raises:
            ValueError: one is out of range, or there is no such precision.
        """
        # comparisons with NaN are false, so that NaN is refused too
        ranges: dict[str, tuple[tuple[str, ...], Callable[[float], bool]]] = {
            "at least 1": (("steps", "batch_size", "checkpoint_every"), lambda x: x >= 1),
            "at least 0": (("weight_decay", "warmup", "drop_at", "clip_norm", "seed"), lambda x: x >= 0),
            "more than 0 and finite": (("learning_rate",), lambda x: 0 < x < math.inf),
            "at least 0 and less than 1": (("beta1", "beta2", "ema"), lambda x: 0 <= x < 1),
            "between 0 and 1": (("text_dropout", "drop_to"), lambda x: 0 <= x <= 1),
        }
        for words, (names, is_allowed) in ranges.items():
            for name in names:
                if not is_allowed(value := getattr(self, name)):
                    raise ValueError(f"training.{name} must be {words}, got {value}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"training.precision must be {', '.join(PRECISIONS)}, got {self.precision!r}")


@dataclass(frozen=True)
class Recipe:
    """A model, its data and its training."""

    name: str
    about: str
    setup: Setup | CodecSetup
    training: Training

    def to_json(self) -> dict[str, Any]:
        """The recipe as it stands in a run's config."""
        return {"recipe": self.name, "training": asdict(self.training), **self.setup.to_json()}

    @staticmethod
    def from_json(config: Mapping[str, Any]) -> "Recipe":
        """The recipe of a run's config; fields that are newer than the run have their defaults.

        Raises:
            ValueError: an unknown plugin or field, a missing part, or a value of another type.
        """
        training = plugins.restore(Training, entry(config, "training"))
        return Recipe(entry(config, "recipe"), "", restored(config), training)


RECIPES: dict[str, Callable[[], Recipe]] = {}
"""Recipe functions by name."""


def named(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        ValueError: no such recipe; the message suggests the nearest names.
    """
    if name not in RECIPES:
        raise ValueError(plugins.closest("recipe", name, RECIPES))
    return RECIPES[name]()


def recipe(function: Callable[[], tuple[Setup | CodecSetup, Training]]) -> Callable[[], Recipe]:
    """Lists a function as a recipe under its own name; its docstring says what it is for."""

    def build() -> Recipe:
        setup, training = function()
        return Recipe(function.__name__, (function.__doc__ or "").strip(), setup, training)

    RECIPES[function.__name__] = build
    return build
