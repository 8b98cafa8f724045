"""What is special about MLD's VAE: one posterior for any length, its loss, and where its parameters go."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from casim import plugins
from casim.codecs.motion_vae import Gaussian, MotionVae
from casim.features import FeatureSpec
from casim.types import MotionBatch, frame_mask

TOY = MotionVae.Config(width=10, latents=3, layers=3, heads=2, ff=17, dropout=0.0, positions=29)
LENGTHS = (13, 5, 8)
VARIANTS: list[dict[str, Any]] = [
    {},
    {"decoder": "joint"},
    {"has_distribution_layer": True},
    {"is_pre_norm": True, "latents": 1},
]
every_variant = pytest.mark.parametrize("changes", VARIANTS, ids=str)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codec(joints: int = 22, std: float = 1.0, **changes: Any) -> MotionVae:
    torch.manual_seed(0)
    spec = FeatureSpec(joints)
    made = plugins.build(replace(TOY, **changes), spec, np.zeros(spec.dims), np.full(spec.dims, std)).eval()
    for parameter in made.parameters():
        parameter.data = parameter.data + 0.1 * torch.randn(parameter.shape)
    return made


def clips(feats: int, lengths: tuple[int, ...] = LENGTHS, frames: int = 13) -> MotionBatch:
    mask = frame_mask(list(lengths), frames)
    motion = 0.3 * torch.randn(len(lengths), frames, feats, generator=draw(2)) * mask[..., None]
    texts = tuple(map(str, range(len(lengths))))
    return MotionBatch(motion, mask, texts, texts)


@every_variant
@pytest.mark.parametrize("joints", [22, 21])
def test_a_clip_of_any_length_takes_all_latents(changes: dict[str, Any], joints: int) -> None:
    vae = codec(joints, **changes)
    batch = clips(vae.spec.dims)
    codes = vae.encode(batch)
    assert codes.motion.shape == (3, vae.config.latents, 10)
    assert vae.space == 10
    assert codes.mask.all()
    assert torch.equal(codes.mask, vae.code_mask(batch.mask))
    assert vae.decode(codes.motion, batch.mask).shape == batch.motion.shape


def test_a_generator_draws_from_the_posterior() -> None:
    vae = codec()
    batch = clips(vae.spec.dims, (7,) * 4000, 7)
    batch = replace(batch, motion=batch.motion[:1].expand_as(batch.motion))
    with torch.no_grad():
        found, latents = vae.posterior(batch.motion, batch.mask), vae.encode(batch, draw(1)).motion
    torch.testing.assert_close(vae.encode(batch).motion, found.mean)
    torch.testing.assert_close(latents.mean(0), found.mean[0], atol=0.15, rtol=0)
    torch.testing.assert_close(latents.std(0), found.std[0], atol=0.0, rtol=0.06)


def test_rows_of_a_global_batch_draw_their_own_noise() -> None:
    vae = codec()
    batch = clips(vae.spec.dims)
    whole, part = vae.encode(batch, draw(1)).motion, vae.encode(batch.rows(1, 3), draw(1)).motion
    torch.testing.assert_close(whole[1:], part)


def test_divergence_is_torchs() -> None:
    mean, log_variance = torch.randn(2, 5, 3, 7, generator=draw())
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(Gaussian(mean, log_variance).divergence(), expected)


@every_variant
def test_every_parameter_gets_a_gradient(changes: dict[str, Any]) -> None:
    vae = codec(**changes)
    vae.loss(clips(vae.spec.dims), None, draw()).total.backward()
    assert not [n for n, p in vae.named_parameters() if p.grad is None or not p.grad.any()]


def test_the_parts_of_the_loss_and_their_weights() -> None:
    batch = clips(codec().spec.dims)
    losses = codec(joint_weight=3.0, kl_weight=0.5).loss(batch, None, draw())
    parts = losses.parts
    torch.testing.assert_close(losses.total, parts["features"] + 3 * parts["joints"] + 0.5 * parts["kl"])
    assert all(part > 0 for part in parts.values())
    alone = codec(joint_weight=0.0, kl_weight=0.0).loss(batch, None, draw())
    torch.testing.assert_close(alone.total, alone.parts["features"])


def test_padding_adds_nothing_to_the_loss() -> None:
    vae = codec()
    batch = clips(vae.spec.dims)
    more = 4
    motion = torch.cat([batch.motion, torch.full((3, more, vae.spec.dims), 9.0)], 1)
    padded = replace(batch, motion=motion, mask=torch.nn.functional.pad(batch.mask, (0, more)))
    torch.testing.assert_close(vae.loss(batch, None, draw()).total, vae.loss(padded, None, draw()).total)


def test_joints_are_compared_in_metres() -> None:
    """KIT's statistics are millimetres: two deviations of 800 above the floor are 1.6 m."""
    vae = codec(21, std=800.0)
    height = torch.zeros(1, 5, vae.spec.dims)
    height[..., 3] = 2.0
    assert vae._joints(height)[0, :, 1].tolist() == pytest.approx([1.6] * 5)


def test_a_clip_longer_than_its_positions() -> None:
    vae = codec()
    with pytest.raises(ValueError, match="positions up to 36 asked for, this model has learned 29; shorten"):
        vae.encode(clips(vae.spec.dims, (30,), 30))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"layers": 4}, "odd number of layers, got 4"), ({"latents": 0}, "latents is 0; a clip needs 1 or more")],
)
def test_impossible_sizes(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        codec(**changes)
