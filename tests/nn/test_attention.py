"""Attention against torch's own, and the recording of its weights."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from casim.nn.attention import Attention, record_attention, running_mean, unless_full

BATCH, QUERIES, KEYS, HEADS, WIDTH = 2, 5, 7, 3, 33
ATOL = 1e-5


def inputs(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, QUERIES, WIDTH, generator=draw)
    context = torch.randn(BATCH, KEYS, WIDTH, generator=draw)
    mask = torch.tensor([[True] * KEYS, [True] * 3 + [False] * (KEYS - 3)])
    return x, context, mask


def twin(attention: Attention) -> nn.MultiheadAttention:
    """torch's module with the same weights."""
    torch_own = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    names = {"in_proj.weight": "in_proj_weight", "in_proj.bias": "in_proj_bias"}
    torch_own.load_state_dict({names.get(n, n): t for n, t in attention.state_dict().items()}, strict=True)
    return torch_own.eval()


def randomised(module: nn.Module, seed: int = 1) -> nn.Module:
    draw = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=draw) * 0.3
    return module.eval()


@pytest.fixture
def attention() -> Attention:
    module = randomised(Attention(WIDTH, HEADS))
    assert isinstance(module, Attention)
    return module


def test_cross_attention_equals_torch(attention: Attention) -> None:
    x, context, mask = inputs()
    expected, weights = twin(attention)(x, context, context, key_padding_mask=~mask, average_attn_weights=False)
    torch.testing.assert_close(attention(x, context, mask), expected, atol=ATOL, rtol=0)
    with record_attention(attention) as kept:
        recorded = attention(x, context, mask)
    torch.testing.assert_close(recorded, expected, atol=ATOL, rtol=0)
    torch.testing.assert_close(kept[""], weights, atol=ATOL, rtol=0)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_self_attention_equals_torch(attention: Attention, causal: bool, masked: bool) -> None:
    x, _, mask = inputs()
    mask = mask[:, :QUERIES] if masked else None
    hidden = ~torch.ones(QUERIES, QUERIES, dtype=torch.bool).tril() if causal else None
    padding = None if mask is None else ~mask
    expected, weights = twin(attention)(
        x, x, x, key_padding_mask=padding, attn_mask=hidden, average_attn_weights=False
    )
    torch.testing.assert_close(attention(x, None, mask, causal), expected, atol=ATOL, rtol=0)
    with record_attention(attention) as kept:
        attention(x, None, mask, causal)
    torch.testing.assert_close(kept[""], weights, atol=ATOL, rtol=0)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 2, 5]))
def test_recorded_rows_are_distributions(batch: int, queries: int, keys: int, heads: int) -> None:
    attention = randomised(Attention(10, heads))
    mask = torch.arange(keys)[None] <= torch.arange(batch)[:, None]
    with record_attention(attention) as kept:
        attention(torch.randn(batch, queries, 10), torch.randn(batch, keys, 10), mask)
    weights = kept[""]
    assert weights.shape == (batch, heads, queries, keys)
    torch.testing.assert_close(weights.sum(-1), torch.ones(batch, heads, queries))
    hidden = ~mask[:, None, None].expand_as(weights)
    assert not weights[hidden].any()


def test_recorded_weights_are_those_used(attention: Attention) -> None:
    x, context, mask = inputs()
    with record_attention(attention) as kept:
        out = attention(x, context, mask)
    values = context @ attention.in_proj.weight[2 * WIDTH :].T + attention.in_proj.bias[2 * WIDTH :]
    heads = values.view(BATCH, KEYS, HEADS, -1).transpose(1, 2)
    gathered = (kept[""] @ heads).transpose(1, 2).reshape(BATCH, QUERIES, WIDTH)
    torch.testing.assert_close(attention.out_proj(gathered), out, atol=ATOL, rtol=0)


def test_names_calls_and_reduction() -> None:
    model = nn.ModuleDict({"first": Attention(WIDTH, HEADS), "second": Attention(WIDTH, HEADS)}).eval()
    seen = []
    with record_attention(model, running_mean) as mean, record_attention(model["first"]) as last:
        for seed in range(3):
            x, context, mask = inputs(seed)
            model["first"](x, context, mask)
            seen.append(last[""])
    assert set(last) == {""}
    assert not mean, "the inner recording takes over"
    with record_attention(model, running_mean) as mean:
        for seed in range(3):
            model["first"](*inputs(seed))
    assert set(mean) == {"first"}
    torch.testing.assert_close(mean["first"], torch.stack(seen).mean(0))


def test_recording_ends_even_after_an_error(attention: Attention) -> None:
    with pytest.raises(KeyError), record_attention(attention):
        raise KeyError
    assert attention.recorder is None


def test_recording_keeps_dropout_out_of_the_weights() -> None:
    attention = Attention(WIDTH, HEADS, dropout=0.5).train()
    x, context, mask = inputs()
    with record_attention(attention) as kept:
        attention(x, context, mask)
    torch.testing.assert_close(kept[""].sum(-1), torch.ones(BATCH, HEADS, QUERIES))


def test_dropout_in_training_is_unbiased() -> None:
    attention = randomised(Attention(WIDTH, HEADS, dropout=0.3))
    x, context, mask = inputs()
    expected = attention(x, context, mask)
    attention.train()
    torch.manual_seed(0)
    draws = torch.stack([attention(x, context, mask) for _ in range(4000)])
    assert draws.std(0).min() > 0.05
    error = (draws.mean(0) - expected).abs() / (draws.std(0) / 4000**0.5)
    assert error.max() < 5  # standard errors


def test_a_full_mask_is_dropped() -> None:
    mask = torch.ones(2, 3, dtype=torch.bool)
    assert unless_full(mask) is None
    mask[1, 2] = False
    assert unless_full(mask) is mask


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="width 10 is not a multiple of heads 3"):
        Attention(10, 3)
