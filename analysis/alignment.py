"""Attention maps as word x frame tables: sub-words merged, markers kept apart, padding left out.

Input is what `casim.nn.attention.record_attention` gives: post-softmax weights `batch heads queries keys`. Two
layouts are read. Cross-attention: queries are motion tokens, keys are text tokens. Self-attention over text and
motion in one sequence: keys are text tokens followed by motion tokens; there the text columns of the motion
rows are taken, each row is divided by its mass on text, and that mass is reported. Extra tokens in front (a
time token) are told from the sizes:
as a query the token is left out, as a key it counts as special. Nothing is dropped in silence: what falls on
special tokens is the `sink` of the table, and words plus sink add up to one in every real frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor

from casim.types import SPECIAL, WordMap

CROSS, SELF = "cross_attention", "self_attention"


@dataclass(frozen=True)
class Layout:
    """Sizes that tell text from motion in a recorded map."""

    cond: int
    """Text tokens of the condition, padded ones included."""
    frames: int
    """Frames of the motion, padded ones included."""
    patch: int = 1
    """Frames per motion token."""

    @property
    def tokens(self) -> int:
        """Motion tokens."""
        return -(-self.frames // self.patch)


@dataclass(frozen=True)
class WordFrames:
    """Attention of motion to words, for a batch of clips; zero beyond a clip's words and frames."""

    maps: Float[np.ndarray, "batch layers words frames"]
    """Share of a frame's attention to text that a word gets; sums to 1 less the sink over words."""
    sink: Float[np.ndarray, "batch layers frames"]
    """Share that special tokens get (start, end and time markers)."""
    text_mass: Float[np.ndarray, "batch layers"]
    """Share of the motion's attention that is on text at all, mean over real frames; 1 for cross-attention."""


def text_layers(recorded: Mapping[str, Tensor]) -> list[str]:
    """Names of the recorded modules in which motion attends to text, in order of depth.

    The cross-attention modules where there are any; otherwise the self-attention modules (one joint sequence).

    Raises:
        ValueError: the model recorded neither.
    """
    names = [name for name in recorded if name.endswith(CROSS)]
    names = names or [name for name in recorded if name.endswith(SELF)]
    if not names:
        raise ValueError(
            f"no module in which motion attends to text: recorded {', '.join(recorded) or 'nothing'}; "
            f"module names must end in {CROSS} or {SELF}"
        )
    return names


def rollout(recorded: Mapping[str, Float[Tensor, "batch heads queries keys"]]) -> dict[str, Tensor]:
    """Attention rollout (Abnar and Zuidema 2020): what flows from text to motion through all layers, as one map.

    Heads are averaged and half of every layer passes its residual on. With cross-attention, what the motion tokens
    took from text in earlier layers is mixed among them by self-attention in later ones (as in Chefer et al. 2021).
    Gives one entry that `word_frames` reads like any other.
    """
    kind = text_layers(recorded)[0].rpartition(".")[2]
    is_cross = kind.endswith(CROSS)
    flow: Tensor | None = None
    for name, weights in recorded.items():
        mean = weights.float().mean(1)
        if name.endswith(CROSS):
            flow = mean if flow is None else (flow + mean) / 2
        elif not is_cross:
            own = torch.eye(mean.shape[-1], device=mean.device)
            flow = (own + mean) / 2 @ (own if flow is None else flow)
        elif flow is not None and mean.shape[-1] == flow.shape[1]:
            flow = (flow + mean @ flow) / 2
    assert flow is not None  # text_layers found one
    return {f"rollout.{kind}": flow[:, None]}


def motion_on_text(
    weights: Float[Tensor, "batch heads queries keys"], layout: Layout
) -> tuple[Float[Tensor, "batch heads tokens columns"], Float[Tensor, "batch heads tokens"]]:
    """Rows of motion, columns of text (each row sums to 1), and the mass of each row on text.

    There may be one column more than the condition has tokens: a time token, then the first column.

    Raises:
        ValueError: the sizes fit neither layout.
    """
    queries, keys = weights.shape[-2:]
    cond, tokens = layout.cond, layout.tokens
    if queries == keys and keys - tokens in (cond, cond + 1):
        text = weights[..., -tokens:, :-tokens]
        mass = text.sum(-1)
        return text / mass.clamp_min(torch.finfo(mass.dtype).tiny)[..., None], mass
    if keys in (cond, cond + 1) and queries in (tokens, tokens + 1):
        text = weights[..., queries - tokens :, :]
        return text, text.sum(-1)
    raise ValueError(
        f"a map of {queries} queries and {keys} keys fits neither cross-attention of {tokens} motion tokens to "
        f"{cond} text tokens nor self-attention over both ({cond + tokens}); check the frames per token"
    )


