"""CLIP's text network: the text states that MDM and CASIM-MDM were trained on.

What: the token states behind the final LayerNorm ("latent") or multiplied by the text projection ("final"), and as
pooled vector the projected state of the end marker. Any CLIP of the transformers library works (`weights`).

Paper: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision"
(arXiv:2103.00020); as motion condition, pooled: Tevet et al. 2023 (MDM), token by token: CASIM (arXiv 2502.02063).

Where we differ from the authors' code: float32 throughout (they run half precision on a GPU); a prompt that is too
long is an error unless `truncate` is on (they cut it without a word); nothing is padded to 77 tokens, which changes
no state because CLIP's attention is causal: tokens behind the end marker, which they zero and mask, are just not
there. Captions are not passed through ftfy and HTML unescaping first, so broken Unicode gives other tokens.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from casim.record import sha256
from casim.types import TextEncoder, TextTokens, WordMap

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Either of the two; the first is read if both are there."""
VOCABULARIES = (("vocab.json", "merges.txt"), ("tokenizer.json",))
"""Either of the two; the first is read if both are there."""
SIZES = {"hidden_size": 512, "projection_dim": 512, "max_position_embeddings": 77}
"""Sizes of ViT-B/32, which a CLIP's config.json leaves out where it has the same."""
Layer = Literal["latent", "final"]


class Clip(TextEncoder):
    """A frozen CLIP text network: one state per byte-pair piece, start and end marker included.

    Prompts pass through the model one at a time: a prompt's states are then the same bits whatever stands beside
    it, which exact resume needs. Wrap it in `Cached` for training.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings of the CLIP text encoder."""

        weights: str = "openai/clip-vit-base-patch32"
        """Hub name, or local folder, of a CLIP in the transformers layout."""
        layer: Layer = "latent"
        """Token states: latent, behind the final LayerNorm (CASIM's default); final, those multiplied by the text
        projection (CASIM's ablation). The pooled vector is always projected."""
        window: int = 77
        """Most tokens of a prompt, start and end marker included: 77 is all of CLIP (CASIM), 22 is MDM's limit of
        20 tokens between the markers."""
        truncate: bool = False
        """Cut longer prompts to the window, keeping the end marker (MDM, CASIM), instead of refusing them."""

    def __init__(self, config: Config) -> None:
        """Reads the sizes, not yet the weights.

        Raises:
            FileNotFoundError: the files are neither in the folder nor to be had from the hub.
            ValueError: no CLIP, a window it does not have, or token states and pooled vector of different widths.
        """
        self.config = config
        self.folder = _folder(config.weights)
        text = _text_settings(self.folder)
        width, projected, positions = (int(text.get(name, size)) for name, size in SIZES.items())
        if not 3 <= config.window <= positions:
            raise ValueError(f"window of this CLIP must be 3 to {positions} tokens, got {config.window}")
        if config.layer == "latent" and width != projected:
            raise ValueError(
                f"this CLIP has token states of width {width} but a pooled vector of width {projected}; "
                "a model takes both at one width: use layer='final'"
            )
        self.width, self.max_words = projected, config.window

    def identity(self) -> str:
        """Hash of weights, architecture and vocabulary."""
        return self._identity

    @cached_property
    def _identity(self) -> str:
        files = sorted(_files(self.folder))
        return hashlib.sha256("".join(sha256(self.folder / name) for name in files).encode()).hexdigest()

    @cached_property
    def model(self) -> Any:
        """The frozen text network; loaded at first use, because importing its library takes seconds."""
        from transformers import CLIPTextModelWithProjection
        from transformers.utils import logging

        logging.disable_progress_bar()  # a library writes nothing to the terminal
        verbosity = logging.get_verbosity()
        logging.set_verbosity_error()  # the image network's weights go unused, as they should
        try:
            load: Any = CLIPTextModelWithProjection.from_pretrained  # gives a pair here, which its hints do not say
            model, report = load(self.folder, local_files_only=True, dtype=torch.float32, output_loading_info=True)
        finally:
            logging.set_verbosity(verbosity)
        if report["missing_keys"]:
            raise ValueError(
                f"the weights in {self.folder.name} lack {sorted(report['missing_keys'])[0]} and "
                f"{len(report['missing_keys']) - 1} more tensors of a CLIP text network; fetch the model again"
            )
        return model.eval().requires_grad_(False)

    @cached_property
    def tokenizer(self) -> Any:
        """CLIP's byte-pair tokeniser; loaded at first use."""
        from transformers import CLIPTokenizer

        names = VOCABULARIES[0]
        if all((self.folder / name).is_file() for name in names):
            vocabulary, merges = (str(self.folder / name) for name in names)
            return CLIPTokenizer(vocab=vocabulary, merges=merges)
        return CLIPTokenizer.from_pretrained(self.folder, local_files_only=True)

    def tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[WordMap]]:
        """Token numbers of each prompt, markers included and not cut, and the word each token belongs to.

        Raises:
            ValueError: a prompt spells out the end marker.
        """
        if not texts:
            return [], []
        encoded = self.tokenizer(list(texts), return_offsets_mapping=True, return_special_tokens_mask=True)
        ids, end = encoded["input_ids"], self.tokenizer.eos_token_id
        for text, row in zip(texts, ids, strict=True):
            if row.count(end) != 1 or row[-1] != end:
                raise ValueError(
                    f"a prompt must not contain {self.tokenizer.eos_token}, or letters that CLIP has no token for: "
                    f"{text[:60]!r}"
                )
        columns = zip(texts, encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True)
        return ids, [WordMap.of_characters(text, offsets, special) for text, offsets, special in columns]

    def check(self, texts: Sequence[str], counts: Sequence[int]) -> None:
        """Refuses an empty list, and prompts longer than the window."""
        try:
            super().check(texts, counts)
        except ValueError as error:
            if not texts:
                raise
            raise ValueError(f"{error}, or set truncate to cut such prompts as MDM and CASIM do") from None

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextTokens:
        """Token states, mask, projected end state and word map of the prompts.

        With `truncate` the words behind the cut have no tokens; they stay in the list of words.
        """
        ids, maps = self.tokenize(texts)
        if self.config.truncate:
            ids = [self._cut(row) for row in ids]
            maps = [WordMap(m.words, tuple(self._cut(m.token_word))) for m in maps]
        self.check(texts, [len(row) for row in ids])
        encoded = [states(self.model, row, self.config.layer) for row in ids]
        rows, pooled = torch.cat([tokens for tokens, _ in encoded]), torch.stack([end for _, end in encoded])
        return TextTokens.from_rows(rows, pooled[:, None], maps)

    def _cut(self, row: Sequence[int]) -> list[int]:
        return [*row[: self.max_words - 1], row[-1]] if len(row) > self.max_words else list(row)


