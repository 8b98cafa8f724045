"""Sinusoids and the time embedding."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from casim.nn.positions import TimeEmbedding, sinusoid


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
