"""`python -m casim.prepare doctor`: a folder with everything wrong, healthy ones, and statistics one by one."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from bodies import moving, write_joint_folder

from casim import cli, record
from casim.features import FeatureSpec, from_joints, to_joints
from casim.prepare.__main__ import COMMANDS
from casim.prepare.checks import KINDS, OFFICIAL_HEIGHT, OFFICIAL_STD


def make(folder: Path, *options: str, joints: int = 22) -> Path:
    raw = write_joint_folder(folder / "raw", joints=joints)
    argv = ["joints", str(raw), "--out", str(folder / "set"), "--skeleton", "000001", *options]
    assert cli.run(COMMANDS, argv) == 0
    return folder / "set"


def doctor(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, str]]:
    """The exit code, and the lines of the findings by kind; lines of one kind are joined."""
    capsys.readouterr()
    code = cli.run(COMMANDS, ["doctor", str(folder), *options])
    found: dict[str, str] = {}
    for line in capsys.readouterr().out.splitlines():
        if parts := re.fullmatch(r"(error|warning|note) +(\w+): (.*)", line):
            severity, kind, what = parts.groups()
            assert severity == KINDS[kind].severity
            assert what.endswith(KINDS[kind].remedy)
            found[kind] = found.get(kind, "") + what
    return code, found


def add(folder: Path, name: str, frames: int, converter: str = "fixed", seed: int = 9) -> None:
    """A motion with features of a converter and the joints that come back from them."""
    spec = FeatureSpec(converter=converter)  # type: ignore[arg-type]
    features = from_joints(moving(frames + 1, seed=seed)[None], spec)
    np.save(folder / "new_joint_vecs" / f"{name}.npy", features[0].numpy())
    np.save(folder / "new_joints" / f"{name}.npy", to_joints(features, spec)[0].numpy())


def everything_wrong(folder: Path) -> None:
    (folder / "record.json").unlink()  # so it claims to be HumanML3D's own
    (folder / "uncaptioned.txt").unlink()
    (folder / "val.txt").write_text("")
    (folder / "notes.txt").write_text("no list of ids")
    with (folder / "train.txt").open("a") as file:
        file.write("000001\nghost\n007975\n000003\n")
    with (folder / "test.txt").open("a") as file:
        file.write("M000002\n")
    vectors, texts = folder / "new_joint_vecs", folder / "texts"
    add(folder, "012314", 140)
    add(folder, "000020", 17)
    add(folder, "000021", 230)
    add(folder, "M000022", 60)
    (vectors / "000030.npy").write_bytes(b"nothing")
    np.save(vectors / "000031.npy", np.zeros((50, 251), np.float32))
    np.save(vectors / "000032.npy", np.full((50, 263), np.nan, np.float32))
    for name in ("012314", "000020", "000021", "M000022", "000030", "000031", "000032", "000040"):
        (texts / f"{name}.txt").write_text("a person#a/DET person/NOUN#0.0#0.0\n")
    (texts / "000001.txt").write_text("fine#fine/ADJ#0.0#0.0\na person # walks#a/DET#0.0#0.0\n")
    (texts / "000002.txt").write_text("a man#a/ARTICLE man/NOUN#0.0#0.0\n")
    add(folder, "000050", 60)
    (folder / "Mean.npy").unlink()
    usable = [path for path in vectors.iterdir() if path.stem[-2:] not in ("30", "31", "32")]
    rows = np.concatenate([np.load(path) for path in usable]).astype(np.float64)
    std = rows.std(0)
    for group, columns in FeatureSpec().groups.items():
        factor = 1 / 25 if group in ("turn", "velocity", "height", "contacts") else 3 if group == "positions" else 1
        std[columns] = std[columns].mean() * factor
    np.save(folder / "Std.npy", std)


WRONG = {
    "empty_split": "missing or empty: val.txt",
    "duplicate_id": "train.txt lists more than once: 000001",
    "split_overlap": "train and test share recordings: 000002",
    "missing_motion": "1 listed without a motion: ghost",
    "missing_text": "2 listed without captions: 000003, M000003",
    "motion_without_text": "1 motions without captions: 000050",
    "text_without_motion": "1 captions without a motion: 000040",
    "known_bad": "known to be unusable: 007975",
    "broken_motion": "1: 000030 (",
    "wrong_width": "1: 000031 (50, 251)",
    "not_finite": "1: 000032",
    "too_short": "1 motions of fewer than 40 frames: 000020",
    "too_long": "1 motions of 200 frames and more: 000021",
    "broken_caption": "1: 000001.txt:2: 5 parts",
    "odd_token": "1: 000002.txt: token 'a/ARTICLE' is not word/POS",
    "unpaired_mirror": "1 mirror images without original: M000022",
    "bad_statistics": "not positive: Mean",
    "evaluator_statistics": "root and contacts of Std.npy are divided by 25",
    "statistics_drift": "times that of the motions in positions",
    "other_statistics": "times HumanML3D's in",
    "converter_mismatch": "what the legacy converter makes of new_joints",
    "official_sample": "012314 is up to",
    "official_counts": "test 3 (not 4384)",
}


def test_every_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make(tmp_path, "--converter", "fixed")
    everything_wrong(folder)
    code, found = doctor(folder, capsys, "--out", str(tmp_path / "record"))
    assert code == 1
    assert set(WRONG) == set(KINDS)
    for kind, what in WRONG.items():
        assert what in found.get(kind, "nothing"), kind
    assert set(found) == set(WRONG)
    assert "motions without mirror image: 000020, 000021" in found["unpaired_mirror"]
    written = record.load(tmp_path / "record")
    assert written.status == "done"
    assert set(written.results) == {*WRONG, "motions"}
    assert len(written.config["findings"]) == sum(
        int(m.value) for k, m in written.results.items() if k != "motions"
    )
    assert str(tmp_path) not in (tmp_path / "record" / "record.json").read_text()


@pytest.mark.parametrize(
    ("joints", "options"), [(22, ()), (22, ("--converter", "fixed")), (22, ("--no-mirror",)), (21, ())]
)
def test_prepared_folders_are_healthy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], joints: int, options: tuple[str, ...]
) -> None:
    folder = make(tmp_path, *options, joints=joints)
    assert doctor(folder, capsys) == (
        0,
        {"empty_split": f"missing or empty: val.txt; {KINDS['empty_split'].remedy}"},
    )


def test_healthy_folders_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make(tmp_path)
    assert cli.run(COMMANDS, ["doctor", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"{folder}: healthy: 8 motions, 564 frames, 6 caption files; 0 errors, 1 warnings, 0 notes"


def official(std: np.ndarray, mean: np.ndarray) -> None:
    """HumanML3D's own figures."""
    for group, columns in FeatureSpec().groups.items():
        std[columns] = OFFICIAL_STD[group]
    mean[3] = OFFICIAL_HEIGHT


