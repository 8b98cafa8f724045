"""What each system's checkpoint becomes: the parts of a run, from tensors, settings and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from casim.diffusion import DiffusionConfig
from casim.injection import Casim, Fixed
from casim.official import casim_mdm, como, mdm, mld, t2m_gpt
from casim.setups import SamplingConfig
from casim.text.bert import Bert
from casim.text.clip import Clip

Settings = Mapping[str, Any]
ENCODERS = {512: "openai/clip-vit-base-patch32", 768: "openai/clip-vit-large-patch14"}
"""CLIP by the width of its pooled vector."""
BERTS = {"mdm": "distilbert/distilbert-base-uncased", "casim_mdm": "bert-base-uncased"}


@dataclass(frozen=True)
class Parts:
    """A run without its data."""

    tensors: dict[str, Tensor]
    """Under our names."""
    text: Any
    injection: Any
    backbone: Any
    text_width: int
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    codec: Any = None
    dead: dict[str, Tensor] = field(default_factory=dict)
    """Official tensors that no computation uses."""
    feats: int = 0
    """Features per frame; 0: the codec's tensors tell."""


@dataclass(frozen=True)
class System:
    """How the checkpoints of a system are read."""

    about: str
    defaults: Settings
    """What tensors cannot tell, with the published values."""
    build: Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Settings], Parts]
    """(tensors, tensors of a second file, settings) -> parts."""
    second: str = ""
    """What the second file holds; empty if there is none."""
    from_args: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda args: {}
    """Settings from the authors' args.json."""


MDM_SETTINGS = {
    "heads": 4,
    "text": "clip",
    "window": 22,
    "mask_frames": False,
    "emb_trans_dec": False,
    "is_old": False,
    "emb_policy": "add",
    "diffusion_steps": 1000,
    "schedule": "cosine",
    "guidance": 2.5,
}


def mdm_args(args: Mapping[str, Any]) -> dict[str, Any]:
    """Settings from MDM's args.json; CASIM's is the same file."""
    names = {"mask_frames": "mask_frames", "emb_trans_dec": "emb_trans_dec", "emb_policy": "emb_policy"}
    names |= {"diffusion_steps": "diffusion_steps", "noise_schedule": "schedule", "text_encoder_type": "text"}
    found = {ours: args[theirs] for theirs, ours in names.items() if theirs in args}
    if "emb_trans_dec" in args and "emb_policy" not in args:
        found["is_old"] = True  # older code has no such option, and joins time and text
    return found


def _mdm_parts(name: str, tensors: Mapping[str, Tensor], settings: Settings) -> Parts:
    module: Any = casim_mdm if name == "casim_mdm" else mdm
    diffusion = DiffusionConfig(steps=settings["diffusion_steps"], schedule=settings["schedule"])
    fields = {k: settings[k] for k in ("heads", "mask_frames", "emb_trans_dec", "is_old", "emb_policy")}
    backbone = module.config_of(tensors, mdm.Options(**fields, diffusion=diffusion))
    width = mdm.text_width_of(tensors)
    if settings["text"] == "clip":
        text: Any = Clip.Config(window=settings["window"], truncate=True)
    else:
        text = Bert.Config(weights=BERTS[name])
    # MDM reads DistilBERT token by token, CLIP as one vector
    injection = Fixed.Config() if name == "mdm" and settings["text"] == "clip" else Casim.Config()
    dead = {n: t for n, t in tensors.items() if module.DEAD and n.startswith(module.DEAD)}
    sampling = SamplingConfig(guidance=settings["guidance"])
    parts = Parts(module.to_ours(tensors), text, injection, backbone, width, sampling, None, dead)
    return _with_feats(parts, mdm.feats_of(tensors))


def _with_feats(parts: Parts, feats: int) -> Parts:
    return Parts(**{**vars(parts), "feats": feats})


def _mdm(tensors: Mapping[str, Tensor], more: Mapping[str, Tensor], settings: Settings) -> Parts:
    return _mdm_parts("mdm", tensors, settings)


