"""CoMo's decoder and optional encoder (yh2371/CoMo)."""

import numpy as np
import torch
import torch.nn.functional as F
from golden import Case, Golden, close, unknown
from torch import Tensor

from casim import plugins
from casim.codecs import _poses as poses
from casim.codecs.pose_codes import PoseCodes
from casim.features import FeatureSpec
from casim.official import como
from casim.types import MotionBatch, frame_mask

ATOL = 2e-5
JOINTS = {FeatureSpec(joints).dims: joints for joints in (22, 21)}


def check(golden: Golden) -> None:
    codec = built(golden)
    for case in golden.cases.values():
        if case.name != "main":
            unknown(case.name)
        check_case(codec, case)


def built(golden: Golden) -> PoseCodes:
    config = golden.config
    weights = {name.removeprefix("enc.").removeprefix("dec."): t for name, t in golden.weights.items()}
    assert len(weights) == len(golden.weights)
    options = como.Options(dilation_growth=config["dilation_growth_rate"], activation=config["vq_act"])
    ours = como.codec_config(weights, options)
    assert (config["nb_code"], config["output_emb_width"]) == (sum(poses.SIZES), sum(poses.SIZES))
    assert (ours.width, ours.network.width) == (config["code_dim"], config["width"])
    assert (ours.network.depth, ours.network.halvings) == (config["depth"], config["down_t"])
    assert config["stride_t"] == 2
    assert ours.has_encoder
    spec = FeatureSpec(JOINTS[weights["encoder.model.0.weight"].shape[1]])
    codec = plugins.build(ours, spec, np.zeros(spec.dims), np.ones(spec.dims)).eval()
    converted = como.codec_to_ours(weights)
    codec.load_state_dict({name.removeprefix("codec."): t for name, t in converted.items()}, strict=True)
    back = como.codec_to_official(converted)
    assert set(back) == set(weights)
    assert all(torch.equal(back[name], weights[name]) for name in weights)
    return codec


@torch.no_grad()
def check_case(codec: PoseCodes, case: Case) -> None:
    motion, rows = case.inputs["x"], case.inputs["codes"]
    frames = frame_mask([motion.shape[1]] * len(motion))
    texts = ("",) * len(motion)
    batch = MotionBatch(motion, frames, texts, texts)
    codes = codec.told(rows)
    assert torch.equal(poses.many_hot(codes, poses.SIZES), rows)
    given, told = codec.decode(codes, frames), codec.encode(batch).motion
    mask = codec.code_mask(frames)
    last = 4 + 3 * (codec.spec.joints - 1)
    positions = F.smooth_l1_loss(given[..., 4:last], motion[..., 4:last])
    features = F.smooth_l1_loss(given, motion)
    assert codec.encoder is not None
    known: dict[str, Tensor] = {
        "decoded_from_codes": given,
        "decoded_from_enc": codec.decode(told, frames),
        "enc_k_hot": poses.many_hot(told, poses.SIZES),
        "enc_logits": codec.encoder(motion, frames),
        "enc_bce": codec.code_error(batch, codes, mask)[None],
        "recons": features[None],
        "vel": positions[None],
        "total": (features + codec.config.position_weight * positions)[None],
    }
    for name, expected in case.outputs.items():
        assert name in known, f"unknown output {name!r} of case {case.name}"
        close(known[name], expected, ATOL, f"{case.name}/{name}", rtol=1e-5)
