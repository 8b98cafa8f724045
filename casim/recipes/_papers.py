"""Paper rows on HumanML3D: days on an accelerator.

Sizes, loss and optimiser are the defaults; what is written out here is where a paper's released code does
otherwise, or does what it does on purpose.
"""

from typing import Any

from casim.backbones.mdm_decoder import MdmDecoder
from casim.backbones.mdm_encoder import MdmEncoder
from casim.diffusion import DiffusionConfig
from casim.injection import Casim, Fixed
from casim.recipes._core import Training, recipe
from casim.setups import Setup
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
