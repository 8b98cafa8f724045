"""CASIM-MDM, encoder and decoder, CLIP and BERT (cjerry1243/casim_t2m)."""

import torch
from golden import Case, Golden, unknown
from mdm_cases import FORWARD, GUIDED, Ours, build, check_common, check_config, check_outputs, text_tokens
from torch import Tensor

from casim.injection import Casim
from casim.nn.attention import record_attention
from casim.official import casim_mdm, mdm
from casim.types import TextTokens

KNOWN = {"cond", "uncond", "cfg"}
MODIFIERS = ("no_frame_mask", "unzeroed_pad_tokens")


def check(golden: Golden) -> None:
    weights = golden.weights
    converted = casim_mdm.to_ours(weights)
    check_round_trip(weights, converted)
    for case in golden.cases.values():
        if case.name == "common":
            check_common(case, converted)
            continue
        kind, modifiers = parsed(case.name)
        model = built(golden, "no_frame_mask" in modifiers)
        if kind == "cfg":
            check_outputs(case, {"out": model.guided(case, text_of(case))}, GUIDED)
        else:
            check_outputs(case, recorded(model, case), FORWARD)


def parsed(name: str) -> tuple[str, list[str]]:
    """(cond | uncond | cfg, modifiers) of a case name such as `cond_no_frame_mask`."""
    rest, found = name, []
    while modifier := next((m for m in MODIFIERS if rest.endswith("_" + m)), None):
        rest = rest.removesuffix("_" + modifier)
        found.append(modifier)
    if rest not in KNOWN:
        unknown(name)
    return rest, found


def built(golden: Golden, shows_padding: bool) -> Ours:
    weights = golden.weights
    config = casim_mdm.config_of(weights, mdm.Options(heads=golden.config["num_heads"]))
    check_config(golden, config)
    assert config.use_frame_mask
    if shows_padding:
        config = type(config)(**{**vars(config), "use_frame_mask": False})
    return build(weights, casim_mdm.to_ours(weights), config, Casim)


def text_of(case: Case) -> TextTokens:
    tokens = case.inputs["text_embed"]
    return text_tokens(tokens, case.inputs["text_mask"], tokens[:, :1])


def recorded(model: Ours, case: Case) -> dict[str, Tensor]:
    """The output, and the cross-attention of the last layer where there is one; both with and without recording."""
    plain = model.forward(case, text_of(case)).detach()
    with record_attention(model.backbone) as maps:
        watched = model.forward(case, text_of(case)).detach()
    torch.testing.assert_close(watched, plain, atol=FORWARD, rtol=0)
    cross = [name for name in maps if name.endswith("cross_attention")]
    return {"out": plain} | ({"last_layer_cross_attn": maps[cross[-1]]} if cross else {})


def check_round_trip(weights: dict[str, Tensor], converted: dict[str, Tensor]) -> None:
    """Ours + DEAD -> official gives the same names and numbers; without DEAD the same names and shapes."""
    dead = {name: tensor for name, tensor in weights.items() if name.startswith(casim_mdm.DEAD)}
    exported = casim_mdm.to_official(converted, dead, table_rows=7)
    assert set(exported) == set(weights) | set(mdm.TABLES)
    assert all(torch.equal(exported[name], weights[name]) for name in weights)
    assert bool(dead) == any(name.startswith("seqTransEncoder.") for name in weights)
    assert len(converted) + len(dead) == len([name for name in weights if name not in mdm.TABLES])
    bare = casim_mdm.to_official(converted, table_rows=7)
    assert {n: t.shape for n, t in bare.items()} == {n: t.shape for n, t in exported.items()}
