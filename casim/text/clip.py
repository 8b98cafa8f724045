"""CLIP's text network: the text states that MDM, CASIM-MDM and MLD were trained on.

What: the token states behind the final LayerNorm ("latent") or multiplied by the text projection ("final"), and as
pooled vector the projected state of the end marker. Any CLIP of the transformers library works (`weights`): MDM and
CASIM take ViT-B/32 (512 wide), MLD takes openai/clip-vit-large-patch14 (768 wide).

Paper: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision"
(arXiv:2103.00020); as motion condition, pooled: Tevet et al. 2023 (MDM), Chen et al. 2023 (MLD); token by token:
CASIM (arXiv 2502.02063).

Where we differ from the authors' code: float32 throughout (MDM and CASIM run half precision on a GPU); a prompt
that is too long is an error unless `truncate` is on (they cut it without a word); nothing is padded to 77 tokens,
which changes no state because CLIP's attention is causal: tokens behind the end marker, which MDM and CASIM zero or
mask, are just not there. Captions are not passed through ftfy and HTML unescaping first, so curly quotes and broken
Unicode give other tokens (of 24,870 HumanML3D captions, 40 have curly quotes; all others give the authors' tokens).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from casim.text._hub import Layout
from casim.text._transformers import Pretrained
from casim.types import WordMap

SIZES = {"hidden_size": 512, "projection_dim": 512, "max_position_embeddings": 77}
"""Sizes of ViT-B/32, which a CLIP's config.json leaves out where it has the same."""
FILES = ("vocab.json", "merges.txt")
Layer = Literal["latent", "final"]


class Clip(Pretrained):
    """A frozen CLIP text network: one state per byte-pair piece, start and end marker included."""

    layout = Layout("CLIP", ("clip", "clip_text_model"), (FILES, ("tokenizer.json",)))
    network = "CLIPTextModelWithProjection"

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
        """Reads the sizes.

        Raises:
            ValueError: a window that this CLIP does not have, or token states and pooled vector of two widths.
        """
        super().__init__(config, config.weights)
        text = SIZES | self.settings.get("text_config", self.settings)
        width, projected, positions = (int(text[name]) for name in SIZES)
        if not 3 <= config.window <= positions:
            raise ValueError(f"window of this CLIP must be 3 to {positions} tokens, got {config.window}")
        if config.layer == "latent" and width != projected:
            raise ValueError(
                f"this CLIP has token states of width {width} but a pooled vector of width {projected}; "
                "a model takes both at one width: use layer='final'"
            )
        self.width, self.max_words = projected, config.window

    def read_vocabulary(self) -> Any:
        """The byte-pair tokeniser, from CLIP's own two files or from the one."""
        from transformers import CLIPTokenizer

        if FILES[0] in self.layout.files(self.folder):
            vocabulary, merges = (str(self.folder / name) for name in FILES)
            return CLIPTokenizer(vocab=vocabulary, merges=merges).backend_tokenizer
        return CLIPTokenizer.from_pretrained(self.folder, local_files_only=True).backend_tokenizer

    def tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[WordMap]]:
        """Token numbers of each prompt, markers included and not cut, and the word each token belongs to.

        Raises:
            ValueError: a prompt spells out the end marker, which also stands for a letter without a token.
        """
        ids, maps = super().tokenize(texts)
        for text, row in zip(texts, ids, strict=True):
            if row.count(row[-1]) != 1:
                raise ValueError(
                    f"a prompt must not contain {self.tokenizer.id_to_token(row[-1])}, or letters that CLIP has no "
                    f"token for: {text[:60]!r}"
                )
        return ids, maps

    def infer(self, ids: Sequence[int]) -> tuple[Float[Tensor, "words width"], Float[Tensor, " width"]]:
        """Token states of the layer asked for, and the projected state of the end marker."""
        return states(self.model, ids, self.config.layer)

    def pooled(self, states: Float[Tensor, "words width"]) -> Float[Tensor, " width"]:
        """The state of the end marker; the projection belongs to the last layer alone."""
        return states[-1]


def states(
    model: Any, ids: Sequence[int], layer: Layer
) -> tuple[Float[Tensor, "words width"], Float[Tensor, " projected"]]:
    """Token states and pooled vector of one prompt, from its token numbers up to and including the end marker."""
    latent = model.text_model(input_ids=torch.tensor([list(ids)])).last_hidden_state[0]  # behind the LayerNorm
    final = model.text_projection(latent)
    return (latent if layer == "latent" else final), final[-1]
