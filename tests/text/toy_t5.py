"""A T5 encoder small enough for tests: random weights; a unigram vocabulary of single letters and a few words."""

import string
from pathlib import Path
from typing import Any

from toy_weights import save_random

WORDS = ("▁a", "▁person", "▁walk", "▁jump", "▁the", "▁then", "▁un", "able", "ing", "s", "▁", "é", "á")
HIDDEN = 24


def vocabulary() -> list[tuple[str, float]]:
    """Units with their log probabilities: the three markers of T5, whole words, single characters."""
    letters = [c for c in string.ascii_letters + string.digits + string.punctuation if c not in WORDS]
    return (
        [(marker, 0.0) for marker in ("<pad>", "</s>", "<unk>")]
        + [(w, -2.0) for w in WORDS]
        + [(letter, -9.0) for letter in letters]
    )


def write_vocabulary(folder: Path) -> None:
    """Writes tokenizer.json: normalisation, spaces as ▁, and an end marker, as T5 has them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram(vocabulary(), unk_id=2))
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.enable_truncation(5)  # as tokenizer.json of the hub may say; encoders ignore it
    tokenizer.save(str(folder / "tokenizer.json"))


def write_toy_t5(folder: Path, network: str = "T5EncoderModel", entries: int | None = None) -> Path:
    """Writes model and vocabulary in the layout of the hub; gives the folder."""
    import transformers as hf

    config = hf.T5Config(
        vocab_size=entries or len(vocabulary()),
        d_model=HIDDEN,
        d_kv=7,
        d_ff=31,
        num_layers=2,
        num_heads=3,
        feed_forward_proj="gated-gelu",
    )
    build: Any = getattr(hf, network)
    save_random(lambda: build(config), folder)
    write_vocabulary(folder)
    return folder
