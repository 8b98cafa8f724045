"""Retrieval between captions and clips: ranks, recall and median rank under TMR's four protocols.

Paper: Petrovich et al., "TMR", ICCV 2023 (arXiv:2305.00976). Row i of a similarity belongs to caption i, column j
to clip j, and i = j is right. The protocols differ in what they search and in what counts as found:

- all: every caption against every clip;
- threshold: the same, but whatever belongs to a caption that is as good as the own one is right as well;
- dissimilar: 100 clips whose captions are as different as possible;
- pool32: pools of 32 drawn once, as for the R-precision of Guo et al. (theirs is called guo); the mean over pools.

Equal similarities share the mean of their ranks.
"""

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

KS = (1, 2, 3, 5, 10)
"""How many results a search shows."""
DIRECTIONS = ("t2m", "m2t")
"""A caption searches clips, a clip searches captions."""
RECALL_PARTS = tuple(f"@{k}.{direction}" for direction in DIRECTIONS for k in KS)
"""Names of what `recalls` gives, in its order."""
RANK_PARTS = tuple(f".{direction}" for direction in DIRECTIONS)
"""Names of what `median_ranks` gives, in its order."""
POOL = 32
SUBSET = 100
"""Clips of the dissimilar subset."""
SAME = 0.95
"""Captions with a similarity above 2 x this - 1 are as good as each other."""


def cosines(
    texts: Float[Tensor, "texts width"], motions: Float[Tensor, "motions width"]
) -> Float[Tensor, "texts motions"]:
    """Cosine of every caption with every clip, float64."""
    return F.normalize(texts.double(), dim=1) @ F.normalize(motions.double(), dim=1).T


def scores(x: Float[Tensor, "batch width"], y: Float[Tensor, "batch width"]) -> Float[Tensor, " batch"]:
    """TMR's score of the vectors of each row, (cosine + 1) / 2 in [0, 1], float64."""
    return ((F.cosine_similarity(x.double(), y.double()) + 1) / 2).clamp(0.0, 1.0)


def ranks(
    similarity: Float[Tensor, "batch batch"], right: Bool[Tensor, "batch batch"] | None = None
) -> Float[Tensor, "directions batch"]:
    """How many results stand before the right one, float64: row 0 caption to clip, row 1 clip to caption.

    Where several results are `right` (symmetric; the diagonal always is), the best of them counts.
    """
    own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    right = own if right is None else right | own
    both = torch.stack([similarity, similarity.T])
    best = both.masked_fill(~right, -torch.inf).amax(2, keepdim=True)
    before, ties = (both > best).sum(2), (both == best).sum(2)
    return before.double() + (ties - 1) / 2


def recalls(before: Float[Tensor, "directions batch"]) -> Float[Tensor, " parts"]:
    """Share of the searches of `ranks` that show a right result, as `RECALL_PARTS` names them."""
    ks = torch.tensor(KS, dtype=before.dtype, device=before.device)
    is_shown = rearrange(before, "directions batch -> directions 1 batch") < rearrange(ks, "ks -> ks 1")
    return is_shown.double().mean(2).flatten()


def median_ranks(before: Float[Tensor, "directions batch"]) -> Float[Tensor, " parts"]:
    """Median of `ranks`, counted from 1, as `RANK_PARTS` names them."""
    return before.quantile(0.5, dim=1) + 1


def pools(rows: int, size: int = POOL, seed: int = 0) -> Int[Tensor, "pools size"]:
    """The rows of every pool: shuffled as the authors do; rows that fill no pool are left out.

    Raises:
        ValueError: not even one pool.
    """
    if rows < size:
        raise ValueError(f"{rows} clips do not fill a pool of {size}; evaluate at least {size}")
    order = np.random.RandomState(seed).permutation(rows)
    return torch.from_numpy(order[: rows // size * size].reshape(-1, size))


def as_good(similarity: Float[Tensor, "batch batch"], threshold: float = SAME) -> Bool[Tensor, "batch batch"]:
    """Which captions are as good as each other: their similarity is above 2 `threshold` - 1."""
    return similarity > 2 * threshold - 1


def dissimilar(similarity: Float[Tensor, "batch batch"], size: int = SUBSET) -> Int[Tensor, " size"]:
    """The rows of captions that differ most: as long as there are too many, the one most like the others goes.

    The authors publish the list of their subset, not how it was found; this is a recipe of our own.
    """
    kept = torch.ones(len(similarity), dtype=torch.bool)
    total = similarity.double().sum(1) - similarity.diagonal().double()
    for _ in range(len(similarity) - size):
        worst = int(total.masked_fill(~kept, -torch.inf).argmax())
        kept[worst] = False
        total -= similarity[worst].double()
    return kept.nonzero().flatten()


def by_protocol(
    texts: Float[Tensor, "batch width"], motions: Float[Tensor, "batch width"], alike: Float[Tensor, "batch batch"]
) -> dict[str, list[Float[Tensor, "directions _"]]]:
    """`ranks` under every protocol that has enough clips, by the end of its metrics' name; one entry per pool.

    Args:
        texts: vectors of captions, in order of the clips' ids (pools are drawn in this order).
        motions: vectors of their clips.
        alike: how alike the captions are, at most 1.
    """
    similarity = cosines(texts, motions)
    found = {"": [ranks(similarity)], "_threshold": [ranks(similarity, as_good(alike))]}
    if len(texts) >= SUBSET:
        rows = dissimilar(alike)
        found["_dissimilar"] = [ranks(similarity[rows][:, rows])]
    if len(texts) >= POOL:
        found["_pool32"] = [ranks(similarity[rows][:, rows]) for rows in pools(len(texts))]
    return found
