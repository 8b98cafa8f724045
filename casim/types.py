"""The types every part of the project exchanges, and the bases of the plugin kinds."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

SPECIAL = -1
"""Word index of a token that belongs to no word: start, end and padding markers."""


WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
"""A word in lower case text: letters, digits and inner apostrophes."""


def words_of(text: str) -> tuple[str, ...]:
    """The words of a caption in reading order: lower case, letters, digits and inner apostrophes."""
    return tuple(WORD.findall(text.lower()))


@dataclass(frozen=True)
class WordMap:
    """Which word of the prompt each text token belongs to."""

    words: tuple[str, ...]
    """The prompt's words in reading order, lower case, punctuation dropped."""
    token_word: tuple[int, ...]
    """For each real token the index of its word, or `SPECIAL`; as long as the real tokens of the item."""

    @staticmethod
    def of_characters(text: str, offsets: Sequence[Sequence[int]], is_special: Sequence[int]) -> "WordMap":
        """Gives each token, by the characters of `text` it covers, to a word; punctuation and markers to none.

        `offsets` holds first and last + 1 character of each token. An apostrophe inside a word belongs to the word,
        as `words_of` reads it.
        """
        word_at = [SPECIAL] * len(text)
        lower_to_text = [i for i, letter in enumerate(text) for _ in letter.lower()]  # some grow in lower case
        for index, word in enumerate(WORD.finditer(text.lower())):
            for i in range(*word.span()):
                word_at[lower_to_text[i]] = index
        token_word = [
            SPECIAL if special else next((w for w in word_at[start:end] if w != SPECIAL), SPECIAL)
            for (start, end), special in zip(offsets, is_special, strict=True)
        ]
        return WordMap(words_of(text), tuple(token_word))


@dataclass(frozen=True)
class TextTokens:
    """What a text encoder gives for a batch of prompts."""

    tokens: Float[Tensor, "batch words width"]
    mask: Bool[Tensor, "batch words"]
    """True = real token."""
    pooled: Float[Tensor, "batch slots width"]
    """The encoder's own fixed-length summary: one slot for most encoders."""
    words: tuple[WordMap, ...]

    def __len__(self) -> int:
        return len(self.words)

    def to(self, device: torch.device | str) -> "TextTokens":
        """The same tokens on `device`."""
        return replace(
            self, tokens=self.tokens.to(device), mask=self.mask.to(device), pooled=self.pooled.to(device)
        )

    @staticmethod
    def from_rows(
        rows: Float[Tensor, "rows width"], pooled: Float[Tensor, "batch slots width"], words: Sequence[WordMap]
    ) -> "TextTokens":
        """A batch, zero-padded to its longest prompt, from the token states of all prompts one after another."""
        mask = frame_mask([len(w.token_word) for w in words])
        tokens = rows.new_zeros(*mask.shape, rows.shape[-1])
        tokens[mask] = rows
        return TextTokens(tokens, mask, pooled, tuple(words))

    def __getitem__(self, items: Sequence[int]) -> "TextTokens":
        """The rows `items`, in that order, padded as before."""
        index = torch.as_tensor(list(items), device=self.tokens.device)
        words = tuple(self.words[i] for i in items)
        return TextTokens(self.tokens[index], self.mask[index], self.pooled[index], words)


@dataclass(frozen=True)
class Condition:
    """What a backbone sees of the text; fixed-length conditioning has a constant number of tokens."""

    tokens: Float[Tensor, "batch cond width"]
    mask: Bool[Tensor, "batch cond"]
    """True = real token."""
    pooled: Float[Tensor, "batch width"] | None = None
    """A vector to add to every motion token, for injections that ask for it."""

    @staticmethod
    def concatenate(conditions: "Sequence[Condition]") -> "Condition":
        """One batch out of several with equal numbers of tokens (classifier-free guidance)."""
        pooled = [c.pooled for c in conditions if c.pooled is not None]
        return Condition(
            torch.cat([c.tokens for c in conditions]),
            torch.cat([c.mask for c in conditions]),
            torch.cat(pooled) if pooled else None,
        )


