import hashlib
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_bert import HIDDEN, POSITIONS, TOKENIZER, write_toy_bert

from casim.text.bert import Bert
from casim.text.minilm import MiniLM
from casim.types import SPECIAL, words_of

BERT_BASE_UNCASED = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
"""SHA-256 of the vocab.txt that bert-base-uncased and distilbert-base-uncased are published with."""


@pytest.fixture(scope="module", params=[False, True], ids=["bert", "distilbert"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_bert(tmp_path_factory.mktemp("bert"), is_distilled=request.param)


@pytest.fixture(scope="module")
def toy(folder: Path) -> Bert:
    return Bert(Bert.Config(weights=str(folder)))


def test_the_toys_have_the_published_vocabulary() -> None:
    listed = TOKENIZER.with_name("vocab.txt").read_bytes()
    assert hashlib.sha256(listed).hexdigest() == BERT_BASE_UNCASED
    entries = json.loads(TOKENIZER.read_bytes())["model"]["vocab"]
    assert sorted(entries, key=entries.__getitem__) == listed.decode().split("\n")[:-1]


def test_sizes_come_from_the_folder(toy: Bert) -> None:
    assert (toy.width, toy.max_words) == (HIDDEN, POSITIONS)
    assert toy.encode(["walk", "jump then sit"]).tokens.shape == (2, 5, HIDDEN)


def test_states_are_those_of_the_padded_batch(toy: Bert) -> None:
    """CASIM and MDM pad to the longest caption and hide the padding: real tokens get the same states."""
    texts = ["a person walks", "a person slowly walks forward and then jumps twice"]
    ids, _ = toy.tokenize(texts)
    assert [row[0] for row in ids] == [101, 101]
    assert [row[-1] for row in ids] == [102, 102]
    padded = torch.tensor([row + [0] * (max(map(len, ids)) - len(row)) for row in ids])
    mask = padded > 0
    with torch.no_grad():
        states = toy.model(input_ids=padded, attention_mask=mask.long()).last_hidden_state
    text = toy.encode(texts)
    assert torch.equal(text.mask, mask)
    torch.testing.assert_close(text.tokens[mask], states[mask], atol=1e-5, rtol=0)


def test_the_pooled_vector_is_the_mean_or_the_first_state(folder: Path, toy: Bert) -> None:
    texts = ["walk", "a person slowly walks forward"]
    cls = Bert(Bert.Config(weights=str(folder), pool="cls")).encode(texts)
    mean = toy.encode(texts)
    assert torch.equal(cls.tokens, mean.tokens)
    assert torch.equal(cls.pooled[:, 0], cls.tokens[:, 0])
    for row in range(2):
        torch.testing.assert_close(mean.pooled[row, 0], mean.tokens[row][mean.mask[row]].mean(0))


def test_minilm_reads_the_same_folder_to_the_same_states(folder: Path, toy: Bert) -> None:
    one, two = toy.encode(["walk then jump"]), MiniLM(MiniLM.Config(weights=str(folder))).encode(["walk then jump"])
    assert torch.equal(one.tokens, two.tokens)
    assert torch.equal(one.pooled, two.pooled)


def test_a_model_without_pooler_loads(tmp_path: Path) -> None:
    """No result needs the pooler, which a DistilBERT and some BERTs do not have."""
    from safetensors.torch import load_file, save_file

    path = write_toy_bert(tmp_path) / "model.safetensors"
    before = Bert(Bert.Config(weights=str(tmp_path))).encode(["walk"])
    tensors = load_file(path)
    save_file({n: t for n, t in tensors.items() if not n.startswith("pooler.")}, path, {"format": "pt"})
    after = Bert(Bert.Config(weights=str(tmp_path))).encode(["walk"])
    assert torch.equal(after.tokens, before.tokens)


@pytest.mark.parametrize("asked", [1, POSITIONS + 1])
def test_max_words_is_checked(folder: Path, asked: int) -> None:
    with pytest.raises(ValueError, match=f"must be 2 to {POSITIONS}, got {asked}"):
        Bert(Bert.Config(weights=str(folder), max_words=asked))


HARD = {
    # [CLS] the person ' s left - hand moves ; slowly ! [SEP]
    "The person's LEFT-hand moves;  slowly!": (SPECIAL, 0, 1, 1, 1, 2, SPECIAL, 3, 4, SPECIAL, 5, SPECIAL, SPECIAL),
    # [CLS] counter ##cl ##ock ##wise 123 ##45 times . . . [SEP]
    "counterclockwise 12345 times...": (SPECIAL, 0, 0, 0, 0, 1, 1, 2, SPECIAL, SPECIAL, SPECIAL, SPECIAL),
    # [CLS] super ##cal ##if ##rag ##ilis ##tic ##ex ##pia ##lid ##oc ##ious kick [SEP]
    "supercalifragilisticexpialidocious kick": (SPECIAL, *(11 * [0]), 1, SPECIAL),
    # [CLS] l ' et ##e a pie ##d ; naive cafe [SEP], accents stripped
    "L'été à PIED; naïve café": (SPECIAL, 0, 0, 0, 0, 1, 2, 2, SPECIAL, 3, 4, SPECIAL),
    # [CLS] rock ' n ' roll air - guitar [SEP]
    "rock'n'roll air-guitar": (SPECIAL, 0, 0, 0, 0, 0, 1, SPECIAL, 2, SPECIAL),
    # [CLS] 180 ##° off [SEP]: the sign is no word, though its piece continues one
    "180° off": (SPECIAL, 0, SPECIAL, 1, SPECIAL),
    # [CLS] ﬁ ##st [UNK] [SEP]
    "ﬁst 🤸": (SPECIAL, 0, 0, SPECIAL, SPECIAL),
    # [CLS] _ x _ - - ' tis [SEP]
    "_x_ -- 'tis": (SPECIAL, SPECIAL, 0, SPECIAL, SPECIAL, SPECIAL, SPECIAL, 1, SPECIAL),
}


@pytest.mark.parametrize("caption", HARD)
def test_pieces_belong_to_their_words(toy: Bert, caption: str) -> None:
    _, (words,) = toy.tokenize([caption])
    assert words.words == words_of(caption)
    assert words.token_word == HARD[caption]


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text("aİßΣ'-_ é手. ", max_size=23))
def test_every_word_of_any_text_has_tokens_in_order(toy: Bert, text: str) -> None:
    _, (words,) = toy.tokenize([text])
    real = [w for w in words.token_word if w != SPECIAL]
    assert words.words == words_of(text)
    assert real == sorted(real)
    assert set(real) <= set(range(len(words.words)))
