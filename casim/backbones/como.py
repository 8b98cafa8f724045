"""CoMo's transformer: seventy codes at every place, one of each group.

Paper: Huang et al. 2024, "CoMo: Controllable Motion Generation through Language Guided Pose Code Editing"; with
several text tokens, CASIM's CoMo (arXiv 2502.02063; unpublished code). With fixed-length text it has twelve vectors
in front: the caption's and those of eleven keywords.

Where we differ from the authors' code: whether the codes of an item are corrupted in training is drawn for each
item (theirs: for each batch, by a rate that falls from 1 to the same floor within 230 steps), hidden units of the
feed-forward part are dropped out too, and a batch is sampled at once, each item with its own end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from casim.autoregressive import AutoregressiveBackbone, AutoregressiveConfig
from casim.decoding import Decoding
from casim.types import Space


class Como(AutoregressiveBackbone):
    """One code of each group per place, and two flags: this is the end, this is padding."""

    extra_columns: ClassVar[int] = 1
    """The padding flag, which a sampled place may carry to the next."""

    @dataclass(frozen=True)
    class Config(AutoregressiveConfig):
        """Size and training; defaults are the paper's."""

        text_places: int = 12
        """Positions kept for text: 12 for the caption and eleven keywords, 77 for CLIP's tokens."""
        drop_rate: float = 0.0
        teacher_rate: float = 0.1
        """Share of the items whose codes the model sees as they are in training."""

    def __init__(self, config: Config, space: Space) -> None:
        groups = (2,) if isinstance(space, int) else space
        super().__init__(config, space, outputs=sum(groups) + 2)
        self.codes = nn.Linear(self.outputs, config.width)
        starts = [sum(groups[:i]) for i in range(len(groups))]
        columns = torch.arange(max(groups)) + torch.tensor(starts)[:, None]
        is_code = torch.arange(max(groups)) < torch.tensor(groups)[:, None]
        self.columns: Tensor
        self.is_code: Tensor
        self.register_buffer("columns", columns.where(is_code, 0), persistent=False)
        self.register_buffer("is_code", is_code, persistent=False)
        self.begin_small()

    def rows(self, codes: Int[Tensor, "batch places columns"]) -> Float[Tensor, "batch places outputs"]:
        """Ones at the codes among zeros; only the padding flag where there is no code."""
        groups, total = len(self.groups), self.outputs
        rows = torch.zeros(*codes.shape[:2], total, device=codes.device)
        is_real = codes[..., :1] >= 0
        first = self.columns[:, 0]
        rows.scatter_(
            -1, codes[..., :groups].clamp_min(0) + first, is_real.expand(codes[..., :groups].shape).float()
        )
        flag = ~is_real[..., 0] if codes.shape[2] == groups else (codes[..., groups] > 0) | ~is_real[..., 0]
        rows[..., -1] = flag.float()
        return rows

    def embed(self, codes: Tensor) -> Float[Tensor, "batch places width"]:
        """Codes (or rows of flags that training made of them) through one linear map."""
        return self.codes(codes if codes.is_floating_point() else self.rows(codes))

    def corrupted(
        self,
        codes: Int[Tensor, "batch codes groups"],
        keep_rate: float | Float[Tensor, ""],
        draw: Callable[..., Float[Tensor, "batch ..."]],
    ) -> Float[Tensor, "batch codes outputs"]:
        """Rows of the codes; in most items each entry is kept with probability `keep_rate`, else a normal draw.

        Of what results the largest entry of every group is its code, and a flag is set where its sigmoid is above
        .5.
        """
        rows = self.rows(codes)
        shape = rows.shape[1:]
        normal = torch.erfinv((2 * draw(*shape) - 1).clamp(-1 + 1e-6, 1 - 1e-6)) * 2**0.5
        mixed = torch.where(draw(*shape) < keep_rate, rows, normal)
        best = self.by_group(mixed).argmax(-1)
        noisy = self.rows(best)
        noisy[..., -2:] = (mixed[..., -2:] > 0).float()
        return torch.where((draw() < self.config.teacher_rate)[:, None, None], rows, noisy)

    def by_group(self, scores: Float[Tensor, "*places outputs"]) -> Float[Tensor, "*places groups most"]:
        """Scores of each group's codes, minus infinity where a group has fewer."""
        return scores[..., self.columns].masked_fill(~self.is_code, -torch.inf)

    def pick(
        self, scores: Float[Tensor, "batch outputs"], how: Decoding, uniform: Float[Tensor, "batch groups"]
    ) -> tuple[Int[Tensor, "batch columns"], Bool[Tensor, " batch"]]:
        """A code of each group and the padding flag; the end where its probability is above one half."""
        codes = how.choose(self.by_group(scores), uniform)
        return torch.cat([codes, (scores[:, -1:] > 0).long()], 1), scores[:, -2] > 0

    def without_end(self, scores: Float[Tensor, "batch outputs"]) -> Float[Tensor, "batch outputs"]:
        """The end gets minus infinity."""
        return torch.cat([scores[:, :-2], torch.full_like(scores[:, -2:-1], -torch.inf), scores[:, -1:]], -1)

    def errors(
        self, scores: Float[Tensor, "batch places outputs"], codes: Int[Tensor, "batch codes groups"]
    ) -> dict[str, Float[Tensor, "batch places"]]:
        """Binary cross-entropy over all codes and flags, and how often the best code of a group is right."""
        wanted = self.rows(F.pad(codes, (0, 0, 0, 1), value=-1))
        is_real = F.pad(codes[..., 0] >= 0, (0, 1))
        wanted = torch.cat([wanted[..., :-2], (~is_real)[..., None].float(), torch.zeros_like(wanted[..., :1])], -1)
        loss = F.binary_cross_entropy_with_logits(scores, wanted, reduction="none").mean(-1)
        best = self.by_group(scores).argmax(-1) == F.pad(codes, (0, 0, 0, 1), value=-1)
        is_end = (scores[..., -2] > 0) == ~is_real
        return {"loss": loss, "accuracy": torch.where(is_real, best.float().mean(-1), is_end.float())}
