"""TMR's training losses as pure functions of what its networks give.

Paper: Petrovich et al., "TMR", ICCV 2023 (arXiv:2305.00976). All means run over the whole tensor, padded (zero)
frames included, as in the authors' code.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from casim.types import Losses


@dataclass(frozen=True)
class LossConfig:
    """Weights and settings of the losses; the defaults are the authors'."""

    recons: float = 1.0
    """Weight of the two reconstructions."""
    kl: float = 1e-5
    """Weight of the four divergences."""
    latent: float = 1e-5
    """Weight of the distance between the two latents."""
    contrastive: float = 0.1
    """Weight of InfoNCE."""
    temperature: float = 0.1
    """Of InfoNCE."""
    threshold: float = 0.8
    """Captions whose similarity is above 2 x this - 1 are no negatives of each other."""


@dataclass(frozen=True)
class Reading:
    """What the networks make of one side of a batch, its captions or its clips."""

    outputs: Float[Tensor, "batch slots width"]
    """Mean and log-variance of the latent, or the mean alone."""
    latent: Float[Tensor, "batch width"]
    """Drawn from them, or the mean."""
    decoded: Float[Tensor, "batch frames feats"]
    """The clip that the decoder makes of the latent, zero behind its end."""


def draw(
    outputs: Float[Tensor, "batch slots width"], noise: Float[Tensor, "batch width"] | None
) -> Float[Tensor, "batch width"]:
    """The latent that standard-normal `noise` gives; the mean without noise or without variance."""
    if noise is None or outputs.shape[1] == 1:
        return outputs[:, 0]
    return outputs[:, 0] + noise * (outputs[:, 1] / 2).exp()


def gaussian(outputs: Float[Tensor, "batch 2 width"]) -> Normal:
    """The distribution of a latent from its mean and log-variance."""
    mean, log_variance = outputs.unbind(1)
    return Normal(mean, (log_variance / 2).exp(), validate_args=False)


def kl(p: Normal, q: Normal) -> Float[Tensor, ""]:
    """Mean Kullback-Leibler divergence of `p` from `q`."""
    return kl_divergence(p, q).mean()


def too_alike(similarity: Float[Tensor, "batch batch"], threshold: float) -> Bool[Tensor, "batch batch"]:
    """Pairs of different captions whose similarity is above 2 `threshold` - 1."""
    alike = similarity > 2 * threshold - 1
    return alike & ~torch.eye(len(alike), dtype=torch.bool, device=alike.device)


def info_nce(
    texts: Float[Tensor, "batch width"],
    motions: Float[Tensor, "batch width"],
    temperature: float,
    excluded: Bool[Tensor, "batch batch"] | None = None,
) -> Float[Tensor, ""]:
    """Symmetric InfoNCE of the cosines; `excluded` pairs (off the diagonal) are no negatives."""
    logits = F.normalize(texts, dim=1) @ F.normalize(motions, dim=1).T / temperature
    if excluded is not None:
        logits = logits.masked_fill(excluded, -torch.inf)
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def losses(
    text: Reading,
    motion: Reading,
    target: Float[Tensor, "batch frames feats"],
    excluded: Bool[Tensor, "batch batch"] | None,
    config: LossConfig,
) -> Losses:
    """The weighted sum, and its parts; latents without variance have no `kl`.

    Args:
        text: what became of the captions.
        motion: what became of their clips.
        target: the standardised clips, zero behind their ends.
        excluded: pairs that are no negatives (`too_alike`).
        config: the weights.
    """
    parts = {
        "recons": F.smooth_l1_loss(text.decoded, target) + F.smooth_l1_loss(motion.decoded, target),
        "latent": F.smooth_l1_loss(text.latent, motion.latent),
        "contrastive": info_nce(text.latent, motion.latent, config.temperature, excluded),
    }
    if text.outputs.shape[1] == 2:
        t, m = gaussian(text.outputs), gaussian(motion.outputs)
        unit = Normal(torch.zeros_like(t.mean), torch.ones_like(t.mean), validate_args=False)
        parts["kl"] = kl(t, m) + kl(m, t) + kl(m, unit) + kl(t, unit)
    total = torch.stack([getattr(config, name) * part for name, part in parts.items()]).sum()
    return Losses(total, parts)
