"""A small folder of word vectors in the layout of the authors."""

import pickle
from pathlib import Path

import numpy as np

WORDS = ("unk", "walk", "sos", "man", "eos", "a", "left")


def write_glove(folder: Path, width: int = 300) -> Path:
    """Writes the three files; rows stand in another order than words."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors = np.random.default_rng(3).normal(size=(len(WORDS) + 2, width))
    rows = {word: len(WORDS) + 1 - i for i, word in enumerate(WORDS)}
    np.save(folder / "our_vab_data.npy", vectors)
    (folder / "our_vab_words.pkl").write_bytes(pickle.dumps(list(WORDS)))
    (folder / "our_vab_idx.pkl").write_bytes(pickle.dumps(rows))
    return folder
