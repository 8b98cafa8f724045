"""Blocks and stacks against torch's transformer layers, in every kind we use."""

import pytest
import torch
from torch import nn

from casim.nn.transformer import BlockConfig, DecoderBlock, EncoderBlock, SkipStack, Stack

BATCH, QUERIES, KEYS, WIDTH, HEADS, FF, LAYERS = 2, 5, 7, 22, 11, 13, 3
ATOL = 1e-5
NAMES = {
    "self_attention.in_proj.": "self_attn.in_proj_",
    "self_attention.out_proj": "self_attn.out_proj",
    "cross_attention.in_proj.": "multihead_attn.in_proj_",
    "cross_attention.out_proj": "multihead_attn.out_proj",
    "attention_norm": "norm1",
    "cross_norm": "norm2",
    "widen": "linear1",
    "narrow": "linear2",
}


def torch_name(name: str, is_decoder: bool) -> str:
    name = name.replace("blocks.", "layers.")
    for ours, theirs in (NAMES | {"feed_forward_norm": "norm3" if is_decoder else "norm2"}).items():
        name = name.replace(ours, theirs)
    return name


def stacks(is_decoder: bool, is_pre_norm: bool, has_final_norm: bool, activation: str) -> tuple[Stack, nn.Module]:
    """Ours and torch's with the same random weights."""
    block = DecoderBlock if is_decoder else EncoderBlock
    config = BlockConfig(WIDTH, HEADS, FF, 0.0, is_pre_norm, activation)  # type: ignore[arg-type]
    ours = Stack(block, config, LAYERS, has_final_norm=has_final_norm).eval()
    draw = torch.Generator().manual_seed(3)
    for parameter in ours.parameters():
        parameter.data = torch.randn(parameter.shape, generator=draw) * 0.4
    layer = nn.TransformerDecoderLayer if is_decoder else nn.TransformerEncoderLayer
    whole = nn.TransformerDecoder if is_decoder else nn.TransformerEncoder
    one = layer(WIDTH, HEADS, FF, 0.0, activation, batch_first=True, norm_first=is_pre_norm)
    norm = nn.LayerNorm(WIDTH) if has_final_norm else None
    extra = {} if is_decoder else {"enable_nested_tensor": False}
    theirs = whole(one, LAYERS, norm, **extra).eval()
    theirs.load_state_dict({torch_name(n, is_decoder): t for n, t in ours.state_dict().items()}, strict=True)
    return ours, theirs


@pytest.mark.parametrize("is_pre_norm", [False, True])
@pytest.mark.parametrize("has_final_norm", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_encoder_equals_torch(is_pre_norm: bool, has_final_norm: bool, activation: str) -> None:
    ours, theirs = stacks(False, is_pre_norm, has_final_norm, activation)
    x = torch.randn(BATCH, QUERIES, WIDTH, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True] * QUERIES, [True, True] + [False] * 3])
    expected = theirs(x, src_key_padding_mask=~mask)
    torch.testing.assert_close(ours(x, mask)[mask], expected[mask], atol=ATOL, rtol=0)


@pytest.mark.parametrize("is_pre_norm", [False, True])
@pytest.mark.parametrize("has_final_norm", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_decoder_equals_torch(is_pre_norm: bool, has_final_norm: bool, causal: bool) -> None:
    ours, theirs = stacks(True, is_pre_norm, has_final_norm, "gelu")
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, QUERIES, WIDTH, generator=draw)
    context = torch.randn(BATCH, KEYS, WIDTH, generator=draw)
    mask = torch.tensor([[True] * QUERIES, [True, True] + [False] * 3])
    context_mask = torch.tensor([[True] * 4 + [False] * 3, [True] * KEYS])
    hidden = ~torch.ones(QUERIES, QUERIES, dtype=torch.bool).tril() if causal else None
    expected = theirs(
        x, context, tgt_mask=hidden, tgt_key_padding_mask=~mask, memory_key_padding_mask=~context_mask
    )
    given = ours(x, context, mask=mask, context_mask=context_mask, causal=causal)
    torch.testing.assert_close(given[mask], expected[mask], atol=ATOL, rtol=0)


@pytest.mark.parametrize("layers", [1, 3, 5])
@pytest.mark.parametrize("is_decoder", [False, True])
def test_long_connections_pair_first_with_last(layers: int, is_decoder: bool) -> None:
    """The equation block by block: block depth + i sees the outputs of its predecessor and of block depth - i."""
    block = DecoderBlock if is_decoder else EncoderBlock
    stack = SkipStack(block, BlockConfig(WIDTH, HEADS, FF, 0.0), layers, has_final_norm=True).eval()
    x = torch.randn(BATCH, QUERIES, WIDTH)
    context = (torch.randn(BATCH, KEYS, WIDTH),) if is_decoder else ()
    depth, outputs = layers // 2, []
    y = x
    for number in range(layers):
        if number > depth:
            y = stack.merges[number - depth - 1](torch.cat([y, outputs[layers - 1 - number]], -1))
        y = stack.blocks[number](y, *context)
        outputs.append(y)
    torch.testing.assert_close(stack(x, *context), stack.norm(y))


def test_long_connections_need_a_middle() -> None:
    with pytest.raises(ValueError, match="odd number of layers, got 4; add one"):
        SkipStack(EncoderBlock, BlockConfig(WIDTH, HEADS, FF), 4, has_final_norm=True)
