"""T2M-GPT's transformer: the codes of a VQ-VAE, one after another.

Paper: Zhang et al. 2023, "T2M-GPT: Generating Human Motion from Textual Descriptions with Discrete
Representations"; with several text tokens, CASIM's T2M-GPT (arXiv 2502.02063; unpublished code).

Where we differ from the authors' code: hidden units of the feed-forward part are dropped out too, and a batch is
sampled at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from casim.autoregressive import AutoregressiveBackbone, AutoregressiveConfig
from casim.decoding import Decoding
from casim.types import Space


class T2mGpt(AutoregressiveBackbone):
    """One code per place, or the end."""

    @dataclass(frozen=True)
    class Config(AutoregressiveConfig):
        """Size and training; defaults are the paper's."""

    def __init__(self, config: Config, space: Space) -> None:
        groups = () if isinstance(space, int) else space
        if len(groups) != 1 and not isinstance(space, int):
            raise ValueError(f"T2mGpt writes one code per place and was given {len(groups)} groups; use como")
        super().__init__(config, space, outputs=(groups[0] if groups else 0) + 1)
        self.end = self.groups[0]
        self.codes = nn.Embedding(self.end + 2, config.width)  # the codes, the end and padding, as in the authors'
        self.begin_small()

    def embed(self, codes: Int[Tensor, "batch places groups"]) -> Float[Tensor, "batch places width"]:
        """Vectors of the codes; padding's where there is none."""
        return self.codes(torch.where(codes[..., 0] < 0, self.end + 1, codes[..., 0]))

    def corrupted(
        self,
        codes: Int[Tensor, "batch codes groups"],
        keep_rate: float | Float[Tensor, ""],
        draw: Callable[..., Float[Tensor, "batch ..."]],
    ) -> Int[Tensor, "batch codes groups"]:
        """Each code is kept with probability `keep_rate`, else any code."""
        shape = codes.shape[1:]
        return torch.where(draw(*shape) < keep_rate, codes, (draw(*shape) * self.end).long())

    def pick(
        self, scores: Float[Tensor, "batch outputs"], how: Decoding, uniform: Float[Tensor, "batch groups"]
    ) -> tuple[Int[Tensor, "batch groups"], Bool[Tensor, " batch"]]:
        """The code, or the end."""
        chosen = how.choose(scores, uniform[:, 0])
        return chosen[:, None], chosen == self.end

    def without_end(self, scores: Float[Tensor, "batch outputs"]) -> Float[Tensor, "batch outputs"]:
        """The end gets minus infinity."""
        return torch.cat([scores[:, :-1], torch.full_like(scores[:, -1:], -torch.inf)], -1)

    def errors(
        self, scores: Float[Tensor, "batch places outputs"], codes: Int[Tensor, "batch codes groups"]
    ) -> dict[str, Float[Tensor, "batch places"]]:
        """Cross-entropy, and how often the best code is right."""
        wanted = F.pad(codes[..., 0], (0, 1), value=-1)
        wanted = torch.where(wanted < 0, self.end, wanted)
        loss = F.cross_entropy(scores.transpose(1, 2), wanted, reduction="none")
        return {"loss": loss, "accuracy": (scores.argmax(-1) == wanted).float()}
