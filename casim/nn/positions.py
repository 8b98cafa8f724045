"""Where and when: sinusoids and learned vectors of positions, and the embedding of diffusion time steps."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


def sinusoid(positions: Int[Tensor, "*shape"], width: int) -> Float[Tensor, "*shape width"]:
    """Sinusoids of positions (Vaswani et al. 2017): sin in even, cos in odd columns, base 10,000.

    In float32 throughout and with the frequencies as an exponential, as in the authors' tables: at positions near
    1,000 another order of operations moves the result by 6e-5.
    """
    even = torch.arange(0, width, 2, device=positions.device).float()
    angles = positions[..., None].float() * torch.exp(even * (-math.log(10000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)[..., :width]


def halved_sinusoid(positions: Int[Tensor, "*shape"], width: int) -> Float[Tensor, "*shape width"]:
    """The same waves with all cosines in front of all sines (diffusers' `flip_sin_to_cos`).

    Operations in diffusers' order: with that of `sinusoid`, position 1,000 is off by 3e-5.
    """
    half = width // 2
    rates = torch.arange(half, device=positions.device).float() * -math.log(10000.0) / half
    angles = positions[..., None].float() * rates.exp()
    return F.pad(torch.cat([angles.cos(), angles.sin()], -1), (0, width % 2))


class LearnedPositions(nn.Module):
    """One trained vector for each position."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.rand(rows, width))

    def forward(self, places: int, first: int = 0) -> Float[Tensor, "places width"]:
        """Vectors of `places` positions from `first` on.

        Raises:
            ValueError: the table ends before.
        """
        if first + places > len(self.table):
            raise ValueError(
                f"positions up to {first + places} asked for, this model has learned {len(self.table)}; "
                "shorten motion or text, or train with more positions"
            )
        return self.table[first : first + places]


class TimeEmbedding(nn.Module):
    """A diffusion time step as a vector: its sinusoid -> Linear -> SiLU -> Linear."""

    def __init__(
        self,
        width: int,
        wave_width: int | None = None,
        wave: Callable[[Tensor, int], Tensor] = sinusoid,
    ) -> None:
        """`wave` gives the sinusoid, `wave_width` wide (None: as wide as the result, MDM)."""
        super().__init__()
        self.wave = wave
        self.first = nn.Linear(wave_width or width, width)
        self.second = nn.Linear(width, width)

    def forward(self, t: Int[Tensor, " batch"]) -> Float[Tensor, "batch width"]:
        """Vectors of the time steps `t`."""
        waves = self.wave(t, self.first.in_features).to(self.first.weight.dtype)
        return self.second(F.silu(self.first(waves)))
