"""What the encoders that read a transformers model have in common: files, weights, windows, messages."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_bert import write_toy_bert
from toy_encoders import TOYS

from casim import plugins
from casim.cli import guarded
from casim.text._transformers import Pretrained
from casim.types import TextEncoder

NAMES = ("bert", "clip", "minilm", "t5")
WRITE = {**TOYS, "minilm": write_toy_bert}
VOCABULARY = {
    "bert": "tokenizer.json",
    "clip": "vocab.json merges.txt tokenizer.json",
    "minilm": "tokenizer.json",
    "t5": "tokenizer.json spiece.model",
}
NEEDED = {"bert": "bert, distilbert", "clip": "clip, clip_text_model", "minilm": "bert, distilbert", "t5": "t5"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: WRITE[name](tmp_path_factory.mktemp(name)) for name in NAMES}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def copy(folders: dict[str, Path], name: str, tmp_path: Path) -> Path:
    """A folder that a test may damage."""
    return Path(shutil.copytree(folders[name], tmp_path / "copy"))


def made(name: str, weights: Path | str, **options: Any) -> Pretrained:
    return plugins.build(plugins.load(TextEncoder, "casim.text", name).Config(weights=str(weights), **options))


def refused(capfd: pytest.CaptureFixture[str], call: Callable[[], Any]) -> str:
    """The one line that a command ends with if it calls `call`."""
    capfd.readouterr()
    assert guarded(call) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


def test_nothing_is_read_before_it_is_needed(folders: dict[str, Path], name: str) -> None:
    encoder = made(name, folders[name])
    assert not {"model", "tokenizer"} & set(vars(encoder))
    encoder.encode(["walk"])
    assert {"model", "tokenizer"} <= set(vars(encoder))
    assert not encoder.model.training
    assert {p.dtype for p in encoder.model.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in encoder.model.parameters())


def test_loading_writes_nothing_to_the_terminal(
    folders: dict[str, Path], name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    made(name, folders[name]).encode(["walk"])
    assert tuple(capfd.readouterr()) == ("", "")


def test_prompts_of_equal_length_are_those_of_one_batch(folders: dict[str, Path], name: str) -> None:
    """One at a time gives what a batch gives, up to the last bits."""
    encoder = made(name, folders[name])
    texts = ["jump then walk then jump", "walk then walk then jump", "walk then jump then jump"]
    ids, _ = encoder.tokenize(texts)
    assert len({len(row) for row in ids}) == 1
    network = encoder.model.text_model if name == "clip" else encoder.model
    with torch.no_grad():
        together = network(input_ids=torch.tensor(ids)).last_hidden_state
    torch.testing.assert_close(encoder.encode(texts).tokens, together, atol=1e-5, rtol=0)


def test_identity_follows_every_file(folders: dict[str, Path], name: str, copy: Path) -> None:
    own = made(name, folders[name]).identity()
    assert made(name, copy).identity() == own
    read = made(name, copy).layout.files(copy)
    assert len(read) >= 3
    for file in read:
        before = (copy / file).read_bytes()
        (copy / file).write_bytes(before + b"\n")
        assert made(name, copy).identity() != own, file
        (copy / file).write_bytes(before)
    (copy / "README.md").write_text("no part of the model")
    assert made(name, copy).identity() == own


def test_half_precision_weights_become_float32(name: str, copy: Path) -> None:
    path = copy / "model.safetensors"
    save_file({n: t.half() for n, t in load_file(path).items()}, path, {"format": "pt"})
    text = made(name, copy).encode(["walk then jump"])
    assert text.tokens.dtype == torch.float32
    assert text.tokens.isfinite().all()


def test_a_folder_that_lacks_files_names_them(name: str, copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read = made(name, copy).layout.files(copy)
    for file in read[1:]:
        (copy / file).unlink()
    wanted = ["model.safetensors", *VOCABULARY[name].split()[: 2 if name == "clip" else 1]]
    assert refused(capfd, lambda: made(name, copy)).endswith(f"it lacks {', '.join(wanted)}")


def test_no_folder(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = refused(capfd, lambda: made(name, tmp_path / "nowhere"))
    assert f"no folder {tmp_path}/nowhere; give the folder or the hub name" in line


def test_an_unknown_hub_name_offline_says_what_to_fetch(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    line = refused(capfd, lambda: made(name, "casim/not-fetched"))
    assert f"`hf download casim/not-fetched config.json model.safetensors {VOCABULARY[name]}` once" in line
    assert "pytorch_model.bin" in line


def test_a_model_fetched_before_is_found_offline(
    name: str, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's cache: a folder per model, its files under the commit that `refs/main` names."""
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "hub" / "models--casim--toy"
    shutil.copytree(copy, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    encoder = made(name, "casim/toy")
    assert encoder.folder == cached / "snapshots" / commit
    assert encoder.identity() == made(name, copy).identity()
    (cached / "snapshots" / commit / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"some files are missing.*hf download casim/toy"):
        made(name, "casim/toy")


@pytest.mark.parametrize("kept", [0, 5, 1000, -7])
def test_truncated_weights(name: str, copy: Path, kept: int, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    line = refused(capfd, lambda: made(name, copy).encode(["walk"]))
    assert f"the weights in {copy} cannot be read" in line
    assert line.endswith("fetch the model again")


@pytest.mark.parametrize("kept", [None, 0, 5, 1000, -7])
def test_pickled_weights_whole_or_truncated(
    folders: dict[str, Path], name: str, copy: Path, kept: int | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = copy / "pytorch_model.bin"
    torch.save(load_file(copy / "model.safetensors"), path)
    (copy / "model.safetensors").unlink()
    path.write_bytes(path.read_bytes()[:kept])
    if kept is None:
        one, two = (made(name, folder).encode(["walk then jump"]) for folder in (copy, folders[name]))
        assert torch.equal(one.tokens, two.tokens)
    else:
        assert "cannot be read" in refused(capfd, lambda: made(name, copy).encode(["walk"]))


def test_missing_tensors_are_not_made_up(name: str, copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy / "model.safetensors"
    tensors = load_file(path)
    lost = sorted(n for n in tensors if n.endswith("layer_norm.weight") or "LayerNorm.weight" in n or "norm1" in n)
    del tensors[lost[-1]]
    save_file(tensors, path, {"format": "pt"})
    assert f"lack {lost[-1]} and 0 more tensors" in refused(capfd, lambda: made(name, copy).encode(["walk"]))


def test_weights_of_another_size(name: str, copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy / "model.safetensors"
    tensors = load_file(path)
    widest = max(tensors, key=lambda n: tensors[n].numel())
    save_file(tensors | {widest: torch.zeros(5, 24)}, path, {"format": "pt"})
    assert "cannot be read" in refused(capfd, lambda: made(name, copy).encode(["walk"]))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (json.dumps({"model_type": "gpt2", "hidden_size": 24}), "a model of type 'gpt2', not a"),
        (json.dumps({"hidden_size": 24}), "a model of type None, not a"),
        (json.dumps([1]), "a model of type None, not a"),
        ('{"model_type": "be', "config.json is damaged"),
    ],
)
def test_another_kind_of_model(
    name: str, copy: Path, config: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (copy / "config.json").write_text(config)
    line = refused(capfd, lambda: made(name, copy))
    assert message in line
    assert "damaged" in line or f"({NEEDED[name]})" in line


def test_the_encoders_refuse_each_others_models(folders: dict[str, Path], name: str) -> None:
    for other in NAMES:
        if NEEDED[other] != NEEDED[name]:
            with pytest.raises((ValueError, FileNotFoundError), match=r"not a|it lacks"):
                made(name, folders[other])


def test_a_damaged_vocabulary(name: str, copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = copy / VOCABULARY[name].split()[0]
    path.write_text(path.read_text()[:100])
    line = refused(capfd, lambda: made(name, copy).encode(["walk"]))
    assert f"the vocabulary in {copy} cannot be read" in line


def test_too_long_a_prompt_names_both_numbers_and_the_way_out(
    folders: dict[str, Path], name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    limit = {"window" if name == "clip" else "max_words": 22}
    encoder = made(name, folders[name], **limit)
    markers = len(encoder.tokenize([""])[0][0])
    fits = "jump " * (22 - markers)
    encoder.encode([fits])
    line = refused(capfd, lambda: encoder.encode([fits, fits + "jump"]))
    assert "a prompt has 23 tokens, the text encoder holds 22; shorten it: 'jump jump" in line
    assert line.endswith("or set truncate to cut such prompts as MDM and CASIM do")
    cut = made(name, folders[name], **limit, truncate=True).encode([fits + "jump jump"])
    assert torch.equal(cut.tokens, encoder.encode([fits]).tokens)
    assert torch.equal(cut.pooled, encoder.encode([fits]).pooled)


def test_no_prompt(folders: dict[str, Path], name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "at least one text" in refused(capfd, lambda: made(name, folders[name], truncate=True).encode([]))