def _casim_mdm(tensors: Mapping[str, Tensor], more: Mapping[str, Tensor], settings: Settings) -> Parts:
    return _mdm_parts("casim_mdm", tensors, settings)


GPT_SETTINGS = {"heads": 16, "text_places": 1, "window": 77, "dilation_growth": 3, "activation": "relu"}


def _writer(
    module: Any, tensors: Mapping[str, Tensor], more: Mapping[str, Tensor], settings: Settings, pooled: int
) -> Parts:
    names = ("heads", "text_places", "dilation_growth", "activation")
    options = module.Options(**{name: settings[name] for name in names})
    width = tensors["trans_base.cond_emb.weight"].shape[1]
    return Parts(
        {**module.to_ours(tensors), **module.codec_to_ours(more)},
        Clip.Config(weights=_clip(width), window=settings["window"], truncate=True),
        Fixed.Config() if settings["text_places"] == pooled else Casim.Config(),
        module.backbone_config(tensors, options),
        width,
        SamplingConfig(guidance=1.0),
        module.codec_config(more, options),
        {name: tensor for name, tensor in tensors.items() if name in t2m_gpt.DEAD},
        more[FEATS[module.__name__.rpartition(".")[2]]].shape[0],
    )


FEATS = {"t2m_gpt": "vqvae.decoder.model.6.bias", "como": "decoder.model.6.bias"}
"""Tensor of each decoder that has as many numbers as a frame has features."""


def _t2m_gpt(tensors: Mapping[str, Tensor], more: Mapping[str, Tensor], settings: Settings) -> Parts:
    return _writer(t2m_gpt, tensors, more, settings, 1)


def _como(tensors: Mapping[str, Tensor], more: Mapping[str, Tensor], settings: Settings) -> Parts:
    return _writer(como, tensors, more, settings, 12)


def _clip(width: int) -> str:
    return ENCODERS.get(width, ENCODERS[512])


MLD_SETTINGS = {"heads": 4, "latents": 1, "is_pre_norm": False, "steps": 50, "guidance": 7.5, "tokens": False}


def _mld(tensors: Mapping[str, Tensor], more: Mapping[str, Tensor], settings: Settings) -> Parts:
    names = ("heads", "latents", "is_pre_norm")
    options = mld.Options(**{name: settings[name] for name in names})
    width = mld.text_width_of(tensors)
    has_codec = any(name.startswith("vae.") for name in tensors)
    feats = tensors["vae.final_layer.bias"].shape[0] if has_codec else mld.space_of(tensors)
    is_decoder = any(name.startswith("denoiser.decoder.") for name in tensors)
    return Parts(
        mld.to_ours(tensors),
        Clip.Config(weights=_clip(width), truncate=True),
        Casim.Config() if settings["tokens"] else Fixed.Config(is_rectified=True),
        mld.backbone_config(tensors, options),
        width,
        SamplingConfig("ddim", settings["steps"], settings["guidance"]),
        mld.codec_config(tensors, options) if has_codec else None,
        {} if is_decoder else {name: tensor for name, tensor in tensors.items() if name in mld.DEAD},
        feats,
    )


SYSTEMS = {
    "mdm": System("MDM, encoder or decoder (Tevet et al. 2023).", MDM_SETTINGS, _mdm, from_args=mdm_args),
    "casim_mdm": System(
        "CASIM's MDM, with CLIP or BERT (arXiv 2502.02063).",
        MDM_SETTINGS | {"window": 77, "mask_frames": True},
        _casim_mdm,
        from_args=mdm_args,
    ),
    "t2m_gpt": System("T2M-GPT (Zhang et al. 2023).", GPT_SETTINGS, _t2m_gpt, "VQ-VAE"),
    "como": System("CoMo (Huang et al. 2024).", GPT_SETTINGS | {"text_places": 12}, _como, "decoder"),
    "mld": System("MLD, with or without its VAE (Chen et al. 2023).", MLD_SETTINGS, _mld),
}
"""By the name of their module."""
