import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_bert import write_toy_bert

from casim import plugins
from casim.diffusion import DiffusionConfig
from casim.official import casim_mdm, mdm
from casim.recipes import CONFOUNDS, FACTORS, RECIPES, Factors, named
from casim.setups import restored

CLIP_WIDTH, BERT_WIDTH = 512, 768
"""ViT-B/32 and the base size of BERT and DistilBERT; the published models stand on them."""
WIDER = 512 * (BERT_WIDTH - CLIP_WIDTH)
"""Weights that the text projection has more of for BERT: nothing else depends on the text encoder."""
PUBLISHED = {
    "mdm_encoder_humanml3d": 17_880_327,
    "mdm_decoder_humanml3d": 26_293_511,
    "casim_mdm_decoder_humanml3d": 26_294_535,
    "casim_mdm_encoder_humanml3d": 18_930_951,
    "casim_mdm_decoder_bert_humanml3d": 26_425_607,
    "casim_mdm_encoder_bert_humanml3d": 18_930_951 + WIDER,
    "mdm_decoder_distilbert_humanml3d": 26_293_511 + WIDER,
}
PAPER = sorted(PUBLISHED)
WITH_BERT = [name for name in PAPER if "bert" in name]
DEAD = ("casim_mdm_encoder_humanml3d", "casim_mdm_encoder_bert_humanml3d")
"""Rows whose published model carries an attention module that it never calls."""
OPTIONS = {
    "mdm_decoder_distilbert_humanml3d": mdm.Options(mask_frames=True, diffusion=DiffusionConfig(steps=50)),
}
"""What the published `args.json` says where it is not the default."""
PAIRS = [("choreography_casim", "choreography_fixed"), ("mocap_casim", "mocap_fixed")]


def parts(name: str, text_width: int) -> torch.nn.ModuleDict:
    """Injection and backbone of a recipe, without memory for their weights."""
    setup = named(name).setup
    feats = setup.data.spec.dims
    with torch.device("meta"):
        backbone = plugins.build(setup.backbone, feats)
        injection = plugins.owner(setup.injection)(setup.injection, text_width, backbone.condition_width)
    return torch.nn.ModuleDict({"injection": injection, "backbone": backbone})


def text_width(name: str) -> int:
    return BERT_WIDTH if name in WITH_BERT else CLIP_WIDTH


def official(name: str) -> dict[str, torch.Size]:
    """Names and shapes in the authors' layout, sinusoid tables left out."""
    ours = {n: torch.zeros(t.shape) for n, t in parts(name, text_width(name)).state_dict().items()}
    give = casim_mdm.to_official if name.startswith("casim_") else mdm.to_official
    return {n: t.shape for n, t in give(ours, table_rows=0).items()}


@pytest.mark.parametrize("name", RECIPES)
def test_setup_survives_json(name: str) -> None:
    recipe = named(name)
    config = json.loads(json.dumps(recipe.to_json()))
    assert restored(config) == recipe.setup
    assert config["recipe"] == recipe.name == name
    assert config["training"] == vars(recipe.training)
    assert recipe.about.splitlines()[0].endswith(".")


def test_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match="Did you mean choreography_casim"):
        named("choreografy_casim")


@pytest.mark.parametrize("name", PAPER)
def test_paper_rows_have_the_published_number_of_parameters(name: str) -> None:
    modules = parts(name, text_width(name))
    ours = sum(p.numel() for p in modules.parameters() if p.requires_grad)
    width = named(name).setup.backbone.width
    dead = casim_mdm.dead_shapes(width) if name in DEAD else {}
    unused = sum(torch.Size(shape).numel() for shape in dead.values())
    assert ours + unused == PUBLISHED[name]
    assert sum(shape.numel() for shape in official(name).values()) == PUBLISHED[name]


@pytest.mark.parametrize("name", PAPER)
def test_paper_rows_are_what_the_authors_checkpoints_ask_for(name: str) -> None:
    """The config derived from a checkpoint's tensors is the recipe's backbone."""
    tensors = {n: torch.empty(shape, device="meta") for n, shape in official(name).items()}
    derived = (casim_mdm if name.startswith("casim_") else mdm).config_of(tensors, OPTIONS.get(name))
    own = named(name).setup.backbone
    differing = {field for field, value in vars(own).items() if getattr(derived, field) != value}
    # right behind the text, padded to CLIP's window: the same position, written as a number
    assert differing == ({"first_frame"} if name == "casim_mdm_encoder_humanml3d" else set())


def test_paper_rows_differ_from_mdm_as_the_papers_say() -> None:
    setups = {name: named(name).setup for name in PAPER}
    of_casim = {n for n in PAPER if n.startswith("casim_")}
    clips = {n: s.text for n, s in setups.items() if n not in WITH_BERT}
    assert {n for n, text in clips.items() if text.window == 77} == of_casim - set(WITH_BERT)
    assert all(text.truncate and text.layer == "latent" for text in clips.values())
    tokenwise = {n for n, s in setups.items() if plugins.plugin_name(s.injection) == "casim"}
    assert tokenwise == of_casim | {"mdm_decoder_distilbert_humanml3d"}
    assert {n for n, s in setups.items() if s.data.is_padded_full} == set(PAPER) - tokenwise
    trainings = {n: named(n).training for n in PAPER}
    assert {n: t.batch_size for n, t in trainings.items()} == {n: 512 if n in of_casim else 64 for n in PAPER}
    assert {n for n, t in trainings.items() if t.ema} == {"mdm_decoder_distilbert_humanml3d"}
    assert all(
        (t.learning_rate, t.weight_decay, t.text_dropout, t.decay) == (1e-4, 0, 0.1, False)
        for t in trainings.values()
    )
    assert all(
        (s.sampling.sampler, s.sampling.steps, s.sampling.guidance) == ("ddpm", None, 2.5) for s in setups.values()
    )


