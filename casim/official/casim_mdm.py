"""The authors' CASIM-MDM weights <-> ours: names, config, dead tensors and export.

Source: cjerry1243/casim_t2m (facts only; its licence is share-alike). The layout is MDM's plus a final LayerNorm in
the decoder, and an attention module in the encoder that is saved but never called.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from casim.backbones.mdm_decoder import MdmDecoder
from casim.backbones.mdm_encoder import MdmEncoder
from casim.official import mdm

DEAD = ("cross_attention.",)
"""Beginnings of the names of tensors in encoder checkpoints that no computation uses."""


def dead_shapes(width: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the dead tensors of an encoder."""
    return {
        "cross_attention.in_proj_weight": (3 * width, width),
        "cross_attention.in_proj_bias": (3 * width,),
        "cross_attention.out_proj.weight": (width, width),
        "cross_attention.out_proj.bias": (width,),
    }


def to_ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official tensors under our names, without dead ones, sinusoid tables and the frozen text network."""
    return mdm.to_ours(tensors, DEAD)


def to_official(
    tensors: Mapping[str, Tensor], dead: Mapping[str, Tensor] | None = None, table_rows: int = 5000
) -> dict[str, Tensor]:
    """Our tensors in the authors' layout, which their strict loader takes.

    `dead` gives the encoder's dead tensors (for a byte-identical round trip); without it they are zero.
    """
    official = mdm.to_official(tensors, table_rows)
    if any(name.startswith("seqTransEncoder.") for name in official):
        width = mdm.sizes(official)["width"]
        official |= dead or {name: torch.zeros(shape) for name, shape in dead_shapes(width).items()}
    return official


def config_of(
    tensors: Mapping[str, Tensor], options: mdm.Options | None = None
) -> MdmEncoder.Config | MdmDecoder.Config:
    """The config under which our backbone computes what the authors' model computes.

    CASIM always hides padded frames and ignores `emb_trans_dec`.
    """
    given = options or mdm.Options()
    return mdm.config_of(tensors, mdm.Options(heads=given.heads, mask_frames=True, diffusion=given.diffusion))
