"""Sinusoids and the time embedding."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from casim.nn.positions import LearnedPositions, TimeEmbedding, halved_sinusoid, sinusoid


@given(st.integers(0, 300), st.integers(2, 13))
def test_sinusoid_is_the_formula(position: int, width: int) -> None:
    row = sinusoid(torch.tensor([position]), width)[0]
    for column in range(width):
        angle = position / 10000 ** (2 * (column // 2) / width)
        expected = math.cos(angle) if column % 2 else math.sin(angle)
        assert abs(float(row[column]) - expected) < 1e-4


def test_any_shape_of_positions() -> None:
    positions = torch.arange(6).view(2, 3)
    rows = sinusoid(positions, 5)
    assert rows.shape == (2, 3, 5)
    torch.testing.assert_close(rows[1], sinusoid(torch.arange(3, 6), 5))


def test_time_embedding_is_linear_silu_linear() -> None:
    time = TimeEmbedding(6)
    t = torch.tensor([0, 17, 999])
    hidden = sinusoid(t, 6) @ time.first.weight.T + time.first.bias
    expected = hidden * hidden.sigmoid() @ time.second.weight.T + time.second.bias
    torch.testing.assert_close(time(t), expected)


@given(st.integers(0, 1000), st.integers(2, 13))
def test_halved_sinusoid_is_diffusers(position: int, width: int) -> None:
    from diffusers.models.embeddings import get_timestep_embedding

    t = torch.tensor([position, 3])
    expected = get_timestep_embedding(t, width, flip_sin_to_cos=True, downscale_freq_shift=0)
    assert torch.equal(halved_sinusoid(t, width), expected)


def test_time_embedding_of_other_waves() -> None:
    time = TimeEmbedding(7, 10, halved_sinusoid)
    waves = halved_sinusoid(torch.tensor([5]), 10)
    torch.testing.assert_close(time(torch.tensor([5])), time.second(torch.nn.functional.silu(time.first(waves))))


def test_learned_positions_are_rows_of_a_table() -> None:
    positions = LearnedPositions(11, 3)
    assert torch.equal(positions(4, 7), positions.table[7:])
    with pytest.raises(ValueError, match="positions up to 12 asked for, this model has learned 11"):
        positions(4, 8)
