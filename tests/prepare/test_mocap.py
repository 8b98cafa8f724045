"""`python -m casim.prepare bvh` and `asf_amc`: clips, captions and splits, and that bad input leaves nothing."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from captures import amc_text, amc_values, asf_text, write_bvh_files

from casim import cli, record
from casim.prepare.__main__ import COMMANDS

FRAMES = {"a/walk": 67, "a/turn": 83, "b/Jump_poses": 101}
INDEX = "source_path,start_frame,end_frame,new_name\n"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write_bvh_files(tmp_path / "raw", FRAMES)
    return tmp_path / "raw"


def run(command: str, raw: Path, *options: object) -> int:
    return cli.run(COMMANDS, [command, str(raw), "--out", str(raw.parent / "set"), *map(str, options)])


def fails(capsys: pytest.CaptureFixture[str], raw: Path, *options: object, command: str = "bvh") -> str:
    """The one line that the command ends with; nothing is left of the output."""
    capsys.readouterr()
    assert run(command, raw, *options) == 2
    assert not [path for path in raw.parent.iterdir() if "set" in path.name]
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]


def written(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_every_file_is_a_clip_like_its_joints(raw: Path) -> None:
    """The same features as `joints` makes of the positions that the files were written from."""
    points = write_bvh_files(raw, FRAMES)
    assert run("bvh", raw) == 0
    arrays = raw.parent / "arrays"
    arrays.mkdir()
    names = {name: name.replace("/", "_") for name in FRAMES}
    np.savez(arrays / "joints.npz", **{names[name]: joints.astype(np.float32) for name, joints in points.items()})
    written(arrays / "index.json", {"clips": [{"id": name} for name in names.values()]})
    assert cli.run(COMMANDS, ["joints", str(arrays), "--out", str(raw.parent / "other")]) == 0
    for name in names.values():
        for clip in (name, f"M{name}"):
            ours, theirs = (
                np.load(raw.parent / folder / "new_joint_vecs" / f"{clip}.npy") for folder in ("set", "other")
            )
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
            assert ours.shape == (FRAMES[next(k for k, v in names.items() if v == name)] - 1, 263)
    assert (raw.parent / "set" / "uncaptioned.txt").exists()


def test_record_and_output_say_what_was_done(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bvh", raw, "--no-mirror") == 0
    found = record.load(raw.parent / "set")
    assert found.config["command"] == "bvh"
    notes = ["3 files: 20 fps", "3 files: a unit is 0.01 m", "3 files: joints named as SMPL"]
    assert found.config["notes"] == notes
    assert all(note in capsys.readouterr().out for note in notes[:1])
    assert found.inputs["source"].sha256 == record.sha256(raw)


def test_index(raw: Path, tmp_path: Path) -> None:
    """Paths as HumanML3D's: with a folder in front, another ending, or _poses; frames at 20 fps."""
    rows = "./a/walk.npy,10,60,000001.npy\na/walk.bvh,0,-1,000002\n./pose_data/CMU/b/Jump.npy,1,2,000003.npy\n"
    rows = rows.replace("1,2,000003", "40,100,000003")
    index = written(tmp_path / "index.csv", INDEX + rows)
    assert run("bvh", raw, "--index", index, "--no-mirror") == 0
    lengths = {path.stem: len(np.load(path)) for path in (tmp_path / "set" / "new_joint_vecs").iterdir()}
    assert lengths == {"000001": 49, "000002": 66, "000003": 59}