def states(
    model: Any, ids: Sequence[int], layer: Layer
) -> tuple[Float[Tensor, "words width"], Float[Tensor, " projected"]]:
    """Token states and pooled vector of one prompt, from its token numbers up to and including the end marker."""
    latent = model.text_model(input_ids=torch.tensor([list(ids)])).last_hidden_state[0]  # behind the LayerNorm
    final = model.text_projection(latent)
    return (latent if layer == "latent" else final), final[-1]


def _text_settings(folder: Path) -> dict[str, Any]:
    settings = json.loads((folder / CONFIG).read_bytes())
    text = settings.get("text_config", settings)
    kind = text.get("model_type", settings.get("model_type"))
    if kind not in ("clip", "clip_text_model"):
        raise ValueError(f"{folder.name} holds a model of type {kind!r}, not a CLIP; give the folder of a CLIP")
    return text


def _files(folder: Path) -> tuple[str, ...]:
    """The files that are read, of which some may be missing."""

    def present(choices: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        return next((c for c in choices if all((folder / name).is_file() for name in c)), choices[0])

    return (CONFIG, *present([(name,) for name in WEIGHTS]), *present(VOCABULARIES))


def _missing(folder: Path) -> list[str]:
    return [name for name in _files(folder) if not (folder / name).is_file()]


def _folder(weights: str) -> Path:
    folder = Path(weights)
    if folder.is_dir():
        if missing := _missing(folder):
            raise FileNotFoundError(
                f"{folder} holds no CLIP in the transformers layout: it lacks {', '.join(missing)}"
            )
        return folder
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", weights):
        raise FileNotFoundError(f"no folder {weights}; give the folder or the hub name of a CLIP")
    return _from_hub(weights)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = [CONFIG, WEIGHTS[0], *VOCABULARIES[0]]
    reason = "some files are missing"
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted))
        if WEIGHTS[0] in _missing(folder):  # published before safetensors
            folder = Path(snapshot_download(name, allow_patterns=[WEIGHTS[1]]))
        if not _missing(folder):
            return folder
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        reason = type(error).__name__
    download = f"hf download {name} {' '.join(wanted)}"
    raise FileNotFoundError(
        f"no folder {name}, and neither the hub nor its cache gives {name} ({reason}); with a network run "
        f"`{download}` once (a model without {WEIGHTS[0]} has {WEIGHTS[1]}), or give a folder with these files"
    )
