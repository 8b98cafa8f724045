"""What every backbone that writes codes one after another promises, under both injections."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_backbones import ATOL, NAMES, PACKAGE, SPACES, Arm, arm, coded, draw, every_injection, text
from torch import Tensor

from casim import plugins
from casim.autoregressive import NOTHING, AutoregressiveBackbone
from casim.guidance import Guided
from casim.types import Backbone, frame_mask

AUTOREGRESSIVE = [n for n in NAMES if issubclass(plugins.load(Backbone, PACKAGE, n), AutoregressiveBackbone)]
every_autoregressive = pytest.mark.parametrize("name", AUTOREGRESSIVE)
PLACES = (11, 4, 7)


def sampled(
    both: Arm, prompt: Any = None, places: tuple[int, ...] = PLACES, seed: int = 0, **options: Any
) -> Tensor:
    return both.backbone.sample(
        Guided(both.injection(prompt or text())), frame_mask(list(places)), draw(seed), **options
    )


@every_autoregressive
@every_injection
@pytest.mark.parametrize(
    "options", [{"strategy": "greedy"}, {"top_k": 3}, {"top_p": 0.8}, {"temperature": 2.0}], ids=str
)
def test_the_cache_changes_no_code(name: str, injection: str, options: dict[str, Any]) -> None:
    both = arm(name, injection)
    for at_end in (True, False):
        both.backbone.config = replace(both.backbone.config, starts_at_end_token=at_end)
        cached, plain = (sampled(both, uses_cache=flag, **options) for flag in (True, False))
        assert torch.equal(cached, plain)


@every_autoregressive
def test_the_cache_changes_no_code_with_guidance(name: str) -> None:
    both, prompt = arm(name), text()
    guided = Guided(both.injection(prompt), both.injection.null(prompt), 2.5)
    runs = [
        both.backbone.sample(guided, frame_mask(list(PLACES)), draw(), uses_cache=flag) for flag in (True, False)
    ]
    assert torch.equal(*runs)
    assert not torch.equal(runs[0], sampled(both))


@every_autoregressive
@every_injection
def test_scores_with_a_cache_are_those_without(name: str, injection: str) -> None:
    from casim.nn.cache import KeyValueCache

    both, condition = arm(name, injection), arm(name, injection).injection(text())
    codes = both.clips().motion.clamp_min(0)[:, :6]
    whole = both.backbone.logits(codes, condition)
    cache = KeyValueCache(condition.tokens.shape[1] + 6)
    parts = [both.backbone.logits(codes[:, :2], condition, cache)]
    parts += [both.backbone.logits(codes[:, i : i + 1], condition, cache) for i in range(2, 5)]
    parts += [both.backbone.logits(codes[:, 5:6], condition, cache)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=ATOL, rtol=0)


@every_autoregressive
@every_injection
def test_padded_words_and_other_items_change_nothing(name: str, injection: str) -> None:
    both, prompt = arm(name, injection), text()
    whole = sampled(both, strategy="greedy")
    padded = replace(
        prompt,
        tokens=torch.cat([prompt.tokens, torch.full((3, 4, prompt.tokens.shape[2]), -5.0)], 1),
        mask=torch.cat([prompt.mask, torch.zeros(3, 4, dtype=torch.bool)], 1),
    )
    assert torch.equal(sampled(both, padded, strategy="greedy"), whole)
    for i, places in enumerate(PLACES):
        words = int(prompt.mask[i].sum())
        one = replace(prompt[[i]], tokens=prompt.tokens[i : i + 1, :words], mask=prompt.mask[i : i + 1, :words])
        alone = sampled(both, one, (places,), strategy="greedy")
        assert torch.equal(alone[0], whole[i, :places])


@every_autoregressive
@every_injection
def test_padded_codes_change_no_loss(name: str, injection: str) -> None:
    both = arm(name, injection)
    both.backbone.config = replace(both.backbone.config, drop_rate=0.0, keep_rate=1.0)
    batch = both.clips()
    garbage = replace(batch, motion=torch.where(batch.mask[..., None], batch.motion, 1))
    assert both.loss(batch, text()) == both.loss(garbage, text())


@every_autoregressive
@given(
    places=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    least=st.integers(0, 4),
    length=st.sampled_from(["own", "given"]),
)
def test_every_item_ends_by_itself(name: str, places: list[int], least: int, length: str) -> None:
    both = arm(name)
    prompt = text((2,) * len(places), 3)
    codes = sampled(both, prompt, tuple(places), length=length, least=least)
    assert codes.shape == (len(places), max(places), len(both.space))
    is_code = codes[..., 0] != NOTHING
    assert torch.equal(is_code, is_code.int().cummin(1).values.bool())  # nothing begins anew
    assert torch.equal(codes == NOTHING, (~is_code)[..., None].expand(codes.shape))
    for column, size in enumerate(both.space):
        assert (codes[..., column] < size).all()
    lengths = is_code.sum(1)
    if length == "given":
        assert lengths.tolist() == places
    else:
        assert all(min(least, n) <= int(got) <= n for got, n in zip(lengths, places, strict=True))


@every_autoregressive
def test_some_motions_end_early_and_draws_follow_the_seed(name: str) -> None:
    both = arm(name)
    prompt = text((3,) * 23, 3, seed=4)
    runs = [sampled(both, prompt, (11,) * 23, seed) for seed in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    lengths = (runs[0][..., 0] != NOTHING).sum(1)
    assert lengths.min() < 11


@every_autoregressive
def test_what_stands_behind_a_place_does_not_change_its_scores(name: str) -> None:
    both = arm(name)
    condition, codes = both.injection(text()), both.clips().motion.clamp_min(0)
    changed = codes.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % torch.tensor(both.space)
    before, after = (both.backbone.logits(c, condition) for c in (codes, changed))
    torch.testing.assert_close(before[:, :6], after[:, :6], atol=ATOL, rtol=0)
    assert (before[:, 6:] - after[:, 6:]).abs().max() > 1e-3


@every_autoregressive
def test_a_prefix_is_read_and_not_given_back(name: str) -> None:
    """Greedy: writing on from the first codes gives the codes that were written behind them."""
    both = arm(name)
    whole = sampled(both, places=(9, 9, 9), length="given", strategy="greedy")
    for flag in (True, False):
        rest = sampled(
            both, places=(5, 5, 5), length="given", strategy="greedy", prefix=whole[:, :4], uses_cache=flag
        )
        assert rest.shape[1] == 5
        if not both.backbone.extra_columns:  # the padding flag of a place is no code and does not come back
            assert torch.equal(rest, whole[:, 4:])


@every_autoregressive
def test_too_long_is_refused(name: str) -> None:
    both = arm(name)
    sampled(both, text((3,)), (19,), length="given")
    with pytest.raises(ValueError, match="20 codes, the model at most 19"):
        sampled(both, text((3,)), (20,), length="given")
    with pytest.raises(ValueError, match="13 tokens, the model has 12 places"):
        sampled(both, text((13,), 13), (4,))


@every_autoregressive
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 20}, "unknown sampling option 'steps'"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"top_k": -1}, "top_k is -1"),
    ],
)
def test_unknown_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sampled(arm(name), **options)


@every_autoregressive
def test_vectors_are_refused(name: str) -> None:
    both = arm(name)
    with pytest.raises(ValueError, match=r"vectors of width 7; train a codec that gives codes .*vqvae"):
        type(both.backbone)(both.backbone.config, 7)


def test_spaces_are_tried_in_order() -> None:
    batch = coded(arm(AUTOREGRESSIVE[0]).clips(), SPACES[-1])
    assert batch.motion.shape[2] == 3
