"""The authors' CoMo weights <-> ours: names, configs, dead tensors and export.

Source: yh2371/CoMo. Up to three files: the transformer (dict with the key `trans`; its blocks are T2M-GPT's), the
decoder with the codebook, and an optional encoder. Heads, dilations and activations are not in them.
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from casim.backbones.como import Como
from casim.codecs.pose_codes import PoseCodes
from casim.nn.temporal import TemporalConfig
from casim.official import t2m_gpt
from casim.official.t2m_gpt import DEAD, Options

__all__ = [
    "DEAD",
    "Options",
    "backbone_config",
    "codec_config",
    "codec_to_official",
    "codec_to_ours",
    "to_official",
    "to_ours",
]

EMBED = {
    "trans_base.tok_emb.weight": "backbone.codes.weight",
    "trans_base.tok_emb.bias": "backbone.codes.bias",
}
CODEBOOK = "codebook.weight"


def to_ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official transformer tensors under our names, without `DEAD` and the causal masks.

    Raises:
        ValueError: a tensor that has no place in our model, or one that is missing.
    """
    return t2m_gpt.to_ours(tensors, EMBED)


def to_official(
    tensors: Mapping[str, Tensor], base: int | None = None, dead: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Our transformer tensors in the authors' layout (see `t2m_gpt.to_official`).

    Raises:
        ValueError: a tensor that the authors' model has no place for.
    """
    return t2m_gpt.to_official(tensors, base, dead, EMBED)


def backbone_config(tensors: Mapping[str, Tensor], options: Options | None = None) -> Como.Config:
    """The config under which our backbone computes what the authors' transformer computes.

    Raises:
        ValueError: no transformer of this layout.
    """
    options = options or replace(Options(), text_places=12)
    plain = t2m_gpt.backbone_config(tensors, options)
    sizes = {name: getattr(plain, name) for name in ("width", "ff", "layers", "heads", "dropout", "max_codes")}
    return Como.Config(**sizes, text_places=options.text_places)


def codec_to_ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official decoder (and encoder) tensors under our names.

    Raises:
        ValueError: a tensor that has no place in our model.
    """
    known = _codec_names(tensors)
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name not in known:
            raise ValueError(f"unknown tensor {name!r} in the authors' checkpoint; is it CoMo's decoder?")
        found[known[name]] = tensor
    return found


def codec_to_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our codec's tensors in the authors' layout.

    Raises:
        ValueError: a tensor that the authors' model has no place for.
    """
    halvings = len({name.split(".")[3] for name in tensors if name.startswith("codec.decoder.doubling.")})
    depth = len({name.split(".")[5] for name in tensors if name.startswith("codec.decoder.stacks.0.blocks.")})
    official = {
        ours: theirs.removeprefix("vqvae.") for theirs, ours in t2m_gpt.codec_names(halvings, depth).items()
    }
    official["codec.codebook"] = CODEBOOK
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name not in official:
            raise ValueError(f"{name!r} has no counterpart in the authors' model")
        found[official[name]] = tensor
    return found


def _codec_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    names = t2m_gpt.codec_names(*_levels(tensors))
    return {theirs.removeprefix("vqvae."): ours for theirs, ours in names.items()} | {CODEBOOK: "codec.codebook"}


def _levels(tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    """Halvings, and residual blocks of a stack."""
    halvings = sum(name.startswith("decoder.model.") and name.endswith(".2.weight") for name in tensors)
    depth = sum(name.startswith("decoder.model.2.0.model.") and name.endswith("conv1.weight") for name in tensors)
    return halvings, depth


def codec_config(tensors: Mapping[str, Tensor], options: Options | None = None) -> PoseCodes.Config:
    """The config under which our codec computes what the authors' decoder computes.

    Raises:
        ValueError: no decoder of this layout.
    """
    options = options or Options()
    if CODEBOOK not in tensors or "decoder.model.0.weight" not in tensors:
        raise ValueError(f"no {CODEBOOK!r} in the checkpoint; is it CoMo's decoder?")
    halvings, depth = _levels(tensors)
    inner = tensors["decoder.model.0.weight"].shape[0]
    network = TemporalConfig(inner, depth, options.dilation_growth, halvings, options.activation)
    has_encoder = any(name.startswith("encoder.") for name in tensors)
    return PoseCodes.Config(width=tensors[CODEBOOK].shape[1], network=network, has_encoder=has_encoder)
