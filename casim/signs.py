"""Word vectors drawn from a hash: fixed rows of +1 and -1 that need nothing to be downloaded.

Source: random sign projections, D. Achlioptas, "Database-friendly random projections", 2003. Signs are bits of
SHAKE-256 over seed and word: no random generator and no rounding takes part, so that rows are the same on every
machine and in every release of numpy and torch.
"""

import hashlib

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def signs(word: str, width: int, seed: int = 0) -> Float[Tensor, " width"]:
    """The row of a word: any two have a cosine of about 1 / sqrt(width); another seed gives other rows."""
    digest = hashlib.shake_256(f"{seed}:{word}".encode()).digest(-(-width // 8))
    bits = np.unpackbits(np.frombuffer(digest, np.uint8), count=width)
    return torch.from_numpy(2 * bits.astype(np.float32) - 1)
