"""Base of autoregressive backbones: text first, then one code after another, each seeing what stands before it.

Papers: Zhang et al. 2023 (T2M-GPT); for several text tokens CASIM (arXiv 2502.02063), whose code for these models
is unpublished: all text tokens stand in front as a causal prefix, padded ones are seen by nobody. Motion starts at
a fixed position, `text_places`, whatever the longest caption of the batch is.

A subclass says how codes enter (`embed`), what the model gives at each place (`outputs` scores), how codes are
chosen from these (`pick`) and what is minimised (`errors`).
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from casim.decoding import Decoding
from casim.guidance import Guided, guide
from casim.nn.attention import unless_full
from casim.nn.cache import KeyValueCache
from casim.nn.positions import sinusoid
from casim.nn.transformer import BlockConfig, EncoderBlock, Stack
from casim.types import Backbone, Condition, Losses, MotionBatch, Space

NOTHING = -1
"""The code at places behind the end."""


@dataclass(frozen=True)
class AutoregressiveConfig:
    """Size and training of an autoregressive backbone; the sizes are those of T2M-GPT and CoMo."""

    width: int = 1024
    layers: int = 18
    heads: int = 16
    ff: int = 4096
    """Width of the feed-forward hidden layer."""
    dropout: float = 0.1
    max_codes: int = 50
    """Most codes of a motion."""
    text_places: int = 1
    """Positions kept for text, in front of the motion's: 1 for one pooled vector, 77 for CLIP's tokens."""
    starts_at_end_token: bool = True
    """The first code is read off the caption's last token. Otherwise, with the text padded to `text_places`, off
    the last of these places, as the authors' code would do it."""
    drop_rate: float = 1 / 3
    """How often, in training, a motion loses its first or its last code."""
    keep_rate: float | None = 0.5
    """Share of the codes that the model sees as they are in training; the others are random ones. None: drawn anew
    for each batch."""


