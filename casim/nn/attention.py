"""Multi-head attention that can be recorded: fused while it runs, explicit only while somebody looks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from casim.nn.cache import KeyValueCache
from casim.nn.dropout import dropout

Weights = Float[Tensor, "batch heads queries keys"]
Reduce = Callable[[Any, Weights, int], Any]
"""(kept so far or None, weights of this call, number of this call from 1) -> what to keep."""


def last(kept: Any, weights: Weights, call: int) -> Any:
    """Keeps the latest call."""
    return weights


def running_mean(kept: Any, weights: Weights, call: int) -> Any:
    """Keeps the mean over all calls, for instance over denoising steps."""
    return weights if kept is None else kept + (weights - kept) / call


def unless_full(mask: Bool[Tensor, "batch keys"] | None) -> Bool[Tensor, "batch keys"] | None:
    """None instead of a mask that is True everywhere: fused kernels are faster without one.

    Looks at the values only where that is free: not on an accelerator (it would wait for the device) and not
    while compiling.
    """
    if mask is None or torch.compiler.is_compiling() or mask.device.type != "cpu":
        return mask
    return None if bool(mask.all()) else mask


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017), over `x` itself or over a context.

    Query, key and value projections are packed in this order in one matrix, as in `nn.MultiheadAttention`, whose
    weights map one to one: `in_proj_weight` is `in_proj.weight`, `out_proj.weight` is itself.
    """

    recorder: Callable[[Weights], None] | None = None
    """Receives the weights of every call; set by `record_attention`."""
    by_norm: bool = False
    """What is recorded is weighted by the norm of what each key contributes; set by `record_attention`."""
    change: Callable[[Weights], Weights] | None = None
    """Gives the weights that are used in place of those computed; set by `changed_attention`."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}; choose a width that is")
        self.heads = heads
        self.dropout = dropout
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj.weight)
        nn.init.zeros_(self.in_proj.bias)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self,
        x: Float[Tensor, "batch queries width"],
        context: Float[Tensor, "batch keys width"] | None = None,
        keys_mask: Bool[Tensor, "batch keys"] | None = None,
        causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch queries width"]:
        """What each query gathers from the keys of `context` (of `x` if None) whose mask is True.

        Args:
            x: the queries; with a cache the tokens that are new.
            context: what they attend to.
            keys_mask: True = key that may be seen; with a cache of the old keys and the new ones.
            causal: no query sees keys behind its own place.
            cache: keys and values of the tokens before `x`; takes those of `x` up.
        """
        queries, keys, values = self._project(x, context)
        if cache is not None:
            keys, values = cache.extend(self, keys, values)
            causal = causal and queries.shape[2] > 1  # the last place sees all
        mask = _full_mask(keys_mask, queries.shape[2], causal)
        rate = self.dropout if self.training else 0.0
        is_watched = self.recorder is not None or self.change is not None
        # the fused kernel for CPUs knows no dropout, and torch's way round it draws masks slowly
        if not is_watched and not (rate and x.device.type == "cpu"):
            is_causal = causal and mask is None
            if is_causal and queries.shape[2] < keys.shape[2]:
                mask, is_causal = _triangle(queries.shape[2], keys.shape[2], x.device), False
            gathered = F.scaled_dot_product_attention(queries, keys, values, mask, rate, is_causal=is_causal)
        else:
            weights = _weights(queries, keys, mask, causal)
            if self.change is not None:
                weights = self.change(weights)
            if self.recorder is not None:
                self.recorder(self._contributions(weights, values).detach() if self.by_norm else weights.detach())
            gathered = dropout(weights.to(values.dtype), rate) @ values
        return self.out_proj(rearrange(gathered, "batch heads queries part -> batch queries (heads part)"))

    def _contributions(self, weights: Weights, values: Float[Tensor, "batch heads keys part"]) -> Weights:
        """The norm of what each key adds to the output through each head, as a share of the row's sum."""
        outward = rearrange(self.out_proj.weight, "width (heads part) -> heads part width", heads=self.heads)
        added = weights * (values @ outward).norm(dim=-1)[:, :, None].float()
        return added / added.sum(-1, keepdim=True).clamp_min(torch.finfo(added.dtype).tiny)

    def _project(
        self, x: Float[Tensor, "batch queries width"], context: Float[Tensor, "batch keys width"] | None
    ) -> list[Float[Tensor, "batch heads _ part"]]:
        """Queries, keys and values, split into heads; one product for self-attention."""
        if context is None:
            packed = self.in_proj(x)
            return list(rearrange(packed, "b n (three h part) -> three b h n part", three=3, h=self.heads))
        width = x.shape[-1]
        weight, bias = self.in_proj.weight, self.in_proj.bias
        queries = F.linear(x, weight[:width], bias[:width])
        packed = F.linear(context, weight[width:], bias[width:])
        keys, values = rearrange(packed, "b n (two h part) -> two b h n part", two=2, h=self.heads)
        return [rearrange(queries, "b n (h part) -> b h n part", h=self.heads), keys, values]


