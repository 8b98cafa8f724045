"""Vector quantisation: each vector becomes the nearest of a learned set of codes.

The codebook is `vector_quantize_pytorch`'s: distances, moving averages, data-parallel sums. Ours is what T2M-GPT
(Zhang et al. 2023) does with it: how it begins, which codes count as dead, and what replaces them. All of this is
part of the state dict, so that a resumed training goes on with its codebook.
"""

from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from vector_quantize_pytorch.vector_quantize_pytorch import Codebook

Update = Literal["average", "average_reset", "gradient"]
"""How codes learn: moving averages of the vectors they stand for (that dead codes leave, or not), or gradients."""


class Quantized(NamedTuple):
    """Vectors after quantisation."""

    vectors: Float[Tensor, "batch places width"]
    """The codes' vectors; gradients go to the input as if nothing had happened (straight-through)."""
    codes: Int[Tensor, "batch places"]
    commitment: Float[Tensor, ""]
    """Mean squared distance of real vectors from their codes, and of the codes from them where codes learn by
    gradient."""
    perplexity: Float[Tensor, ""]
    """Of how often each code is used: the number of codes in use, were they used equally often."""


class Quantizer(nn.Module):
    """A codebook that learns."""

    def __init__(self, codes: int, width: int, update: Update = "average_reset", decay: float = 0.99) -> None:
        """`decay` of the moving averages."""
        super().__init__()
        self.update, self.decay = update, decay
        is_average = update != "gradient"
        self.book = Codebook(
            width, codes, decay=decay, eps=0.0, threshold_ema_dead_code=0,
            learnable_codebook=not is_average, ema_update=is_average,
            use_ddp=torch.distributed.is_available() and torch.distributed.is_initialized(),
        )  # fmt: skip
        self.has_begun: Tensor
        self.register_buffer("has_begun", torch.tensor(not is_average))

    @property
    def counts(self) -> Float[Tensor, " codes"]:
        """Moving average of how many vectors of a batch each code stands for."""
        return cast(Tensor, self.book.cluster_size)[0]

    @property
    def sums(self) -> Float[Tensor, "codes width"]:
        """Moving average of the sum of these vectors."""
        return cast(Tensor, self.book.embed_avg)[0]

    @property
    def codebook(self) -> Float[Tensor, "codes width"]:
        """The vectors of the codes."""
        return self.book.embed[0]

    def set_codebook(self, vectors: Float[Tensor, "codes width"]) -> None:
        """Takes `vectors` as codes, each counted once."""
        with torch.no_grad():
            self.codebook.copy_(vectors)
            self.sums.copy_(vectors)
            self.counts.fill_(1.0)
            self.has_begun.fill_(True)

    def forward(
        self,
        x: Float[Tensor, "batch places width"],
        mask: Bool[Tensor, "batch places"],
        generator: torch.Generator | None = None,
    ) -> Quantized:
        """Quantises; in training the codebook learns from the real vectors of the batch, after it was used."""
        learns = self.training and self.update != "gradient"
        spare = self._spare(x.detach().float()[mask], generator) if learns else None
        if spare is not None and not self.has_begun:
            self.set_codebook(spare)
        found, codes, _ = self.book(x, mask=mask)
        found = found.to(x.dtype)
        if spare is not None and self.update == "average_reset":
            self._replace_dead(spare)
        commitment = _mean_error(x, found.detach(), mask)
        if self.update == "gradient":
            commitment = commitment + _mean_error(x.detach(), found, mask)
        through = x + (found - x).detach()
        return Quantized(through, codes, commitment, self._perplexity(codes[mask]))

    def vectors(self, codes: Int[Tensor, "batch places"]) -> Float[Tensor, "batch places width"]:
        """Vectors of codes; zero where the code is negative."""
        return F.embedding(codes.clamp_min(0), self.codebook) * (codes >= 0)[..., None]

    def _spare(
        self, real: Float[Tensor, "vectors width"], generator: torch.Generator | None
    ) -> Float[Tensor, "codes width"]:
        """The batch's first vectors, one for each code; repeated with a little noise if there are too few."""
        codes, width = self.codebook.shape
        if len(real) < codes:
            repeats = -(-codes // len(real))
            noise = torch.randn(repeats * len(real), width, generator=generator).to(real)
            real = real.repeat(repeats, 1) + noise * 0.01 / width**0.5
        return real[:codes]

    def _replace_dead(self, spare: Float[Tensor, "codes width"]) -> None:
        """Codes that stand for less than one vector move to a vector of the batch; their averages go on."""
        is_dead = self.counts < 1.0
        with torch.no_grad():
            self.codebook.copy_(torch.where(is_dead[:, None], spare, self.codebook))

    def _perplexity(self, codes: Int[Tensor, " places"]) -> Float[Tensor, ""]:
        share = torch.bincount(codes, minlength=len(self.codebook)) / max(len(codes), 1)
        return torch.exp(-(share * (share + 1e-7).log()).sum())


def _mean_error(
    a: Float[Tensor, "batch places width"],
    b: Float[Tensor, "batch places width"],
    mask: Bool[Tensor, "batch places"],
) -> Float[Tensor, ""]:
    """Mean squared difference at the places whose mask is True."""
    squared = (a - b).float().square().mean(-1)
    return (squared * mask).sum() / mask.sum()
