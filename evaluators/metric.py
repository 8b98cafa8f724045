"""Base of the metrics: a torchmetrics metric whose score is the mean of one value per clip."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from evaluators.protocol import EvalBatch


class ItemMetric(Metric):
    """A score per clip; `compute` gives their mean over the clips to which it applies (the others are NaN)."""

    is_differentiable = False
    full_state_update = False
    ideal: ClassVar[float | None]
    """Score of a batch in which exactly what the captions ask for was found."""
    corruption: ClassVar[Callable[[EvalBatch], EvalBatch]]
    """A change of the batch that makes the score worse (staticmethod)."""
    total: Tensor
    count: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

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


def per_clip(values: list[float]) -> Float[Tensor, " batch"]:
    """Values of clips as the tensor that `ItemMetric.per_item` gives."""
    return torch.tensor(values, dtype=torch.float64)