@dataclass(frozen=True)
class WordSpan:
    """A word of a caption and the frames that it describes, where the dataset knows them."""

    word: int
    """Index into the caption's words (see `WordMap.words`)."""
    start: int
    """First frame described."""
    end: int
    """One past the last frame described."""
    segment: int
    """Index of the action described, in order of time; -1 for words about no single action."""
    is_content: bool
    """True for words that name the action, its side, speed or count; False for "a", "person", "then"."""


@dataclass(frozen=True)
class ActionSpan:
    """One action of a clip and when it happens."""

    action: str
    start: int
    end: int


@dataclass(frozen=True)
class Alignment:
    """Ground truth of a clip: what happens when, and which words say so."""

    words: tuple[str, ...]
    """The caption's words, as `WordMap.words` gives them."""
    spans: tuple[WordSpan, ...]
    """One per word, in reading order."""
    actions: tuple[ActionSpan, ...]
    """In order of time; simultaneous actions share their interval."""
    kind: str
    """Kind of caption: single, pair, while, triple."""
    is_reversed: bool
    """True if the text names the actions in another order than they happen."""


@dataclass(frozen=True)
class MotionBatch:
    """Normalised, zero-padded clips with their captions."""

    motion: Shaped[Tensor, "batch frames feats"]
    """Features; behind a codec its latents, or code indices (integers), one place of the sequence per "frame"."""
    mask: Bool[Tensor, "batch frames"]
    """True = real frame; the real frames come first."""
    texts: tuple[str, ...]
    ids: tuple[str, ...]
    alignment: tuple[Alignment, ...] | None = None
    keywords: tuple[tuple[str, ...], ...] | None = None
    """CoMo's eleven body-part and style strings."""
    tags: tuple[tuple[str, ...], ...] | None = None
    """word/POS of each caption, lemmatised as HumanML3D does; None where the dataset gives none."""
    place: tuple[int, int] | None = None
    """First row and number of rows of the global batch that these rows are part of (data parallel)."""

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self, first: int, last: int) -> "MotionBatch":
        """Rows `first` to `last` (exclusive) of this batch, which remember their place in it."""
        part = slice(first, last)
        return replace(
            self,
            motion=self.motion[part],
            mask=self.mask[part],
            texts=self.texts[part],
            ids=self.ids[part],
            alignment=self.alignment[part] if self.alignment else None,
            keywords=self.keywords[part] if self.keywords else None,
            tags=self.tags[part] if self.tags else None,
            place=(first, len(self)),
        )

    @property
    def lengths(self) -> Int[Tensor, " batch"]:
        """Real frames of each clip."""
        return self.mask.sum(1)

    def to(self, device: torch.device | str) -> "MotionBatch":
        """The same batch on `device`."""
        return replace(self, motion=self.motion.to(device), mask=self.mask.to(device))


@dataclass(frozen=True)
class Losses:
    """The loss to minimise, and its named parts for the log."""

    total: Float[Tensor, ""]
    parts: Mapping[str, Float[Tensor, ""]]


def frame_mask(
    lengths: Int[Tensor, " batch"] | Sequence[int], frames: int | None = None
) -> Bool[Tensor, "batch frames"]:
    """True for the first `lengths[i]` frames of row i; as wide as the longest unless `frames` is given."""
    lengths = torch.as_tensor(lengths)
    width = int(lengths.max()) if frames is None else frames
    return torch.arange(width, device=lengths.device)[None] < lengths[:, None]


class Model(nn.Module, ABC):
    """Anything with parameters that the trainer trains: a backbone or a codec."""

    Config: ClassVar[type]

    @abstractmethod
    def loss(
        self, batch: MotionBatch, condition: Condition | None, generator: torch.Generator | None = None
    ) -> Losses:
        """Training loss of a batch; randomness comes from `generator` (dropout: torch's global state)."""


Space = int | tuple[int, ...]
"""What stands at each place of a sequence that a backbone generates: a vector of this width, or one code out of so
many for each group (T2M-GPT has one group, CoMo seventy)."""


