import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from casim.text._cache import Cached, cache_folder
from casim.text.hashed import Hashed
from casim.text.minilm import MiniLM
from casim.types import TextTokens

TEXTS = ["a person walks", "", "jump then sit \U0001f600\n", "a person waves with the left hand", "jump"]


class Counting(Hashed):
    """A hashed encoder that remembers what it was asked for."""

    def __init__(self, config: Hashed.Config) -> None:
        super().__init__(config)
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> TextTokens:
        self.asked += texts
        return super().encode(texts)


def _counting() -> Counting:
    return Counting(Hashed.Config(width=11))


def _assert_same(one: TextTokens, two: TextTokens) -> None:
    assert torch.equal(one.tokens, two.tokens)
    assert torch.equal(one.mask, two.mask)
    assert torch.equal(one.pooled, two.pooled)
    assert one.words == two.words


@given(batches=st.lists(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=7), min_size=1, max_size=5))
@pytest.mark.parametrize("on_disk", [False, True])
def test_identical_and_each_text_encoded_once(
    tmp_path_factory: pytest.TempPathFactory, on_disk: bool, batches: list[list[str]]
) -> None:
    encoder = _counting()
    cached = Cached(encoder, tmp_path_factory.mktemp("cache") if on_disk else None)
    for batch in batches:
        _assert_same(cached.encode(batch), Hashed(encoder.config).encode(batch))
    asked = [text for batch in batches for text in batch]
    assert sorted(encoder.asked) == sorted(set(asked))


def test_cut_prompts_come_back_as_they_were(tmp_path: Path) -> None:
    """Entries are as long as their tokens, not as their words."""
    config = Hashed.Config(width=11, max_words=5, truncate=True)
    Cached(Hashed(config), tmp_path).encode(TEXTS)
    later = Cached(Counting(config), tmp_path)
    _assert_same(later.encode(TEXTS[::-1]), Hashed(config).encode(TEXTS[::-1]))
    assert later.encoder.asked == []


def test_memory_grows_past_its_first_size() -> None:
    encoder, texts = _counting(), [f"walk {i} times then jump {i} times" for i in range(499)]
    cached = Cached(encoder, None)
    cached.encode(texts)
    _assert_same(cached.encode(texts[::-7]), Hashed(encoder.config).encode(texts[::-7]))
    assert len(encoder.asked) == len(texts)


def test_the_next_process_encodes_nothing(tmp_path: Path) -> None:
    first = Cached(_counting(), tmp_path).encode(TEXTS)
    later = _counting()
    _assert_same(Cached(later, tmp_path).encode(TEXTS), first)
    assert later.asked == []


def test_two_open_caches_see_each_other(tmp_path: Path) -> None:
    one, two = Cached(_counting(), tmp_path), Cached(_counting(), tmp_path)
    one.encode(TEXTS[:3])
    _assert_same(two.encode(TEXTS), Hashed(Hashed.Config(width=11)).encode(TEXTS))
    _assert_same(one.encode(TEXTS), two.encode(TEXTS))
    lines = (tmp_path / "index.jsonl").read_text().splitlines()
    assert len(lines) == len(TEXTS)  # nothing was stored twice


@pytest.mark.parametrize("lost", [1, 17, 60])
def test_a_writer_killed_half_way_costs_only_its_last_texts(tmp_path: Path, lost: int) -> None:
    Cached(_counting(), tmp_path).encode(TEXTS)
    index = tmp_path / "index.jsonl"
    index.write_bytes(index.read_bytes()[:-lost])  # the line was not finished
    with (tmp_path / "rows.f32").open("ab") as rows:
        rows.write(b"123")  # nor was a row
    encoder = _counting()
    _assert_same(Cached(encoder, tmp_path).encode(TEXTS), Hashed(encoder.config).encode(TEXTS))
    assert encoder.asked
    again = _counting()
    _assert_same(Cached(again, tmp_path).encode(TEXTS), Hashed(encoder.config).encode(TEXTS))
    assert again.asked == []


@pytest.mark.parametrize("damage", ["no rows", "short rows", "foreign index"])
def test_a_damaged_cache_says_what_to_delete(tmp_path: Path, damage: str) -> None:
    Cached(_counting(), tmp_path).encode(TEXTS)
    if damage == "no rows":
        (tmp_path / "rows.f32").unlink()
    elif damage == "short rows":
        (tmp_path / "rows.f32").write_bytes(bytes(44))
    else:
        (tmp_path / "index.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(ValueError, match="damaged; delete that folder"):
        Cached(_counting(), tmp_path)


def test_disk_full_leaves_the_cache_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = Cached(_counting(), tmp_path)
    cached.encode(TEXTS[:2])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(text: str, entry: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("casim.text._cache._line", full)
    with pytest.raises(OSError, match="No space"):
        cached.encode(TEXTS)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.undo()
    _assert_same(cached.encode(TEXTS), Hashed(Hashed.Config(width=11)).encode(TEXTS))


def _fill(folder: Path, start: int) -> None:
    cached = Cached(_counting(), folder)
    for i in range(start, start + 40):
        cached.encode([f"walk {i} times", f"jump {i} times"])


def test_processes_may_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_fill, args=(tmp_path, start)) for start in (0, 20, 30)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    encoder, texts = _counting(), [f"{verb} {i} times" for verb in ("walk", "jump") for i in range(70)]
    _assert_same(Cached(encoder, tmp_path).encode(texts), Hashed(encoder.config).encode(texts))
    assert encoder.asked == []
    assert len((tmp_path / "index.jsonl").read_text().splitlines()) == 140


def test_the_folder_follows_config_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASIM_CACHE", str(tmp_path))
    options = ({"max_words": 31}, {"max_words": 37}, {"max_words": 31, "truncate": True})
    folders = {cache_folder(MiniLM(MiniLM.Config(**chosen))) for chosen in options}
    assert None not in folders
    assert len(folders) == len(options)
    assert {folder.parent for folder in folders} == {tmp_path / "text"}
    assert cache_folder(Hashed(Hashed.Config())) is None
    monkeypatch.setenv("CASIM_CACHE", "off")
    assert cache_folder(MiniLM(MiniLM.Config())) is None


def test_a_folder_that_cannot_be_made_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionError, match="set CASIM_CACHE"):
        Cached(_counting(), tmp_path / "file" / "cache")
