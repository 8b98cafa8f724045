"""The authors' layouts of T2M-GPT and CoMo: published parameter counts, names both ways, strictness."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from casim import plugins
from casim.backbones.como import Como
from casim.backbones.t2m_gpt import T2mGpt
from casim.codecs._poses import SIZES
from casim.codecs.pose_codes import PoseCodes
from casim.codecs.vqvae import Vqvae
from casim.features import FeatureSpec
from casim.nn.temporal import TemporalConfig
from casim.official import como, t2m_gpt

TINY = {"width": 6, "layers": 4, "heads": 3, "ff": 11, "max_codes": 7}
SMALL = TemporalConfig(width=5, depth=2, halvings=1)
TRANSFORMERS = [
    pytest.param(t2m_gpt, T2mGpt.Config(**TINY), (13,), id="t2m_gpt"),
    pytest.param(como, Como.Config(**TINY), SIZES, id="como"),
]
CODECS = [
    pytest.param(t2m_gpt, Vqvae.Config(codes=7, width=6, network=SMALL), id="vqvae"),
    pytest.param(como, PoseCodes.Config(width=6, network=SMALL), id="pose_codes"),
    pytest.param(como, PoseCodes.Config(width=6, network=SMALL, has_encoder=True), id="pose_codes with encoder"),
]


def transformer(config: Any, space: tuple[int, ...], text: int = 9) -> dict[str, Tensor]:
    modules = {"injection": nn.ModuleDict({"projection": nn.Linear(text, config.width)})}
    return dict(nn.ModuleDict({**modules, "backbone": plugins.build(config, space)}).state_dict())


def codec(config: Any) -> dict[str, Tensor]:
    spec = FeatureSpec()
    made = plugins.build(config, spec, np.zeros(spec.dims), np.ones(spec.dims))
    return dict(nn.ModuleDict({"codec": made}).state_dict())


def count(tensors: dict[str, Tensor], without: tuple[str, ...] = ()) -> int:
    return sum(tensor.numel() for name, tensor in tensors.items() if not name.endswith(without))


def test_published_parameter_counts() -> None:
    masks = (".attn.mask",)
    with torch.device("meta"):
        gpt = t2m_gpt.to_official(transformer(T2mGpt.Config(), (512,), 512))
        pose = como.to_official(transformer(Como.Config(), SIZES, 512))
        vqvae = plugins.build(Vqvae.Config(), FeatureSpec(), np.zeros(263), np.ones(263))
    assert count(gpt, masks) == 228_415_488
    assert count(pose, masks) == 228_194_304
    dead = sum(gpt[name].numel() for name in t2m_gpt.DEAD)
    assert dead == 51 * 1024
    assert sum(p.numel() for p in vqvae.encoder.parameters()) == 9_587_200
    assert sum(p.numel() for p in vqvae.decoder.parameters()) == 9_849_607
    assert vqvae.quantizer.codebook.numel() == 262_144


@pytest.mark.parametrize(("system", "config", "space"), TRANSFORMERS)
def test_transformers_round_trip(system: ModuleType, config: Any, space: tuple[int, ...]) -> None:
    tensors = transformer(config, space)
    official = system.to_official(tensors)
    options = system.Options(heads=3, text_places=config.text_places)
    found = system.backbone_config(official, options)
    assert {name: getattr(found, name) for name in TINY} == TINY
    back = system.to_ours(official)
    assert set(back) == set(tensors)
    assert all(torch.equal(back[name], tensors[name]) for name in back)


@pytest.mark.parametrize(("system", "config"), CODECS)
def test_codecs_round_trip(system: ModuleType, config: Any) -> None:
    tensors = codec(config)
    official = system.codec_to_official(tensors)
    found = system.codec_config(official)
    assert (found.width, found.network.width, found.network.depth, found.network.halvings) == (6, 5, 2, 1)
    back = system.codec_to_ours(official)
    assert set(back) == set(tensors)
    learned = [name for name in back if "quantizer" not in name or name.endswith("book.embed")]
    assert all(torch.equal(back[name], tensors[name]) for name in learned)


@pytest.mark.parametrize(("system", "config", "space"), TRANSFORMERS)
def test_other_checkpoints_are_refused(system: ModuleType, config: Any, space: tuple[int, ...]) -> None:
    official = system.to_official(transformer(config, space))
    with pytest.raises(ValueError, match=r"unknown tensor 'seqTransEncoder"):
        system.to_ours({**official, "seqTransEncoder.layers.0.linear1.weight": torch.zeros(1)})
    less = {name: t for name, t in official.items() if name != "trans_base.blocks.0.attn.key.bias"}
    with pytest.raises(ValueError, match=r"lacks 'trans_base.blocks.0.attn.key.bias'"):
        system.to_ours(less)
    with pytest.raises(ValueError, match="no blocks under 'trans_base'"):
        system.backbone_config({})
    with pytest.raises(ValueError, match="no counterpart"):
        system.to_official({**transformer(config, space), "backbone.more": torch.zeros(1)})
