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
