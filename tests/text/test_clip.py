import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from toy_clip import vocabulary, write_toy_clip, write_vocabulary
from toy_weights import save_random

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
    toy.tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = [LONG, "the walker's é"]
    assert with_options(tmp_path).tokenize(texts) == toy.tokenize(texts)


def test_a_whole_clip_with_image_network_loads(tmp_path: Path) -> None:
    """The layout of openai/clip-vit-large-patch14, which MLD takes: both networks in one file, the text settings
    inside those of both, states and pooled vector of one width; some hub copies are pickled."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    entries, sizes = len(vocabulary()), {"intermediate_size": 31, "num_hidden_layers": 2, "num_attention_heads": 3}
    text = CLIPTextConfig(
        vocab_size=entries,
        hidden_size=18,
        projection_dim=18,
        **sizes,
        eos_token_id=2,
        bos_token_id=0,
        pad_token_id=1,
    )  # the hub's settings name these numbers, which are not those of the markers
    image = CLIPVisionConfig(hidden_size=21, image_size=8, patch_size=4, projection_dim=18, **sizes)
    whole = CLIPConfig(text_config=text.to_dict(), vision_config=image.to_dict(), projection_dim=18)
    save_random(lambda: CLIPModel(whole), tmp_path)
    write_vocabulary(tmp_path)
    encoder = with_options(tmp_path)
    theirs, (ids,) = CLIPModel.from_pretrained(tmp_path).eval(), encoder.tokenize([LONG])[0]
    with torch.no_grad():
        expected = theirs.text_model(input_ids=torch.tensor([ids]))
        projected = theirs.text_projection(expected.last_hidden_state[:, -1])
    assert encoder.width == 18
    text = encoder.encode([LONG])
    assert torch.equal(text.tokens, expected.last_hidden_state)
    torch.testing.assert_close(text.pooled[:, 0], projected)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    assert torch.equal(with_options(tmp_path).encode([LONG]).tokens, text.tokens)


def test_a_letter_without_a_token_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "clip")
    entries = {word: number for word, number in vocabulary().items() if word not in ("q", "q</w>")}
    (tmp_path / "clip" / "vocab.json").write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=r"letters that CLIP has no token for: 'a quick"):
        with_options(tmp_path / "clip").encode(["a quick jump"])
