"""Bases of the metrics: scores that are the mean of one value per clip, and scores of a whole set of clips."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from evaluators.protocol import EvalBatch, Space

Declared = Mapping[str, Literal["worse", "same"]]
"""What corruptions (`evaluators.damage`) do to a metric, by name: make it worse, or change nothing at all."""


class ItemMetric(Metric):
    """A score per clip; `compute` gives their mean over the clips to which it applies (the others are NaN)."""

    is_differentiable = False
    full_state_update = False
    ideal: ClassVar[float | None]
    """Score of a batch in which exactly what the captions ask for was found; None if there is none."""
    unit: ClassVar[str] = "share"
    """Unit of the values."""
    reads: ClassVar[Literal["actions", "joints", "vectors"]] = "joints"
    """What it looks at: actions found in the motion (of clips whose alignment is known), joints, or vectors of the
    embedder called `space`."""
    of_reconstructions: ClassVar[bool] = False
    """Whether it is about clips that came back through a codec, told apart by their length."""
    space: ClassVar[str] = ""
    corruption: ClassVar[Callable[[EvalBatch], EvalBatch]]
    """A change of the batch that makes the score worse (staticmethod)."""
    declared: ClassVar[Declared] = MappingProxyType({})
    total: Tensor
    count: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    @classmethod
    def applies(cls, batch: EvalBatch) -> bool:
        """Whether the batch holds what the metric reads."""
        if cls.reads == "actions":
            return batch.actions is not None and batch.reference.alignment is not None
        return batch.joints is not None if cls.reads == "joints" else cls.space in batch.spaces

    @abstractmethod
    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """The value of every clip, float64, NaN where the metric does not apply."""

    def update(self, batch: EvalBatch) -> None:
        """Adds the clips of a batch."""
        values = self.per_item(batch).to(self.total)
        self.total += values.nansum()
        self.count += (~values.isnan()).sum()

    def compute(self) -> Float[Tensor, ""]:
        """Mean over all clips so far; NaN if the metric applied to none."""
        return self.total / self.count


class SetMetric(Metric):
    """A score of a whole set of clips in the space of one embedder; clips have no values of their own.

    `score` is a pure function of a `Space`, so that intervals can be had from subsets of the clips.
    """

    is_differentiable = False
    full_state_update = False
    ideal: ClassVar[float | None]
    """Score of a set against itself (of each part); None if there is none."""
    unit: ClassVar[str]
    corruption: ClassVar[Callable[[EvalBatch], EvalBatch]]
    """A change of the batch that makes the score worse (staticmethod)."""
    declared: ClassVar[Declared] = MappingProxyType({})
    parts: ClassVar[tuple[str, ...]] = ("",)
    """Ends of the names of its values: ("@1", "@2", "@3") for R-precision."""
    convention: ClassVar[str] = ""
    """What else tells apart numbers of this name in the literature: "raw", "l2"."""
    reads_text: ClassVar[bool] = False
    """True if it needs vectors of captions."""
    motions_per_prompt: ClassVar[int] = 1
    """Motions that it needs for every caption."""
    minimum: int = 2
    """Fewest clips it can be computed from."""
    motion: list[Tensor]
    real: list[Tensor]
    prompt: list[Tensor]
    text: list[Tensor]

    def __init__(self, space: str = "guo", **options: Any) -> None:
        super().__init__(**options)
        self.space = space
        for name in ("motion", "real", "prompt", "text"):
            self.add_state(name, [], dist_reduce_fx="cat")

    @abstractmethod
    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """The value of every part for a set of clips, float64."""

    def update(self, batch: EvalBatch) -> None:
        """Adds the clips of a batch.

        Raises:
            ValueError: the batch has no vectors of the space, or not those of its captions.
        """
        space = batch.space(self.space)
        self.motion.append(space.motion)
        self.real.append(space.real)
        self.prompt.append(space.prompt)
        if self.reads_text:
            if space.text is None:
                raise ValueError(f"{type(self).__name__} needs vectors of captions; {self.space} has none")
            self.text.append(space.text)

    def compute(self) -> Float[Tensor, " parts"]:
        """The value of every part for all clips so far.

        Raises:
            ValueError: fewer clips than `minimum`.
        """
        space = self.gathered()
        if len(space) < self.minimum:
            raise ValueError(f"{type(self).__name__} needs at least {self.minimum} clips, got {len(space)}")
        return self.score(space)

    def gathered(self) -> Space:
        """All clips so far."""
        return Space(
            dim_zero_cat(self.motion),
            dim_zero_cat(self.real),
            dim_zero_cat(self.prompt),
            dim_zero_cat(self.text) if self.reads_text else None,
        )

    @classmethod
    def ids(cls, name: str, space: str) -> tuple[str, ...]:
        """Names of its values in records, e.g. `fid.guo.raw`, `r_precision@1.guo`."""
        end = f".{cls.convention}" if cls.convention else ""
        return tuple(f"{name}{part}.{space}{end}" for part in cls.parts)


def declare(worse: Sequence[str], same: Sequence[str] = ()) -> Declared:
    """The damage that must make a metric worse, and the damage that must leave it as it is."""
    found: dict[str, Literal["worse", "same"]] = dict.fromkeys(worse, "worse")
    found.update(dict.fromkeys(same, "same"))
    return MappingProxyType(found)


def per_clip(values: list[float]) -> Float[Tensor, " batch"]:
    """Values of clips as the tensor that `ItemMetric.per_item` gives."""
    return torch.tensor(values, dtype=torch.float64)
