"""MultiModality: mean distance of two motions generated for the same caption.

Source: Guo et al. 2022, who draw 10 pairs of 30 motions for each of 100 captions; here all pairs of a caption's
motions count. Theirs may pair a motion with itself, so of m motions each it is (m - 1) / m of this one on average:
29 / 30 of it for published numbers. Higher is not better: random motion has most.
"""

from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor

from evaluators.corruption import spread_vectors
from evaluators.metric import SetMetric
from evaluators.protocol import Space


class Multimodality(SetMetric):
    """Mean distance of two motions of one caption, mean over captions."""

    ideal = None
    unit = "distance"
    higher_is_better = None
    corruption = staticmethod(spread_vectors)
    declared = MappingProxyType({"wrong_text": "same"})
    motions_per_prompt = 10

    def score(self, space: Space) -> Float[Tensor, " parts"]:
        """One distance.

        Raises:
            ValueError: a caption has a single motion.
        """
        order = space.prompt.argsort(stable=True)
        prompts, sizes = space.prompt[order].unique_consecutive(return_counts=True)
        if sizes.min() < 2:
            raise ValueError(
                f"multimodality needs at least two motions of every caption; caption {prompts[sizes.argmin()]} has "
                f"one; generate {self.motions_per_prompt} each"
            )
        motions = space.motion[order].double()
        means = torch.empty(len(prompts), dtype=torch.float64, device=motions.device)
        for size in sizes.unique().tolist():
            rows = motions[(sizes == size).repeat_interleave(sizes)].unflatten(0, (-1, size))
            apart = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
            means[sizes == size] = apart.sum((1, 2)) / (size * (size - 1))
        return means.mean()[None]
