"""What every text encoder promises."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_encoders import TOYS

from casim import plugins
from casim.text._cache import Cached
from casim.types import SPECIAL, TextEncoder, words_of

TEXTS = (
    "a person walks forward, then waves with the left hand",
    "",
    "The person's LEFT-hand moves;  slowly!",
    "jump",
    "un hombre corre 3 veces (rápidamente) unbelievably",
)


FOLDER = tempfile.TemporaryDirectory(prefix="casim-toy-")  # goes when the tests end


def _encoder(name: str) -> TextEncoder:
    options = {"weights": str(TOYS[name](Path(FOLDER.name) / name))} if name in TOYS else {}
    return plugins.build(plugins.load(TextEncoder, "casim.text", name).Config(**options))


ENCODERS = {name: _encoder(name) for name in plugins.names("casim.text")}


@pytest.fixture(params=[(name, cached) for name in ENCODERS for cached in (False, True)], ids=str)
def encoder(request: pytest.FixtureRequest) -> TextEncoder:
    name, is_cached = request.param
    return Cached(ENCODERS[name], None) if is_cached else ENCODERS[name]


def test_mask_and_word_map_agree(encoder: TextEncoder) -> None:
    text = encoder.encode(TEXTS)
    assert text.tokens.shape[-1] == text.pooled.shape[-1] == encoder.width
    assert text.tokens.dtype == torch.float32
    assert len(text) == len(TEXTS)
    for row, words in zip(text.mask, text.words, strict=True):
        count = len(words.token_word)
        assert 0 < count <= encoder.max_words
        assert row.tolist() == [True] * count + [False] * (text.mask.shape[1] - count)
    assert not text.tokens[~text.mask].any()


def test_word_map_covers_all_words_in_order(encoder: TextEncoder) -> None:
    for prompt, words in zip(TEXTS, encoder.encode(TEXTS).words, strict=True):
        real = [w for w in words.token_word if w != SPECIAL]
        assert words.words == words_of(prompt)
        assert list(dict.fromkeys(real)) == list(range(len(words.words)))
        assert real == sorted(real)


@given(order=st.permutations(range(len(TEXTS))), count=st.integers(1, len(TEXTS)))
@pytest.mark.parametrize("name", ENCODERS)
def test_a_prompt_does_not_depend_on_its_batch(name: str, order: list[int], count: int) -> None:
    encoder = ENCODERS[name]
    together = encoder.encode([TEXTS[i] for i in order[:count]])
    for row, i in enumerate(order[:count]):
        alone = encoder.encode([TEXTS[i]])
        assert torch.equal(together.tokens[row][together.mask[row]], alone.tokens[0])  # exact resume needs the bits
        assert torch.equal(together.pooled[row], alone.pooled[0])


def test_frozen_and_repeatable(encoder: TextEncoder) -> None:
    with torch.enable_grad():
        first, second = encoder.encode(TEXTS), encoder.encode(TEXTS)
    assert not first.tokens.requires_grad
    assert not first.pooled.requires_grad
    assert not first.tokens.is_inference()  # an inference tensor could not be used in training
    assert torch.equal(first.tokens, second.tokens)
    assert torch.equal(first.pooled, second.pooled)
    assert all(
        not p.requires_grad
        for v in vars(encoder).values()
        if isinstance(v, torch.nn.Module)
        for p in v.parameters()
    )


def test_a_result_belongs_to_the_caller(encoder: TextEncoder) -> None:
    before = encoder.encode(TEXTS)
    kept = before.tokens.clone(), before.pooled.clone()
    before.tokens.zero_()
    before.pooled.zero_()
    after = encoder.encode(TEXTS)
    assert torch.equal(after.tokens, kept[0])
    assert torch.equal(after.pooled, kept[1])


def test_words_and_their_order_matter(encoder: TextEncoder) -> None:
    text = encoder.encode(["walk then jump", "jump then walk", "walk then sit"])
    assert not torch.equal(text.tokens[0], text.tokens[1])
    assert not torch.equal(text.pooled[0], text.pooled[2])


def test_too_long_a_prompt_names_both_numbers(encoder: TextEncoder) -> None:
    prompt = "walk " * (encoder.max_words + 1)
    with pytest.raises(ValueError, match=rf"has \d+ tokens, the text encoder holds {encoder.max_words}.*walk walk"):
        encoder.encode(["jump", prompt])


@pytest.mark.parametrize("name", ENCODERS)
def test_a_cut_prompt_keeps_its_words_and_the_end_marker(name: str) -> None:
    config = ENCODERS[name].config
    limit = {"window": 11} if hasattr(config, "window") else {"max_words": 11}
    cut = plugins.build(replace(config, truncate=True, **limit))
    prompt = "walk " * 17
    text, whole = cut.encode([prompt, "jump"]), ENCODERS[name].encode([prompt, "jump"])
    words, full = text.words[0], whole.words[0].token_word
    assert text.mask.sum(1).tolist() == [11, whole.mask[1].sum()]
    assert words.words == whole.words[0].words
    assert words.token_word == (full[:10] + full[-1:] if full[-1] == SPECIAL else full[:11])
    assert torch.equal(text.tokens[1][text.mask[1]], whole.tokens[1][whole.mask[1]])
    assert text.pooled.isfinite().all()


def test_no_prompt_is_refused(encoder: TextEncoder) -> None:
    with pytest.raises(ValueError, match="at least one"):
        encoder.encode([])


@pytest.mark.parametrize("name", ENCODERS)
def test_config_round_trip(name: str) -> None:
    config = ENCODERS[name].config
    assert plugins.restore(type(config), plugins.describe(config)) == config
