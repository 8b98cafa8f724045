"""MDM with a pooled CLIP vector or DistilBERT tokens, encoder and decoder (GuyTevet/motion-diffusion-model)."""

import torch
from golden import Case, Golden, close, unknown
from mdm_cases import (
    FORWARD,
    GUIDED,
    Ours,
    build,
    check_common,
    check_config,
    check_outputs,
    pooled_text,
    text_tokens,
)
from torch import Tensor

from casim.injection import Casim, Fixed
from casim.nn.positions import sinusoid
from casim.official import mdm
from casim.types import TextTokens

WORDS = {"cond", "uncond", "cfg", "embF", "embT", "mask_frames", "policy_concat", "policy_add"}


def check(golden: Golden, *, is_old: bool = False) -> None:
    converted = mdm.to_ours(golden.weights)
    check_round_trip(golden.weights, converted)
    for case in golden.cases.values():
        if case.name == "common":
            check_common(case, converted)
            continue
        check_case(golden, case, options_of(case.name), is_old)


def check_case(golden: Golden, case: Case, options: set[str], is_old: bool) -> None:
    """Compares a case under its options.

    The authors' frame mask does not depend on their `emb_policy`, but the stored `policy_concat` case was computed
    with `mask_frames` on although its name does not say so. Such a name is therefore read both ways.
    """
    readings = [options]
    if "policy_concat" in options and "mask_frames" not in options:
        readings = [options | {"mask_frames"}, options]
    for reading in readings:
        model = built(golden, reading, is_old)
        is_guided = "cfg" in options
        given = {"out": (model.guided if is_guided else model.forward)(case, text_of(case)).detach()}
        given["embed_timestep"] = model.backbone.get_submodule("time")(case.inputs["timesteps"])[None]
        try:
            return check_outputs(case, given, GUIDED if is_guided else FORWARD)
        except AssertionError:
            if reading is readings[-1]:
                raise


def options_of(name: str) -> set[str]:
    """Options of a case name; `uncond_embT_mask_frames` -> {uncond, embT, mask_frames}."""
    found, rest = set(), name
    while rest:
        option = next((w for w in sorted(WORDS, key=len, reverse=True) if (rest + "_").startswith(w + "_")), None)
        if option is None:
            unknown(name)
        found.add(option)
        rest = rest.removeprefix(option).removeprefix("_")
    if len(found & {"cond", "uncond", "cfg"}) != 1 or {"embF", "embT"} <= found:
        unknown(name)
    return found


def built(golden: Golden, options: set[str], is_old: bool) -> Ours:
    weights = golden.weights
    given = mdm.Options(
        heads=golden.config["num_heads"],
        mask_frames="mask_frames" in options,
        emb_trans_dec="embT" in options,
        is_old=is_old,
        emb_policy="concat" if "policy_concat" in options else "add",
    )
    config = mdm.config_of(weights, given)
    check_config(golden, config)
    kind = Casim if golden.config.get("text_encoder_type", "clip") == "bert" else Fixed
    return build(weights, mdm.to_ours(weights), config, kind)


def text_of(case: Case) -> TextTokens:
    """CLIP: one vector per item. DistilBERT: tokens [words, batch, width] and a mask that is True at padding."""
    embedded = case.inputs["text_embed"]
    if "text_mask" not in case.inputs:
        return pooled_text(embedded)
    tokens = embedded.transpose(0, 1).contiguous()
    return text_tokens(tokens, ~case.inputs["text_mask"], tokens[:, :1])


def check_round_trip(weights: dict[str, Tensor], converted: dict[str, Tensor]) -> None:
    """Ours -> official gives the same names and numbers, plus the sinusoid tables."""
    exported = mdm.to_official(converted, table_rows=11)
    assert set(exported) == set(weights) | set(mdm.TABLES)
    assert all(torch.equal(exported[name], weights[name]) for name in weights)
    width = converted["backbone.time.first.weight"].shape[0]
    close(exported[mdm.TABLES[0]][:, 0], sinusoid(torch.arange(11), width), 0.0, "table")
