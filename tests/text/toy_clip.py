"""A CLIP text network small enough for tests: random weights, all 256 bytes and a few merges as vocabulary."""

import json
from collections.abc import Sequence
from pathlib import Path

from toy_weights import save_random

MERGES = ("w a", "l k</w>", "wa lk</w>", "j u", "m p</w>", "ju mp</w>", "t h", "th e</w>", "Ã ¡")
HIDDEN, PROJECTED = 24, 24


def byte_letters() -> list[str]:
    """GPT-2's printable stand-ins of the 256 bytes: its own letter where there is one, else one from U+0100 on."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte if byte in own else next(spare)) for byte in range(256)]


def vocabulary(merges: Sequence[str] = MERGES) -> dict[str, int]:
    """Letters, letters that end a word, merges, and the two markers with the largest numbers, as in CLIP."""
    letters = sorted(byte_letters())  # CLIP's order: a byte's own letter first
    merged = [merge.replace(" ", "") for merge in merges]
    words = [*letters, *(letter + "</w>" for letter in letters), *merged, "<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}


def write_vocabulary(folder: Path, merges: Sequence[str] = MERGES) -> None:
    """Writes the two files of CLIP's byte-pair vocabulary."""
    (folder / "vocab.json").write_text(json.dumps(vocabulary(merges)))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")


def write_toy_clip(
    folder: Path,
    *,
    hidden: int = HIDDEN,
    projected: int = PROJECTED,
    positions: int = 77,
    merges: Sequence[str] = MERGES,
) -> Path:
    """Writes model and vocabulary in the layout of the hub; gives the folder."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    entries = len(vocabulary(merges))
    config = CLIPTextConfig(
        vocab_size=entries,
        hidden_size=hidden,
        projection_dim=projected,
        max_position_embeddings=positions,
        intermediate_size=31,
        num_hidden_layers=2,
        num_attention_heads=3,
        bos_token_id=entries - 2,
        eos_token_id=entries - 1,
        pad_token_id=0,
    )
    save_random(lambda: CLIPTextModelWithProjection(config), folder)
    write_vocabulary(folder, merges)
    return folder
