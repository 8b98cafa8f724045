"""Frozen text networks of the transformers library: what all encoders that read one have in common."""

import pickle
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor

from casim.text._hub import Layout, locate
from casim.text._window import Windowed
from casim.types import TextTokens, WordMap


class Pretrained(Windowed):
    """A frozen network in float32 on the CPU, wherever the motion model runs.

    Prompts pass through it one at a time, so that a prompt's states are the same bits whatever stands beside it,
    which exact resume needs. A batch of prompts of equal length needs no padding and, at a caption's dozen tokens,
    about half the time; but matrix products of few rows sum in another order: prompts of up to three tokens, and on
    another machine perhaps longer ones, come out of it with other last bits. Wrap an encoder in `Cached` for
    training: each prompt is then encoded once.
    """

    layout: ClassVar[Layout]
    network: ClassVar[str]
    """Class of the transformers library that holds the text network."""
    unused: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names of tensors that the network has and no result needs."""

    def __init__(self, config: Any, weights: str) -> None:
        """Reads the sizes, not yet the weights.

        Raises:
            FileNotFoundError: the files are neither in the folder nor to be had from the hub.
            ValueError: another kind of model.
        """
        self.config = config
        self.folder = locate(weights, self.layout)
        self.settings = self.layout.settings(self.folder)

    def identity(self) -> str:
        """Hash of weights, architecture and vocabulary."""
        return self._identity

    @cached_property
    def _identity(self) -> str:
        return self.layout.identity(self.folder)

    @cached_property
    def model(self) -> Any:
        """The frozen network; loaded at first use, because importing its library takes seconds.

        Raises:
            ValueError: weights that cannot be read, or that lack tensors.
        """
        import transformers

        load = getattr(transformers, self.network).from_pretrained
        options = {"local_files_only": True, "dtype": torch.float32, "output_loading_info": True}
        try:
            with _quiet():
                model, report = load(self.folder, **options)
        except (SafetensorError, OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"the weights in {self.folder} cannot be read ({reason}); fetch the model again"
            ) from error
        if missing := sorted(name for name in report["missing_keys"] if not name.startswith(self.unused)):
            raise ValueError(
                f"the weights in {self.folder} lack {missing[0]} and {len(missing) - 1} more tensors of a "
                f"{self.layout.kind}; fetch the model again"
            )
        return model.eval().requires_grad_(False)

    @cached_property
    def tokenizer(self) -> Any:
        """The model's own tokeniser (`tokenizers.Tokenizer`), without cutting and padding; loaded at first use.

        Raises:
            ValueError: vocabulary files that cannot be read.
        """
        try:
            tokenizer = self.read_vocabulary()
        except Exception as error:  # the tokenizers library raises no narrower one
            raise ValueError(
                f"the vocabulary in {self.folder} cannot be read ({error}); fetch the model again"
            ) from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def read_vocabulary(self) -> Any:
        """The tokeniser as its files say."""
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    def tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[WordMap]]:
        """Token numbers of each prompt, markers included and not cut, and the word each token belongs to."""
        encodings = self.tokenizer.encode_batch(list(texts))
        maps = [
            WordMap.of_characters(text, e.offsets, e.special_tokens_mask)
            for text, e in zip(texts, encodings, strict=True)
        ]
        return [encoding.ids for encoding in encodings], maps

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextTokens:
        """Token states, mask, pooled state and word map of the prompts.

        With `truncate` the words behind the cut have no tokens; they stay in the list of words.
        """
        ids, maps = self._fitted(texts)
        tokens, pooled = zip(*(self.infer(row) for row in ids), strict=True)
        return TextTokens.from_rows(torch.cat(tokens), torch.stack(pooled)[:, None], maps)

    @torch.no_grad()
    def layers(self, texts: Sequence[str]) -> tuple[TextTokens, ...]:
        """The states of the input embeddings and of every layer, pooled as `encode` pools; the last is `encode`."""
        ids, maps = self._fitted(texts)
        rows = [self.model(torch.tensor([row]), output_hidden_states=True).hidden_states[:-1] for row in ids]
        hidden = [[states[0] for states in layer] for layer in zip(*rows, strict=True)]  # layers, prompts
        made = [
            TextTokens.from_rows(torch.cat(layer), torch.stack([self.pooled(s) for s in layer])[:, None], maps)
            for layer in hidden
        ]
        return (*made, self.encode(texts))

    def _fitted(self, texts: Sequence[str]) -> tuple[list[list[int]], list[WordMap]]:
        """Token numbers and word maps, cut where the config says so."""
        ids, maps = self.tokenize(texts)
        ids = [self.cut(row) for row in ids]
        self.check(texts, [len(row) for row in ids])
        return ids, [WordMap(m.words, tuple(self.cut(m.token_word))) for m in maps]

    @abstractmethod
    def pooled(self, states: Float[Tensor, "words width"]) -> Float[Tensor, " width"]:
        """The summary of one prompt's token states."""

    @abstractmethod
    def infer(self, ids: Sequence[int]) -> tuple[Float[Tensor, "words width"], Float[Tensor, " width"]]:
        """Token states and pooled vector of one prompt, from its token numbers."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the library from writing to the terminal: progress, and the parts of a checkpoint that go unused."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
