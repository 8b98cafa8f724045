"""Frames to tokens and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from casim.nn.patches import FramePatches
from casim.types import frame_mask


@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 5))
def test_shapes(batch: int, frames: int, patch: int) -> None:
    patches = FramePatches(7, 11, patch)
    mask = frame_mask(torch.randint(1, frames + 1, (batch,)), frames)
    tokens, token_mask = patches.tokens(torch.randn(batch, frames, 7), mask)
    expected = -(-frames // patch)
    assert tokens.shape == (batch, expected, 11)
    assert token_mask is not None
    torch.testing.assert_close(token_mask.sum(1), (mask.sum(1) + patch - 1) // patch)
    assert patches.frames(tokens, frames).shape == (batch, frames, 7)


@pytest.mark.parametrize("patch", [2, 3])
def test_padded_frames_in_a_patch_count_as_zero(patch: int) -> None:
    patches = FramePatches(5, 11, patch)
    motion, mask = torch.randn(2, 7, 5), frame_mask([7, 4])
    other = torch.where(mask[..., None], motion, 100.0)
    tokens, token_mask = patches.tokens(motion, mask)
    again, _ = patches.tokens(other, mask)
    torch.testing.assert_close(tokens[token_mask], again[token_mask])


def test_order_of_frames_survives() -> None:
    patches = FramePatches(2, 6, 3)
    with torch.no_grad():
        for layer in (patches.embed, patches.unembed):
            layer.weight.copy_(torch.eye(6))
            layer.bias.zero_()
    motion = torch.arange(14.0).view(1, 7, 2)
    tokens, _ = patches.tokens(motion, None)
    assert torch.equal(patches.frames(tokens, 7), motion)


def test_patch_must_be_positive() -> None:
    with pytest.raises(ValueError, match="patch is 0"):
        FramePatches(5, 11, 0)
