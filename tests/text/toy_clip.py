"""A CLIP text network small enough for tests: random weights, all 256 bytes and a few merges as vocabulary."""

import json
from pathlib import Path

import torch

MERGES = ("w a", "l k</w>", "wa lk</w>", "j u", "m p</w>", "ju mp</w>", "t h", "th e</w>", "Ã ¡")
HIDDEN, PROJECTED = 24, 24


def byte_letters() -> list[str]:
    """GPT-2's printable stand-ins of the 256 bytes: its own letter where there is one, else one from U+0100 on."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte if byte in own else next(spare)) for byte in range(256)]


def vocabulary() -> dict[str, int]:
    """Letters, letters that end a word, merges, and the two markers with the largest numbers, as in CLIP."""
    letters = byte_letters()
    merged = [merge.replace(" ", "") for merge in MERGES]
    words = [*letters, *(letter + "</w>" for letter in letters), *merged, "<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}


def write_toy_clip(folder: Path, *, hidden: int = HIDDEN, projected: int = PROJECTED, positions: int = 77) -> Path:
    """Writes model and vocabulary in the layout of the hub; gives the folder."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    words = vocabulary()
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=hidden,
        projection_dim=projected,
        max_position_embeddings=positions,
        intermediate_size=31,
        num_hidden_layers=2,
        num_attention_heads=3,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIPTextModelWithProjection(config)
        for parameter in model.parameters():  # no zero bias, no unit norm
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    return folder
