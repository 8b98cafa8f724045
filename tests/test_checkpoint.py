import pytest
import torch

from casim import checkpoint


@pytest.mark.parametrize("size", [0x1080, 0x4B50], ids=["like a pickled file", "like an archive"])
def test_a_header_of_any_size_is_read(tmp_path, size):
    """The first bytes of a safetensors file are the size of its header: here those of a pickled file."""
    path, tensor = tmp_path / checkpoint.WEIGHTS, torch.arange(7.0)
    checkpoint.save_tensors(path, {"": tensor})
    empty = int.from_bytes(path.read_bytes()[:8], "little")
    name = "n" * (size - empty)
    checkpoint.save_tensors(path, {name: tensor})
    assert path.read_bytes()[:2] == size.to_bytes(2, "little")
    assert torch.equal(checkpoint.load_tensors(path)[name], tensor)


@pytest.mark.parametrize("data", [b"\x80\x04cposix\nsystem\n.", b"PK\x03\x04" + bytes(20)])
def test_pickled_files_are_named_as_such(tmp_path, data):
    (tmp_path / checkpoint.WEIGHTS).write_bytes(data)
    with pytest.raises(ValueError, match="is a pickled file"):
        checkpoint.load_tensors(tmp_path / checkpoint.WEIGHTS)


def test_an_unknown_run_says_how_to_train_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint.save_config(tmp_path / "runs" / "walker", {"recipe": "x"})
    checkpoint.save_config(tmp_path / "runs" / "judge", {"embedder": {}})
    with pytest.raises(
        ValueError, match=r"unknown run 'runs/mine'.* train one: python -m casim.train RECIPE"
    ) as told:
        checkpoint.find_run("runs/mine")
    assert str(told.value).endswith("--out runs/mine")
    assert "walker" in str(told.value)
    assert not {"judge", "oracle", "tmr", "guo"} & set(str(told.value).replace(",", " ").replace(";", " ").split())
    with pytest.raises(ValueError, match=r"Did you mean walker\?.* --out runs/walkr$"):
        checkpoint.find_run("walkr")
    with pytest.raises(ValueError, match=r"unknown embedder 'juge'\. Did you mean judge\?.*evaluators.train KIND"):
        checkpoint.find_run("juge", is_scorer=True)
