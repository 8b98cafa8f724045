"""Injection: what each arm gets of the text."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from casim.injection import Casim, ContextConfig, Fixed, Injection
from casim.text.hashed import Hashed
from casim.types import TextTokens, WordMap

ENCODER = Hashed(Hashed.Config(width=19))
LAYER = ContextConfig(layers=1, heads=2, dropout=0.0)
ARMS = [
    Casim.Config(),
    Casim.Config(context=LAYER),
    Fixed.Config(),
    Fixed.Config(pool="mean", context=LAYER),
    Fixed.Config(pool="cls", to_frames=True, context=LAYER),
]


def build(config: Casim.Config | Fixed.Config, text_width: int = 19, width: int = 14) -> Injection:
    torch.manual_seed(3)
    kind = Casim if isinstance(config, Casim.Config) else Fixed
    return kind(config, text_width, width).eval()


def padded(text: TextTokens, extra: int) -> TextTokens:
    tokens = torch.nn.functional.pad(text.tokens, (0, 0, 0, extra), value=7.0)
    return TextTokens(tokens, torch.nn.functional.pad(text.mask, (0, extra)), text.pooled, text.words)


@pytest.mark.parametrize("config", ARMS, ids=str)
@given(batch=st.integers(1, 5), words=st.integers(1, 11), extra=st.integers(0, 7))
def test_shapes_and_padding(config: Casim.Config | Fixed.Config, batch: int, words: int, extra: int) -> None:
    text = ENCODER.encode([" ".join(["walk"] * (1 + (words + i) % words)) for i in range(batch)])
    injection = build(config)
    condition, again = injection(text), injection(padded(text, extra))
    assert condition.tokens.shape[0] == batch
    assert condition.tokens.shape[2] == 14
    assert condition.tokens.shape[1] == (text.tokens.shape[1] if isinstance(config, Casim.Config) else 1)
    real = condition.mask
    kept = again.tokens[:, : real.shape[1]]
    torch.testing.assert_close(condition.tokens[real], kept[real], atol=2e-6, rtol=1e-5)
    assert again.mask.sum() == real.sum()


@pytest.mark.parametrize("config", ARMS, ids=str)
def test_a_dropped_text_is_ignored(config: Casim.Config | Fixed.Config) -> None:
    injection = build(config)
    one, other = (injection.null(ENCODER.encode([text])) for text in ("walk then sit", "jump and wave"))
    torch.testing.assert_close(one.tokens, other.tokens)
    given = injection(ENCODER.encode(["walk then sit"]))
    assert (given.tokens - one.tokens).abs().max() > 1e-3


def test_dropping_touches_only_the_rows_asked_for() -> None:
    injection, text = build(Casim.Config(context=LAYER)), ENCODER.encode(["walk then sit", "jump and wave"])
    mixed = injection(text, torch.tensor([True, False])).tokens
    torch.testing.assert_close(mixed[0], injection.null(text).tokens[0])
    torch.testing.assert_close(mixed[1], injection(text).tokens[1])


def test_every_token_of_one_pooled_token_is_fixed() -> None:
    text = ENCODER.encode(["walk then sit"])
    single = TextTokens(text.pooled, torch.ones(1, 1, dtype=torch.bool), text.pooled, (WordMap((), (-1,)),))
    torch.testing.assert_close(build(Casim.Config())(single).tokens, build(Fixed.Config())(text).tokens)


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_the_pooled_arm_sees_word_order(pool: str) -> None:
    """Otherwise the comparison would be with a straw man."""
    injection = build(Fixed.Config(pool=pool, context=LAYER))
    first, second = (injection(ENCODER.encode([text])).tokens for text in ("walk then sit", "sit then walk"))
    assert (first - second).abs().max() > 1e-3


def test_both_arms_have_equal_parameters() -> None:
    arms = (build(Casim.Config(context=LAYER)), build(Fixed.Config(pool="mean", context=LAYER)))
    sizes = [sum(p.numel() for p in arm.parameters()) for arm in arms]
    assert sizes[0] == sizes[1]
    assert all(p.requires_grad for arm in arms for p in arm.parameters())


@pytest.mark.parametrize("config", [Casim.Config(is_rectified=True), Fixed.Config(is_rectified=True)], ids=str)
def test_rectified_projection_loses_negative_features(config: Casim.Config | Fixed.Config) -> None:
    text, injection = ENCODER.encode(["walk then sit"]), build(config)
    features = text.tokens if isinstance(config, Casim.Config) else text.pooled
    assert (features < 0).any()
    torch.testing.assert_close(injection(text).tokens, injection.projection(features.clamp_min(0)))
