"""A BERT or DistilBERT small enough for tests: random weights, and the real vocabulary of bert-base-uncased."""

import shutil
from pathlib import Path

from toy_weights import save_random

from casim.text.minilm import MiniLM

TOKENIZER = MiniLM(MiniLM.Config()).folder / "tokenizer.json"
"""MiniLM has BERT's own vocabulary, and its package is a dependency of the tests."""
HIDDEN, POSITIONS, ENTRIES = 24, 37, 30522


def write_toy_bert(folder: Path, *, is_distilled: bool = False) -> Path:
    """Writes model and vocabulary in the layout of the hub; gives the folder."""
    import transformers as hf

    if is_distilled:
        config = hf.DistilBertConfig(
            vocab_size=ENTRIES, max_position_embeddings=POSITIONS, dim=HIDDEN, n_layers=2, n_heads=3, hidden_dim=31
        )
        save_random(lambda: hf.DistilBertModel(config), folder)
    else:
        config = hf.BertConfig(
            vocab_size=ENTRIES,
            max_position_embeddings=POSITIONS,
            hidden_size=HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=31,
        )
        save_random(lambda: hf.BertModel(config), folder)
    shutil.copy(TOKENIZER, folder)
    return folder
