"""The loader's rules and its errors, on folders made by `prepare`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from bodies import CAPTIONS, write_joint_folder

from casim import cli, plugins
from casim.data._folder import FolderClips
from casim.data.humanml3d import KNOWN_BAD, HumanML3D
from casim.features import FeatureSpec
from casim.prepare.__main__ import COMMANDS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_joint_folder(tmp_path / "raw")
    assert cli.run(COMMANDS, ["joints", str(tmp_path / "raw"), "--out", str(tmp_path / "set")]) == 0
    return tmp_path / "set"


def split(folder: Path, name: str = "train", **config: object) -> FolderClips:
    return HumanML3D(HumanML3D.Config(folder=str(folder), **config)).split(name)  # type: ignore[arg-type]


def set_clip(folder: Path, name: str, frames: int, value: float = 0.0, width: int = 263) -> None:
    motion = np.full((frames, width), value, np.float32)
    motion[:, 0] = np.arange(frames)  # so that a crop can be told by its first number
    np.save(folder / "new_joint_vecs" / f"{name}.npy", motion)


def plain_statistics(folder: Path) -> None:
    np.save(folder / "Mean.npy", np.zeros(263, np.float32))
    np.save(folder / "Std.npy", np.ones(263, np.float32))


def test_reads_what_prepare_wrote(folder: Path) -> None:
    train = split(folder)
    assert set(train.ids) == {"000001", "M000001", "000002", "M000002"}
    assert train.counts == {"listed": 4, "captions": 6, "entries": 4}
    assert list(train.lengths) == sorted(train.lengths)
    batch = train.batch([0, 3])
    assert batch.motion.shape == (2, 64, 263)
    assert not batch.motion[0, 60:].any()
    assert batch.texts[0] == CAPTIONS[batch.ids[0].removeprefix("M")][0] or batch.ids[0].startswith("M")


def test_uncaptioned_clips_are_counted_and_have_the_empty_caption(folder: Path) -> None:
    everything = split(folder, "all")
    assert everything.counts["without caption"] == 2
    assert len(everything) == 8
    silent = everything.ids.index("000003")
    assert everything.batch([silent], seed=1).texts == ("",)


def test_mirrored_captions(folder: Path) -> None:
    train = split(folder)
    assert train.batch([train.ids.index("M000001")]).texts == ("a person walks to the right.",)
    tokens = train.entries[train.ids.index("M000001")].captions[1].tokens
    assert tokens == ("someone/PRON", "turn/VERB", "counterclockwise/ADV")


def test_batches_hold_the_tokens_of_the_captions_drawn(folder: Path) -> None:
    everything = split(folder, "all")
    items = [everything.ids.index(name) for name in ("000001", "000003", "M000002")]
    tokens = {caption.text: caption.tokens for entry in everything.entries for caption in entry.captions}
    for seed in (None, 0, 1, 2, 3):
        batch = everything.batch(items, seed)
        assert batch.tags is not None
        assert batch.tags == tuple(tokens[text] for text in batch.texts)
        assert batch.tags[1] == ()  # no caption, no tokens
        assert batch.rows(2, 3).tags == batch.tags[2:]
    plain = everything.batch(items).tags
    assert plain is not None
    assert plain[0][:3] == ("a/DET", "person/NOUN", "walk/VERB")


@pytest.mark.parametrize(("frames", "is_kept"), [(39, False), (40, True), (199, True), (200, False)])
def test_length_rules(folder: Path, frames: int, is_kept: bool) -> None:
    set_clip(folder, "000001", frames)
    train = split(folder)
    assert ("000001" in train.ids) == is_kept
    reason = "clips too short" if frames < 40 else "clips too long"
    assert train.counts[reason] == int(not is_kept)
    if is_kept:
        assert train.lengths[train.ids.index("000001")] == frames // 4 * 4


def test_lengths_can_be_chosen(folder: Path) -> None:
    assert len(split(folder, min_frames=24, max_frames=60)) == 2  # 60 and 67 frames, and their mirrors
    assert len(split(folder, min_frames=24, max_frames=64)) == 4
    with pytest.raises(ValueError, match="clips too long 4"):
        split(folder, min_frames=8, max_frames=40)


def test_part_captions_are_entries_of_their_own(folder: Path) -> None:
    plain_statistics(folder)
    set_clip(folder, "000001", 120)
    lines = "all of it#x/NOUN#0.0#0.0\npart#x/NOUN#1.0#4.0\nno time#x/NOUN#nan#nan\nshort#x/NOUN#1.0#2.5\n"
    (folder / "texts" / "000001.txt").write_text(lines)
    train = split(folder)
    assert {"000001", "A_000001"} <= set(train.ids)
    assert "B_000001" not in train.ids
    assert train.counts["parts too short"] == 1
    part = train.batch([train.ids.index("A_000001")])
    assert part.texts == ("part",)
    assert part.motion[0, :, 0].tolist() == list(range(20, 80))
    whole = train.ids.index("000001")
    assert {train.batch([whole], seed=seed).texts[0] for seed in range(20)} == {"all of it", "no time"}


def test_draws(folder: Path) -> None:
    """A third of the clips lose four frames; the start is anywhere; captions are all drawn."""
    plain_statistics(folder)
    set_clip(folder, "000001", 107)
    train = split(folder)
    item = train.ids.index("000001")
    batches = [train.batch([item], seed=seed) for seed in range(300)]
    lengths = [int(batch.lengths) for batch in batches]
    assert set(lengths) == {100, 104}
    assert 70 < lengths.count(100) < 130
    starts = {int(batch.motion[0, 0, 0]) for batch in batches}
    assert starts == set(range(8))
    assert {batch.texts[0] for batch in batches} == set(CAPTIONS["000001"])
    plain = train.batch([item])
    assert (int(plain.lengths), int(plain.motion[0, 0, 0]), plain.texts[0]) == (104, 0, CAPTIONS["000001"][0])


def test_a_clip_is_drawn_alike_in_any_batch(folder: Path) -> None:
    train = split(folder)
    alone, together = train.batch([2], seed=5), train.batch([3, 2, 0], seed=5)
    length = int(alone.lengths)
    assert torch.equal(alone.motion[0], together.motion[1, :length])
    assert alone.texts[0] == together.texts[1]


def test_padding_to_the_longest_allowed(folder: Path) -> None:
    batch = split(folder, is_padded_full=True).batch([0])
    assert batch.motion.shape[1] == 196
    assert int(batch.lengths) == 60


def test_essential_columns(folder: Path) -> None:
    whole, narrow = split(folder), split(folder, spec=FeatureSpec(subset="essential"))
    assert torch.equal(whole.batch([1]).motion[..., :67], narrow.batch([1]).motion)


def test_known_bad_clips_are_left_out_and_counted(folder: Path) -> None:
    with (folder / "train.txt").open("a") as file:
        file.write("007975\n")
    assert "007975" in KNOWN_BAD
    assert split(folder).counts["known bad"] == 1


def test_config_round_trip(folder: Path) -> None:
    config = HumanML3D.Config(folder=str(folder), spec=FeatureSpec(subset="essential"))
    assert plugins.restore(HumanML3D.Config, plugins.describe(config)) == config


def broken(folder: Path, what: str) -> None:
    text = folder / "texts" / "000001.txt"
    match what:
        case "missing motion":
            (folder / "new_joint_vecs" / "000002.npy").unlink()
        case "missing text":
            text.unlink()
        case "width":
            set_clip(folder, "000001", 60, width=251)
        case "nan":
            set_clip(folder, "000001", 60, value=np.nan)
        case "array":
            (folder / "new_joint_vecs" / "000001.npy").write_bytes(b"not an array")
        case "parts":
            text.write_text("fine#a/DET#0.0#0.0\na person # walks#a/DET#0.0#0.0\n")
        case "time":
            text.write_text("fine#a/DET#0.0#0.0\n\nlate#a/DET#soon#0.0\n")
        case "backwards":
            text.write_text("fine#a/DET#3.0#1.0\n")
        case "no captions":
            text.write_text("\n")
        case "statistics":
            np.save(folder / "Mean.npy", np.zeros(251, np.float32))
        case "zero std":
            np.save(folder / "Std.npy", np.zeros(263, np.float32))
        case "nan mean":
            np.save(folder / "Mean.npy", np.full(263, np.nan, np.float32))
        case "infinite std":
            np.save(folder / "Std.npy", np.full(263, np.inf, np.float32))
        case "no mean":
            (folder / "Mean.npy").unlink()
        case "empty list":
            (folder / "train.txt").write_text("")
        case "twice":
            (folder / "train.txt").write_text("000001\n000001\n")
        case _:
            raise AssertionError(what)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing motion", r"lacks 1 files .*new_joint_vecs/000002.npy"),
        ("missing text", r"lacks 1 files .*texts/000001.txt"),
        ("width", r"000001.npy is \(60, 251\).*263"),
        ("nan", r"000001.npy is NaN"),
        ("array", r"000001.npy is no array"),
        ("parts", r"000001.txt:2: 5 parts"),
        ("time", r"000001.txt:3: .*'soon'"),
        ("backwards", r"000001.txt:1: .*3.0 to 1.0"),
        ("no captions", r"000001.txt holds no caption"),
        ("statistics", r"Mean.npy is \(251,\)"),
        ("zero std", r"not positive"),
        ("nan mean", r"Mean.npy holds NaN or infinite"),
        ("infinite std", r"Std.npy holds NaN or infinite"),
        ("no mean", r"no file .*Mean.npy"),
        ("empty list", r"empty"),
        ("twice", r"000001 more than once"),
    ],
)
def test_broken_folders(folder: Path, what: str, message: str) -> None:
    broken(folder, what)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        split(folder)


def test_unknown_split_suggests(folder: Path) -> None:
    with pytest.raises(ValueError, match="Did you mean train"):
        split(folder, "trian")


def test_converter_must_be_the_folders(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"'legacy' converter.*'fixed'"):
        split(folder, spec=FeatureSpec(converter="fixed"))


def test_missing_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="no data folder"):
        HumanML3D(HumanML3D.Config(folder=str(tmp_path / "none")))
    with pytest.raises(FileNotFoundError, match="no new_joint_vecs"):
        HumanML3D(HumanML3D.Config(folder=str(tmp_path)))
    monkeypatch.delenv("CASIM_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="environment variable"):
        HumanML3D(HumanML3D.Config())
    monkeypatch.setenv("CASIM_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="humanml3d"):
        HumanML3D(HumanML3D.Config())
    with pytest.raises(ValueError, match="multiple of 4"):
        HumanML3D(HumanML3D.Config(max_frames=50))
