import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from casim import plugins
from casim.text.hashed import Hashed
from casim.types import SPECIAL


def test_rows_are_nearly_orthogonal() -> None:
    encoder = Hashed(Hashed.Config())
    words = [f"word{i}" for i in range(211)]
    rows = torch.nn.functional.normalize(encoder.encode(words).tokens[:, 1], dim=1)
    cosines = (rows @ rows.T).fill_diagonal_(0)
    assert cosines.abs().max() < 0.35
    assert cosines.std() == pytest.approx(1 / 16, rel=0.05)
    assert torch.linalg.matrix_rank(rows) == 211


def test_rows_are_these_bits_on_every_machine() -> None:
    row = Hashed(Hashed.Config(width=13)).encode(["left"]).tokens[0, 1]
    assert row.tolist() == [-1, -1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1]


def test_rows_do_not_depend_on_the_process_or_on_what_came_before() -> None:
    code = (
        "from casim.text.hashed import Hashed; "
        "print(Hashed(Hashed.Config(width=7)).encode(['left']).tokens[0].int().tolist())"
    )
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    encoder = Hashed(Hashed.Config(width=7))
    encoder.encode(["many words came before", "and their order is another"])
    assert str(encoder.encode(["left"]).tokens[0].int().tolist()) == fresh.strip()


def test_seed_gives_other_rows() -> None:
    one, two = (Hashed(Hashed.Config(seed=seed)).encode(["left"]).tokens for seed in (0, 1))
    assert not torch.equal(one, two)


@given(
    words=st.lists(st.sampled_from(["a", "person", "walks", "left", "right", "then", "3", "don't"]), max_size=11)
)
def test_tokens_are_marker_and_words_and_pooled_is_their_mean(words: list[str]) -> None:
    encoder = Hashed(Hashed.Config(width=17))
    text = encoder.encode([", ".join(words).upper()])
    assert text.words[0].token_word == (SPECIAL, *range(len(words)))
    for token, word in zip(text.tokens[0, 1:], words, strict=True):
        assert torch.equal(token, encoder.encode([word]).tokens[0, 1])
    expected = text.tokens[0, 1:].mean(0) if words else torch.zeros(17)
    torch.testing.assert_close(text.pooled[0, 0], expected)


def test_the_marker_is_no_word() -> None:
    text = Hashed(Hashed.Config()).encode(["[start] start"])
    assert text.words[0].words == ("start", "start")
    assert not torch.equal(text.tokens[0, 0], text.tokens[0, 1])


def test_a_longer_prompt_is_cut_where_asked_to() -> None:
    long, short = "one two three four five six", "one two three four"
    cut = Hashed(Hashed.Config(width=17, max_words=5, truncate=True)).encode([long, "one"])
    whole = Hashed(Hashed.Config(width=17)).encode([short, "one"])
    assert torch.equal(cut.tokens, whole.tokens)
    assert torch.equal(cut.mask, whole.mask)
    assert torch.equal(cut.pooled, whole.pooled)
    assert cut.words[0].words == tuple(long.split())
    assert cut.words[0].token_word == (SPECIAL, 0, 1, 2, 3)


@pytest.mark.parametrize("field", ["width", "max_words"])
def test_a_size_below_one_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field}.*at least 1, got 0"):
        Hashed(Hashed.Config(**{field: 0}))


def test_a_cut_prompt_is_that_of_its_first_words() -> None:
    """MDM's 20 words: no end marker, the words behind the cut stay in the list of words."""
    encoder = Hashed(Hashed.Config(width=13, max_words=21, truncate=True))
    words = [f"word{i}" for i in range(23)]
    text = encoder.encode([" ".join(words), "jump"])
    whole = encoder.encode([" ".join(words[:20])])
    assert torch.equal(text.tokens[0], whole.tokens[0])
    assert torch.equal(text.pooled[0], whole.pooled[0])
    assert text.words[0].words == tuple(words)
    assert text.words[0].token_word == (SPECIAL, *range(20))
    with pytest.raises(ValueError, match=r"has 24 tokens, the text encoder holds 21.*set truncate"):
        Hashed(Hashed.Config(width=13, max_words=21)).encode([" ".join(words)])
    marker = Hashed(Hashed.Config(width=13, max_words=1, truncate=True)).encode(["jump", ""])
    assert marker.mask.tolist() == [[True], [True]]
    assert not marker.pooled.any()


def test_a_config_from_before_truncate_is_still_read() -> None:
    saved = {"plugin": "hashed", "width": 13, "max_words": 21, "seed": 0}
    assert plugins.restore(Hashed.Config, saved) == Hashed.Config(width=13, max_words=21)
