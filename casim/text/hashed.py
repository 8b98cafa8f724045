"""Word vectors drawn from a hash: a text encoder with nothing to download.

What: every word has a fixed row of +1 and -1 entries, nearly orthogonal to all other rows, so that a linear layer
on top acts as a learned table of words. Rows know no meaning: synonyms are as far apart as any two words.

Source: random sign projections (`casim.signs`): the rows are the same on every machine. No authors' code exists to
differ from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from casim.signs import signs
from casim.text._window import Windowed
from casim.types import SPECIAL, TextTokens, WordMap, words_of

START = "[start]"
"""The marker before the first word; brackets keep it apart from every word."""


class Hashed(Windowed):
    """One row per word in reading order, after a start marker: a prompt of n words has n + 1 tokens.

    Entries are +1 or -1 (unit variance, norm sqrt(width)); two rows have a cosine of about 1 / sqrt(width).
    The pooled vector is the mean of the word rows, without the marker; zero for a prompt without words.
    """

    has_end_marker = False

    @dataclass(frozen=True)
    class Config:
        """Settings of the hashed word vectors."""

        width: int = 256
        """Width of a row."""
        max_words: int = 77
        """Most tokens of a prompt, start marker included."""
        seed: int = 0
        """Another seed gives every word another row."""
        truncate: bool = False
        """Cut longer prompts to `max_words` tokens instead of refusing them."""

    def __init__(self, config: Config) -> None:
        for name in ("width", "max_words"):
            if getattr(config, name) < 1:
                raise ValueError(f"{name} of the hashed encoder must be at least 1, got {getattr(config, name)}")
        self.config = config
        self.width = config.width
        self.max_words = config.max_words
        self._index: dict[str, int] = {}
        self._rows = torch.zeros(0, config.width)

    def encode(self, texts: Sequence[str]) -> TextTokens:
        """Rows, mask, mean row and word map of the prompts.

        With `truncate` the words behind the cut have no tokens; they stay in the list of words.
        """
        words = [words_of(text) for text in texts]
        maps = [WordMap(w, tuple(self.cut([SPECIAL, *range(len(w))]))) for w in words]
        counts = [len(m.token_word) for m in maps]
        self.check(texts, counts)
        kept = [word for w, count in zip(words, counts, strict=True) for word in (START, *w)[:count]]
        text = TextTokens.from_rows(self._lookup(kept), torch.zeros(len(words), 1, self.width), maps)
        mean = text.tokens[:, 1:].sum(1) / torch.tensor([[max(count - 1, 1)] for count in counts])
        return TextTokens(text.tokens, text.mask, mean[:, None], text.words)

    def _lookup(self, words: Sequence[str]) -> Float[Tensor, "rows width"]:
        unseen = [word for word in dict.fromkeys(words) if word not in self._index]
        if unseen:
            new = torch.stack([signs(word, self.width, self.config.seed) for word in unseen])
            self._index.update({word: len(self._index) + i for i, word in enumerate(unseen)})
            self._rows = torch.cat([self._rows, new])
        return self._rows[[self._index[word] for word in words]]
