"""Where and when: sinusoids of positions, and the embedding of diffusion time steps."""

import math

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


class TimeEmbedding(nn.Module):
    """A diffusion time step as a vector: its sinusoid -> Linear -> SiLU -> Linear (MDM)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)

    def forward(self, t: Int[Tensor, " batch"]) -> Float[Tensor, "batch width"]:
        """Vectors of the time steps `t`."""
        waves = sinusoid(t, self.first.in_features).to(self.first.weight.dtype)
        return self.second(F.silu(self.first(waves)))
