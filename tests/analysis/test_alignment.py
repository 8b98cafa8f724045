"""Word x frame tables: sub-words, markers, padding, patches, joint sequences; maps by hand and of models."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis.alignment import Layout, motion_on_text, resample, stretch, text_layers, word_frames, word_matrix
from casim import plugins
from casim.backbones.mdm_decoder import MdmDecoder
from casim.backbones.mdm_encoder import MdmEncoder
from casim.backbones.mld import Mld
from casim.nn.attention import record_attention
from casim.types import SPECIAL, Condition, WordMap, frame_mask

WAVES = WordMap(("a", "person", "waves"), (SPECIAL, 0, 1, 2, 2, SPECIAL))
SITS = WordMap(("sits",), (SPECIAL, 0, SPECIAL))
CROSS = "stack.blocks.0.cross_attention"


def rows(*values: float) -> torch.Tensor:
    return torch.tensor(values)[None, None, None]


def test_sub_words_are_summed_and_markers_kept_apart() -> None:
    weights = rows(0.1, 0.2, 0.05, 0.3, 0.25, 0.1)  # one clip, head, motion token
    table = word_frames({CROSS: weights}, [WAVES], torch.ones(1, 1, dtype=torch.bool), Layout(6, 1))
    np.testing.assert_allclose(table.maps[0, 0, :, 0], [0.2, 0.05, 0.55], atol=1e-6)
    np.testing.assert_allclose(table.sink[0, 0], [0.2], atol=1e-6)
    np.testing.assert_allclose(table.text_mass, [[1.0]], atol=1e-6)


def test_patches_are_repeated_and_padded_frames_are_zero() -> None:
    weights = torch.eye(3)[None, None]  # motion token i looks at text token i
    words = [WordMap(("one", "two", "three"), (0, 1, 2))]
    table = word_frames({CROSS: weights}, words, frame_mask([4], 5), Layout(3, 5, patch=2))
    expected = [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(table.maps[0, 0], expected)


def test_a_joint_sequence_gives_the_text_columns_of_the_motion_rows() -> None:
    weights = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1], [0.2, 0.4, 0.4]])[None, None]  # 2 text, 1 motion
    text, mass = motion_on_text(weights, Layout(cond=2, frames=1))
    np.testing.assert_allclose(text[0, 0], [[1 / 3, 2 / 3]], atol=1e-6)
    np.testing.assert_allclose(mass[0, 0], [0.6], atol=1e-6)


def test_a_time_token_counts_as_special() -> None:
    weights = torch.full((1, 1, 3, 3), 1 / 3)
    words = [WordMap(("sits", "down"), (0, 1))]
    table = word_frames({CROSS: weights}, words, frame_mask([3]), Layout(2, 3))
    np.testing.assert_allclose(table.sink[0, 0], [1 / 3] * 3, atol=1e-6)
    np.testing.assert_allclose(table.maps[0, 0], np.full((2, 3), 1 / 3), atol=1e-6)


def test_heads_are_averaged_or_chosen() -> None:
    weights = torch.stack([torch.eye(2), torch.eye(2).flip(0)])[None]
    words = [WordMap(("sits", "down"), (0, 1))]
    recorded, mask, layout = {CROSS: weights}, frame_mask([2]), Layout(2, 2)
    np.testing.assert_allclose(word_frames(recorded, words, mask, layout).maps[0, 0], np.full((2, 2), 0.5))
    np.testing.assert_array_equal(word_frames(recorded, words, mask, layout, head=1).maps[0, 0], 1 - np.eye(2))
    with pytest.raises(ValueError, match=r"no head 2.*0 to 1"):
        word_frames(recorded, words, mask, layout, head=2)


def test_sizes_that_fit_no_layout_are_refused() -> None:
    with pytest.raises(ValueError, match="4 queries and 9 keys"):
        motion_on_text(torch.ones(1, 1, 4, 9), Layout(cond=3, frames=4))
    with pytest.raises(ValueError, match="no module"):
        text_layers({})


def test_padded_tokens_belong_to_no_word() -> None:
    matrix = word_matrix([WAVES, SITS], 6)
    np.testing.assert_array_equal(matrix.sum(1), [[1] * 6, [1, 1, 1, 0, 0, 0]])


@pytest.mark.parametrize(
    "config",
    [
        MdmDecoder.Config(width=14, layers=2, heads=2, ff=11),
        MdmEncoder.Config(width=14, layers=2, heads=2, ff=11),
        Mld.Config(width=14, layers=3, heads=2, ff=11),
        Mld.Config(width=14, layers=3, heads=2, ff=11, arch="decoder"),
    ],
    ids=["mdm_decoder", "mdm_encoder", "mld encoder", "mld decoder"],
)
@given(
    lengths=st.lists(st.integers(1, 13), min_size=2, max_size=2), patch=st.integers(1, 3), seed=st.integers(0, 99)
)
def test_words_and_sink_of_a_model_sum_to_one(config: Any, lengths: list[int], patch: int, seed: int) -> None:
    torch.manual_seed(seed)
    model = plugins.build(replace(config, patch=patch), 5).eval()
    words, mask = [WAVES, SITS], frame_mask(lengths)
    condition = Condition(torch.randn(2, 6, 14), frame_mask([6, 3]))
    with torch.no_grad(), record_attention(model) as recorded:
        model.denoise(torch.randn(2, max(lengths), 5), torch.tensor([3, 900]), condition, mask)
    table = word_frames(recorded, words, mask, Layout(6, max(lengths), patch))
    assert table.maps.shape == (2, config.layers, 3, max(lengths))
    total = table.maps.sum(2) + table.sink
    np.testing.assert_allclose(total, np.broadcast_to(mask.numpy()[:, None], total.shape), atol=1e-5)
    assert (table.maps[1, :, 1:] == 0).all()  # the second prompt has one word
    is_cross = isinstance(config, MdmDecoder.Config) or getattr(config, "arch", "") == "decoder"
    assert np.allclose(table.text_mass, 1, atol=1e-5) if is_cross else (table.text_mass < 1).all()


@given(length=st.integers(2, 40), points=st.integers(2, 50))
def test_resampling_keeps_straight_lines_and_constants(length: int, points: int) -> None:
    frames = np.arange(43)
    line = ((frames + 0.5) / length)[None, None]
    relative = resample(line, np.array([length]), points)[0, 0]
    inner = np.clip((np.arange(points) + 0.5) / points, 0.5 / length, 1 - 0.5 / length)
    np.testing.assert_allclose(relative, inner, atol=1e-9)
    back = stretch(np.full((1, 1, points), 0.3), np.array([length]), 43)[0, 0]
    np.testing.assert_allclose(back, np.where(frames < length, 0.3, 0))