def word_matrix(words: Sequence[WordMap], columns: int, extra: int = 0) -> Float[Tensor, "batch rows columns"]:
    """Sums token columns to words by a product: row w is 1 at the tokens of word w, the last row at special tokens.

    Args:
        words: the map of each prompt.
        columns: token columns, padded ones and the `extra` ones included.
        extra: columns in front that no word map knows (time tokens); they count as special.

    Padded columns belong to no row: their attention is zero.
    """
    rows = max(len(w.words) for w in words) + 1
    matrix = torch.zeros(len(words), rows, columns)
    matrix[:, -1, :extra] = 1
    for item, word_map in enumerate(words):
        owners = torch.tensor(word_map.token_word, dtype=torch.long)
        owners = torch.where(owners == SPECIAL, rows - 1, owners)
        matrix[item, owners, extra + torch.arange(len(owners))] = 1
    return matrix


def to_frames(
    rows: Float[Tensor, "batch *rows tokens"], patch: int, mask: Bool[Tensor, "batch frames"]
) -> Float[Tensor, "batch *rows frames"]:
    """Token values repeated over the frames of their patch; zero in padded frames."""
    frames = repeat(rows, "batch ... tokens -> batch ... (tokens patch)", patch=patch)[..., : mask.shape[1]]
    shape = (len(mask), *[1] * (frames.ndim - 2), mask.shape[1])
    return frames * mask.reshape(shape)


def word_frames(
    recorded: Mapping[str, Float[Tensor, "batch heads queries keys"]],
    words: Sequence[WordMap],
    frames: Bool[Tensor, "batch frames"],
    layout: Layout,
    head: int | None = None,
) -> WordFrames:
    """The table of every layer in which motion attends to text.

    Args:
        recorded: weights by module name.
        words: which word each text token belongs to, per clip.
        frames: True = real frame.
        layout: sizes of text and motion.
        head: one head; None averages over heads.

    Raises:
        ValueError: no such head, or sizes that fit no layout.
    """
    tables = [_layer(recorded[name], words, frames, layout, head) for name in text_layers(recorded)]
    maps, sink, mass = (torch.stack(part, 1).cpu().numpy() for part in zip(*tables, strict=True))
    return WordFrames(maps, sink, mass)


def _layer(
    weights: Tensor,
    words: Sequence[WordMap],
    frames: Bool[Tensor, "batch frames"],
    layout: Layout,
    head: int | None,
) -> tuple[Tensor, Tensor, Tensor]:
    if head is not None and not 0 <= head < weights.shape[1]:
        raise ValueError(f"no head {head}: this model has heads 0 to {weights.shape[1] - 1}")
    text, mass = motion_on_text(weights.float(), layout)
    chosen = slice(None) if head is None else slice(head, head + 1)
    text, mass = text[:, chosen].mean(1), mass[:, chosen].mean(1)  # batch tokens columns, batch tokens
    columns = text.shape[-1]
    matrix = word_matrix(words, columns, columns - layout.cond).to(text)
    rows = torch.einsum("brc,btc->brt", matrix, text)
    table = to_frames(rows, layout.patch, frames)
    mass = to_frames(mass[:, None], layout.patch, frames)[:, 0].sum(-1) / frames.sum(-1)
    return table[:, :-1], table[:, -1], mass


def resample(
    maps: Float[np.ndarray, "clips words frames"], lengths: Int[np.ndarray, " clips"], points: int
) -> Float[np.ndarray, "clips words {points}"]:
    """The maps at `points` equally spaced relative times of each clip (centres of equal parts)."""
    return _at(maps, (np.arange(points) + 0.5) / points * lengths[:, None] - 0.5, lengths)


def stretch(
    relative: Float[np.ndarray, "clips words points"], lengths: Int[np.ndarray, " clips"], frames: int
) -> Float[np.ndarray, "clips words {frames}"]:
    """Maps over relative time brought to each clip's frames; zero beyond its length."""
    points = np.full(len(relative), relative.shape[-1])
    centres = (np.arange(frames) + 0.5) / lengths[:, None] * relative.shape[-1] - 0.5
    return _at(relative, centres, points) * (np.arange(frames) < lengths[:, None])[:, None]


def _at(maps: np.ndarray, where: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Linear interpolation along the last axis at fractional indices, held constant beyond the ends."""
    where = np.clip(where, 0, lengths[:, None] - 1)
    low = np.floor(where).astype(int)
    high = np.minimum(low + 1, lengths[:, None] - 1)
    part = rearrange(where - low, "clips points -> clips 1 points")
    below, above = (np.take_along_axis(maps, i[:, None], axis=-1) for i in (low, high))
    return below * (1 - part) + above * part
