"""The authors' MLD weights <-> ours: names, configs and export.

Source: ChenFengYe/motion-latent-diffusion (MIT). A checkpoint holds the motion VAE under `vae.` (our codec) and the
denoiser under `denoiser.` (our backbone); its text projection `emb_proj` is part of our injection. Heads and the
options of the run are not in it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from casim.backbones.mld import Mld
from casim.codecs.motion_vae import MotionVae

DEAD = ("denoiser.mem_pos.",)
"""Beginnings of the names of tensors that no computation uses, unless the denoiser is a decoder."""

FOREIGN = ("text_encoder.", "t2m_textencoder.", "t2m_moveencoder.", "t2m_motionencoder.")
"""Frozen networks inside some checkpoints; they are no part of the motion model."""

NAMES = {
    "vae.global_motion_token": "codec.tokens",
    "vae.skel_embedding": "codec.embed",
    "vae.final_layer": "codec.unembed",
    "vae.dist_layer": "codec.distribution",
    "vae.query_pos_encoder": "codec.encoder_positions",
    "vae.query_pos_decoder": "codec.decoder_positions",
    "vae.encoder": "codec.encoder",
    "vae.decoder": "codec.decoder",
    "denoiser.emb_proj.1": "injection.projection",
    "denoiser.time_embedding.linear_1": "backbone.time.first",
    "denoiser.time_embedding.linear_2": "backbone.time.second",
    "denoiser.pose_embd": "backbone.frames.embed",
    "denoiser.pose_proj": "backbone.frames.unembed",
    "denoiser.query_pos": "backbone.positions",
    "denoiser.mem_pos": "backbone.context_positions",
    "denoiser.encoder": "backbone.stack",
    "denoiser.decoder": "backbone.stack",
}
"""Official module -> ours, outside the blocks."""

_LEAVES = {
    "self_attn.in_proj_weight": "self_attention.in_proj.weight",
    "self_attn.in_proj_bias": "self_attention.in_proj.bias",
    "self_attn.out_proj": "self_attention.out_proj",
    "linear1": "widen",
    "linear2": "narrow",
    "norm1": "attention_norm",
}
_ENCODER = _LEAVES | {"norm2": "feed_forward_norm"}
_DECODER = _LEAVES | {
    "multihead_attn.in_proj_weight": "cross_attention.in_proj.weight",
    "multihead_attn.in_proj_bias": "cross_attention.in_proj.bias",
    "multihead_attn.out_proj": "cross_attention.out_proj",
    "norm2": "cross_norm",
    "norm3": "feed_forward_norm",
}


@dataclass(frozen=True)
class Options:
    """What the weights do not say."""

    heads: int = 4
    dropout: float = 0.1
    is_pre_norm: bool = False
    latents: int = 1
    """Latents that the denoiser was trained with; a VAE's own are in its weights."""


def names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Official name -> ours, of every tensor that our model has.

    Raises:
        ValueError: a tensor that has no place in our model.
    """
    found: dict[str, str] = {}
    is_decoder = any(name.startswith("denoiser.decoder.") for name in tensors)
    for name in tensors:
        if name.startswith(FOREIGN if is_decoder else (*FOREIGN, *DEAD)):
            continue
        ours = _our_name(name, tensors)
        if ours is None:
            raise ValueError(f"unknown tensor {name!r} in the authors' checkpoint; is it an MLD checkpoint?")
        found[name] = ours
    return found


def _our_name(name: str, tensors: Mapping[str, Tensor]) -> str | None:
    place = re.fullmatch(r"(\w+\.(?:encoder|decoder))\.(\w+_blocks?|layers)\.(?:(\d+)\.)?(.+)", name)
    if place is None:
        module, _, leaf = name.rpartition(".")
        if name in NAMES:
            return NAMES[name]
        if leaf == "pe":
            leaf = "table"
        elif module.endswith("coder.norm"):
            module, leaf = module.removesuffix(".norm"), f"norm.{leaf}"
        return f"{NAMES[module]}.{leaf}" if module in NAMES else None
    stack, kind, number, rest = place.groups()
    if kind == "linear_blocks":
        return f"{NAMES[stack]}.merges.{number}.{rest}"
    half = _count(tensors, f"{stack}.input_blocks")
    first = {"layers": 0, "input_blocks": 0, "middle_block": half, "output_blocks": half + 1}.get(kind)
    is_decoder = any(n.startswith(stack) and ".multihead_attn." in n for n in tensors)
    for theirs, ours in (_DECODER if is_decoder else _ENCODER).items():
        if first is not None and (rest + ".").startswith(theirs + "."):
            return f"{NAMES[stack]}.blocks.{first + int(number or 0)}.{ours}{rest.removeprefix(theirs)}"
    return None


def _count(tensors: Mapping[str, Tensor], blocks: str) -> int:
    """How many blocks or layers of this name there are."""
    prefix = blocks + "."
    return len({name.removeprefix(prefix).partition(".")[0] for name in tensors if name.startswith(prefix)})


def to_ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official tensors under our names (`codec.*`, `backbone.*`, `injection.*`); `DEAD` and `FOREIGN` are left out.

    Raises:
        ValueError: a tensor that has no place in our model.
    """
    return {
        ours: tensors[name][:, 0] if name.endswith(".pe") else tensors[name] for name, ours in names(tensors).items()
    }


