"""Word vectors in the files that came with the evaluator of Guo et al.

    our_vab_data.npy    vectors [rows, width]
    our_vab_words.pkl   list of words
    our_vab_idx.pkl     row of every word

Two of them are pickled, which could run code: they are read by an unpickler that makes nothing but lists, dicts,
strings and numbers.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Float32

from evaluators.words import END, START, UNKNOWN

FILES = ("our_vab_data.npy", "our_vab_words.pkl", "our_vab_idx.pkl")


@dataclass(frozen=True)
class Glove:
    """Words and their vectors."""

    words: tuple[str, ...]
    vectors: Float32[np.ndarray, "words width"]


def read(folder: Path) -> Glove:
    """The vectors of a folder.

    Raises:
        FileNotFoundError: the folder lacks a file.
        ValueError: a file holds something else; the message names it.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}; a folder of word vectors holds {', '.join(FILES)}")
    data, words_file, rows_file = (folder / name for name in FILES)
    try:
        vectors = np.load(data, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{data} is no array file: {error}") from None
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating) or not np.isfinite(vectors).all():
        raise ValueError(f"{data} is {vectors.dtype} {vectors.shape}, expected finite vectors [words, width]")
    words, rows = unpickle(words_file), unpickle(rows_file)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{words_file} must hold a list of words")
    if not isinstance(rows, dict) or not all(isinstance(row, int) for row in rows.values()):
        raise ValueError(f"{rows_file} must hold the number of the row of every word")
    unplaced = [word for word in (START, END, UNKNOWN, *words) if not 0 <= rows.get(word, -1) < len(vectors)]
    if unplaced or not {START, END, UNKNOWN} <= set(words):
        missing = unplaced[0] if unplaced else f"{START}, {END} or {UNKNOWN}"
        raise ValueError(f"{folder}: the word {missing!r} has no row among the {len(vectors)} vectors")
    kept = tuple(dict.fromkeys(words))
    return Glove(kept, vectors[[rows[word] for word in kept]].astype(np.float32))


class _Plain(pickle.Unpickler):
    """Reads containers, strings and numbers; nothing that has to be imported."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise ValueError(f"it asks for {module_name}.{global_name}")


def unpickle(path: Path) -> Any:
    """The lists, dicts, strings and numbers in a pickled file.

    Raises:
        ValueError: the file asks for anything else, which could run code, or is no pickled file.
    """
    try:
        with path.open("rb") as handle:
            return _Plain(handle).load()
    except (ValueError, pickle.UnpicklingError, EOFError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{path} is refused: {error}; only a pickled list or dict of strings and whole numbers is read"
        ) from None
