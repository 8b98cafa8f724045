"""Classifier-free guidance for any conditional function (Ho & Salimans 2022), both passes in one batch."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from casim.types import Condition


@dataclass(frozen=True)
class Guided:
    """A condition, its null condition and how far to go from one to the other."""

    condition: Condition
    null: Condition | None = None
    """None: no guidance."""
    scale: float | Float[Tensor, " batch"] = 1.0
    """1: no guidance. Larger follows the text more closely; a tensor gives every item its own."""


def guide(
    function: Callable[..., Tensor], guided: Guided, *tensors: Shaped[Tensor, "batch ..."]
) -> Shaped[Tensor, "batch ..."]:
    """`u + scale (c - u)` with c and u = `function(*tensors, condition)` under the condition and its null.

    Both come from one call: the first half of its batch is conditional, the second is not. A scale of 1, or no
    null, calls the function with the condition alone.
    """
    scale = guided.scale
    if guided.null is None or (not isinstance(scale, Tensor) and scale == 1.0):
        return function(*tensors, guided.condition)
    both = _joined(guided.condition, guided.null)
    conditional, free = function(*(torch.cat([t, t]) for t in tensors), both).chunk(2)
    if isinstance(scale, Tensor):
        scale = scale.to(free).view(-1, *[1] * (free.ndim - 1))
    return free + scale * (conditional - free)


def _joined(condition: Condition, null: Condition) -> Condition:
    """Both conditions as one batch, the shorter one padded with masked tokens."""
    cond = max(condition.tokens.shape[1], null.tokens.shape[1])
    return Condition.concatenate([_padded(condition, cond), _padded(null, cond)])


def _padded(condition: Condition, cond: int) -> Condition:
    missing = cond - condition.tokens.shape[1]
    if not missing:
        return condition
    tokens = F.pad(condition.tokens, (0, 0, 0, missing))
    return replace(condition, tokens=tokens, mask=F.pad(condition.mask, (0, missing)))