def to_official(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors in the layout of the authors' checkpoint `like`, from which dead and foreign tensors are taken.

    Raises:
        ValueError: our tensors are not those of such a checkpoint.
    """
    found = names(like)
    if set(found.values()) != set(tensors):
        odd = sorted(set(found.values()) ^ set(tensors))[0]
        raise ValueError(f"{odd!r} is on one side only; export needs a checkpoint of the same architecture")
    ours = {name: tensors[found[name]] for name in found}
    return {**like, **{name: t[:, None] if name.endswith(".pe") else t for name, t in ours.items()}}


def _sizes(tensors: Mapping[str, Tensor], stack: str, options: Options) -> dict[str, Any]:
    """Fields that both configs have."""
    layers = _count(tensors, f"{stack}.layers") or 2 * _count(tensors, f"{stack}.input_blocks") + 1
    widen = next((t for n, t in tensors.items() if n.startswith(stack) and n.endswith("linear1.weight")), None)
    if widen is None:
        raise ValueError(f"no blocks under {stack!r} in the checkpoint; is it an MLD checkpoint?")
    sizes = {"width": widen.shape[1], "ff": widen.shape[0], "layers": layers}
    return sizes | {"heads": options.heads, "dropout": options.dropout, "is_pre_norm": options.is_pre_norm}


def codec_config(tensors: Mapping[str, Tensor], options: Options | None = None) -> MotionVae.Config:
    """The config under which our codec computes what the authors' VAE computes."""
    has_layer = "vae.dist_layer.weight" in tensors
    rows = len(tensors["vae.global_motion_token"])
    is_cross = any(n.startswith("vae.decoder.") and ".multihead_attn." in n for n in tensors)
    return MotionVae.Config(
        **_sizes(tensors, "vae.encoder", options or Options()),
        latents=rows if has_layer else rows // 2,
        decoder="cross" if is_cross else "joint",
        has_distribution_layer=has_layer,
        positions=len(tensors["vae.query_pos_encoder.pe"]),
    )


def backbone_config(tensors: Mapping[str, Tensor], options: Options | None = None) -> Mld.Config:
    """The config under which our backbone computes what the authors' denoiser computes."""
    options = options or Options()
    arch = "decoder" if any(name.startswith("denoiser.decoder.") for name in tensors) else "encoder"
    on_frames = "denoiser.pose_embd.weight" in tensors
    return Mld.Config(
        **_sizes(tensors, f"denoiser.{arch}", options),
        arch=arch,
        has_skips=not _count(tensors, f"denoiser.{arch}.layers"),
        is_motion_last=on_frames,
        use_frame_mask=not on_frames,
        max_frames=196 if on_frames else options.latents,
        positions=len(tensors["denoiser.query_pos.pe"]),
        time_width=tensors["denoiser.time_embedding.linear_1.weight"].shape[1],
    )


def space_of(tensors: Mapping[str, Tensor]) -> int:
    """Width of what the official denoiser denoises: features of a frame, or latents."""
    if "denoiser.pose_embd.weight" in tensors:
        return tensors["denoiser.pose_embd.weight"].shape[1]
    return tensors["denoiser.query_pos.pe"].shape[-1]


def text_width_of(tensors: Mapping[str, Tensor]) -> int:
    """Width of the text features that the official denoiser takes."""
    return tensors["denoiser.emb_proj.1.weight"].shape[1]
