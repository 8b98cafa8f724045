"""CLIP's own 49,408 byte-pair pieces, against the tokeniser of its authors (PyPI: openai-clip; nothing of its
networks is imported)."""

import gzip
import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_clip import write_toy_clip

from casim.data.choreography import Choreography
from casim.text.clip import Clip
from casim.types import SPECIAL, words_of

PACKAGE = importlib.util.find_spec("clip")
START, END = 49406, 49407
pytestmark = pytest.mark.skipif(PACKAGE is None, reason="CLIP's vocabulary is not there: pip install openai-clip")


def package_file(name: str) -> Path:
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    return Path(PACKAGE.origin).with_name(name)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """A random network with the real vocabulary."""
    lines = gzip.decompress(package_file("bpe_simple_vocab_16e6.txt.gz").read_bytes()).decode().split("\n")
    merges = lines[1 : 1 + END - 1 - 512]  # the file goes on with merges that CLIP does not use
    return Clip(Clip.Config(weights=str(write_toy_clip(tmp_path_factory.mktemp("clip"), merges=merges))))


@pytest.fixture(scope="module")
def authors() -> Any:
    spec = importlib.util.spec_from_file_location("simple_tokenizer", package_file("simple_tokenizer.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SimpleTokenizer()


HARD = {
    # the person 's left - hand moves ; slowly !
    "The person's LEFT-hand moves;  slowly!": (0, 1, 1, 2, SPECIAL, 3, 4, SPECIAL, 5, SPECIAL),
    # a man doesn 't do cart wheels , he 's 1 8 0 ° off: every digit is a piece
    "a man doesn't do cartwheels, he's 180° off": (0, 1, 2, 2, 3, 4, 4, SPECIAL, 5, 5, 6, 6, 6, SPECIAL, 7),
    # super cali frag ili stic expi ali do cious kick
    "SuperCalifragilisticexpialidocious kick": (*(9 * [0]), 1),
    # pir ou ette / ar abe sque ( en de h ors )
    "pirouette/arabesque (en dehors)": (0, 0, 0, SPECIAL, 1, 1, 1, SPECIAL, 2, 3, 3, 3, SPECIAL),
    # l ' é té à pied ; na ï ve café
    "L'été à PIED; naïve café": (0, 0, 0, 0, 1, 2, SPECIAL, 3, 3, 3, 4),
    # rock ' n ' roll air - guitar
    "rock'n'roll air-guitar": (0, 0, 0, 0, 0, 1, SPECIAL, 2),
    # 手 is three pieces, one per byte
    "he waves 3x手": (0, 1, 2, 2, 2, 2, 2),
    # 't is: CLIP cuts behind an apostrophe, the word starts behind it
    "_x_ --- 'tis": (SPECIAL, 0, SPECIAL, SPECIAL, 1, 1),
}


@pytest.mark.parametrize("caption", HARD)
def test_pieces_belong_to_their_words(real: Clip, authors: Any, caption: str) -> None:
    (ids,), (words,) = real.tokenize([caption])
    assert ids == [START, *authors.encode(caption), END]
    assert words.words == words_of(caption)
    assert words.token_word == (SPECIAL, *HARD[caption], SPECIAL)


def test_captions_of_the_benchmark_have_the_authors_tokens(real: Clip, authors: Any) -> None:
    clips = Choreography(Choreography.Config(train=2, validation=2, test=211, held_out=2)).split("test")
    captions = clips.batch(range(len(clips))).texts
    ids, _ = real.tokenize(captions)
    assert ids == [[START, *authors.encode(caption), END] for caption in captions]
    assert len(set(captions)) > 100


def test_curly_quotes_are_read_as_they_stand(real: Clip, authors: Any) -> None:
    """The documented difference: the authors straighten them first."""
    (curly,), _ = real.tokenize(["he\u2019s drunk"])
    (straight,), _ = real.tokenize(["he's drunk"])
    assert straight == [START, *authors.encode("he\u2019s drunk"), END] != curly


@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="&<"), max_size=59))
def test_any_plain_text_has_the_authors_tokens(real: Clip, authors: Any, text: str) -> None:
    (ids,), _ = real.tokenize([text])
    assert ids == [START, *authors.encode(text), END]


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text("aİßΣ'-_ é手. ", max_size=23))
def test_every_word_of_any_text_has_tokens_in_order(real: Clip, text: str) -> None:
    _, (words,) = real.tokenize([text])
    real_words = [w for w in words.token_word if w != SPECIAL]
    assert real_words == sorted(real_words)
    assert set(real_words) <= set(range(len(words.words)))


def test_the_window_of_mdm_keeps_twenty_tokens(real: Clip, authors: Any) -> None:
    caption = "a person does a pirouette, then " + "jumps " * 20
    cut = Clip(Clip.Config(weights=str(real.folder), window=22, truncate=True)).encode([caption])
    assert cut.mask.sum() == 22
    assert cut.words[0].token_word[-1] == SPECIAL
    _, (whole,) = real.tokenize([caption])
    assert cut.words[0].token_word[:-1] == whole.token_word[:21]
    assert len(authors.encode(caption)) > 20
