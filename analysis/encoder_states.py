"""What an encoder makes of a set of pairs: vectors of the differing words and of whole captions, layer by layer."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from analysis.minimal_pairs import Pair
from casim.types import SPECIAL, TextEncoder, TextTokens

READOUTS = ("token", "pooled")
"""Mean state of the words that differ; the encoder's own summary of the caption."""
ROLES = ("first", "second", "synonym", "random")
OUTPUT = "output"
"""The layer that a motion model gets."""
BATCH = 64

Vectors = Float[np.ndarray, "texts width"]
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Place:
    """Where a vector comes from."""

    readout: str
    layer: str


@dataclass(frozen=True)
class States:
    """The vectors of a set of pairs at every place: by role, pairs x width; NaN where a pair lacks the control."""

    at: dict[Place, dict[str, Float[np.ndarray, "pairs width"]]]


def layer_names(count: int) -> tuple[str, ...]:
    """`layer 0` (input embeddings) onwards, and `output` for the last."""
    return (*(f"layer {i}" for i in range(count - 1)), OUTPUT)


def states_of(encoder: TextEncoder, pairs: Sequence[Pair], advance: Advance) -> States:
    """Encodes every different text of the pairs once; a word's state is the mean of its pieces'."""
    texts = list(dict.fromkeys(text for pair in pairs for text in pair.texts))
    row = {text: i for i, text in enumerate(texts)}
    spans = {(pair, role): _span(pair, role) for pair in pairs for role in ROLES if getattr(pair, role)}
    pooled: list[list[Vectors]] = []
    words: list[list[list[np.ndarray]]] = []
    for batch in _batches(texts, advance):
        layers = encoder.layers(batch)
        pooled.append([layer.pooled.mean(1).numpy() for layer in layers])
        words.append([_words(layer) for layer in layers])
    at: dict[Place, dict[str, np.ndarray]] = {}
    for i, layer in enumerate(layer_names(len(pooled[0]))):
        summary = np.concatenate([part[i] for part in pooled])
        by_text = [states for part in words for states in part[i]]
        empty = np.full(summary.shape[1], np.nan)

        def summarised(pair: Pair, role: str, summary: Vectors = summary) -> np.ndarray:
            return summary[row[getattr(pair, role)]]

        def differing(pair: Pair, role: str, by_text: list[np.ndarray] = by_text) -> np.ndarray:
            return by_text[row[getattr(pair, role)]][slice(*spans[pair, role])].mean(0)

        for readout, read in zip(READOUTS, (differing, summarised), strict=True):
            at[Place(readout, layer)] = {
                role: np.stack([read(p, role) if getattr(p, role) else empty for p in pairs]) for role in ROLES
            }
    return States(at)


def _span(pair: Pair, role: str) -> tuple[int, int]:
    return pair.span(getattr(pair, role))


def background_of(encoder: TextEncoder, texts: Sequence[str], advance: Advance) -> dict[Place, Vectors]:
    """Vectors of captions that are no pairs: of every word, and of every caption."""
    found: dict[Place, list[np.ndarray]] = {}
    for batch in _batches(texts, advance):
        layers = encoder.layers(batch)
        for name, layer in zip(layer_names(len(layers)), layers, strict=True):
            found.setdefault(Place("token", name), []).extend(_words(layer))
            found.setdefault(Place("pooled", name), []).append(layer.pooled.mean(1).numpy())
    return {place: np.concatenate(parts) for place, parts in found.items()}


def _batches(texts: Sequence[str], advance: Advance) -> Iterable[Sequence[str]]:
    for start in range(0, len(texts), BATCH):
        yield texts[start : start + BATCH]
        advance(len(texts[start : start + BATCH]))


def _words(layer: TextTokens) -> list[Float[np.ndarray, "words width"]]:
    """Of each prompt, the state of every word."""
    tokens = layer.tokens.numpy()
    return [_merged(tokens[i], np.array(m.token_word), len(m.words)) for i, m in enumerate(layer.words)]


def _merged(
    tokens: Float[np.ndarray, "tokens width"], word: Int[np.ndarray, " real"], count: int
) -> Float[np.ndarray, "words width"]:
    belongs = (word == np.arange(count)[:, None]) & (word != SPECIAL)
    return belongs @ tokens[: len(word)] / belongs.sum(1, keepdims=True)
