"""`casim.sample --long`, in-process, with an untrained model of 2 s at toy size."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from casim import cli, record
from casim.backbones.mdm_decoder import MdmDecoder
from casim.data.choreography import Choreography
from casim.diffusion import DiffusionConfig
from casim.features import FeatureSpec
from casim.injection import Casim
from casim.sample import main
from casim.setups import SamplingConfig, Setup
from casim.text.hashed import Hashed
from casim.text_to_motion import TextToMotion

FRAMES = 41
SHORT = ["--handshake", "5", "--blend", "3"]
"""Segments of 26 frames or more."""
TWO = ["--text", "a person walks", "--text", "a person waves twice"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    setup = Setup(
        data=Choreography.Config(train=601),
        text=Hashed.Config(width=13, max_words=11),
        injection=Casim.Config(),
        backbone=MdmDecoder.Config(width=16, layers=1, heads=2, ff=19, diffusion=DiffusionConfig(steps=5)),
        sampling=SamplingConfig(sampler="ddim", steps=3),
    )
    spec = FeatureSpec()
    model = TextToMotion(setup, spec, np.zeros(spec.dims), np.full(spec.dims, 0.1), FRAMES)
    folder = tmp_path_factory.mktemp("work") / "runs" / "toy"
    model.save(folder, {"recipe": "toy"})
    return folder


def _call(*argv: str) -> int:
    return cli.run(main, argv, prog="python -m casim.sample")


def _motion(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "motion.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def test_prompts_follow_each_other(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    argv = ["--long", *TWO, "--seconds", "1.25", "--seconds", "1.35", *SHORT, "--bvh", "--gif", "--csv"]
    assert _call(f"{run}", *argv, "--out", f"{tmp_path / 'out'}") == 0
    arrays = _motion(tmp_path / "out")
    assert arrays["joints"].shape == (52, 22, 3)
    assert arrays["features"].shape == (52, 263)
    assert arrays["texts"].tolist() == ["a person walks", "a person waves twice"]
    assert arrays["boundaries"].tolist() == [0, 25, 52]
    assert arrays["seams"].tolist() == [[23, 28]]
    assert np.isfinite(arrays["joints"]).all()
    entry = record.load(tmp_path / "out")
    assert set(entry.artifacts) == {"motion.npz", "motion.bvh", "motion.csv", "motion.gif"}
    assert (entry.config["frames"], entry.config["join"]["handshake"]) == (52, 5)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*entry.artifacts, "record.json"}
    assert "1 motion of 2 segments, of 52 frames (2.6 s)" in " ".join(capfd.readouterr().out.split())
    with Image.open(tmp_path / "out" / "motion.gif") as image:
        assert image.n_frames == 52


def test_a_timeline_is_the_same_as_prompts_with_seconds(run: Path, tmp_path: Path) -> None:
    rows = [
        {"text": "a person walks", "start": 0, "end": 1.5},
        {"text": "a person waves twice", "start": 1.5, "end": 3},
    ]
    (tmp_path / "plan.json").write_text(json.dumps(rows))
    (tmp_path / "prompts.txt").write_text("a person walks\na person waves twice\n")
    ways = {
        "flags": ["--long", *TWO, "--seconds", "1.5"],
        "file": ["--long", "--text-file", f"{tmp_path / 'prompts.txt'}", "--seconds", "1.5"],
        "plan": ["--timeline", f"{tmp_path / 'plan.json'}"],
    }
    for name, argv in ways.items():
        assert _call(f"{run}", *argv, *SHORT, "--out", f"{tmp_path / name}") == 0
    motions = [_motion(tmp_path / name)["joints"] for name in ways]
    assert all(np.array_equal(motions[0], motion) for motion in motions[1:])
    assert str(tmp_path) not in json.dumps(record.load(tmp_path / "plan").config)


def test_methods_differ_and_make_the_same_length(run: Path, tmp_path: Path) -> None:
    found = {}
    for method in ("double_take", "first_take", "second_take", "linear_blend", "concatenate"):
        argv = ["--long", *TWO, "--seconds", "1.5", *SHORT, "--method", method, "--out", f"{tmp_path / method}"]
        assert _call(f"{run}", *argv) == 0
        found[method] = _motion(tmp_path / method)
    assert {motion["joints"].shape for motion in found.values()} == {(60, 22, 3)}
    assert {tuple(motion["boundaries"]) for motion in found.values()} == {(0, 30, 60)}
    features = [motion["features"] for motion in found.values()]
    assert all(not np.allclose(a, b) for i, a in enumerate(features) for b in features[:i])


def test_a_long_motion_replaces_single_ones(run: Path, tmp_path: Path) -> None:
    assert _call(f"{run}", *TWO, "--out", f"{tmp_path}") == 0
    assert _call(f"{run}", "--long", *TWO, "--seconds", "1.5", *SHORT, "--out", f"{tmp_path}") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"motion.npz", "record.json"}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--long"], "no prompt given"),
        (["--long", *TWO], "2 prompts and 0 lengths: give --seconds once for all or once per --text"),
        (["--long", *TWO, *["--seconds", "1"] * 3], "2 prompts and 3 lengths"),
        (["--long", *TWO, "--seconds=-1"], "--seconds must be more than 0, got -1"),
        (["--long", *TWO, "--seconds", "nan"], "--seconds must be more than 0, got nan"),
        (["--long", "--text", "walk", "--seconds", "1"], "two or more segments, got 1"),
        (["--long", *TWO, "--seconds", "1.5"], "segment 1 of 1.5 s has 40 frames .* needs 70: ask for 3 s or more"),
        (["--long", *TWO, "--seconds", "0.4"], "handshake of 20 frames is not shorter than segment 1 of 18 frames"),
        (["--long", *TWO, "--seconds", "3", *SHORT], "at most 41: ask for 1.9 s or less"),
        (["--long", *TWO, "--seconds", "1.5", "--handshake", "0"], "needs a handshake of 1 frame or more"),
        (["--long", *TWO, "--seconds", "1.5", "--skip", "1"], "skip is a share of the steps"),
        ([*TWO, "--seconds", "1", "--seconds", "1"], "give --seconds once, or add --long"),
        ([*TWO, "--handshake", "5"], "belong to a long motion: add --long"),
        (["--timeline", "none.json"], "no timeline at none.json"),
        (["--timeline", "overlap.json"], "overlap.json: segment 2 starts at 1 s and overlaps the one before"),
        (["--timeline", "negative.csv"], "negative.csv: seconds of segment 2 must be seconds, 0 or more, got '-2'"),
        (["--timeline", "overlap.json", "--text", "walk"], "leave out --text and --seconds"),
        (["--timeline", "overlap.json", "--text-file", "a.txt"], "leave out --text-file"),
        (["--timeline", "latin.csv"], "latin.csv: 'utf-8' codec can't decode"),
        (["--timeline", "empty.json"], "empty.json: a timeline without segments"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    argv: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"text": "walk", "start": 0, "end": 2}, {"text": "wave", "start": 1, "end": 3}]
    (tmp_path / "overlap.json").write_text(json.dumps(rows))
    (tmp_path / "negative.csv").write_text("text,seconds\nwalk,2\nwave,-2\n")
    (tmp_path / "latin.csv").write_bytes("text,seconds\né,2\n".encode("latin-1"))
    (tmp_path / "empty.json").write_text("[]")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert _call(f"{run}", *argv) == 2
    output = capfd.readouterr()
    assert output.out == ""
    lines = output.err.strip().splitlines()
    assert re.search(message, " ".join(lines)), lines
    assert len(lines) == 1, lines
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
