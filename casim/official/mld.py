"""The authors' MLD weights <-> ours: names, configs, dead tensors and export.

Source: ChenFengYe/motion-latent-diffusion (MIT). A checkpoint holds the motion VAE under `vae.` (our codec) and the
denoiser under `denoiser.` (our backbone); its text projection `emb_proj` is part of our injection. Heads and the
options of the run are not in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from casim.backbones.mld import Mld
from casim.codecs.motion_vae import MotionVae

DEAD = ("denoiser.mem_pos.pe",)
"""Tensors that no computation uses, unless the denoiser is a decoder."""

FOREIGN = ("text_encoder.", "t2m_textencoder.", "t2m_moveencoder.", "t2m_motionencoder.")
"""Frozen networks inside some checkpoints; they are no part of the motion model."""

MODULES = {
    "vae.skel_embedding": "codec.embed",
    "vae.final_layer": "codec.unembed",
    "vae.dist_layer": "codec.distribution",
    "denoiser.emb_proj.1": "injection.projection",
    "denoiser.time_embedding.linear_1": "backbone.time.first",
    "denoiser.time_embedding.linear_2": "backbone.time.second",
    "denoiser.pose_embd": "backbone.frames.embed",
    "denoiser.pose_proj": "backbone.frames.unembed",
}
"""Official module -> ours, where both have a weight and a bias."""

TABLES = {
    "vae.query_pos_encoder.pe": "codec.encoder_positions.table",
    "vae.query_pos_decoder.pe": "codec.decoder_positions.table",
    "denoiser.query_pos.pe": "backbone.positions.table",
    "denoiser.mem_pos.pe": "backbone.context_positions.table",
}
"""Learned positions, [rows, 1, width] there and [rows, width] here."""

STACKS = {
    "vae.encoder": "codec.encoder",
    "vae.decoder": "codec.decoder",
    "denoiser.encoder": "backbone.stack",
    "denoiser.decoder": "backbone.stack",
}

_ENCODER = {
    "self_attn.in_proj_": "self_attention.in_proj.",
    "self_attn.out_proj.": "self_attention.out_proj.",
    "linear1.": "widen.",
    "linear2.": "narrow.",
    "norm1.": "attention_norm.",
    "norm2.": "feed_forward_norm.",
}
_DECODER = _ENCODER | {
    "multihead_attn.in_proj_": "cross_attention.in_proj.",
    "multihead_attn.out_proj.": "cross_attention.out_proj.",
    "norm2.": "cross_norm.",
    "norm3.": "feed_forward_norm.",
}


@dataclass(frozen=True)
class Options:
    """What the weights do not say."""

    heads: int = 4
    dropout: float = 0.1
    is_pre_norm: bool = False
    latents: int = 1
    """Latents that the denoiser was trained with; a VAE's own are in its weights."""


def to_ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official tensors under our names (`codec.*`, `backbone.*`, `injection.*`), without `DEAD` and `FOREIGN`.

    Raises:
        ValueError: a tensor that has no place in our model.
    """
    known = _modules()
    for theirs, ours in STACKS.items():
        half, plain = _count(tensors, f"{theirs}.input_blocks"), _count(tensors, f"{theirs}.layers")
        known |= _stack(theirs, ours, plain or 2 * half + 1, not plain, _is_decoder(tensors, theirs))
    skipped = FOREIGN if _count(tensors, "denoiser.decoder") else (*FOREIGN, *DEAD)
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(skipped):
            continue
        if name not in known:
            raise ValueError(f"unknown tensor {name!r} in the authors' checkpoint; is it an MLD checkpoint?")
        found[known[name]] = tensor[:, 0] if name in TABLES else tensor
    return found


def to_official(tensors: Mapping[str, Tensor], dead: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Our tensors in the authors' layout, which their strict loader takes.

    `dead` gives the dead tensors (for a byte-identical round trip); without it they are zero.

    Raises:
        ValueError: a tensor that the authors' model has no place for.
    """
    is_decoder = "backbone.context_positions.table" in tensors
    known = _modules()
    for theirs, ours in STACKS.items():
        if theirs != ("denoiser.encoder" if is_decoder else "denoiser.decoder"):
            layers, merges = _count(tensors, f"{ours}.blocks"), _count(tensors, f"{ours}.merges")
            has_skips = merges > 0 or (layers == 1 and theirs != "denoiser.decoder")
            known |= _stack(theirs, ours, layers, has_skips, _is_decoder(tensors, ours))
    official = {ours: theirs for theirs, ours in known.items()}
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name not in official:
            raise ValueError(
                f"{name!r} has no counterpart in the authors' model; only its own layout can be exported"
            )
        found[official[name]] = tensor[:, None] if official[name] in TABLES else tensor
    if "denoiser.query_pos.pe" in found and not is_decoder:
        found |= dead or {name: torch.zeros_like(found["denoiser.query_pos.pe"]) for name in DEAD}
    return found


def _modules() -> dict[str, str]:
    """Official name -> ours, of all tensors outside the stacks that a checkpoint may have."""
    pairs = {f"{theirs}.{p}": f"{ours}.{p}" for theirs, ours in MODULES.items() for p in ("weight", "bias")}
    return pairs | TABLES | {"vae.global_motion_token": "codec.tokens"}


def _stack(theirs: str, ours: str, layers: int, has_skips: bool, is_decoder: bool) -> dict[str, str]:
    """Official name -> ours, of all tensors of a stack."""
    half = layers // 2
    blocks = [f"layers.{i}" for i in range(layers)]
    if has_skips:
        first, last = ([f"{side}_blocks.{i}" for i in range(half)] for side in ("input", "output"))
        blocks = [*first, "middle_block", *last]
    modules = {f"{theirs}.norm.": f"{ours}.norm."}
    modules |= {f"{theirs}.linear_blocks.{i}.": f"{ours}.merges.{i}." for i in range(half)}
    for number, block in enumerate(blocks):
        for part, our_part in (_DECODER if is_decoder else _ENCODER).items():
            modules[f"{theirs}.{block}.{part}"] = f"{ours}.blocks.{number}.{our_part}"
    return {module + p: our_module + p for module, our_module in modules.items() for p in ("weight", "bias")}


def _count(names: Iterable[str], prefix: str) -> int:
    """How many different modules there are right under `prefix`."""
    return len({name.split(".")[prefix.count(".") + 1] for name in names if name.startswith(prefix + ".")})


def _is_decoder(names: Iterable[str], stack: str) -> bool:
    """Whether the blocks of a stack have cross-attention, under either name."""
    marks = (".multihead_attn.", ".cross_attention.")
    return any(name.startswith(stack + ".") and any(mark in name for mark in marks) for name in names)


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
    return MotionVae.Config(
        **_sizes(tensors, "vae.encoder", options or Options()),
        latents=rows if has_layer else rows // 2,
        decoder="cross" if _is_decoder(tensors, "vae.decoder") else "joint",
        has_distribution_layer=has_layer,
        positions=len(tensors["vae.query_pos_encoder.pe"]),
    )


def backbone_config(tensors: Mapping[str, Tensor], options: Options | None = None) -> Mld.Config:
    """The config under which our backbone computes what the authors' denoiser computes."""
    options = options or Options()
    arch = "decoder" if _count(tensors, "denoiser.decoder") else "encoder"
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
