import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from casim.text import minilm
from casim.text.minilm import MiniLM
from casim.types import SPECIAL, words_of

REAL = MiniLM(MiniLM.Config())


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of width 24 with the real vocabulary, as a folder."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 31}
    BertModel(BertConfig(vocab_size=30522, max_position_embeddings=37, **sizes)).save_pretrained(folder)
    shutil.copy(REAL.folder / "tokenizer.json", folder)
    return folder


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
    assert not encoder.model.training
    assert not any(p.requires_grad for p in encoder.model.parameters())
    assert (REAL.width, REAL.max_words) == (384, 256)


def test_max_words_is_checked(toy: Path) -> None:
    encoder = MiniLM(MiniLM.Config(weights=str(toy), max_words=5))
    encoder.encode(["jump then sit"])
    with pytest.raises(ValueError, match="has 6 tokens, the text encoder holds 5"):
        encoder.encode(["jump then sit down"])
    with pytest.raises(ValueError, match="2 to 37, got 38"):
        MiniLM(MiniLM.Config(weights=str(toy), max_words=38))


def test_identity_follows_the_weights(toy: Path, tmp_path: Path) -> None:
    shutil.copytree(toy, tmp_path / "copy")
    same = MiniLM(MiniLM.Config(weights=str(tmp_path / "copy"))).identity()
    assert same == MiniLM(MiniLM.Config(weights=str(toy))).identity()
    weights = tmp_path / "copy" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert MiniLM(MiniLM.Config(weights=str(tmp_path / "copy"))).identity() != same


def _no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setattr(minilm, "PACKAGE", "casim_no_such_package")
    return ""


def _no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    return str(tmp_path / "nowhere")


def _empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text(json.dumps({}))
    return str(tmp_path)


def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    return "sentence-transformers/casim-not-fetched"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (_no_package, r'pip install "casim\[minilm\]"'),
        (_no_folder, "no folder .*nowhere"),
        (_empty_folder, "lacks model.safetensors, tokenizer.json"),
        (_no_network, "hf download sentence-transformers/casim-not-fetched"),
    ],
)
def test_missing_weights_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: Callable[..., str], message: str
) -> None:
    with pytest.raises(FileNotFoundError, match=message):
        MiniLM(MiniLM.Config(weights=broken(monkeypatch, tmp_path)))


def test_making_one_loads_no_weights() -> None:
    assert "model" not in vars(MiniLM(MiniLM.Config()))
