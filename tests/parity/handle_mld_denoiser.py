"""MLD's denoiser on latents and on frames, as encoder and as decoder, and its guided sampling loop."""

from collections.abc import Callable

import pytest
import torch
from golden import Case, Golden, close, unknown
from mdm_cases import text_tokens
from torch import Tensor

from casim import plugins
from casim.backbones.mld import Mld
from casim.diffusion import Step
from casim.guidance import Guided
from casim.injection import Casim
from casim.nn.positions import halved_sinusoid
from casim.official import mld
from casim.types import Condition, frame_mask

FORWARD = 2e-5
LOOP = 5e-3
"""Fifty steps at guidance 7.5, values up to 80."""


def check(golden: Golden) -> None:
    backbone, injection = built(golden)
    for case in golden.cases.values():
        if case.name.startswith(("main", "other")):
            check_forward(backbone, injection, case)
        elif case.name.startswith("ddim_cfg"):
            check_loop(backbone, injection, case, golden.config["guidance_scale"])
        else:
            unknown(case.name)


def built(golden: Golden) -> tuple[Mld, Casim]:
    """Our modules with the golden weights; the file's config is what the weights say."""
    config, weights = golden.config, {f"denoiser.{name}": t for name, t in golden.weights.items()}
    assert (config["position_embedding"], config["activation"]) == ("learned", "gelu")
    assert (config["DIFF_PE_TYPE"], config["condition"]) == ("mld", "text")
    assert config["flip_sin_to_cos"]
    assert not config["freq_shift"]
    latents, width = config["latent_dim"]
    options = mld.Options(config["num_heads"], config["dropout"], config["normalize_before"], latents)
    ours = mld.backbone_config(weights, options)
    assert (ours.width, ours.layers, ours.ff) == (width, config["num_layers"], config["ff_size"])
    assert ours.arch == {"trans_enc": "encoder", "trans_dec": "decoder"}[config["arch"]]
    assert ours.has_skips == (config["SKIP_CONNECT"] and ours.arch == "encoder")
    assert ours.time_width == config["text_encoded_dim"]
    assert mld.space_of(weights) == (width if config["VAE_TYPE"] == "mld" else config["nfeats"])
    backbone = plugins.build(ours, mld.space_of(weights))
    injection = Casim(Casim.Config(is_rectified=True), mld.text_width_of(weights), width)
    converted = mld.to_ours(weights)
    torch.nn.ModuleDict({"backbone": backbone, "injection": injection}).load_state_dict(converted, strict=True)
    back = mld.to_official(converted)
    assert set(back) == set(weights)
    dead = set(mld.DEAD) if ours.arch == "encoder" else set()
    assert all(torch.equal(back[name], weights[name]) for name in set(weights) - dead)
    return backbone.eval(), injection.eval()


def condition_of(injection: Casim, tokens: Tensor) -> Condition:
    """The authors show every token, padded ones too."""
    return injection(text_tokens(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool), tokens[:, :1]))


@torch.no_grad()
def check_forward(backbone: Mld, injection: Casim, case: Case) -> None:
    """With frames, what lies beyond a clip's length is zero in the authors' output."""
    x, t = case.inputs["sample"], case.inputs["timestep"]
    condition = condition_of(injection, case.inputs["encoder_hidden_states"])
    lengths = case.inputs.get("lengths")
    frames = torch.ones(x.shape[:2], dtype=torch.bool) if lengths is None else frame_mask(lengths, x.shape[1])

    def out(steps: Tensor) -> Tensor:
        return backbone.denoise(x, steps, condition, frames) * frames[..., None]

    known = {"time_proj": halved_sinusoid(t, backbone.config.time_width), "time_emb": backbone.time(t)}
    for name, expected in case.outputs.items():
        if name == "out_scalar_t":
            check_scalar(out, t, expected, f"{case.name}/{name}")
        else:
            assert name in (*known, "out"), f"unknown output {name!r} of case {case.name}"
            close(out(t) if name == "out" else known[name], expected, FORWARD, f"{case.name}/{name}")


def check_scalar(out: Callable[[Tensor], Tensor], t: Tensor, expected: Tensor, what: str) -> None:
    """One time step for all items: the file does not say which, the last of the case as a rule."""
    for step in (*t.flip(0).tolist(), *range(1000)):
        given = out(torch.full_like(t, step))
        assert given.shape == expected.shape, what
        if (given - expected).abs().max() <= FORWARD:
            return
    pytest.fail(f"{what}: not the output at any time step")


def check_loop(backbone: Mld, injection: Casim, case: Case, scale: float) -> None:
    """The whole loop; the unconditional texts are the first half."""
    free, text = case.inputs["encoder_hidden_states"].chunk(2)
    start = case.inputs["init_latents"]
    guided = Guided(condition_of(injection, text), condition_of(injection, free), scale)
    seen: list[Step] = []
    latents = backbone.sample(
        guided,
        torch.ones(start.shape[:2], dtype=torch.bool),
        torch.Generator(),
        sampler="ddim",
        steps=len(case.outputs["timesteps"]),
        noise=lambda step: start,
        after_step=seen.append,
    )
    known = {"latents": latents.transpose(0, 1), "timesteps": torch.tensor([step.t for step in seen])}
    for name, expected in case.outputs.items():
        assert name in known, f"unknown output {name!r} of case {case.name}"
        close(known[name], expected, LOOP if name == "latents" else 0.0, f"{case.name}/{name}")