class Backbone(Model):
    """A motion generator, built from its config and the `Space` it works in."""

    condition_width: int
    """Width of the text tokens it wants."""

    @abstractmethod
    def sample(
        self, guided: Any, frames: Bool[Tensor, "batch frames"], generator: torch.Generator, **options: Any
    ) -> Shaped[Tensor, "batch frames feats"]:
        """Motion (or latents, or codes) for `guided` (`casim.guidance.Guided`); `frames` masks the places wanted.

        Codes are -1 behind the end that the model chose.
        """


class Codec(Model):
    """A motion representation learned before the generator, built from its config, feature spec and statistics."""

    mean: Float[Tensor, " feats"]
    std: Float[Tensor, " feats"]
    space: Space
    """What `encode` gives at each place."""

    def __init__(self, spec: Any, mean: np.ndarray, std: np.ndarray) -> None:
        """Keeps what features mean (`casim.features.FeatureSpec`); whoever owns the codec saves the statistics."""
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32), persistent=False)

    @abstractmethod
    def code_mask(self, frames: Bool[Tensor, "batch frames"]) -> Bool[Tensor, "batch codes"]:
        """The places that clips of these frames take."""

    def frames_of(self, codes: Int[Tensor, "batch codes channels"]) -> Int[Tensor, " batch"]:
        """How many frames the codes of each item stand for, where codes of -1 end them.

        Raises:
            ValueError: latents, whose number does not tell.
        """
        raise ValueError(f"{type(self).__name__} has as many latents for every length: lengths must be given")

    @abstractmethod
    def encode(self, batch: MotionBatch, generator: torch.Generator | None = None) -> MotionBatch:
        """The same clips as latents or codes; `generator` draws where the codec is random, None takes the mean."""

    @abstractmethod
    def decode(
        self, codes: Shaped[Tensor, "batch codes channels"], frames: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames feats"]:
        """Normalised motion, zero beyond `frames`; codes of -1 are nothing."""


class TextEncoder(ABC):
    """A frozen text encoder."""

    Config: ClassVar[type]
    config: Any
    """The instance of `Config` it was built from."""
    width: int
    """Width of tokens and pooled vectors."""
    max_words: int
    """Most tokens a prompt may have, markers included."""

    def identity(self) -> str:
        """Hash of the weights, which with the config fixes every result; empty where nothing is loaded."""
        return ""

    def check(self, texts: Sequence[str], counts: Sequence[int]) -> None:
        """Refuses an empty list, and prompts of more tokens (`counts`) than the encoder holds.

        Raises:
            ValueError: with the count, the limit and the start of the first such prompt.
        """
        if not texts:
            raise ValueError("no prompt to encode: give at least one text")
        for text, count in zip(texts, counts, strict=True):
            if count > self.max_words:
                raise ValueError(
                    f"a prompt has {count} tokens, the text encoder holds {self.max_words}; shorten it: "
                    f"{text[:60]!r}{'...' if len(text) > 60 else ''}"
                )

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> TextTokens:
        """Token states, mask, pooled vector and word map of the prompts.

        Raises:
            ValueError: a prompt has more tokens than `max_words`; the message gives both numbers.
        """

    def layers(self, texts: Sequence[str]) -> tuple[TextTokens, ...]:
        """The states of every hidden layer, from the first to what `encode` gives; one entry if there are none."""
        return (self.encode(texts),)


class Clips(ABC):
    """One split of a dataset: clips that are read in batches."""

    lengths: Int[np.ndarray, " clips"]
    """Frames of each clip."""
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def batch(self, items: Sequence[int], seed: int | None = None) -> MotionBatch:
        """The clips `items`; `seed` draws caption and crop, None takes the first caption, uncropped."""


class MotionDataset(ABC):
    """A dataset: how its features are laid out and normalised, and its splits."""

    Config: ClassVar[type]
    spec: Any
    """A `casim.features.FeatureSpec`."""
    mean: Float[np.ndarray, " feats"]
    std: Float[np.ndarray, " feats"]

    @classmethod
    def vocabulary(cls, config: Any) -> frozenset[str] | None:
        """Words of the training captions (`words_of`), found without reading motion; None: not known."""
        return None

    @abstractmethod
    def split(self, name: str) -> Clips:
        """The split called `name`.

        Raises:
            ValueError: no such split; the message lists the names.
        """
