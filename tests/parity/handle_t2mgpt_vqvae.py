"""T2M-GPT's VQ-VAE (Mael-zys/T2M-GPT): encoder, codes, decoder and losses."""

import numpy as np
import torch
import torch.nn.functional as F
from golden import Case, Golden, close, unknown
from torch import Tensor

from casim import plugins
from casim.codecs.vqvae import Vqvae
from casim.features import FeatureSpec
from casim.official import t2m_gpt
from casim.types import MotionBatch, frame_mask

ATOL = 2e-5
JOINTS = {FeatureSpec(joints).dims: joints for joints in (22, 21)}
LOSSES = {"l1": F.l1_loss, "l1_smooth": F.smooth_l1_loss, "l2": F.mse_loss}


def check(golden: Golden) -> None:
    codec = built(golden)
    for case in golden.cases.values():
        if not case.name.startswith("eval"):
            unknown(case.name)
        check_case(codec, case)


def built(golden: Golden) -> Vqvae:
    config, weights = golden.config, golden.weights
    options = t2m_gpt.Options(dilation_growth=config["dilation_growth_rate"], activation=config["vq_act"])
    ours = t2m_gpt.codec_config(weights, options)
    assert (ours.codes, ours.width) == (config["nb_code"], config["code_dim"])
    assert (ours.network.width, ours.network.depth) == (config["width"], config["depth"])
    assert ours.network.halvings == config["down_t"]
    assert (config["stride_t"], config["quantizer"], ours.decay) == (2, "ema_reset", config["mu"])
    spec = FeatureSpec(JOINTS[weights["vqvae.encoder.model.0.weight"].shape[1]])
    codec = plugins.build(ours, spec, np.zeros(spec.dims), np.ones(spec.dims)).eval()
    converted = t2m_gpt.codec_to_ours(weights)
    codec.load_state_dict({name.removeprefix("codec."): t for name, t in converted.items()}, strict=True)
    back = t2m_gpt.codec_to_official(converted)
    assert set(back) == set(weights)
    assert all(torch.equal(back[name], weights[name]) for name in weights)
    return codec


@torch.no_grad()
def check_case(codec: Vqvae, case: Case) -> None:
    motion = case.inputs["x"]
    frames = frame_mask([motion.shape[1]] * len(motion))
    texts = ("",) * len(motion)
    batch = MotionBatch(motion, frames, texts, texts)
    codes = codec.encode(batch).motion
    assert torch.equal(codes[..., 0], case.outputs["indices"]), "codes"
    found, given = codec.quantized(batch)
    known: dict[str, Tensor] = {
        "indices": found.codes,
        "encoder_out": codec.encoder(motion, frames).transpose(1, 2),
        "recon": given,
        "commit_loss": found.commitment[None],
        "perplexity": found.perplexity[None],
    }
    last = 4 + 3 * (codec.spec.joints - 1)
    for name, error in LOSSES.items():
        known[f"recons_{name}"] = error(given, motion)[None]
        known[f"vel_{name}"] = error(given[..., 4:last], motion[..., 4:last])[None]
    whole = Vqvae.loss(with_window(codec, None), batch, None)
    known["total_loss"] = whole.total[None]
    for sample in range(len(motion)):
        known[f"decoded_sample{sample}"] = codec.decode(codes[sample : sample + 1], frames[sample : sample + 1])
    for name, expected in case.outputs.items():
        assert name in known, f"unknown output {name!r} of case {case.name}"
        close(known[name], expected, ATOL, f"{case.name}/{name}", rtol=1e-5)


def with_window(codec: Vqvae, window: int | None) -> Vqvae:
    """The same codec, trained on whole clips."""
    made = plugins.build(
        Vqvae.Config(**{**vars(codec.config), "window": window}), codec.spec, codec.mean.numpy(), codec.std.numpy()
    ).eval()
    made.load_state_dict(codec.state_dict())
    return made
