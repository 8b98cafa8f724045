"""Changes of the motion's attention to text while it is sampled: keys blocked, rows exchanged, heads made blind.

All act inside the text: the share of a motion token's attention that is on text stays, only which words get it
changes. The unconditional half of guidance is left alone. `Intervention.applied` puts one to work on a model.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from analysis.alignment import CROSS, SELF, Layout, motion_on_text
from casim.nn.attention import Attention, changed_attention

Rows = Float[Tensor, "batch heads tokens columns"]
"""Attention of motion tokens to text, each row a distribution."""
Head = tuple[str, int]
"""Module name and number of a head."""


def text_modules(model: nn.Module) -> dict[str, int]:
    """Number of heads of each module in which motion attends to text, by name, in order of depth."""
    heads = {name: m.heads for name, m in model.named_modules() if isinstance(m, Attention)}
    cross = {name: count for name, count in heads.items() if name.endswith(CROSS)}
    return cross or {name: count for name, count in heads.items() if name.endswith(SELF)}


@dataclass
class Intervention:
    """One change of attention to text, and how much it changed."""

    change: Callable[[Rows], Rows]
    """Gives new rows for those of the conditional items."""
    heads: frozenset[Head] | None = None
    """The heads that it acts on; None: all."""
    moved: list[float] = field(default_factory=list)
    """Mean total variation distance between rows before and after, for each call."""

    @contextmanager
    def applied(self, model: nn.Module, batch: int, layout: Layout) -> Iterator[None]:
        """Acts inside the `with` block on the first `batch` items of every call of `model`."""
        counts = text_modules(model)

        def change(name: str, weights: Tensor) -> Tensor:
            if name not in counts:
                return weights
            chosen = [h for h in range(counts[name]) if self.heads is None or (name, h) in self.heads]
            return self._changed(weights, batch, chosen, layout) if chosen else weights

        with changed_attention(model, change):
            yield

    def _changed(self, weights: Tensor, batch: int, heads: Sequence[int], layout: Layout) -> Tensor:
        rows, mass = motion_on_text(weights[:batch, list(heads)], layout)
        new = self.change(rows)
        self.moved.append(float((new - rows).abs().sum(-1).mean() / 2))
        tokens, columns = rows.shape[-2:]
        is_joint = weights.shape[-1] == weights.shape[-2] == layout.cond + layout.tokens
        scale = mass[..., None] if is_joint else 1.0
        weights = weights.clone()
        place = weights[:batch, :, -tokens:, :columns].clone()
        place[:, list(heads)] = new * scale
        weights[:batch, :, -tokens:, :columns] = place
        return weights


def blocked(target: Bool[Tensor, "batch cond"]) -> Callable[[Rows], Rows]:
    """Nothing is left on the target's keys; the rest is scaled up."""

    def change(rows: Rows) -> Rows:
        kept = rows * ~_keys(target, rows)
        return kept / kept.sum(-1, keepdim=True).clamp_min(1e-12)

    return change


def shuffled(
    target: Bool[Tensor, "batch cond"], real: Bool[Tensor, "batch cond"], generator: torch.Generator
) -> Callable[[Rows], Rows]:
    """The control of `blocked`: as much is moved, but between the other keys; the target keeps what it has.

    The other keys of each prompt are exchanged by one random permutation, in part: so far that the total variation
    distance of each row is that of blocking, or wholly where that does not suffice.
    """
    free = real & ~target
    order = torch.rand(free.shape, generator=generator).to(free.device)
    ranked = torch.where(free, order, 2.0).argsort(-1)  # a random order of the free keys first
    plain = torch.where(free, torch.arange(free.shape[1], device=free.device), free.shape[1]).argsort(-1)
    source = torch.arange(free.shape[1], device=free.device).expand_as(plain).clone()
    count = free.sum(-1, keepdim=True)
    is_free = torch.arange(free.shape[1], device=free.device) < count
    source.scatter_(1, plain, torch.where(is_free, ranked, plain))

    def change(rows: Rows) -> Rows:
        extra = rows.shape[-1] - target.shape[1]
        columns = F.pad(source + extra, (extra, 0))
        columns[:, :extra] = torch.arange(extra, device=source.device)
        moved = rows.gather(-1, columns[:, None, None].expand_as(rows))
        distance = (moved - rows).abs().sum(-1, keepdim=True) / 2
        wanted = (rows * _keys(target, rows)).sum(-1, keepdim=True)
        return rows + (wanted / distance.clamp_min(1e-12)).clamp_max(1) * (moved - rows)

    return change


def uniform(real: Bool[Tensor, "batch cond"]) -> Callable[[Rows], Rows]:
    """Every real token gets the same."""

    def change(rows: Rows) -> Rows:
        keys = _keys(real, rows, is_extra=True).to(rows.dtype)
        return (keys / keys.sum(-1, keepdim=True)).expand_as(rows)

    return change


def exchanged(partner: Int[Tensor, " batch"]) -> Callable[[Rows], Rows]:
    """Every item gets the rows of its partner, in every head, frame and step."""
    return lambda rows: rows[partner]


def _keys(tokens: Bool[Tensor, "batch cond"], rows: Rows, *, is_extra: bool = False) -> Bool[Tensor, "batch 1 1 _"]:
    """The columns of the tokens; `is_extra` counts a time token in front of them in."""
    extra = rows.shape[-1] - tokens.shape[1]
    return F.pad(tokens, (extra, 0), value=is_extra)[:, None, None]


def partners(groups: Sequence[Any], generator: torch.Generator) -> Int[Tensor, " batch"]:
    """For each item another of its group, a random cycle through each group; itself where it is alone."""
    found = torch.arange(len(groups))
    for group in dict.fromkeys(groups):
        members = torch.tensor([i for i, other in enumerate(groups) if other == group])
        members = members[torch.randperm(len(members), generator=generator)]
        found[members] = members.roll(1)
    return found
