"""The authors' MDM weights <-> ours: names, config and export.

Source: GuyTevet/motion-diffusion-model (MIT), and the older MDM inside the CASIM repository. Checkpoints hold
neither the number of heads nor the options of the run: these come from the `args.json` beside them.

MDM's text projection `embed_text` is part of our injection: `injection.projection`; all else is `backbone.*`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from casim.backbones.mdm_decoder import MdmDecoder
from casim.backbones.mdm_encoder import MdmEncoder
from casim.diffusion import DiffusionConfig
from casim.nn.positions import sinusoid

DEAD: tuple[str, ...] = ()
"""Official tensors that no computation uses: beginnings of names. MDM has none."""

TABLES = ("sequence_pos_encoder.pe", "embed_timestep.sequence_pos_encoder.pe")
"""Sinusoid tables that the authors save; ours are computed."""

FOREIGN = ("clip_model.", "bert_model.", "rot2xyz.")
"""Frozen networks inside some checkpoints; they are no part of the motion model."""

NAMES = {
    "embed_text": "injection.projection",
    "input_process.poseEmbedding": "backbone.frames.embed",
    "output_process.poseFinal": "backbone.frames.unembed",
    "embed_timestep.time_embed.0": "backbone.time.first",
    "embed_timestep.time_embed.2": "backbone.time.second",
    "seqTransDecoder.norm": "backbone.stack.norm",
}
"""Official module -> ours, outside the blocks."""

_ATTENTION = {"in_proj_weight": "in_proj.weight", "in_proj_bias": "in_proj.bias"}
_ATTENTION |= {name: name for name in ("out_proj.weight", "out_proj.bias")}
_ENCODER = {
    "self_attn": "self_attention",
    "linear1": "widen",
    "linear2": "narrow",
    "norm1": "attention_norm",
    "norm2": "feed_forward_norm",
}
_DECODER = {**_ENCODER, "multihead_attn": "cross_attention", "norm2": "cross_norm", "norm3": "feed_forward_norm"}


@dataclass(frozen=True)
class Options:
    """What the weights do not say; names and defaults as in the authors' `args.json`."""

    heads: int = 4
    mask_frames: bool = False
    emb_trans_dec: bool = False
    is_old: bool = False
    """Written before February 2025 (also the MDM inside the CASIM repository): the token that `emb_trans_dec` puts
    in front of the frames is time + text, not time alone. The shapes do not tell."""
    emb_policy: Literal["add", "concat"] = "add"
    dropout: float = 0.1
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)


def our_name(name: str) -> str | None:
    """Our name of an official tensor, or None if nothing of that name exists."""
    block = re.fullmatch(r"seqTrans(Encoder|Decoder)\.layers\.(\d+)\.(\w+)\.(.+)", name)
    if block is None:
        module, _, leaf = name.rpartition(".")
        return f"{NAMES[module]}.{leaf}" if module in NAMES else None
    kind, layer, module, leaf = block.groups()
    ours = (_ENCODER if kind == "Encoder" else _DECODER).get(module)
    if ours is not None and ours.endswith("attention"):
        return f"backbone.stack.blocks.{layer}.{ours}.{_ATTENTION[leaf]}" if leaf in _ATTENTION else None
    return None if ours is None else f"backbone.stack.blocks.{layer}.{ours}.{leaf}"


def official_name(name: str, *, is_decoder: bool) -> str | None:
    """The official name of one of our tensors, or None."""
    block = re.fullmatch(r"backbone\.stack\.blocks\.(\d+)\.(\w+)\.(.+)", name)
    if block is None:
        module, _, leaf = name.rpartition(".")
        found = {ours: theirs for theirs, ours in NAMES.items()}.get(module)
        return None if found is None else f"{found}.{leaf}"
    layer, module, leaf = block.groups()
    found = {ours: theirs for theirs, ours in (_DECODER if is_decoder else _ENCODER).items()}.get(module)
    if found is None:
        return None
    if module.endswith("attention"):
        leaf = {ours: theirs for theirs, ours in _ATTENTION.items()}[leaf]
    return f"seqTrans{'Decoder' if is_decoder else 'Encoder'}.layers.{layer}.{found}.{leaf}"


def to_ours(tensors: Mapping[str, Tensor], dead: tuple[str, ...] = DEAD) -> dict[str, Tensor]:
    """Official tensors under our names: those of `TABLES`, `FOREIGN` and `dead` are left out.

    Raises:
        ValueError: a tensor that has no place in our model.
    """
    ours: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name in TABLES or name.startswith((*FOREIGN, *dead)):
            continue
        found = our_name(name)
        if found is None:
            hint = " (the GRU variant is not supported)" if name.startswith("gru.") else ""
            raise ValueError(f"unknown tensor {name!r} in the authors' checkpoint{hint}; is it an MDM checkpoint?")
        ours[found] = tensor
    return ours


def to_official(tensors: Mapping[str, Tensor], table_rows: int = 5000) -> dict[str, Tensor]:
    """Our tensors in the authors' layout, their sinusoid tables included (`table_rows` = 0 leaves them out).

    Raises:
        ValueError: a tensor that the authors' model has no place for.
    """
    is_decoder = any(".cross_attention." in name for name in tensors)
    official: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        found = official_name(name, is_decoder=is_decoder)
        if found is None:
            raise ValueError(
                f"{name!r} has no counterpart in the authors' model; only its own layout can be exported"
            )
        official[found] = tensor
    if table_rows:
        width = tensors["backbone.time.first.weight"].shape[0]
        table = sinusoid(torch.arange(table_rows), width)[:, None]
        official |= dict.fromkeys(TABLES, table)
    return official


def sizes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Width, layers, ff of the official tensors, and whether a final norm closes the stack."""
    layers = {int(m[1]) for name in tensors if (m := re.match(r"seqTrans\w+\.layers\.(\d+)\.", name))}
    if not layers:
        raise ValueError("no seqTransEncoder or seqTransDecoder layers in the checkpoint; is it an MDM checkpoint?")
    first = next(t for name, t in tensors.items() if name.endswith("layers.0.linear1.weight"))
    return {
        "width": first.shape[1],
        "layers": max(layers) + 1,
        "ff": first.shape[0],
        "has_final_norm": "seqTransDecoder.norm.weight" in tensors,
    }


def feats_of(tensors: Mapping[str, Tensor]) -> int:
    """Features per frame of the official tensors."""
    return tensors["input_process.poseEmbedding.weight"].shape[1]


def text_width_of(tensors: Mapping[str, Tensor]) -> int:
    """Width of the text features that the official model takes."""
    return tensors["embed_text.weight"].shape[1]


def config_of(
    tensors: Mapping[str, Tensor], options: Options | None = None
) -> MdmEncoder.Config | MdmDecoder.Config:
    """The config under which our backbone computes what the authors' model computes."""
    options = options or Options()
    shared = sizes(tensors) | {
        "heads": options.heads,
        "dropout": options.dropout,
        "use_frame_mask": options.mask_frames,
        "diffusion": options.diffusion,
    }
    if not any(name.startswith("seqTransDecoder.") for name in tensors):
        return MdmEncoder.Config(**shared, first_frame=None)
    token = "time_text" if options.is_old else "time"
    return MdmDecoder.Config(
        **shared, time_token=token if options.emb_trans_dec else "none", time_policy=options.emb_policy
    )
