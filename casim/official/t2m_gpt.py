"""The authors' T2M-GPT weights <-> ours: names, configs, dead tensors and export.

Source: Mael-zys/T2M-GPT (Apache 2.0). Two files: the VQ-VAE (dict with the key `net`; our codec) and the
transformer (key `trans`; our backbone, its text projection is part of our injection). Heads, dilations and
activations are not in them. CoMo's transformer has the same blocks (`casim.official.como`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from casim.backbones.t2m_gpt import T2mGpt
from casim.codecs.vqvae import Vqvae
from casim.nn.temporal import TemporalConfig

DEAD = ("trans_base.pos_embedding.weight",)
"""Tensors that no computation uses."""

BLOCK = {
    "ln1": "attention_norm",
    "ln2": "feed_forward_norm",
    "attn.proj": "self_attention.out_proj",
    "mlp.0": "widen",
    "mlp.2": "narrow",
}
"""Official module of a block -> ours, where both have a weight and a bias."""

TRUNK = {
    "trans_base.cond_emb.weight": "injection.projection.weight",
    "trans_base.cond_emb.bias": "injection.projection.bias",
    "trans_head.ln_f.weight": "backbone.stack.norm.weight",
    "trans_head.ln_f.bias": "backbone.stack.norm.bias",
    "trans_head.head.weight": "backbone.head.weight",
}
EMBED = {"trans_base.tok_emb.weight": "backbone.codes.weight"}
POSITIONS, OUR_POSITIONS = "trans_base.pos_embed.embed", "backbone.positions"
"""[places, 1, width] there and [places, width] here; not trained."""
PACKED = ("query", "key", "value")
"""Official projections that ours holds in one matrix, in this order."""


@dataclass(frozen=True)
class Options:
    """What the weights do not say."""

    heads: int = 16
    dropout: float = 0.1
    text_places: int = 1
    """Positions of text among those of the file: 1 for the published model, 77 for CASIM's."""
    dilation_growth: int = 3
    activation: Literal["relu", "silu"] = "relu"


def to_ours(tensors: Mapping[str, Tensor], embed: Mapping[str, str] = EMBED) -> dict[str, Tensor]:
    """Official transformer tensors under our names, without `DEAD` and the causal masks.

    Raises:
        ValueError: a tensor that has no place in our model, or one that is missing.
    """
    known, packed = _names(tensors, embed)
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name in DEAD or name.endswith(".attn.mask") or any(name in parts for parts in packed.values()):
            continue
        if name == POSITIONS:
            found[OUR_POSITIONS] = tensor[:, 0]
        elif name in known:
            found[known[name]] = tensor
        else:
            raise ValueError(f"unknown tensor {name!r} in the authors' checkpoint; is it a T2M-GPT transformer?")
    for ours, parts in packed.items():
        if missing := [part for part in parts if part not in tensors]:
            raise ValueError(f"the authors' checkpoint lacks {missing[0]!r}")
        found[ours] = torch.cat([tensors[part] for part in parts])
    return found


