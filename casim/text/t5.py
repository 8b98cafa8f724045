"""T5's encoder: text states of a network that was trained to hand all of them to a decoder.

What: the encoder's states behind its final norm, one per SentencePiece unit and one for the end marker. Any T5 of
the transformers library works (`weights`), whole or its encoder alone.

Paper: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer"
(arXiv:1910.10683). No motion model of ours was published with it; it stands in the comparison of text encoders.

Choices: the pooled vector is the mean of all states (Ni et al. 2021, "Sentence-T5", arXiv:2108.08877: T5 has no
sentence marker in front, and the mean is the better vector of an encoder that was not tuned). Positions are
relative and have no limit; `max_words` is the 512 tokens of its training. No task prefix is put in front. Letters
that have no unit and stand side by side become one unknown token, which belongs to the first word it touches.
"""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from casim.text._hub import Layout
from casim.text._transformers import Pretrained

PIECES = "spiece.model"
READERS = ("sentencepiece", "protobuf")
"""Packages that read a vocabulary of SentencePiece; a tokenizer.json needs none of them."""


class T5(Pretrained):
    """One state per SentencePiece unit and one for the end marker; pooled by their mean."""

    layout = Layout("T5", ("t5",), (("tokenizer.json",), (PIECES,)))
    network = "T5EncoderModel"

    @dataclass(frozen=True)
    class Config:
        """Settings of the T5 text encoder."""

        weights: str = "google/t5-v1_1-base"
        """Hub name, or local folder, of a T5 in the transformers layout."""
        max_words: int = 512
        """Most tokens of a prompt, the end marker included."""
        truncate: bool = False
        """Cut longer prompts to `max_words` tokens, keeping the end marker, instead of refusing them."""

    def __init__(self, config: Config) -> None:
        """Reads the width.

        Raises:
            ValueError: a limit below two tokens, or a vocabulary that needs a package which is not installed.
        """
        if config.max_words < 2:
            raise ValueError(f"max_words of a T5 must be at least 2, got {config.max_words}")
        super().__init__(config, config.weights)
        self.width, self.max_words = int(self.settings.get("d_model", 512)), config.max_words
        self._has_pieces = PIECES in self.layout.files(self.folder)
        if self._has_pieces and not all(any(importlib.metadata.distributions(name=name)) for name in READERS):
            raise ValueError(
                f"the vocabulary in {self.folder} is a {PIECES}, which takes {' and '.join(READERS)} to read: "
                'pip install "casim[t5]", or put a tokenizer.json beside it'
            )

    def read_vocabulary(self) -> Any:
        """The tokeniser of the one file, or made from SentencePiece's units."""
        if not self._has_pieces:
            return super().read_vocabulary()
        from transformers import T5Tokenizer

        return T5Tokenizer.from_pretrained(self.folder, local_files_only=True).backend_tokenizer

    def infer(self, ids: Sequence[int]) -> tuple[Float[Tensor, "words width"], Float[Tensor, " width"]]:
        """States behind the final norm, and their mean."""
        states = self.model(input_ids=torch.tensor([list(ids)])).last_hidden_state[0]
        return states, self.pooled(states)

    def pooled(self, states: Float[Tensor, "words width"]) -> Float[Tensor, " width"]:
        """The mean of all states."""
        return states.mean(0)
