"""T2M-GPT's transformer (Mael-zys/T2M-GPT): logits, loss and greedy sampling."""

from dataclasses import replace

import torch
from golden import Case, Golden, close, unknown
from torch import Tensor, nn

from casim import plugins
from casim.backbones.t2m_gpt import T2mGpt
from casim.guidance import Guided
from casim.official import t2m_gpt
from casim.types import Condition, MotionBatch, frame_mask

ATOL = 5e-5


def check(golden: Golden) -> None:
    backbone, project = built(golden)
    for case in golden.cases.values():
        if case.name not in CHECKS:
            unknown(case.name)
        CHECKS[case.name](backbone, project, case)


def built(golden: Golden) -> tuple[T2mGpt, nn.Linear]:
    config, weights = golden.config, golden.weights
    options = t2m_gpt.Options(heads=config["n_head"], dropout=config["drop_out_rate"])
    ours = replace(t2m_gpt.backbone_config(weights, options), keep_rate=1.0, drop_rate=0.0)
    assert (ours.width, ours.layers) == (config["embed_dim"], 2 * config["num_layers"])
    assert (ours.max_codes + 1, ours.ff) == (config["block_size"], config["embed_dim"] * config["fc_rate"])
    assert t2m_gpt.codes_of(weights) == config["num_vq"]
    backbone = plugins.build(ours, (config["num_vq"],)).eval()
    project = nn.Linear(config["clip_dim"], config["embed_dim"])
    modules = nn.ModuleDict({"backbone": backbone, "injection": nn.ModuleDict({"projection": project})})
    converted = t2m_gpt.to_ours(weights)
    modules.load_state_dict(converted, strict=True)
    dead = {name: weights[name] for name in t2m_gpt.DEAD}
    back = t2m_gpt.to_official(converted, config["num_layers"], dead)
    assert set(back) == set(weights)
    assert all(torch.equal(back[name], weights[name]) for name in weights)
    return backbone, project


def condition(project: nn.Linear, feature: Tensor) -> Condition:
    tokens = project(feature)[:, None]
    return Condition(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))


@torch.no_grad()
def check_forward(backbone: T2mGpt, project: nn.Linear, case: Case) -> None:
    text, codes = condition(project, case.inputs["clip_feature"]), case.inputs["idx"][..., None]
    known = {"logits": backbone.logits(codes, text), "logits_empty": backbone.logits(codes[:, :0], text)}
    for name, expected in case.outputs.items():
        close(known[name], expected, ATOL, name)


@torch.no_grad()
def check_loss(backbone: T2mGpt, project: nn.Linear, case: Case) -> None:
    """Their target holds the end; their logits are those of all codes but the last."""
    given = case.inputs
    text, target = condition(project, given["clip_feature"]), given["target"]
    frames = frame_mask(given["m_tokens_len"], target.shape[1] - 1)
    logits = backbone.logits(target[:, :-1, None], text)
    codes = torch.where(frames, target[:, :-1], 0)[..., None]
    names = ("",) * len(codes)
    loss = backbone.loss(MotionBatch(codes, frames, names, names), text)
    places = frame_mask(given["m_tokens_len"] + 1, target.shape[1])
    known = {
        "logits": logits,
        "loss": loss.total[None],
        "right_num": ((logits.argmax(-1) == target) & places).sum()[None],
    }
    for name, expected in case.outputs.items():
        assert name in known, f"unknown output {name!r} of case {case.name}"
        close(known[name], expected, ATOL, f"loss/{name}")


def check_greedy(backbone: T2mGpt, project: nn.Linear, case: Case) -> None:
    """All prompts at once, with and without the cache; a motion may end at once there."""
    text = condition(project, case.inputs["clip_feature"])
    places = frame_mask([backbone.config.max_codes] * len(text.tokens))
    for uses_cache in (True, False):
        codes = backbone.sample(
            Guided(text), places, torch.Generator(), least=0, strategy="greedy", uses_cache=uses_cache
        )[..., 0]
        lengths, expected = case.outputs["lengths"], case.outputs["sequences"]
        assert torch.equal((codes >= 0).sum(1), lengths)
        assert torch.equal(codes, expected[:, : codes.shape[1]])
        assert (expected[:, codes.shape[1] :] == -1).all()


CHECKS = {"forward": check_forward, "loss": check_loss, "greedy": check_greedy}
