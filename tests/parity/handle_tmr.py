"""TMR's encoders, decoder and losses (Mathux/TMR src/model/tmr.py)."""

import torch
from golden import Case, Golden, close, unknown
from torch import Tensor

from casim import plugins
from casim.text.hashed import Hashed
from evaluators import contrastive, retrieval
from evaluators.contrastive import LossConfig
from evaluators.embed.tmr import Network, Tmr
from evaluators.official import tmr as official

ATOL = 2e-5


def check(golden: Golden) -> None:
    network = built(golden)
    for case in golden.cases.values():
        if case.options[0] == "forward":
            check_forward(golden, case, network)
        elif case.options[0] == "loss":
            check_loss(golden, case, network)
        else:
            unknown(case.name)


def built(golden: Golden) -> Network:
    """Our networks with strictly loaded weights; sizes come from the tensors and are those of the config."""
    weights, config = golden.weights, golden.config
    sizes = official.sizes_of(weights, config["num_heads"])
    named = tuple(config[name] for name in ("latent_dim", "num_layers", "ff_size"))
    assert (sizes.width, sizes.layers, sizes.ff) == named
    slots = len(weights["motion_encoder.tokens"])
    assert slots == (2 if config["vae"] else 1)
    feats = weights["motion_encoder.projection.weight"].shape[1]
    assert (feats, official.text_width_of(weights)) == (config["nfeats"], config["text_nfeats"])
    network = Network(sizes, feats, official.text_width_of(weights), slots=slots)
    converted = official.to_ours(weights)
    network.load_state_dict(converted, strict=True)
    back = official.to_official(network.state_dict())
    assert set(back) == set(weights)
    assert all(torch.equal(back[name], weights[name]) for name in weights)
    return network.eval()


@torch.no_grad()
def read(case: Case, network: Network, noise: Tensor | None = None):
    """What becomes of a case's captions and clips."""
    x = case.inputs
    return network((x["motion_x"], x["motion_mask"]), (x["text_x"], x["text_mask"]), noise)


def check_forward(golden: Golden, case: Case, network: Network) -> None:
    text, motion = read(case, network)
    cosines = retrieval.cosines(text.latent, motion.latent)
    given = {
        "text_enc_tokens": text.outputs,
        "motion_enc_tokens": motion.outputs,
        "text_latent": text.latent,
        "motion_latent": motion.latent,
        "decoded_from_text": text.decoded,
        "decoded_from_motion": motion.decoded,
        "sim_matrix": cosines,
        "score_matrix": (cosines + 1) / 2,
    }
    for name, expected in case.outputs.items():
        assert name in given, f"unknown output {name!r} of case {case.name}"
        close(given[name], expected, ATOL, f"{case.name}/{name}")
    own = retrieval.scores(text.latent, motion.latent)
    close(own, given["score_matrix"].diagonal(), 1e-12, "score of each clip with its caption")
    if golden.config["nfeats"] in (263, 251, 67, 64):
        check_embedder(golden, case, network)


def check_embedder(golden: Golden, case: Case, network: Network) -> None:
    """The embedder around the networks gives the same vectors from denormalised features."""
    text = plugins.describe(Hashed.Config(width=golden.config["text_nfeats"]))
    tmr = Tmr(official.config_of(golden.weights, text, golden.config["num_heads"])).eval()
    tmr.network.load_state_dict(network.state_dict())
    random = torch.Generator().manual_seed(0)
    tmr.mean += torch.randn(tmr.mean.shape, generator=random)
    tmr.std += torch.rand(tmr.std.shape, generator=random)
    features = case.inputs["motion_x"] * tmr.std + tmr.mean
    close(tmr.motion(features, case.inputs["motion_mask"]), case.outputs["motion_latent"], ATOL, "embedder")


def check_loss(golden: Golden, case: Case, network: Network) -> None:
    """`reparam` draws latents from the noise in the file, captions first; `sample_mean` takes the means."""
    config, outputs = golden.config, dict(case.outputs)
    noise = None
    if case.options[1:] == ("reparam",):
        noise = torch.stack([outputs.pop("eps_text"), outputs.pop("eps_motion")])
    elif case.options[1:] != ("sample", "mean"):
        unknown(case.name)
    settings = LossConfig(**config["lmd"], temperature=config["temperature"])
    sentences, threshold = case.inputs["sent_emb"], config["threshold_selfsim"]
    excluded = None if threshold is None else contrastive.too_alike(sentences @ sentences.T, threshold)
    losses = contrastive.losses(*read(case, network, noise), case.inputs["motion_x"], excluded, settings)
    given = {**losses.parts, "loss": losses.total}
    assert set(outputs) == set(given)
    for name, expected in outputs.items():
        close(given[name].reshape(1), expected, ATOL, f"{case.name}/{name}", rtol=1e-5)
