import os
import pickle
from pathlib import PurePosixPath

import numpy as np
import pytest
from glove_files import WORDS, write_glove

from evaluators.glove import FILES, read, unpickle


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_vectors_stand_in_the_order_of_the_words(tmp_path):
    found = read(write_glove(tmp_path, width=11))
    assert found.words == WORDS
    assert found.vectors.dtype == np.float32
    data = np.load(tmp_path / "our_vab_data.npy")
    rows = pickle.loads((tmp_path / "our_vab_idx.pkl").read_bytes())
    for word, vector in zip(found.words, found.vectors, strict=True):
        np.testing.assert_allclose(vector, data[rows[word]], rtol=1e-6)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_read_whatever_the_protocol(tmp_path, protocol):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"a": [1, "é", -(2**70)]}, protocol))
    assert unpickle(tmp_path / "x.pkl") == {"a": [1, "é", -(2**70)]}


def test_code_in_a_pickled_file_is_never_run(tmp_path):
    write_glove(tmp_path)
    trap = tmp_path / "trap"
    (tmp_path / "our_vab_words.pkl").write_bytes(pickle.dumps([_Evil(str(trap))]))
    with pytest.raises(ValueError, match=r"our_vab_words\.pkl is refused: it asks for (posix|nt)\.mkdir"):
        read(tmp_path)
    assert not trap.exists()


@pytest.mark.parametrize("value", [PurePosixPath("a"), np.float64(1), np.arange(3)])
def test_foreign_classes_are_named(tmp_path, value):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([value]))
    with pytest.raises(ValueError, match=r"it asks for (pathlib|numpy)"):
        unpickle(tmp_path / "x.pkl")


@pytest.mark.parametrize("name", FILES)
def test_missing_and_truncated_files(tmp_path, name):
    whole = (write_glove(tmp_path) / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=name):
        read(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("our_vab_words.pkl", {"a": 1}, "list of words"),
        ("our_vab_words.pkl", ["sos", 3], "list of words"),
        ("our_vab_words.pkl", [*WORDS, "jog"], "'jog' has no row"),
        ("our_vab_words.pkl", [w for w in WORDS if w != "unk"], "unk"),
        ("our_vab_idx.pkl", [1, 2], "number of the row"),
        ("our_vab_idx.pkl", {w: str(i) for i, w in enumerate(WORDS)}, "number of the row"),
        ("our_vab_idx.pkl", {w: i + 5 for i, w in enumerate(WORDS)}, "has no row among the 9"),
    ],
)
def test_wrong_values(tmp_path, name, value, message):
    (write_glove(tmp_path) / name).write_bytes(pickle.dumps(value))
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_wrong_arrays(tmp_path):
    write_glove(tmp_path)
    for array in (np.zeros(3), np.zeros((9, 3), dtype=int), np.full((9, 3), np.nan)):
        np.save(tmp_path / "our_vab_data.npy", array)
        with pytest.raises(ValueError, match="expected finite vectors"):
            read(tmp_path)
