"""`python -m casim.prepare joints`: what it writes, and that it writes nothing on bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bodies import CAPTIONS, moving, write_joint_folder

from casim import cli, record
from casim.features import FeatureSpec, from_joints, to_joints
from casim.kinematics import bone_offsets, uniform_skeleton
from casim.mirror import mirror_joints
from casim.prepare import folder as prepared_folder
from casim.prepare.__main__ import COMMANDS
from casim.skeleton import HUMANML3D


def run(folder: Path, out: Path, *options: str) -> int:
    return cli.run(COMMANDS, ["joints", str(folder), "--out", str(out), *options])


def merge(out: Path, *folders: Path) -> int:
    return cli.run(COMMANDS, ["joints", *map(str, folders), "--out", str(out)])


def test_writes_the_layout(tmp_path: Path) -> None:
    out = tmp_path / "made" / "set"
    assert run(write_joint_folder(tmp_path / "raw"), out) == 0
    names = sorted([*CAPTIONS, *(f"M{name}" for name in CAPTIONS)])
    for folder in ("new_joints", "new_joint_vecs"):
        assert sorted(path.stem for path in (out / folder).iterdir()) == names
    assert len(list((out / "texts").iterdir())) == 6
    lists = {path.stem: path.read_text().split() for path in out.glob("*.txt")}
    assert lists["train"] == lists["train_val"] == ["000001", "000002", "M000001", "M000002"]
    assert lists["test"] == ["000004", "M000004"]
    assert lists["uncaptioned"] == ["000003", "M000003"]
    assert sorted(lists["all"]) == names
    assert [path.name for path in out.parent.iterdir()] == ["set"]  # no temporary folder is left


def test_features_are_those_of_the_clips_on_one_body(tmp_path: Path) -> None:
    out, spec = tmp_path / "set", FeatureSpec()
    assert run(write_joint_folder(tmp_path / "raw"), out) == 0
    offsets = torch.from_numpy(HUMANML3D.rest_offsets).float()
    motion = moving(68, seed=1)
    for name, points in (("000002", motion), ("M000002", mirror_joints(motion))):
        expected = from_joints(uniform_skeleton(points[None], offsets, HUMANML3D), spec)
        vectors = torch.from_numpy(np.load(out / "new_joint_vecs" / f"{name}.npy"))
        torch.testing.assert_close(vectors, expected[0], atol=1e-6, rtol=0)
        joints = torch.from_numpy(np.load(out / "new_joints" / f"{name}.npy"))
        torch.testing.assert_close(joints, to_joints(expected, spec)[0], atol=1e-6, rtol=0)
        torch.testing.assert_close(bone_offsets(joints, HUMANML3D)[5], offsets, atol=1e-4, rtol=0)


def test_statistics_are_per_group_over_everything(tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert run(write_joint_folder(tmp_path / "raw"), out) == 0
    rows = np.concatenate([np.load(path) for path in (out / "new_joint_vecs").iterdir()]).astype(np.float64)
    mean, std = np.load(out / "Mean.npy"), np.load(out / "Std.npy")
    np.testing.assert_allclose(mean, rows.mean(0), atol=1e-5)
    for group, columns in FeatureSpec().groups.items():
        expected = rows.std(0)[columns].mean()
        np.testing.assert_allclose(std[columns], expected if expected > 1e-8 else 1, rtol=1e-4, err_msg=group)
    assert abs(mean[0]) < 1e-4  # mirrors balance left and right


def test_record(tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert run(write_joint_folder(tmp_path / "raw"), out, "--converter", "fixed", "--no-mirror") == 0
    found = record.load(out)
    assert (found.kind, found.status) == ("prepare", "done")
    assert found.config["converter"] == "fixed"
    assert found.config["tagger"].startswith("casim rules")
    assert found.results["clips"].value == 4
    assert found.results["mirrors"].value == 0
    assert found.results["frames"].value == sum(len(np.load(path)) for path in (out / "new_joint_vecs").iterdir())
    assert str(tmp_path) not in (out / "record.json").read_text()
    assert found.artifacts["Std.npy"].sha256 == record.sha256(out / "Std.npy")


def test_given_tokens_are_kept_and_named(tmp_path: Path) -> None:
    raw = write_joint_folder(tmp_path / "raw")
    index = json.loads((raw / "index.json").read_text())
    for clip in index["clips"]:
        clip["tokens"] = ["x/NOUN left/ADJ"] * len(clip["captions"])
    (raw / "index.json").write_text(json.dumps(index))
    assert run(raw, tmp_path / "set") == 0
    assert record.load(tmp_path / "set").config["tagger"] == "as given"
    line = (tmp_path / "set" / "texts" / "M000002.txt").read_text()
    assert line == "a man raises his left hand and stops#x/NOUN right/ADJ#0.0#0.0\n"


def test_skeletons(tmp_path: Path) -> None:
    raw = write_joint_folder(tmp_path / "raw")
    for skeleton, seed in (("own", 0), ("000004", 3)):
        assert run(raw, tmp_path / skeleton, "--skeleton", skeleton) == 0
        joints = torch.from_numpy(np.load(tmp_path / skeleton / "new_joints" / "000001.npy"))
        wanted = bone_offsets(moving(5, seed=seed)[0], HUMANML3D)
        torch.testing.assert_close(bone_offsets(joints, HUMANML3D)[7], wanted, atol=1e-4, rtol=0)


def test_kit_skeleton(tmp_path: Path) -> None:
    raw = write_joint_folder(tmp_path / "raw", joints=21)
    assert run(raw, tmp_path / "set", "--skeleton", "000001") == 0
    assert np.load(tmp_path / "set" / "Mean.npy").shape == (251,)
    assert record.load(tmp_path / "set").config["fps"] == 12.5


def test_clips_without_a_split_are_shared_out(tmp_path: Path) -> None:
    raw = write_joint_folder(tmp_path / "raw")
    index = json.loads((raw / "index.json").read_text())
    for clip in index["clips"]:
        del clip["split"]
    (raw / "index.json").write_text(json.dumps(index))
    assert run(raw, tmp_path / "a") == run(raw, tmp_path / "b") == 0
    lists = [{p.name: p.read_text() for p in (tmp_path / name).glob("*.txt")} for name in "ab"]
    assert lists[0] == lists[1]


def test_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, out = write_joint_folder(tmp_path / "raw"), tmp_path / "set"
    out.mkdir()
    (out / "precious").touch()
    for options, words in (((), "--overwrite"), (("--overwrite",), "no record.json")):
        assert run(raw, out, *options) == 2
        assert words in capsys.readouterr().err
        assert (out / "precious").exists()
    record.save(record.RunRecord(kind="train", name="x"), out)
    assert run(raw, out, "--overwrite") == 2
    record.save(record.RunRecord(kind="prepare", name="set"), out)
    assert run(raw, out, "--overwrite") == 0
    assert not (out / "precious").exists()
    assert (out / "Mean.npy").exists()


def spoil(raw: Path, what: str) -> None:
    index = json.loads((raw / "index.json").read_text())
    arrays = dict(np.load(raw / "joints.npz"))
    match what:
        case "no index":
            (raw / "index.json").unlink()
            return
        case "broken index":
            (raw / "index.json").write_text("{")
            return
        case "no arrays":
            (raw / "joints.npz").unlink()
            return
        case "broken arrays":
            (raw / "joints.npz").write_bytes((raw / "joints.npz").read_bytes()[:1000])
            return
        case "nan":
            arrays["000002"][13, 4] = np.nan
        case "width":
            arrays["000002"] = arrays["000002"][:, :20]
        case "mixed":
            arrays["000002"] = arrays["000002"][:, :21]
        case "short":
            arrays["000002"] = arrays["000002"][:1]
        case "no frames":
            arrays["000002"] = arrays["000002"][:0]
        case "lone caption":
            index["clips"][0]["captions"] = "walks"
        case "number":
            index["clips"][0]["captions"] = [3]
        case "lone tokens":
            index["clips"][0]["tokens"] = "walk/VERB"
        case "unlisted":
            arrays["extra"] = arrays["000002"]
        case "missing":
            del arrays["000002"]
        case "twice":
            index["clips"].append(index["clips"][0])
        case "path":
            index["clips"][0]["id"] = "../x"
            arrays["../x"] = arrays.pop("000001")
        case "caption":
            index["clips"][0]["captions"][1] = "a # b"
        case "tokens":
            index["clips"][0]["tokens"] = ["a/DET"]
        case "pos":
            index["clips"][0]["tokens"] = ["a/DET person/NOUN", "walk/RUN"]
        case "no pos":
            index["clips"][0]["tokens"] = ["a/DET person", "a/DET"]
        case "split":
            index["clips"][0]["split"] = "dev"
        case "fps":
            index["fps"] = 30
        case "order":
            index["joints"] = list(reversed(HUMANML3D.names))
        case "none":
            index["clips"], arrays = [], {"x": arrays["000001"]}
        case _:
            raise AssertionError(what)
    (raw / "index.json").write_text(json.dumps(index))
    np.savez(raw / "joints.npz", **arrays)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no index", "has no index.json"),
        ("broken index", "is no index"),
        ("no arrays", "holds no joint arrays"),
        ("broken arrays", "is broken"),
        ("nan", "clip 000002, frame 13"),
        ("width", "clip 000002 is float32 (68, 20, 3)"),
        ("mixed", "21 and 22 joints"),
        ("short", "clip 000002 has 1 frames"),
        ("no frames", "clip 000002 has 0 frames"),
        ("lone caption", "clip 000001: captions in index.json must be a list of strings, got 'walks'"),
        ("number", "clip 000001: captions in index.json must be a list of strings, got [3]"),
        ("lone tokens", "clip 000001: tokens in index.json must be a list"),
        ("unlisted", "does not list the arrays: extra"),
        ("missing", "without an array: 000002"),
        ("twice", "lists more than once: 000001"),
        ("path", "no file names: ../x"),
        ("caption", "clip 000001: caption 'a # b'"),
        ("tokens", "2 captions but 1 token lists"),
        ("pos", "clip 000001: token 'walk/RUN' is not word/POS; the POS allowed: ADJ ADP"),
        ("no pos", "clip 000001: token 'person' is not word/POS"),
        ("split", "split 'dev'; allowed: train, val, test"),
        ("fps", "fps is 30, wanted 20"),
        ("order", "joints is ['r_wrist'"),
    ],
)
def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, message: str) -> None:
    raw = write_joint_folder(tmp_path / "raw")
    spoil(raw, what)
    assert run(raw, tmp_path / "set") == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]  # nothing half-written


@pytest.mark.parametrize(
    ("options", "message"), [(["--skeleton", "nobody"], "id of a clip"), (["--converter", "new"], "new")]
)
def test_bad_options(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    assert run(write_joint_folder(tmp_path / "raw"), tmp_path / "set", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none", tmp_path / "set") == 2
    assert "no folder" in capsys.readouterr().err


def test_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(COMMANDS, ["joints", "--out", str(tmp_path / "set")]) == 2
    assert "no FOLDER to read" in capsys.readouterr().err


def renamed(raw: Path, prefix: str) -> Path:
    """The same folder with other ids."""
    index = json.loads((raw / "index.json").read_text())
    arrays = {f"{prefix}{name}": array for name, array in np.load(raw / "joints.npz").items()}
    for clip in index["clips"]:
        clip["id"] = prefix + clip["id"]
    (raw / "index.json").write_text(json.dumps(index))
    np.savez(raw / "joints.npz", **arrays)
    return raw


def test_several_folders_become_one(tmp_path: Path) -> None:
    first, second = write_joint_folder(tmp_path / "a"), renamed(write_joint_folder(tmp_path / "b"), "b")
    assert merge(tmp_path / "set", first, second) == 0
    names = {*CAPTIONS, *(f"b{name}" for name in CAPTIONS)}
    assert {path.stem for path in (tmp_path / "set" / "new_joints").iterdir()} == names | {f"M{n}" for n in names}
    assert (tmp_path / "set" / "test.txt").read_text().split() == ["000004", "b000004", "M000004", "Mb000004"]
    found = record.load(tmp_path / "set")
    assert {name: source.sha256 for name, source in found.inputs.items()} == {
        "source_1": record.sha256(first),
        "source_2": record.sha256(second),
    }


@pytest.mark.parametrize(("prefix", "clash"), [("", "000001 of"), ("M", "M000001 of")])
def test_ids_of_several_folders_must_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], prefix: str, clash: str
) -> None:
    """A mirror image of one folder counts too."""
    first, second = write_joint_folder(tmp_path / "a"), renamed(write_joint_folder(tmp_path / "b"), prefix)
    for folders in ((first, second), (second, first)):
        assert merge(tmp_path / "set", *folders) == 2
        error = " ".join(capsys.readouterr().err.split())
        assert "clashes with" in error
        assert clash in error
    assert merge(tmp_path / "set", first, first) == 2
    assert not (tmp_path / "set").exists()


def test_folders_of_different_skeletons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = write_joint_folder(tmp_path / "a"), renamed(write_joint_folder(tmp_path / "b", joints=21), "b")
    assert merge(tmp_path / "set", first, second) == 2
    assert "b has 21 and" in capsys.readouterr().err


def test_the_tagger_is_chosen_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    assert run(write_joint_folder(tmp_path / "raw"), tmp_path / "set", "--tagger", "spacy") == 2
    assert 'pip install "casim[spacy]"' in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_a_crash_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepared_folder.Statistics, "write", fail)
    assert run(write_joint_folder(tmp_path / "raw"), tmp_path / "set") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_real_clips(tmp_path: Path) -> None:
    if "CASIM_DATA" not in os.environ:
        pytest.skip("set CASIM_DATA to the folder with mocap/ to convert real clips")
    assert run(Path(os.environ["CASIM_DATA"]) / "mocap", tmp_path / "set") == 0
    found = record.load(tmp_path / "set").results
    counts = {name: found[name].value for name in ("clips", "mirrors", "in all", "in uncaptioned", "in train")}
    assert counts == {"clips": 303, "mirrors": 303, "in all": 606, "in uncaptioned": 172, "in train": 346}
    released = Path(os.environ["CASIM_DATA"]) / "humanml3d" / "Std.npy"
    ratio = np.load(tmp_path / "set" / "Std.npy") / np.load(released)
    assert 0.5 < ratio.min() < ratio.max() < 2.5


def test_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "casim.prepare", "joints", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "20 fps" in done.stdout
    assert "default: legacy" in " ".join(done.stdout.split())