def _full_mask(keys_mask: Bool[Tensor, "batch keys"] | None, queries: int, causal: bool) -> Tensor | None:
    """The mask in the form that broadcasts over heads and queries; joined with the causal triangle if both."""
    if keys_mask is None:
        return None
    mask = rearrange(keys_mask, "batch keys -> batch 1 1 keys")
    return mask & _triangle(queries, keys_mask.shape[1], mask.device) if causal else mask


def _triangle(queries: int, keys: int, device: torch.device) -> Bool[Tensor, "queries keys"]:
    """What each of the last `queries` places sees of all places."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def _weights(queries: Tensor, keys: Tensor, mask: Tensor | None, causal: bool) -> Weights:
    """Softmax weights in float32: each row sums to one, masked keys are exactly zero."""
    scores = ((queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)).float()
    if mask is None and causal:
        mask = _triangle(scores.shape[-2], scores.shape[-1], scores.device)
    return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)


@contextmanager
def record_attention(model: nn.Module, reduce: Reduce = last, *, by_norm: bool = False) -> Iterator[dict[str, Any]]:
    """The post-softmax weights that the model really uses inside the `with` block, as {module name: weights}.

    Every `Attention` of `model` computes its softmax explicitly meanwhile and uses these very weights (before
    dropout, so that rows sum to one). `reduce` folds each call into what is kept, so that memory does not grow
    with denoising steps: `last` (default), `running_mean`, or your own. With classifier-free guidance the first
    half of the batch is the conditional pass.

    `by_norm` gives instead the norm-based weights of Kobayashi et al. (2020): a key that is much attended to but
    whose value is close to zero adds nothing. Rows sum to one too.
    """
    kept: dict[str, Any] = {}
    calls: dict[str, int] = {}

    def receiver(name: str) -> Callable[[Weights], None]:
        def receive(weights: Weights) -> None:
            calls[name] = calls.get(name, 0) + 1
            kept[name] = reduce(kept.get(name), weights, calls[name])

        return receive

    modules = {name: module for name, module in model.named_modules() if isinstance(module, Attention)}
    before = {name: (module.recorder, module.by_norm) for name, module in modules.items()}
    for name, module in modules.items():
        module.recorder, module.by_norm = receiver(name), by_norm
    try:
        yield kept
    finally:
        for name, module in modules.items():
            module.recorder, module.by_norm = before[name]


@contextmanager
def changed_attention(model: nn.Module, change: Callable[[str, Weights], Weights]) -> Iterator[None]:
    """Inside the `with` block every `Attention` of `model` uses `change(module name, its weights)`.

    Rows that are to stay distributions must sum to one in what `change` gives. Recording sees the changed weights.
    """
    modules = {name: module for name, module in model.named_modules() if isinstance(module, Attention)}
    before = {name: module.change for name, module in modules.items()}
    for name, module in modules.items():
        module.change = partial(change, name)
    try:
        yield
    finally:
        for name, module in modules.items():
            module.change = before[name]
