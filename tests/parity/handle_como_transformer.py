"""CoMo's transformer (yh2371/CoMo): logits and greedy sampling behind twelve text vectors."""

import torch
from golden import Case, Golden, close, unknown
from torch import Tensor, nn

from casim import plugins
from casim.backbones.como import Como
from casim.codecs import _poses as poses
from casim.guidance import Guided
from casim.official import como
from casim.types import Condition, frame_mask

ATOL = 5e-5


def check(golden: Golden) -> None:
    backbone, project = built(golden)
    for case in golden.cases.values():
        if case.name == "forward":
            check_forward(backbone, project, case)
        elif case.name == "greedy":
            check_greedy(backbone, project, case)
        else:
            unknown(case.name)


def built(golden: Golden) -> tuple[Como, nn.Linear]:
    config, weights = golden.config, golden.weights
    options = como.Options(config["n_head"], config["drop_out_rate"], text_places=1 + config["num_key"])
    ours = como.backbone_config(weights, options)
    assert (ours.width, ours.layers) == (config["embed_dim"], 2 * config["num_layers"])
    assert ours.max_codes + ours.text_places == config["block_size"]
    assert ours.ff == config["embed_dim"] * config["fc_rate"]
    assert config["num_vq"] == sum(poses.SIZES)
    backbone = plugins.build(ours, poses.SIZES).eval()
    project = nn.Linear(config["clip_dim"], config["embed_dim"])
    modules = nn.ModuleDict({"backbone": backbone, "injection": nn.ModuleDict({"projection": project})})
    converted = como.to_ours(weights)
    modules.load_state_dict(converted, strict=True)
    back = como.to_official(converted, config["num_layers"], {name: weights[name] for name in como.DEAD})
    assert set(back) == set(weights)
    assert all(torch.equal(back[name], weights[name]) for name in weights)
    return backbone, project


def condition(project: nn.Linear, features: Tensor) -> Condition:
    tokens = project(features)
    return Condition(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))


@torch.no_grad()
def check_forward(backbone: Como, project: nn.Linear, case: Case) -> None:
    """Their outputs begin at the first text vector, ours at the last one."""
    text, rows = condition(project, case.inputs["clip_feature"]), case.inputs["idx"]
    skipped = text.tokens.shape[1] - 1
    known = {"logits": backbone.logits(rows, text), "logits_empty": backbone.logits(rows[:, :0], text)}
    for name, expected in case.outputs.items():
        close(known[name], expected[:, skipped:], ATOL, name)
    with_text = backbone.stack(text.tokens + backbone.positions[: skipped + 1], None, True)
    close(backbone.head(with_text), case.outputs["logits_empty"], ATOL, "logits of the text")
    close(known["logits"][:, :1], case.outputs["logits"][:, skipped : skipped + 1], ATOL, "first place")


@torch.no_grad()
def check_greedy(backbone: Como, project: nn.Linear, case: Case) -> None:
    """All at once, with and without the cache. There, a motion that ends at once is the row of its end."""
    text = condition(project, case.inputs["clip_feature"])
    expected, lengths = case.outputs["codes"], case.outputs["lengths"]
    limit = backbone.config.max_codes
    places = frame_mask([limit] * len(expected))
    for uses_cache in (True, False):
        codes = backbone.sample(Guided(text), places, torch.Generator(), strategy="greedy", uses_cache=uses_cache)
        found = (codes[..., 0] >= 0).sum(1)
        rows = poses.many_hot(codes, poses.SIZES)
        scores = backbone.logits(expected[:, : limit - 1].float(), text)
        for item, length in enumerate(lengths.tolist()):
            ends = (scores[item, :, -2] > 0).nonzero()
            assert torch.equal(rows[item, :length], expected[item, :length, :-2].float()), f"codes of {item}"
            flags = expected[item, :length, -2:]
            close((scores[item, :length, -2:] > 0).to(flags.dtype), flags, 0, f"flags of {item}")
            assert not expected[item, length:].any()
            first = int(ends[0]) if len(ends) else limit
            assert length == max(first, 1) == int(found[item])
