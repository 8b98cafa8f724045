"""What BERT and its likes share: sizes, last hidden states, and the two ways to pool them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from casim.text._hub import Layout
from casim.text._transformers import Pretrained

CARD = "sentence_bert_config.json"
"""Of sentence transformers: how many tokens the model was tuned for."""
SIZES = {"hidden_size": 768, "dim": 768, "max_position_embeddings": 512}
"""Sizes that a config.json may leave out; DistilBERT calls its width `dim`."""
Pool = Literal["mean", "cls"]


class BertLike(Pretrained):
    """BERT or DistilBERT: states of all sub-words and of both markers, [CLS] in front and [SEP] behind."""

    layout = Layout("BERT-like model", ("bert", "distilbert"), (("tokenizer.json",),), (CARD,))
    network = "AutoModel"
    unused = ("pooler.",)

    def __init__(self, config: Any, weights: str, pool: Pool) -> None:
        """Reads the sizes; `config` holds `max_words` and `truncate`."""
        super().__init__(config, weights)
        sizes = SIZES | self.settings
        self.pool = pool
        self.width = int(sizes["dim" if sizes["model_type"] == "distilbert" else "hidden_size"])
        self.max_words = _limit(self.folder, int(sizes["max_position_embeddings"]), config.max_words)

    def infer(self, ids: Sequence[int]) -> tuple[Float[Tensor, "words width"], Float[Tensor, " width"]]:
        """Last hidden states and their mean, or the first of them, the one of [CLS]."""
        states = self.model(input_ids=torch.tensor([list(ids)])).last_hidden_state[0]
        return states, self.pooled(states)

    def pooled(self, states: Float[Tensor, "words width"]) -> Float[Tensor, " width"]:
        """The mean of all states, or the first of them."""
        return states.mean(0) if self.pool == "mean" else states[0]


def _limit(folder: Path, positions: int, asked: int | None) -> int:
    card = folder / CARD
    made_for = json.loads(card.read_bytes()).get("max_seq_length", positions) if card.exists() else positions
    if asked is not None and not 2 <= asked <= positions:
        raise ValueError(f"max_words of this encoder must be 2 to {positions}, got {asked}")
    return min(made_for, positions) if asked is None else asked