def biased_once(std: np.ndarray, mean: np.ndarray) -> None:
    for group in ("turn", "velocity", "height", "contacts"):
        std[FeatureSpec().groups[group]] /= 5


def shifted(std: np.ndarray, mean: np.ndarray) -> None:
    mean[100] += 0.5 * std[100]


def narrow(std: np.ndarray, mean: np.ndarray) -> None:
    std[FeatureSpec().groups["velocities"]] *= 0.9


def negative(std: np.ndarray, mean: np.ndarray) -> None:
    std[7] = -1


@pytest.mark.parametrize(
    ("change", "is_prepared", "kinds"),
    [
        (official, False, {"statistics_drift"}),
        (official, True, {"statistics_drift"}),
        (biased_once, True, {"evaluator_statistics"}),
        (shifted, True, {"statistics_drift"}),
        (narrow, True, {"statistics_drift"}),
        (negative, True, {"bad_statistics"}),
    ],
)
def test_statistics(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[np.ndarray, np.ndarray], None],
    is_prepared: bool,
    kinds: set[str],
) -> None:
    folder = make(tmp_path)
    if not is_prepared:
        (folder / "record.json").unlink()
    std, mean = (np.load(folder / f"{name}.npy") for name in ("Std", "Mean"))
    change(std, mean)
    np.save(folder / "Std.npy", std)
    np.save(folder / "Mean.npy", mean)
    code, found = doctor(folder, capsys)
    assert (code, set(found) - {"empty_split", "official_counts"}) == (1, kinds)


@pytest.mark.parametrize(
    ("made", "claimed", "is_bad"),
    [("fixed", "legacy", True), ("legacy", "fixed", True), ("legacy", "legacy", False)],
)
def test_converters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], made: str, claimed: str, is_bad: bool
) -> None:
    """A record that names another converter than the features were made with."""
    folder = make(tmp_path, "--converter", made)
    path = folder / "record.json"
    path.write_text(path.read_text().replace(f'"converter": "{made}"', f'"converter": "{claimed}"'))
    code, found = doctor(folder, capsys)
    assert (code, "converter_mismatch" in found) == (int(is_bad), is_bad)


def test_joints_of_other_motions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make(tmp_path)
    joints = sorted((folder / "new_joints").glob("*.npy"))
    for path, other in zip(joints, [*joints[1:], joints[0]], strict=True):
        other.rename(folder / "new_joints" / f"{path.stem}.moved")
    for path in (folder / "new_joints").glob("*.moved"):
        path.rename(path.with_suffix(".npy"))
    assert "converter_mismatch" in doctor(folder, capsys)[1]
    shutil.rmtree(folder / "new_joints")
    assert "converter_mismatch" not in doctor(folder, capsys)[1]


def test_official_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """HumanML3D's own sample is as its converter makes it; made by the other one it is found out."""
    if "CASIM_DATA" not in os.environ:
        pytest.skip("set CASIM_DATA to the folder with humanml3d/ to check the official clip")
    source = Path(os.environ["CASIM_DATA"]) / "humanml3d"
    folder = make(tmp_path)
    for kind, name in (("new_joint_vecs", "vecs"), ("new_joints", "joints")):
        shutil.copyfile(source / f"012314_{name}.npy", folder / kind / "012314.npy")
    assert "official_sample" not in doctor(folder, capsys)[1]
    joints = torch.from_numpy(np.load(source / "012314_joints.npy"))[None]
    np.save(
        folder / "new_joint_vecs" / "012314.npy", from_joints(joints, FeatureSpec(converter="fixed"))[0].numpy()
    )
    assert "official_sample" in doctor(folder, capsys)[1]


def test_folders_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(COMMANDS, ["doctor", str(tmp_path)]) == 2
    assert "no folder of motions" in capsys.readouterr().err
    assert cli.run(COMMANDS, ["doctor", str(tmp_path / "none")]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert told == f"error: no data folder {tmp_path / 'none'}; `python -m casim.prepare joints` makes one"
    folder = make(tmp_path)
    (folder / "record.json").write_text("{")
    assert cli.run(COMMANDS, ["doctor", str(folder), "--out", str(tmp_path / "record")]) == 2
    assert "is not a record" in capsys.readouterr().err
    assert not (tmp_path / "record").exists()
