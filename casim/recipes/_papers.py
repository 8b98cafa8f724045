"""Paper rows on HumanML3D: days on an accelerator.

Sizes, loss and optimiser are the defaults; what is written out here is where a paper's released code does
otherwise, or does what it does on purpose.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from casim.backbones.como import Como
from casim.backbones.mdm_decoder import MdmDecoder
from casim.backbones.mdm_encoder import MdmEncoder
from casim.backbones.mld import Mld
from casim.backbones.t2m_gpt import T2mGpt
from casim.codecs.motion_vae import MotionVae
from casim.codecs.pose_codes import PoseCodes
from casim.codecs.vqvae import Vqvae
from casim.diffusion import DiffusionConfig
from casim.injection import Casim, Fixed
from casim.recipes._backbones import FIRST_STAGES
from casim.recipes._core import RECIPES, Recipe, Training, recipe
from casim.setups import CodecSetup, FirstStage, SamplingConfig, Setup
from casim.text.bert import Bert
from casim.text.clip import Clip

SHOWN_PADDING: dict[str, Any] = {"use_frame_mask": False, "has_final_norm": False}
"""MDM's published models: padded frames take part in attention, and no LayerNorm closes the stack."""
MDM_CLIP = Clip.Config(window=22, truncate=True)
"""MDM cuts captions to 20 tokens between the markers."""
CASIM_CLIP = Clip.Config(window=77, truncate=True)
"""CASIM cuts captions to CLIP's 77 tokens only; all states behind the final LayerNorm."""
CASIM_BERT = Bert.Config(weights="bert-base-uncased")
"""CASIM's other text encoder: last hidden states, [CLS] and [SEP] kept, 512 tokens at most. Where the authors keep
the states of padding, ours are zero; attention sees neither."""
MDM_BERT = Bert.Config(weights="distilbert/distilbert-base-uncased")
"""MDM's token-level text encoder since February 2025."""
CASIM_TRAINING = Training(steps=200_000, batch_size=512)
"""The released code's README finds 1,000-step models best at 200k optimiser steps."""


def _humanml3d(
    text: Clip.Config | Bert.Config, injection: Any, backbone: Any, training: Training
) -> tuple[Setup, Training]:
    from casim.data.humanml3d import HumanML3D

    # a model that sees padded frames must see as many as the authors' loader gives it
    data = HumanML3D.Config(is_padded_full=not backbone.use_frame_mask)
    return Setup(data, text, injection, backbone), training


@recipe
def mdm_encoder_humanml3d() -> tuple[Setup, Training]:
    """Paper row: MDM's encoder with one pooled CLIP vector (Tevet et al. 2023)."""
    backbone = MdmEncoder.Config(**SHOWN_PADDING, first_frame=None)
    return _humanml3d(MDM_CLIP, Fixed.Config(), backbone, Training())


@recipe
def mdm_decoder_humanml3d() -> tuple[Setup, Training]:
    """Paper row: MDM's decoder with one pooled CLIP vector as its memory (Tevet et al. 2023)."""
    return _humanml3d(MDM_CLIP, Fixed.Config(), MdmDecoder.Config(**SHOWN_PADDING), Training())


@recipe
def casim_mdm_decoder_humanml3d() -> tuple[Setup, Training]:
    """Paper row: CASIM's headline MDM, cross-attention from frames to all CLIP tokens (arXiv 2502.02063)."""
    backbone = MdmDecoder.Config(use_frame_mask=True, has_final_norm=True)
    return _humanml3d(CASIM_CLIP, Casim.Config(), backbone, CASIM_TRAINING)


@recipe
def casim_mdm_encoder_humanml3d() -> tuple[Setup, Training]:
    """Paper row: CASIM's encoder, CLIP tokens and frames in one sequence (arXiv 2502.02063)."""
    # the authors pad every caption to CLIP's window, so that the first frame always has this position
    backbone = MdmEncoder.Config(use_frame_mask=True, has_final_norm=False, first_frame=CASIM_CLIP.window)
    return _humanml3d(CASIM_CLIP, Casim.Config(), backbone, CASIM_TRAINING)


@recipe
def casim_mdm_decoder_bert_humanml3d() -> tuple[Setup, Training]:
    """Paper row: CASIM's decoder with BERT in place of CLIP (arXiv 2502.02063, text encoder ablation)."""
    backbone = MdmDecoder.Config(use_frame_mask=True, has_final_norm=True)
    return _humanml3d(CASIM_BERT, Casim.Config(), backbone, CASIM_TRAINING)


@recipe
def casim_mdm_encoder_bert_humanml3d() -> tuple[Setup, Training]:
    """Paper row: CASIM's encoder with BERT in place of CLIP (arXiv 2502.02063, text encoder ablation)."""
    # The authors pad captions to the batch's longest, and the first frame's position follows the padding: a motion
    # depends on the captions beside it. A number here, 128 by default, would end that.
    backbone = MdmEncoder.Config(use_frame_mask=True, has_final_norm=False, first_frame=None)
    return _humanml3d(CASIM_BERT, Casim.Config(), backbone, CASIM_TRAINING)


