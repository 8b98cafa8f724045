import importlib.metadata
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_t5 import HIDDEN, vocabulary, write_toy_t5

from casim.text import t5
from casim.text.t5 import T5
from casim.types import SPECIAL, words_of

LONG = "a person walks and then jumps unavoidably"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_t5(tmp_path_factory.mktemp("t5"))


@pytest.fixture(scope="module")
def toy(folder: Path) -> T5:
    return T5(T5.Config(weights=str(folder)))


def test_sizes_come_from_the_folder_and_positions_have_no_limit(folder: Path, toy: T5) -> None:
    assert (toy.width, toy.max_words) == (HIDDEN, 512)
    longer = T5(T5.Config(weights=str(folder), max_words=601))
    assert longer.encode(["a " * 600]).tokens.shape == (1, 601, HIDDEN)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        T5(T5.Config(weights=str(folder), max_words=1))


def test_states_are_those_of_the_padded_batch_and_pooled_is_their_mean(toy: T5) -> None:
    texts = ["a person walks", LONG, ""]
    ids, _ = toy.tokenize(texts)
    assert [row[-1] for row in ids] == [1, 1, 1]
    length = max(map(len, ids))
    mask = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in ids])
    padded = torch.tensor([row + [0] * (length - len(row)) for row in ids])
    with torch.no_grad():
        states = toy.model(input_ids=padded, attention_mask=mask.long()).last_hidden_state
    text = toy.encode(texts)
    assert torch.equal(text.mask, mask)
    torch.testing.assert_close(text.tokens[mask], states[mask], atol=1e-5, rtol=0)
    mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(text.pooled[:, 0], mean, atol=1e-5, rtol=0)


def test_a_whole_t5_gives_its_encoder(tmp_path: Path) -> None:
    """The layout of the hub: encoder, decoder and output head in one file."""
    whole = write_toy_t5(tmp_path, "T5ForConditionalGeneration")
    encoder = T5(T5.Config(weights=str(whole)))
    from transformers import T5ForConditionalGeneration

    theirs = T5ForConditionalGeneration.from_pretrained(whole).encoder.eval()
    ids, _ = encoder.tokenize([LONG])
    with torch.no_grad():
        states = theirs(input_ids=torch.tensor(ids)).last_hidden_state
    assert torch.equal(encoder.encode([LONG]).tokens, states)


HARD = {
    # ▁ t h e ▁person ' s ▁ L E F T - h a n d ; </s>
    "the person's LEFT-hand;": (0, 1, 1, 1, *(5 * [2]), SPECIAL, *(4 * [3]), SPECIAL, SPECIAL),
    # ▁un a v o i d able ▁ 1 8 0 ° , unknown and no word
    "unavoidable 180°": (*(7 * [0]), *(4 * [1]), SPECIAL, SPECIAL),
    # ▁ ( e n ▁ d o </s>: the unit of the space stands before a bracket
    "(en do": (SPECIAL, SPECIAL, 0, 0, 1, 1, 1, SPECIAL),
    # ▁ 1 ⁄ 2 ▁ f i s t </s>: one letter that becomes three
    "½ ﬁst": (0, 0, 0, 0, *(5 * [1]), SPECIAL),
    "": (SPECIAL,),
}


@pytest.mark.parametrize("caption", HARD)
def test_units_belong_to_their_words(toy: T5, caption: str) -> None:
    _, (words,) = toy.tokenize([caption])
    assert words.words == words_of(caption)
    assert words.token_word == HARD[caption]


def test_unknown_letters_side_by_side_are_one_token_of_the_first_word(toy: T5) -> None:
    (ids,), (words,) = toy.tokenize(["手、手"])
    assert ids[1:] == [2, 1]
    assert words.words == ("手", "手")
    assert words.token_word[1:] == (0, SPECIAL)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text("aİßΣ'-_ é手. ", max_size=23))
def test_tokens_of_any_text_are_in_the_order_of_its_words(toy: T5, text: str) -> None:
    _, (words,) = toy.tokenize([text])
    real = [w for w in words.token_word if w != SPECIAL]
    assert words.words == words_of(text)
    assert real == sorted(real)
    assert set(real) <= set(range(len(words.words)))


@given(text=st.text("abcXYZ019'-,.;! ", max_size=29))
def test_every_word_with_known_letters_has_tokens(toy: T5, text: str) -> None:
    _, (words,) = toy.tokenize([text])
    assert set(words.token_word) - {SPECIAL} == set(range(len(words.words)))


def test_a_vocabulary_of_sentencepiece_gives_its_tokens(folder: Path, tmp_path: Path) -> None:
    """T5 v1.1 is published with spiece.model alone; SentencePiece itself says what its tokens are."""
    spm = pytest.importorskip("sentencepiece", reason='pip install "casim[t5]"')
    lines = ["a person walks forward and then jumps twice", "she waves the left hand slowly", "he kicks 3 times"]
    shutil.copytree(folder, tmp_path / "t5")
    (tmp_path / "t5" / "tokenizer.json").unlink()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 17),
        model_prefix=str(tmp_path / "t5" / "spiece"),
        vocab_size=61,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    theirs = spm.SentencePieceProcessor(model_file=str(tmp_path / "t5" / "spiece.model"))
    encoder = T5(T5.Config(weights=str(tmp_path / "t5")))
    texts = [*lines, "The person's LEFT-hand;  slowly!", "", " a  b ", "½ ﬁst é手手", "unavoidably"]
    ids, maps = encoder.tokenize(texts)
    assert ids == [[*theirs.encode(text), 1] for text in texts]
    assert [m.words for m in maps] == [words_of(text) for text in texts]
    assert theirs.get_piece_size() <= len(vocabulary())  # so that the toy network takes them
    assert encoder.encode(texts).tokens.isfinite().all()
    assert encoder.identity() != T5(T5.Config(weights=str(folder))).identity()


def test_sentencepiece_is_asked_for_by_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(folder, tmp_path / "t5")
    (tmp_path / "t5" / "tokenizer.json").rename(tmp_path / "t5" / "spiece.model")
    monkeypatch.setattr(t5, "READERS", ("casim-no-such-package",))
    assert not any(importlib.metadata.distributions(name="casim-no-such-package"))
    with pytest.raises(
        ValueError, match=r'spiece\.model, which takes casim-no-such-package.*pip install "casim\[t5\]"'
    ):
        T5(T5.Config(weights=str(tmp_path / "t5")))
    T5(T5.Config(weights=str(folder)))  # a tokenizer.json takes no such package
