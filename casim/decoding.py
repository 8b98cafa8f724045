"""How a code is chosen from the scores that an autoregressive model gives: the best, or a draw."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Decoding:
    """Strategy and its numbers."""

    strategy: Literal["categorical", "greedy"] = "categorical"
    """A draw from the distribution (what the papers report), or the most likely code."""
    temperature: float = 1.0
    """Scores are divided by it: below 1 sharper, above 1 flatter."""
    top_k: int = 0
    """Only so many codes stay in the draw; 0: all."""
    top_p: float = 1.0
    """Only the most likely codes that together have this probability stay in the draw (nucleus sampling)."""

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}; it must be above 0 (for the best code: greedy)")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}; 0 keeps all codes, any other number at least 1 of them")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it is a probability above 0, 1 keeps all codes")

    def choose(
        self, scores: Float[Tensor, "*items codes"], uniform: Float[Tensor, "*items"]
    ) -> Int[Tensor, "*items"]:
        """A code for each item; `uniform` are draws from 0 to 1 that decide (unused where the best is taken).

        Codes with a score of minus infinity are never chosen.
        """
        if self.strategy == "greedy":
            return scores.argmax(-1)
        probabilities = (scores.float() / self.temperature).softmax(-1)
        ranked, codes = torch.sort(probabilities, dim=-1, descending=True, stable=True)
        before = ranked.cumsum(-1) - ranked
        kept = before < self.top_p
        if self.top_k:
            kept[..., self.top_k :] = False
        ranked = ranked * kept
        total = ranked.cumsum(-1)
        place = torch.searchsorted(total, (uniform * total[..., -1])[..., None], right=True)
        last = (ranked > 0).sum(-1, keepdim=True) - 1
        return codes.gather(-1, torch.minimum(place, last))[..., 0]