def test_index_can_put_a_rate_right(raw: Path, tmp_path: Path) -> None:
    write_bvh_files(raw, FRAMES, fps=120.0)
    rows = "a/walk.bvh,0,-1,w,60\na/turn.bvh,0,-1,t,\n"
    index = written(tmp_path / "index.csv", INDEX.strip() + ",fps\n" + rows)
    assert run("bvh", raw, "--index", index, "--no-mirror") == 0
    lengths = {path.stem: len(np.load(path)) for path in (tmp_path / "set" / "new_joints").iterdir()}
    assert lengths == {"w": 66 // 3, "t": 82 // 6}


def test_texts_and_splits(raw: Path, tmp_path: Path) -> None:
    texts, splits = tmp_path / "texts", tmp_path / "splits"
    texts.mkdir()
    splits.mkdir()
    written(texts / "a_walk.txt", "a person walks to the left\n\nsomeone walks\n")
    written(texts / "a_turn.txt", "he turns#he/PRON turn/VERB#0.0#0.0\nturning#turn/VERB#1.0#3.0\n")
    written(texts / "b_Jump_poses.txt", "a person jumps\n")
    written(splits / "test.txt", "a_turn\n")
    written(splits / "train.txt", "a_walk\nsomething_else\n")
    assert run("bvh", raw, "--texts", texts, "--splits", splits) == 0
    out = tmp_path / "set"
    assert (
        (out / "texts" / "Ma_walk.txt").read_text().splitlines()[0].startswith("a person walks to the right#a/DET")
    )
    assert (out / "texts" / "a_turn.txt").read_text().splitlines()[1] == "turning#turn/VERB#1.0#3.0"
    inputs = {"source": raw, "texts": texts, "splits": splits}
    assert {name: source.sha256 for name, source in record.load(out).inputs.items()} == {
        name: record.sha256(path) for name, path in inputs.items()
    }
    assert "a_turn" in (out / "test.txt").read_text().split()
    assert "a_walk" in (out / "train.txt").read_text().split()
    texts = written(tmp_path / "texts.json", {name.replace("/", "_"): ["a person moves"] for name in FRAMES})
    assert run("bvh", raw, "--texts", texts, "--overwrite") == 0
    assert record.load(out).config["captions"] == "as given (3 clips)"


def test_partial(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = written(tmp_path / "index.csv", INDEX + "a/walk,0,-1,w\na/turn,0,-1,t\nc/swim,0,-1,s\nc/fly,0,-1,f\n")
    texts = written(tmp_path / "texts.json", {"w": ["a person walks"], "s": ["a person swims"]})
    error = fails(capsys, raw, "--index", index, "--texts", texts)
    assert "does not have: c/swim, c/fly; --partial leaves them out" in error
    assert run("bvh", raw, "--index", index, "--texts", texts, "--partial") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 index rows without a file left out" in said
    assert "1 captioned clips without a motion left out" in said
    assert record.load(tmp_path / "set").config["captions"] == "as given (1 clips); none (1 clips)"


def test_captions_and_motions_belong_together(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {name.replace("/", "_"): ["a person moves"] for name in FRAMES}
    texts = written(tmp_path / "texts.json", own | {"ghost": ["a ghost"]})
    assert "captions for clips that have no motion: ghost" in fails(capsys, raw, "--texts", texts)
    del own["a_turn"]
    written(texts, own)
    assert "has no captions for a_turn" in fails(capsys, raw, "--texts", texts)
    written(texts, own | {"a_turn": ["a # b"]})
    assert "clip a_turn: caption 'a # b'" in fails(capsys, raw, "--texts", texts)
    written(texts, [1])
    assert "no captions by clip" in fails(capsys, raw, "--texts", texts)
    written(texts, "{")
    assert "no JSON" in fails(capsys, raw, "--texts", texts)
    assert "no file or folder" in fails(capsys, raw, "--texts", tmp_path / "none")
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in FRAMES:
        written(folder / f"{name.replace('/', '_')}.txt", "he turns#he/PRON turn/DOING#0.0#0.0\n")
    assert "token 'turn/DOING' is not word/POS" in fails(capsys, raw, "--texts", folder)
    assert "none of train.txt" in fails(capsys, raw, "--splits", folder)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a/walk,0,68,w", "has 67 frames at 20 fps, not the frames 0 to 68"),
        ("a/walk,-3,20,w", "not the frames -3 to 20"),
        ("a/walk,30,30,w", "not the frames 30 to 30"),
        ("a/walk,0,end,w", "must be numbers"),
        ("a/walk,0", "must be numbers"),
        ("a/walk,0,9,../w", "no file names: ../w"),
        ("a/walk,0,9,w\na/walk,9,19,w", "lists more than once: w"),
        ("c/swim,0,9,w", "does not have: c/swim"),
        ("a/walk,0,9,w,1e9", None),
    ],
)
def test_bad_index(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str, message: str | None
) -> None:
    head = INDEX if message else INDEX.strip() + ",fps\n"
    index = written(tmp_path / "index.csv", f"{head}{row}\n")
    assert (message or "1e+09 frames per second make no sense") in fails(capsys, raw, "--index", index)


def test_index_columns(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = written(tmp_path / "index.csv", "source_path,new_name\na/walk,w\n")
    assert "lacks the columns end_frame, start_frame" in fails(capsys, raw, "--index", index)
    assert "no file" in fails(capsys, raw, "--index", tmp_path / "none.csv")
    written(index, INDEX + "c/swim,0,9,w\n")
    assert "no row of" in fails(capsys, raw, "--index", index, "--partial")


def spoil(raw: Path, what: str) -> None:
    path = raw / "a" / "walk.bvh"
    text = path.read_text()
    head, _, rows = text.partition("Frame Time:")
    match what:
        case "joint":
            path.write_text(text.replace("l_wrist", "l_hook"))
        case "frames":
            path.write_text(head.replace("Frames: 67", "Frames: 0") + "Frame Time: 0.05\n")
        case "cut":
            path.write_text(text[: len(text) * 2 // 3])
        case "time":
            path.write_text(head + "Frame Time: 0.2\n" + rows.split("\n", 1)[1])
        case "binary":
            path.write_bytes(b"\xff\xfe\x00")
        case _:
            raise AssertionError(what)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("joint", "has no joint for l_wrist"),
        ("frames", "walk.bvh cannot be read: Frame count (0)"),
        ("cut", "walk.bvh cannot be read"),
        ("time", "5 frames per second make no sense"),
        ("binary", "walk.bvh cannot be read"),
    ],
)
def test_bad_files(raw: Path, capsys: pytest.CaptureFixture[str], what: str, message: str) -> None:
    spoil(raw, what)
    assert message in fails(capsys, raw)


def test_bad_options(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "0 frames per second make no sense" in fails(capsys, raw, "--fps", 0)
    assert "nan frames per second make no sense" in fails(capsys, raw, "--fps", "nan")
    names = written(tmp_path / "names.json", {"l_rist": "x"})
    assert "no joint 'l_rist'" in fails(capsys, raw, "--names", names)
    assert "holds no .amc files" in fails(capsys, raw, command="asf_amc")
    (raw.parent / "set").mkdir()
    assert run("bvh", raw) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_pybvh_is_asked_for(raw: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pybvh", None)
    assert 'pip install "casim[prepare]"' in fails(capsys, raw)


def write_cmu(folder: Path, frames: int = 241) -> Path:
    folder.mkdir()
    (folder / "01.asf").write_text(asf_text())
    (folder / "01_01.amc").write_text(amc_text(amc_values(frames)))
    (folder / "01_02.amc").write_text(amc_text(amc_values(frames, seed=1)))
    return folder


def test_acclaim_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = write_cmu(tmp_path / "raw")
    index = written(tmp_path / "index.csv", INDEX + "./pose_data/CMU/01/01_02_poses.npy,1,41,000007.npy\n")
    texts = written(tmp_path / "texts.json", {"000007": ["a person moves"]})
    assert run("asf_amc", raw, "--index", index, "--texts", texts) == 0
    joints = np.load(tmp_path / "set" / "new_joints" / "000007.npy")
    assert joints.shape == (39, 22, 3)
    assert 1.4 < joints[..., 1].max() < 2.2
    assert joints[0, 1, 0] > 0.03  # the left hip is on the left
    assert "2 files" not in capsys.readouterr().out


def test_acclaim_skeletons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = write_cmu(tmp_path / "raw")
    (raw / "01_01.asf").write_text(asf_text())
    assert "01_02.amc needs one .asf file" in fails(capsys, raw, command="asf_amc")
    (raw / "01_02.asf").write_text(asf_text())
    assert run("asf_amc", raw) == 0
    for path in raw.glob("*.asf"):
        path.unlink()
    (tmp_path / "set").rename(tmp_path / "done")
    assert "found 0" in fails(capsys, raw, command="asf_amc")