@recipe
def mdm_decoder_distilbert_humanml3d() -> tuple[Setup, Training]:
    """Paper row: MDM's own token-level decoder: all DistilBERT tokens, 50 steps, frame mask and weight average."""
    backbone = MdmDecoder.Config(
        use_frame_mask=True, has_final_norm=False, time_policy="add", diffusion=DiffusionConfig(steps=50)
    )
    return _humanml3d(MDM_BERT, Casim.Config(), backbone, Training(ema=0.9999))


# KIT-ML, and the systems with two stages on both data sets

GPT_STEPS = {"t2m_gpt": 128, "como": 64}
"""Batch sizes of the papers."""
CLIP_TOKENS = 77
KEYWORDS = 12
"""CoMo's caption and its eleven keywords; without a keyword file the caption stands alone."""


def _data(name: str, *, is_padded_full: bool = False) -> Any:
    from casim.data.humanml3d import HumanML3D
    from casim.data.kit import Kit

    kind: Any = {"humanml3d": HumanML3D, "kit": Kit}[name]
    return kind.Config(is_padded_full=is_padded_full)


def mdm_kit() -> dict[str, tuple[Setup, Training]]:
    """MDM's and CASIM's rows on KIT: the HumanML3D recipes with KIT's data."""
    rows = (mdm_encoder_humanml3d, mdm_decoder_humanml3d, casim_mdm_decoder_humanml3d, casim_mdm_encoder_humanml3d)
    found = {}
    for row in rows:
        plain = row()
        assert isinstance(plain.setup, Setup)
        data = _data("kit", is_padded_full=plain.setup.data.is_padded_full)
        name = plain.name.replace("humanml3d", "kit")
        found[name] = replace(plain.setup, data=data), plain.training
    return found


def first_stage(codec: str, data: str) -> tuple[CodecSetup, Training]:
    """The codecs of T2M-GPT, CoMo and MLD as published."""
    gpt = Training(steps=301_000, batch_size=256, learning_rate=2e-4, beta2=0.99, warmup=1000, drop_at=201_000)
    rows: dict[str, tuple[Any, Training]] = {
        "vqvae": (Vqvae.Config(), gpt),
        "pose_codes": (
            PoseCodes.Config(),
            replace(gpt, learning_rate=1e-4, warmup=0, steps=300_000, drop_at=200_000),
        ),
        "motion_vae": (MotionVae.Config(), Training(steps=1_100_000, batch_size=128)),
    }
    config, training = rows[codec]
    return CodecSetup(_data(data), config), replace(training, text_dropout=0.0)


def second_stage(system: str, data: str, injection: str) -> tuple[Setup, Training]:
    """T2M-GPT, CoMo and MLD as published, and with every token in front as CASIM describes them."""
    text_places = CLIP_TOKENS if injection == "casim" else KEYWORDS if system == "como" else 1
    stage = FirstStage(f"{FIRST_STAGES[system]}_{data}_seed10")
    chosen: Any = Casim.Config() if injection == "casim" else Fixed.Config(is_rectified=system == "mld")
    if system == "mld":
        text = Clip.Config(weights="openai/clip-vit-large-patch14", truncate=True)
        sampling = SamplingConfig("ddim", 50, 7.5)
        training = Training(steps=500_000, batch_size=128)
        return Setup(_data(data), text, chosen, Mld.Config(max_frames=1), sampling, stage), training
    kind = {"t2m_gpt": T2mGpt, "como": Como}[system]
    training = Training(
        steps=300_000, batch_size=GPT_STEPS[system], beta1=0.5, beta2=0.9, weight_decay=1e-6, drop_at=150_000,
        text_dropout=0.0,
    )  # fmt: skip
    backbone = kind.Config(text_places=text_places)
    return Setup(_data(data), CASIM_CLIP, chosen, backbone, SamplingConfig(guidance=1.0), stage), training


def _row(name: str, about: str, build: Callable[[], tuple[Any, Training]]) -> None:
    RECIPES[name] = lambda: Recipe(name, about, *build())


for _name in ("mdm_encoder", "mdm_decoder", "casim_mdm_decoder", "casim_mdm_encoder"):
    _row(f"{_name}_kit", f"Paper row: {_name} on KIT-ML.", partial(lambda n: mdm_kit()[n], f"{_name}_kit"))
for _data_name in ("humanml3d", "kit"):
    for _codec in FIRST_STAGES.values():
        _row(
            f"{_codec}_{_data_name}",
            f"First stage as published: {_codec}.",
            partial(first_stage, _codec, _data_name),
        )
    for _system in FIRST_STAGES:
        for _injection, _prefix in (("fixed", ""), ("casim", "casim_")):
            _about = f"Paper row: {_system}" + (
                " with CASIM (arXiv 2502.02063; unpublished code)." if _prefix else "."
            )
            _row(f"{_prefix}{_system}_{_data_name}", _about, partial(second_stage, _system, _data_name, _injection))