def to_official(
    tensors: Mapping[str, Tensor],
    base: int | None = None,
    dead: Mapping[str, Tensor] | None = None,
    embed: Mapping[str, str] = EMBED,
) -> dict[str, Tensor]:
    """Our transformer tensors in the authors' layout, which their strict loader takes.

    Args:
        tensors: ours.
        base: blocks that go to the authors' first stack; half of them by default.
        dead: the dead tensors (for a byte-identical round trip); zero without.
        embed: official name -> ours of the tensors that embed codes.

    Raises:
        ValueError: a tensor that the authors' model has no place for.
    """
    layers = len({name.split(".")[3] for name in tensors if name.startswith("backbone.stack.blocks.")})
    known, packed = _layout(layers, layers // 2 if base is None else base, embed)
    official = {ours: theirs for theirs, ours in known.items()}
    positions = tensors[OUR_POSITIONS]
    places = len(positions)
    found: dict[str, Tensor] = {POSITIONS: positions[:, None]}
    for name, tensor in tensors.items():
        if name == OUR_POSITIONS:
            continue
        if name in packed:
            found |= dict(zip(packed[name], tensor.chunk(3), strict=True))
        elif name in official:
            found[official[name]] = tensor
        else:
            raise ValueError(f"{name!r} has no counterpart in the authors' model")
    for parts in packed.values():
        if parts[0].endswith("weight"):
            mask = torch.ones(places, places, device=positions.device).tril()
            found[parts[0].replace("query.weight", "mask")] = mask[None, None]
    return found | dict(dead or {DEAD[0]: torch.zeros_like(positions)})


Layout = tuple[dict[str, str], dict[str, tuple[str, ...]]]
"""Official name -> ours, and our packed matrices -> their official parts."""


def _names(tensors: Mapping[str, Tensor], embed: Mapping[str, str]) -> Layout:
    counts = [
        len({name.split(".")[2] for name in tensors if name.startswith(f"{stack}.blocks.")})
        for stack in ("trans_base", "trans_head")
    ]
    return _layout(sum(counts), counts[0], embed)


def _layout(layers: int, base: int, embed: Mapping[str, str]) -> Layout:
    known, packed = TRUNK | dict(embed), {}
    for layer in range(layers):
        theirs = f"trans_base.blocks.{layer}" if layer < base else f"trans_head.blocks.{layer - base}"
        ours = f"backbone.stack.blocks.{layer}"
        for kind in ("weight", "bias"):
            known |= {f"{theirs}.{a}.{kind}": f"{ours}.{b}.{kind}" for a, b in BLOCK.items()}
            parts = tuple(f"{theirs}.attn.{part}.{kind}" for part in PACKED)
            packed[f"{ours}.self_attention.in_proj.{kind}"] = parts
    return known, packed


def backbone_config(tensors: Mapping[str, Tensor], options: Options | None = None) -> T2mGpt.Config:
    """The config under which our backbone computes what the authors' transformer computes.

    Raises:
        ValueError: no transformer of this layout.
    """
    options = options or Options()
    if "trans_base.blocks.0.mlp.0.weight" not in tensors:
        raise ValueError("no blocks under 'trans_base' in the checkpoint; is it a T2M-GPT transformer?")
    widen = tensors["trans_base.blocks.0.mlp.0.weight"]
    layers = len({".".join(name.split(".")[:3]) for name in tensors if ".blocks." in name})
    return T2mGpt.Config(
        width=widen.shape[1],
        ff=widen.shape[0],
        layers=layers,
        heads=options.heads,
        dropout=options.dropout,
        max_codes=len(tensors[POSITIONS]) - options.text_places,
        text_places=options.text_places,
    )


def codes_of(tensors: Mapping[str, Tensor]) -> int:
    """Size of the codebook that the official transformer writes."""
    return tensors["trans_head.head.weight"].shape[0] - 1


def codec_names(halvings: int, depth: int) -> dict[str, str]:
    """Official name -> ours, of all tensors of the VQ-VAE but the codebook."""
    last = 2 + halvings
    modules = {"encoder.model.0": "encoder.enter", f"encoder.model.{last}": "encoder.leave"}
    modules |= {"decoder.model.0": "decoder.enter", f"decoder.model.{last}": "decoder.inner"}
    modules[f"decoder.model.{last + 2}"] = "decoder.leave"
    for level in range(halvings):
        modules[f"encoder.model.{2 + level}.0"] = f"encoder.halving.{level}"
        modules[f"decoder.model.{2 + level}.2"] = f"decoder.doubling.{level}"
        for block in range(depth):
            for theirs, ours in (("conv1", "wide"), ("conv2", "narrow")):
                for side, place in (("encoder", 1), ("decoder", 0)):
                    stack = f"{side}.model.{2 + level}.{place}.model.{block}.{theirs}"
                    modules[stack] = f"{side}.stacks.{level}.blocks.{block}.{ours}"
    return {f"vqvae.{a}.{p}": f"codec.{b}.{p}" for a, b in modules.items() for p in ("weight", "bias")}


CODEBOOK = "vqvae.quantizer.codebook"
OUR_CODEBOOK = ("codec.quantizer.book.embed", "codec.quantizer.book.embed_avg")


def codec_to_ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official VQ-VAE tensors under our names, the codebook counted once per code (its averages are not in the
    file).

    Raises:
        ValueError: a tensor that has no place in our model.
    """
    known = codec_names(*_levels(tensors))
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name == CODEBOOK:
            found |= dict.fromkeys(OUR_CODEBOOK, tensor[None])
            found["codec.quantizer.book.cluster_size"] = torch.ones(1, len(tensor), device=tensor.device)
            found["codec.quantizer.book.initted"] = torch.tensor(True)
            found["codec.quantizer.has_begun"] = torch.tensor(True)
        elif name in known:
            found[known[name]] = tensor
        else:
            raise ValueError(f"unknown tensor {name!r} in the authors' checkpoint; is it a T2M-GPT VQ-VAE?")
    return found


def codec_to_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our VQ-VAE tensors in the authors' layout; averages of the codebook have no place there.

    Raises:
        ValueError: a tensor that the authors' model has no place for.
    """
    halvings = len({name.split(".")[3] for name in tensors if name.startswith("codec.encoder.halving.")})
    depth = len({name.split(".")[5] for name in tensors if name.startswith("codec.encoder.stacks.0.blocks.")})
    official = {ours: theirs for theirs, ours in codec_names(halvings, depth).items()}
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name == OUR_CODEBOOK[0]:
            found[CODEBOOK] = tensor[0]
        elif name in official:
            found[official[name]] = tensor
        elif not name.startswith("codec.quantizer."):
            raise ValueError(f"{name!r} has no counterpart in the authors' model")
    return found


def _levels(tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    """Halvings, and residual blocks of a stack."""
    halvings = sum(
        name.startswith("vqvae.encoder.model.") and name.endswith(".0.weight") and name.count(".") == 5
        for name in tensors
    )
    depth = sum(
        name.startswith("vqvae.encoder.model.2.1.model.") and name.endswith("conv1.weight") for name in tensors
    )
    return halvings, depth


def codec_config(tensors: Mapping[str, Tensor], options: Options | None = None) -> Vqvae.Config:
    """The config under which our codec computes what the authors' VQ-VAE computes.

    Raises:
        ValueError: no VQ-VAE of this layout.
    """
    options = options or Options()
    if CODEBOOK not in tensors or "vqvae.encoder.model.0.weight" not in tensors:
        raise ValueError(f"no {CODEBOOK!r} in the checkpoint; is it a T2M-GPT VQ-VAE?")
    halvings, depth = _levels(tensors)
    codes, width = tensors[CODEBOOK].shape
    inner = tensors["vqvae.encoder.model.0.weight"].shape[0]
    network = TemporalConfig(inner, depth, options.dilation_growth, halvings, options.activation)
    return Vqvae.Config(codes=codes, width=width, network=network)