class AutoregressiveBackbone(Backbone):
    """A causal transformer over text and codes."""

    outputs: int
    """Scores at each place."""
    extra_columns: ClassVar[int] = 0
    """Columns that sampling carries from place to place beside the codes."""
    config: Any

    def __init__(self, config: AutoregressiveConfig, space: Space, outputs: int) -> None:
        super().__init__()
        if isinstance(space, int):
            raise ValueError(
                f"{type(self).__name__} writes codes one after another and was given vectors of width {space}; "
                "train a codec that gives codes first (vqvae, pose_codes)"
            )
        self.config, self.groups, self.outputs = config, space, outputs
        self.condition_width = config.width
        sizes = BlockConfig(config.width, config.heads, config.ff, config.dropout, is_pre_norm=True)
        self.stack = Stack(EncoderBlock, sizes, config.layers, has_final_norm=True)
        self.head = nn.Linear(config.width, outputs, bias=False)
        places = torch.arange(config.text_places + config.max_codes)
        self.positions: Tensor
        self.register_buffer("positions", sinusoid(places, config.width))

    def begin_small(self) -> None:
        """Starts all linear maps and tables as the authors do: normal, sd .02, without bias."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
                if isinstance(module, nn.Linear) and module.bias is not None:
                    nn.init.zeros_(module.bias)

    @abstractmethod
    def embed(self, codes: Int[Tensor, "batch places groups"]) -> Float[Tensor, "batch places width"]:
        """Codes as vectors; places without a code (`NOTHING`) become anything, they are seen by nobody."""

    @abstractmethod
    def pick(
        self, scores: Float[Tensor, "batch outputs"], how: Decoding, uniform: Float[Tensor, "batch groups"]
    ) -> tuple[Int[Tensor, "batch columns"], Bool[Tensor, " batch"]]:
        """The codes chosen at one place (and `extra_columns` more), and whether the motion ends in front of it."""

    @abstractmethod
    def errors(
        self, scores: Float[Tensor, "batch places outputs"], codes: Int[Tensor, "batch codes groups"]
    ) -> dict[str, Float[Tensor, "batch places"]]:
        """At every place, `loss` to minimise and more to log; `codes` are `NOTHING` behind each motion's end.

        There is one place more than codes: the end.
        """

    @abstractmethod
    def corrupted(
        self,
        codes: Int[Tensor, "batch codes groups"],
        keep_rate: float | Float[Tensor, ""],
        draw: Callable[..., Float[Tensor, "batch ..."]],
    ) -> Tensor:
        """What the model sees in training instead of `codes`; `draw(*shape)` gives uniform numbers."""

    def logits(
        self,
        codes: Tensor,
        condition: Condition,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch places outputs"]:
        """Scores of the first code and of the one behind each of `codes`.

        With a cache that has read the text, `codes` are those that are new, and there is one place for each.

        Raises:
            ValueError: more text or more codes than the model has places for.
        """
        has_read = cache is not None and cache.filled > 0
        text = condition.tokens if self.config.starts_at_end_token else self._padded(condition).tokens
        text_mask = condition.mask if self.config.starts_at_end_token else self._padded(condition).mask
        cond, config = text.shape[1], self.config
        seen = cache.filled - cond if cache is not None and has_read else 0
        self._check_room(cond, seen + codes.shape[1])
        first = config.text_places + seen
        x = self.embed(codes) + self.positions[first : first + codes.shape[1]]
        if condition.pooled is not None:
            x = x + condition.pooled[:, None]
        if not has_read:
            x = torch.cat([text + self.positions[:cond], x], 1)
        mask = F.pad(text_mask, (0, seen + codes.shape[1]), value=True)
        x = self.stack(x, unless_full(mask), True, cache)
        if cache is not None:
            cache.advance(x.shape[1])
        if has_read:
            return self.head(x)
        last = text_mask.shape[1] - 1 - text_mask.flip(1).int().argmax(1)  # of the real text tokens
        if not config.starts_at_end_token:
            last = torch.full_like(last, cond - 1)
        start = x[torch.arange(len(x), device=x.device), last][:, None]
        return self.head(torch.cat([start, x[:, cond:]], 1))

    def _padded(self, condition: Condition) -> Condition:
        missing = max(self.config.text_places - condition.tokens.shape[1], 0)
        tokens = F.pad(condition.tokens, (0, 0, 0, missing))
        return Condition(tokens, F.pad(condition.mask, (0, missing)), condition.pooled)

    def _check_room(self, cond: int, codes: int) -> None:
        if cond > self.config.text_places:
            raise ValueError(
                f"the text has {cond} tokens, the model has {self.config.text_places} places for it; shorten the "
                "prompt, or train with a larger backbone.text_places"
            )
        if codes > self.config.max_codes:
            raise ValueError(
                f"the motion has {codes} codes, the model at most {self.config.max_codes}; shorten it, or train "
                "with a larger backbone.max_codes"
            )

    def loss(
        self, batch: MotionBatch, condition: Condition | None, generator: torch.Generator | None = None
    ) -> Losses:
        """Error at the places up to each motion's end, the end itself included; mean over these, then over
        items."""
        if condition is None:
            raise ValueError(f"{type(self).__name__} needs a condition to learn from")
        draw = _draws(batch, generator)
        codes = torch.where(batch.mask[..., None], batch.motion, NOTHING)
        codes = shortened(codes, self.config.drop_rate, draw)
        rate = draw().mean() if self.config.keep_rate is None else self.config.keep_rate
        scores = self.logits(self.corrupted(codes, rate, draw), condition).float()
        lengths = (codes[..., 0] != NOTHING).sum(1, keepdim=True)
        is_real = torch.arange(scores.shape[1], device=codes.device) <= lengths
        found = {
            name: ((values * is_real).sum(1) / is_real.sum(1)).mean()
            for name, values in self.errors(scores, codes).items()
        }
        return Losses(found["loss"], found)

    @torch.no_grad()
    def sample(
        self,
        guided: Guided,
        frames: Bool[Tensor, "batch places"],
        generator: torch.Generator,
        *,
        length: Literal["own", "given"] = "own",
        least: int = 1,
        uses_cache: bool = True,
        prefix: Int[Tensor, "batch prefix groups"] | None = None,
        after_step: Callable[[int], Any] | None = None,
        **options: Any,
    ) -> Int[Tensor, "batch places groups"]:
        """Codes for each item, `NOTHING` behind its end; all items advance together until the last one ends.

        Args:
            guided: the condition, and its null for classifier-free guidance.
            frames: the places wanted: the most that an item may have.
            generator: of the draws; they depend on the shape of `frames` alone.
            length: "own", the model ends each motion; "given", each has exactly the places wanted.
            least: codes before which no motion ends.
            prefix: codes that every motion begins with, in front of the places wanted; they are not given back.
            uses_cache: read every token once; without, the whole sequence is read at every place (for checks).
            after_step: called with the number of places done.
            options: fields of `Decoding`.

        Raises:
            ValueError: an unknown option, or more places than the model has.
        """
        how = decoding_of(options)
        limits = frames.sum(1)
        places, before = int(limits.max()), 0 if prefix is None else prefix.shape[1]
        self._check_room(guided.condition.tokens.shape[1], before + places)
        uniform = torch.rand(len(frames), places, len(self.groups), generator=generator).to(frames.device)
        columns = len(self.groups) + self.extra_columns
        found = torch.full((len(frames), before + frames.shape[1], columns), NOTHING, device=frames.device)
        if prefix is not None:
            found[:, :before] = F.pad(prefix, (0, self.extra_columns))
        is_done = torch.zeros_like(limits, dtype=torch.bool)
        state = _Reader(self, guided, before + places) if uses_cache else None
        for place in range(places):
            seen = found[:, : before + place]
            scores = state.next(seen) if state else self._read(guided, seen)
            may_end = length == "own" and place >= least
            codes, ends = self.pick(scores if may_end else self.without_end(scores), how, uniform[:, place])
            is_done = is_done | (ends & may_end) | (place >= limits)
            found[:, before + place] = torch.where(is_done[:, None], NOTHING, codes)
            if after_step is not None:
                after_step(place + 1)
            if bool(is_done.all()):
                break
        return found[:, before:, : len(self.groups)]

    @abstractmethod
    def without_end(self, scores: Float[Tensor, "batch outputs"]) -> Float[Tensor, "batch outputs"]:
        """The scores with the end made impossible."""

    def _read(self, guided: Guided, codes: Tensor) -> Float[Tensor, "batch outputs"]:
        """Scores of the next code, all tokens read anew."""
        return guide(lambda seen, condition: self.logits(seen, condition)[:, -1], guided, codes)


class _Reader:
    """Reads what is new and gives the scores of the next code."""

    def __init__(self, backbone: AutoregressiveBackbone, guided: Guided, places: int) -> None:
        self.backbone, self.guided, self.read = backbone, guided, 0
        longest = max(guided.condition.tokens.shape[1], backbone.config.text_places)
        if guided.null is not None:
            longest = max(longest, guided.null.tokens.shape[1])
        self.cache = KeyValueCache(longest + places)

    def next(self, codes: Int[Tensor, "batch places columns"]) -> Float[Tensor, "batch outputs"]:
        """Scores of the code behind `codes`, of which those that are new are read."""
        new, self.read = codes[:, self.read :], codes.shape[1]

        def scores(seen: Tensor, condition: Condition) -> Tensor:
            return self.backbone.logits(seen, condition, self.cache)[:, -1]

        return guide(scores, self.guided, new)


def decoding_of(options: dict[str, Any]) -> Decoding:
    """The decoding that options ask for.

    Raises:
        ValueError: an option that it does not have.
    """
    known = [field.name for field in fields(Decoding)]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(
            f"unknown sampling option {unknown[0]!r} for an autoregressive model; known: length, {', '.join(known)}"
        )
    return Decoding(**options)


def shortened(
    codes: Int[Tensor, "batch codes groups"], rate: float, draw: Callable[..., Float[Tensor, "batch ..."]]
) -> Int[Tensor, "batch codes groups"]:
    """Motions without their first or (as often) last code, in a share `rate` of the cases; never the only one."""
    lengths = (codes[..., 0] != NOTHING).sum(1)
    is_shorter = (draw() < rate) & (lengths > 1)
    is_head = draw() < 0.5
    ahead = F.pad(codes[:, 1:], (0, 0, 0, 1), value=NOTHING)
    places = torch.arange(codes.shape[1], device=codes.device)
    without_last = torch.where((places < (lengths - 1)[:, None])[..., None], codes, NOTHING)
    shorter = torch.where(is_head[:, None, None], ahead, without_last)
    return torch.where(is_shorter[:, None, None], shorter, codes)


def _draws(batch: MotionBatch, generator: torch.Generator | None) -> Callable[..., Tensor]:
    """Uniform numbers for every item, drawn for the whole global batch: any number of processes draws the same."""
    first, total = batch.place or (0, len(batch))

    def draw(*shape: int) -> Tensor:
        numbers = torch.rand(total, *shape, generator=generator)
        return numbers[first : first + len(batch)].to(batch.motion.device)

    return draw
