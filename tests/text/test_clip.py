import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from toy_clip import vocabulary, write_toy_clip

from casim.text.clip import Clip
from casim.types import SPECIAL, words_of

LONG = "a person walks forward and then jumps"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def toy(folder: Path) -> Clip:
    return Clip(Clip.Config(weights=str(folder)))


def with_options(folder: Path, **options: object) -> Clip:
    return Clip(Clip.Config(weights=str(folder), **options))


def test_pieces_markers_and_punctuation(toy: Clip) -> None:
    (ids,), (words,) = toy.tokenize(["The  walker's JUMP!"])
    pieces = {number: piece for piece, number in vocabulary().items()}
    start, end = "<|startoftext|>", "<|endoftext|>"
    assert [pieces[i] for i in ids] == [
        *(start, "the</w>", "wa", "l", "k", "e", "r</w>", "'", "s</w>", "jump</w>", "!</w>", end)
    ]
    assert words.words == ("the", "walker's", "jump")
    assert words.token_word == (SPECIAL, 0, 1, 1, 1, 1, 1, 1, 1, 2, SPECIAL, SPECIAL)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text("aİßΣ'-_ é手. ", max_size=23))
def test_every_word_of_any_text_has_tokens_in_order(toy: Clip, text: str) -> None:
    _, (words,) = toy.tokenize([text])
    real = [w for w in words.token_word if w != SPECIAL]
    assert words.words == words_of(text)
    assert real == sorted(real)
    assert set(real) <= set(range(len(words.words)))


def test_states_are_those_of_the_padded_window(toy: Clip) -> None:
    """Padding to 77 behind the end marker, as the authors do, changes no state in front of it."""
    texts = ["a person walks", LONG]
    ids, _ = toy.tokenize(texts)
    padded = torch.tensor([row + [0] * (77 - len(row)) for row in ids])
    with torch.no_grad():
        whole = toy.model(input_ids=padded)
    text = toy.encode(texts)
    for row, states in enumerate(whole.last_hidden_state):
        count = len(ids[row])
        torch.testing.assert_close(text.tokens[row, :count], states[:count], atol=1e-5, rtol=0)
        assert text.mask[row].tolist() == [True] * count + [False] * (text.mask.shape[1] - count)
    torch.testing.assert_close(text.pooled[:, 0], whole.text_embeds, atol=1e-5, rtol=0)


def test_the_final_layer_is_the_projected_latent_one(folder: Path, toy: Clip) -> None:
    latent, final = toy.encode([LONG]), with_options(folder, layer="final").encode([LONG])
    matrix = load_file(folder / "model.safetensors")["text_projection.weight"]
    torch.testing.assert_close(final.tokens, latent.tokens @ matrix.T)
    assert torch.equal(final.pooled, latent.pooled)
    assert torch.equal(final.tokens[:, -1:], final.pooled)


def test_widths_that_differ_need_the_final_layer(tmp_path: Path) -> None:
    folder = write_toy_clip(tmp_path, hidden=24, projected=19, positions=31)
    with pytest.raises(ValueError, match=r"width 24 .* width 19; .*layer='final'"):
        with_options(folder, window=31)
    encoder = with_options(folder, window=31, layer="final")
    assert encoder.width == 19
    assert encoder.encode(["walk", "the jump"]).tokens.shape == (2, 4, 19)
    with pytest.raises(ValueError, match="3 to 31 tokens, got 77"):
        with_options(folder, layer="final")


def test_too_long_a_prompt_is_cut_only_on_demand(folder: Path, toy: Clip) -> None:
    prompt = "walk " * 20
    assert with_options(folder, window=22).encode([prompt]).mask.sum() == 22
    with pytest.raises(ValueError, match=r"has 23 tokens, the text encoder holds 22.*set truncate"):
        with_options(folder, window=22).encode([prompt + "jump"])
    cut = with_options(folder, window=22, truncate=True)
    assert torch.equal(cut.encode([prompt + "jump jump"]).pooled, toy.encode([prompt]).pooled)
    whole, text = toy.encode([prompt + "jump"]), cut.encode([prompt + "jump", "jump"])
    torch.testing.assert_close(text.tokens[0, :21], whole.tokens[0, :21], atol=1e-5, rtol=0)
    assert text.words[0].token_word == (SPECIAL, *range(20), SPECIAL)
    assert len(text.words[0].words) == 21
    assert torch.equal(text.tokens[1, :3], toy.encode(["jump"]).tokens[0])


def test_the_end_marker_is_no_text(toy: Clip) -> None:
    with pytest.raises(ValueError, match=re.escape("must not contain <|endoftext|>")):
        toy.encode(["walk <|endoftext|> jump"])


def test_a_vocabulary_in_one_file_gives_the_same_tokens(folder: Path, toy: Clip, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder / name, tmp_path)
    toy.tokenizer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = [LONG, "the walker's é"]
    assert with_options(tmp_path).tokenize(texts) == toy.tokenize(texts)


def test_a_whole_clip_with_image_network_loads(folder: Path, toy: Clip, tmp_path: Path) -> None:
    """The layout of the hub: text settings inside the settings of both networks, weights of both, pickled."""
    shutil.copytree(folder, tmp_path / "clip")
    text = json.loads((folder / "config.json").read_bytes())
    (tmp_path / "clip" / "config.json").write_text(json.dumps({"model_type": "clip", "text_config": text}))
    tensors = load_file(folder / "model.safetensors")
    tensors |= {"visual_projection.weight": torch.zeros(24, 7), "logit_scale": torch.tensor(2.6)}
    (tmp_path / "clip" / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "clip" / "pytorch_model.bin")
    encoder = with_options(tmp_path / "clip")
    assert torch.equal(encoder.encode([LONG]).tokens, toy.encode([LONG]).tokens)
    assert encoder.identity() != toy.identity()


def test_missing_tensors_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "clip")
    tensors = load_file(folder / "model.safetensors")
    del tensors["text_projection.weight"]
    save_file(tensors, tmp_path / "clip" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"lack text_projection\.weight"):
        with_options(tmp_path / "clip").encode(["walk"])


def test_identity_follows_weights_and_vocabulary(folder: Path, toy: Clip, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    assert with_options(tmp_path / "copy").identity() == toy.identity()
    merges = tmp_path / "copy" / "merges.txt"
    merges.write_text(merges.read_text() + "w e\n")
    assert with_options(tmp_path / "copy").identity() != toy.identity()


def _no_folder(tmp_path: Path) -> str:
    return str(tmp_path / "nowhere")


def _no_weights(tmp_path: Path) -> str:
    (tmp_path / "config.json").write_text(json.dumps({}))
    return str(tmp_path)


def _no_network(tmp_path: Path) -> str:
    return "casim/clip-not-fetched"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (_no_folder, "no folder .*nowhere; give"),
        (_no_weights, "lacks model.safetensors, vocab.json, merges.txt"),
        (_no_network, "hf download casim/clip-not-fetched config.json model.safetensors vocab.json merges.txt"),
    ],
)
def test_missing_files_say_what_to_do(tmp_path: Path, broken: Callable[[Path], str], message: str) -> None:
    with pytest.raises(FileNotFoundError, match=message):
        Clip(Clip.Config(weights=broken(tmp_path)))


def test_another_kind_of_model_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "bert")
    (tmp_path / "bert" / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 24}))
    with pytest.raises(ValueError, match="type 'bert', not a CLIP"):
        with_options(tmp_path / "bert")


def test_making_one_loads_no_weights(folder: Path) -> None:
    assert not {"model", "tokenizer"} & set(vars(with_options(folder)))
