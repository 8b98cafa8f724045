"""MLD's motion VAE in all its architectures (ChenFengYe/motion-latent-diffusion)."""

import numpy as np
import torch
from golden import Case, Golden, close, unknown
from torch import Tensor

from casim import plugins
from casim.codecs.motion_vae import Gaussian, MotionVae
from casim.features import FeatureSpec
from casim.official import mld
from casim.types import MotionBatch, frame_mask

ATOL = 2e-5
JOINTS = {FeatureSpec(joints).dims: joints for joints in (22, 21)}
CASES = ("main", "other")


def check(golden: Golden) -> None:
    vae = built(golden)
    for case in golden.cases.values():
        if not case.name.startswith(CASES):
            unknown(case.name)
        check_case(vae, case)


def built(golden: Golden) -> MotionVae:
    """Our codec with the golden weights; the file's config is what the weights say."""
    config, weights = golden.config, {f"vae.{name}": t for name, t in golden.weights.items()}
    assert config["position_embedding"] == "learned"
    assert (config["PE_TYPE"], config["activation"]) == ("mld", "gelu")
    ours = mld.codec_config(
        weights, mld.Options(config["num_heads"], config["dropout"], config["normalize_before"])
    )
    assert [ours.latents, ours.width] == config["latent_dim"]
    assert (ours.layers, ours.ff) == (config["num_layers"], config["ff_size"])
    assert ours.has_distribution_layer == config["MLP_DIST"]
    assert ours.decoder == {"encoder_decoder": "cross", "all_encoder": "joint"}[config["arch"]]
    spec = FeatureSpec(JOINTS[config["nfeats"]])
    vae = plugins.build(ours, spec, np.zeros(spec.dims), np.ones(spec.dims)).eval()
    converted = mld.to_ours(weights)
    vae.load_state_dict({name.removeprefix("codec."): t for name, t in converted.items()}, strict=True)
    back = mld.to_official(converted)
    assert set(back) == set(weights)
    assert all(torch.equal(back[name], weights[name]) for name in weights)
    return vae


@torch.no_grad()
def check_case(vae: MotionVae, case: Case) -> None:
    """Latents are [latents, batch, width] there. The draw behind a latent is given; the rest follows."""
    motion, frames = case.inputs["features"], frame_mask(case.inputs["lengths"])
    found = vae.posterior(motion, frames)
    texts = ("",) * len(motion)
    encoded = vae.encode(MotionBatch(motion, frames, texts, texts))
    close(encoded.motion, found.mean, 0.0, "encode")
    latent = draw(found, swapped(case.outputs["eps"]))
    known = {
        "eps": case.outputs["eps"],  # an input by nature
        "mu": swapped(found.mean),
        "std": swapped(found.std),
        "latent": swapped(latent),
        "kl_motion": found.divergence()[None],
        "decoded_mu": vae.decode(found.mean, frames),
        "decoded_latent": vae.decode(latent, frames),
    }
    if "z" in case.inputs:
        known["decoded_given_z"] = vae.decode(swapped(case.inputs["z"]), frames)
    for name, expected in case.outputs.items():
        assert name in known, f"unknown output {name!r} of case {case.name}"
        close(known[name], expected, ATOL, f"{case.name}/{name}")


def draw(found: Gaussian, noise: Tensor) -> Tensor:
    return found.mean + found.std * noise


def swapped(latents: Tensor) -> Tensor:
    return latents.transpose(0, 1)
