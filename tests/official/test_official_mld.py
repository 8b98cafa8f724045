"""The authors' MLD layout: published parameter counts, names both ways, strictness and dead tensors."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from casim import plugins
from casim.backbones.mld import Mld
from casim.codecs.motion_vae import MotionVae
from casim.features import FeatureSpec
from casim.official import mld

TINY = {"width": 6, "layers": 5, "heads": 3, "ff": 11, "positions": 13}
VAES: list[dict[str, Any]] = [
    {},
    {"latents": 4},
    {"latents": 2, "decoder": "joint", "has_distribution_layer": True},
    {"layers": 1},
]
DENOISERS: list[tuple[dict[str, Any], int]] = [
    ({"max_frames": 3}, 6),
    ({"max_frames": 3, "arch": "decoder", "has_skips": False, "layers": 2}, 6),
    ({"max_frames": 3, "has_skips": False, "layers": 2}, 6),
    ({"is_motion_last": True, "use_frame_mask": False}, 17),
    ({"max_frames": 3, "layers": 1}, 6),
]


def vae(config: MotionVae.Config) -> dict[str, Tensor]:
    spec = FeatureSpec()
    codec = plugins.build(config, spec, np.zeros(spec.dims), np.ones(spec.dims))
    return dict(nn.ModuleDict({"codec": codec}).state_dict())


def denoiser(config: Mld.Config, space: int, text: int) -> dict[str, Tensor]:
    modules = {"injection": nn.ModuleDict({"projection": nn.Linear(text, config.width)})}
    return dict(nn.ModuleDict({**modules, "backbone": plugins.build(config, space)}).state_dict())


def count(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def test_published_parameter_counts() -> None:
    with torch.device("meta"):
        codec, backbone = vae(MotionVae.Config()), denoiser(Mld.Config(max_frames=1), 256, 768)
    assert count(codec) == 18_032_135
    assert count(mld.to_official(backbone)) == 8_349_184
    assert count(mld.to_official(backbone)) - count(backbone) == 500 * 256  # the dead table


@pytest.mark.parametrize("changes", VAES, ids=str)
def test_vae_round_trip(changes: dict[str, Any]) -> None:
    config = MotionVae.Config(**TINY | changes)
    tensors = vae(config)
    official = mld.to_official(tensors)
    assert official["vae.query_pos_encoder.pe"].shape == (13, 1, 6)
    assert mld.codec_config(official, mld.Options(heads=3)) == config
    back = mld.to_ours(official)
    assert set(back) == set(tensors)
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize(("changes", "space"), DENOISERS, ids=str)
def test_denoiser_round_trip(changes: dict[str, Any], space: int) -> None:
    config = Mld.Config(**TINY | {"time_width": 8} | changes)
    tensors = denoiser(config, space, 7)
    official = mld.to_official(tensors)
    assert official["denoiser.mem_pos.pe"].shape == (13, 1, 6)
    assert mld.backbone_config(official, mld.Options(heads=3, latents=3)) == config
    assert (mld.space_of(official), mld.text_width_of(official)) == (space, 7)
    back = mld.to_ours(official)
    assert set(back) == set(tensors)
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_dead_tensors_come_back() -> None:
    tensors = denoiser(Mld.Config(**TINY), 6, 7)
    dead = {name: torch.rand(13, 1, 6) for name in mld.DEAD}
    official = mld.to_official(tensors, dead)
    assert official["denoiser.mem_pos.pe"] is dead["denoiser.mem_pos.pe"]
    assert not any("mem_pos" in name or "context" in name for name in mld.to_ours(official))


def test_frozen_networks_are_left_out() -> None:
    tensors = vae(MotionVae.Config(**TINY))
    official = mld.to_official(tensors) | {"t2m_textencoder.out_net.0.weight": torch.ones(3)}
    assert set(mld.to_ours(official)) == set(tensors)


@pytest.mark.parametrize("name", ["vae.encoder.middle_block.norm3.bias", "denoiser.encoder.layers.0", "other.pe"])
def test_unknown_official_tensor(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown tensor .* is it an MLD checkpoint"):
        mld.to_ours({name: torch.ones(2)})


def test_tensor_of_ours_without_counterpart() -> None:
    tensors = denoiser(Mld.Config(**TINY), 6, 7) | {"injection.context.norm.weight": torch.ones(6)}
    with pytest.raises(ValueError, match=r"'injection\.context\.norm\.weight' has no counterpart"):
        mld.to_official(tensors)


def test_foreign_checkpoint() -> None:
    tables = {"vae.global_motion_token": torch.ones(2, 6), "vae.query_pos_encoder.pe": torch.ones(3, 1, 6)}
    with pytest.raises(ValueError, match=r"no blocks under 'vae\.encoder'"):
        mld.codec_config(tables)