def test_bert_rows_differ_from_clip_rows_in_the_text_encoder_only() -> None:
    """But for the encoder's first frame, which follows the batch's longest caption."""
    for kind in ("decoder", "encoder"):
        clip, bert = (named(f"casim_mdm_{kind}{text}_humanml3d") for text in ("", "_bert"))
        assert bert.training == clip.training
        assert replace(bert.setup, text=clip.setup.text, backbone=clip.setup.backbone) == clip.setup
        differing = {
            f for f, value in vars(bert.setup.backbone).items() if getattr(clip.setup.backbone, f) != value
        }
        assert differing == ({"first_frame"} if kind == "encoder" else set())


@pytest.fixture(scope="module")
def toy_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_bert(tmp_path_factory.mktemp("bert"))


@pytest.mark.parametrize("name", WITH_BERT)
def test_bert_rows_denoise_with_a_toy_bert(name: str, toy_bert: Path) -> None:
    """Text to motion through the recipe's own classes; the encoder alone depends on its batch's longest caption."""
    setup = named(name).setup
    backbone = replace(setup.backbone, width=12, layers=2, heads=3, ff=17)
    encoder = plugins.build(replace(setup.text, weights=str(toy_bert)))
    torch.manual_seed(0)
    model = plugins.build(backbone, 5).eval()
    injection = plugins.owner(setup.injection)(setup.injection, encoder.width, model.condition_width).eval()
    text = encoder.encode(["jump", "a person walks forward and then jumps twice"])
    x, t, frames = torch.randn(2, 7, 5), torch.tensor([3, 41]), torch.ones(2, 7, dtype=torch.bool)
    with torch.no_grad():
        together = model.denoise(x, t, injection(text), frames)
        alone = model.denoise(x[:1], t[:1], injection(encoder.encode(["jump"])), frames[:1])
    assert together.shape == x.shape
    is_same = torch.allclose(together[:1], alone, atol=1e-5)
    assert is_same == (name != "casim_mdm_encoder_bert_humanml3d")


@pytest.mark.parametrize(("tokens", "pooled"), PAIRS)
def test_pairs_differ_in_their_injection_only(tokens: str, pooled: str) -> None:
    def flat(values: Any) -> Any:
        return {key: value for key, value in values.items() if key not in ("recipe", "injection")}

    one, other = named(tokens).to_json(), named(pooled).to_json()
    assert flat(one) == flat(other)
    assert one["injection"]["plugin"] == "casim"
    assert other["injection"]["plugin"] == "fixed"
    assert one["injection"]["context"] == other["injection"]["context"]


@pytest.mark.parametrize(("tokens", "pooled"), PAIRS)
def test_pairs_have_equal_numbers_of_parameters(tokens: str, pooled: str) -> None:
    one, other = (sum(p.numel() for p in parts(name, 256).parameters()) for name in (tokens, pooled))
    assert one == other > 0


@pytest.mark.parametrize("prefix", CONFOUNDS)
def test_confounds_differ_in_their_factors_only(prefix: str) -> None:
    """A factor turned over changes the fields that it stands for, and no others."""
    fields = {
        "tokens": {"injection.plugin", "injection.pool", "injection.to_frames"},
        "window": {"text.max_words"},
        "mask": {"backbone.use_frame_mask", "data.is_padded_full"},
        "norm": {"backbone.has_final_norm"},
    }
    for cell in FACTORS:
        own = named(f"{prefix}_{cell.name}")
        assert Factors.of(own.setup) == cell
        assert not own.setup.backbone.is_pre_norm
        for factor, expected in fields.items():
            other = named(f"{prefix}_{replace(cell, **{factor: not getattr(cell, factor)}).name}")
            one, two = flat(own.to_json()), flat(other.to_json())
            assert {key for key in one | two if one.get(key) != two.get(key)} == expected | {"recipe"}


def test_the_ends_of_the_confounds_are_mdm_and_casim() -> None:
    bare, whole = (named(f"confound_{FACTORS[i].name}").setup for i in (0, -1))
    mdm_row, casim_row = (named(name).setup for name in ("mdm_decoder_humanml3d", "casim_mdm_decoder_humanml3d"))
    for own, paper in ((bare, mdm_row), (whole, casim_row)):
        assert own.text.max_words == paper.text.window
        assert own.data.is_padded_full == paper.data.is_padded_full
        assert plugins.plugin_name(own.injection) == plugins.plugin_name(paper.injection)
        for switch in ("use_frame_mask", "has_final_norm", "is_pre_norm"):
            assert getattr(own.backbone, switch) == getattr(paper.backbone, switch)


@pytest.mark.parametrize("prefix", CONFOUNDS)
def test_tokens_and_pooled_cells_have_equal_numbers_of_parameters(prefix: str) -> None:
    for norm in ("norm", "nonorm"):
        names = (f"{prefix}_{injection}_77_mask_{norm}" for injection in ("tokens", "pooled"))
        one, other = (sum(p.numel() for p in parts(name, 256).parameters()) for name in names)
        assert one == other > 0


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix: values}
    inner = (flat(value, f"{prefix}.{key}".lstrip(".")) for key, value in values.items())
    return {key: value for part in inner for key, value in part.items()}


def test_recipes_load_no_heavy_library() -> None:
    code = (
        "import sys; from casim.recipes import RECIPES, named; [named(name) for name in RECIPES];"
        "print([m for m in ('transformers', 'diffusers', 'accelerate') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
