"""Authors' layouts: names both ways, strictness, dead tensors and the published parameter counts."""

import pytest
import torch
from torch import Tensor, nn

from casim import plugins
from casim.backbones.mdm_decoder import MdmDecoder
from casim.backbones.mdm_encoder import MdmEncoder
from casim.official import casim_mdm, mdm

FEATS, TEXT = 263, {"clip": 512, "bert": 768}
PAPER_DECODER = MdmDecoder.Config(has_final_norm=False, use_frame_mask=False)
PAPER_ENCODER = MdmEncoder.Config(has_final_norm=False, use_frame_mask=False, first_frame=None)
COUNTS = {
    "MDM encoder": (PAPER_ENCODER, "clip", 17_880_327),
    "MDM decoder": (PAPER_DECODER, "clip", 26_293_511),
    "CASIM decoder, CLIP": (MdmDecoder.Config(), "clip", 26_294_535),
    "CASIM decoder, BERT": (MdmDecoder.Config(), "bert", 26_425_607),
    "CASIM encoder with its dead tensors": (PAPER_ENCODER, "clip", 18_930_951),
}


def state(config: MdmDecoder.Config | MdmEncoder.Config, feats: int, text: int) -> dict[str, Tensor]:
    """Names of a saved run: the text projection and the backbone."""
    modules = {"projection": nn.Linear(text, config.width)}
    whole = nn.ModuleDict({"injection": nn.ModuleDict(modules), "backbone": plugins.build(config, feats)})
    return dict(whole.state_dict())


@pytest.mark.parametrize("name", COUNTS)
def test_published_parameter_counts(name: str) -> None:
    config, text, expected = COUNTS[name]
    with torch.device("meta"):
        tensors = state(config, FEATS, TEXT[text])
    count = sum(t.numel() for t in tensors.values())
    if "dead" in name:
        shapes = casim_mdm.dead_shapes(config.width).values()
        count += sum(torch.Size(shape).numel() for shape in shapes)
    assert count == expected


def tiny(is_decoder: bool, has_final_norm: bool = False) -> dict[str, Tensor]:
    kind = MdmDecoder if is_decoder else MdmEncoder
    return state(kind.Config(width=6, layers=11, heads=2, ff=10, has_final_norm=has_final_norm), 7, 5)


@pytest.mark.parametrize("is_decoder", [False, True])
def test_mdm_names_round_trip(is_decoder: bool) -> None:
    tensors = tiny(is_decoder)
    official = mdm.to_official(tensors)
    assert official[mdm.TABLES[0]].shape == (5000, 1, 6)
    back = mdm.to_ours(official)
    assert set(back) == set(tensors)
    assert all(back[name] is tensors[name] for name in tensors)


def test_sizes_come_from_the_tensors() -> None:
    official = mdm.to_official(tiny(True, has_final_norm=True))
    config = casim_mdm.config_of(official, mdm.Options(heads=3))
    assert (config.width, config.layers, config.heads, config.ff) == (6, 11, 3, 10)
    assert config.has_final_norm
    assert config.use_frame_mask
    assert (mdm.feats_of(official), mdm.text_width_of(official)) == (7, 5)
    plain = mdm.config_of(mdm.to_official(tiny(False)))
    assert isinstance(plain, MdmEncoder.Config)
    assert not plain.use_frame_mask
    assert plain.first_frame is None


def test_options_of_the_run() -> None:
    official = mdm.to_official(tiny(True))

    def token(**options: bool) -> str:
        config = mdm.config_of(official, mdm.Options(**options))  # type: ignore[arg-type]
        assert isinstance(config, MdmDecoder.Config)
        return config.time_token

    assert token() == "none"
    assert token(emb_trans_dec=True) == "time"
    assert token(emb_trans_dec=True, is_old=True) == "time_text"
    ignoring = casim_mdm.config_of(official, mdm.Options(emb_trans_dec=True))
    assert isinstance(ignoring, MdmDecoder.Config)
    assert ignoring.time_token == "none"


def test_dead_tensors_are_dropped_and_come_back() -> None:
    tensors = tiny(False)
    bare = casim_mdm.to_official(tensors)
    shapes = {n: tuple(t.shape) for n, t in bare.items() if n.startswith(casim_mdm.DEAD)}
    assert shapes == casim_mdm.dead_shapes(6)
    assert set(casim_mdm.to_ours(bare)) == set(tensors)
    with pytest.raises(ValueError, match=r"unknown tensor 'cross_attention"):
        mdm.to_ours(bare)
    assert not any(n.startswith(casim_mdm.DEAD) for n in casim_mdm.to_official(tiny(True)))


def test_frozen_text_networks_are_left_out() -> None:
    official = mdm.to_official(tiny(True)) | {"clip_model.ln_final.weight": torch.ones(3)}
    assert set(mdm.to_ours(official)) == set(tiny(True))


@pytest.mark.parametrize("name", ["gru.weight_ih_l0", "seqTransDecoder.layers.0.self_attn.in_proj", "other.weight"])
def test_unknown_official_tensor(name: str) -> None:
    with pytest.raises(ValueError, match="unknown tensor"):
        mdm.to_ours({name: torch.ones(2)})


def test_tensor_of_ours_without_counterpart() -> None:
    with pytest.raises(ValueError, match="no counterpart"):
        mdm.to_official(tiny(True) | {"injection.context.norm.weight": torch.ones(6)})


def test_foreign_checkpoint() -> None:
    with pytest.raises(ValueError, match="is it an MDM checkpoint"):
        mdm.config_of({"encoder.weight": torch.ones(2)})
