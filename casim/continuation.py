"""Long motions of autoregressive models: every segment goes on from the last codes of the one before.

The codes carried over stand where a motion's first codes do, behind the segment's own prompt, and the model writes
on from there. All codes together are decoded at once, so that the codec, too, sees across the seams.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from casim.text_to_motion import TextToMotion
from casim.timeline import Layout
from casim.types import frame_mask


def layout(frames: Sequence[int], carried: int, model: TextToMotion) -> Layout:
    """Segments of whole codes, one after another.

    Args:
        frames: how long each segment is shown.
        carried: frames of the segment before that are read again.
        model: an autoregressive model.

    Raises:
        ValueError: fewer than two segments, or one that is too long for the model.
    """
    if len(frames) < 2:
        raise ValueError(f"a long motion has two or more segments, got {len(frames)}; one is a plain sample")
    stride, most = _stride(model), model.setup.backbone.max_codes
    codes, before = [-(-n // stride) for n in frames], -(-carried // stride)
    for number, count in enumerate(codes, 1):
        room = most - (before if number > 1 else 0)
        if count > room:
            raise ValueError(
                f"segment {number} has {count} codes and the model room for {room} beside the {most - room} that "
                f"it carries over: ask for {room * stride / model.spec.fps:g} s or less, or a shorter --handshake"
            )
    return Layout(tuple(count * stride for count in codes))


@torch.no_grad()
def sample(
    model: TextToMotion,
    texts: Sequence[str],
    layout: Layout,
    carried: int,
    seed: int = 0,
    guidance: float | None = None,
    **options: Any,
) -> Float[Tensor, "total feats"]:
    """One normalised motion that follows `texts`, segment by segment; `options` are those of `Decoding`."""
    assert model.codec is not None
    model.eval()
    stride, generator = _stride(model), torch.Generator().manual_seed(seed)
    before = -(-carried // stride)
    written: list[Tensor] = []
    for text, frames in zip(texts, layout.lengths, strict=True):
        prefix = torch.cat(written, 1)[:, -before:] if written and before else None
        places = frame_mask([frames // stride]).to(model.device)
        guided = model.guided([text], guidance)
        codes = model.backbone.sample(guided, places, generator, length="given", prefix=prefix, **options)
        written.append(codes)
    codes = torch.cat(written, 1)
    return model.codec.decode(codes, frame_mask([layout.total]).to(model.device))[0]


def _stride(model: TextToMotion) -> int:
    """Frames of a code."""
    assert model.codec is not None
    return int(model.codec.frames_of(torch.zeros(1, 1, 1, dtype=torch.long)))
