import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from casim import checkpoint, cli, record
from casim.backbones.mdm_decoder import MdmDecoder
from casim.data.choreography import Choreography
from casim.diffusion import DiffusionConfig
from casim.features import FeatureSpec
from casim.injection import Casim
from casim.sample import Options, main, sample
from casim.setups import SamplingConfig, Setup
from casim.text.hashed import Hashed
from casim.text_to_motion import TextToMotion
from casim.trainer import STATE

FRAMES = 23
"""The toy run's longest motion: 1.15 s."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with an untrained toy model whose text encoder holds 11 tokens."""
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


def _arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "samples.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def test_writes_arrays_formats_and_a_record(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prompts.txt").write_text("a person jumps\n\n  a person sits down  \n")
    argv = ["--text", "a person walks!", "--text-file", f"{tmp_path / 'prompts.txt'}", "--seconds", "0.85"]
    assert _call(f"{run}", *argv, "--out", f"{tmp_path / 'out'}", "--bvh", "--gif", "--csv") == 0
    arrays = _arrays(tmp_path / "out")
    assert arrays["joints"].shape == (3, 17, 22, 3)
    assert arrays["features"].shape == (3, 17, 263)
    assert arrays["prompts"].tolist() == ["a person walks!", "a person jumps", "a person sits down"]
    assert arrays["lengths"].tolist() == [17, 17, 17]
    assert arrays["fps"] == 20
    assert np.isfinite(arrays["joints"]).all()
    entry = record.load(tmp_path / "out")
    assert (entry.kind, entry.name, entry.status, entry.seed) == ("sample", "toy", "done", 0)
    assert entry.config["frames"] == 17
    assert entry.inputs["model"].sha256 == record.sha256(run / "model.safetensors")
    stems = ("00_a_person_walks", "01_a_person_jumps", "02_a_person_sits_down")
    expected = {"samples.npz", *(f"{stem}.{kind}" for stem in stems for kind in ("bvh", "csv", "gif"))}
    assert set(entry.artifacts) == expected
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected | {"record.json"}
    assert "3 motions of 17 frames" in capfd.readouterr().out
    assert str(tmp_path) not in json.dumps(entry.config)


def test_the_seed_decides(run: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        sample(run, Options(text=("a person walks",), out=tmp_path / name, seed=seed))
    a, b, c = (_arrays(tmp_path / name)["joints"] for name in "abc")
    assert np.array_equal(a, b)
    assert not np.allclose(a, c)
    assert a.shape[1] == FRAMES  # without --seconds: as long as the model can


def test_options_reach_the_sampler(run: Path, tmp_path: Path) -> None:
    variants = {"own": {}, "steps": {"steps": 5}, "sampler": {"sampler": "ddpm"}, "guidance": {"guidance": 1.0}}
    joints = {}
    for name, options in variants.items():
        sample(run, Options(text=("a person walks",), out=tmp_path / name, **options))
        joints[name] = _arrays(tmp_path / name)["joints"]
    assert all(not np.allclose(joints["own"], joints[name]) for name in variants if name != "own")


def test_new_samples_replace_old_ones_and_nothing_else(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    sample(run, Options(text=("a person walks", "a person jumps"), out=tmp_path, csv=True))
    sample(run, Options(text=("a person sits",), out=tmp_path, csv=True))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"mine.txt", "record.json", "samples.npz", "00_a_person_sits.csv"}


def test_a_prompt_without_words_is_a_prompt(run: Path, tmp_path: Path) -> None:
    sample(run, Options(text=("...",), out=tmp_path, csv=True))
    assert _arrays(tmp_path)["joints"].shape[0] == 1
    assert (tmp_path / "00_motion.csv").exists()


def test_words_that_training_never_had_are_named(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _call(f"{run}", "--text", "a person moonwalks", "--text", "a robot waves", "--out", f"{tmp_path}") == 0
    (line,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("warning:")]
    assert line.endswith(": moonwalks, robot")
    assert _call(f"{run}", "--text", "A person walks forward, then jumps.", "--out", f"{tmp_path}") == 0
    assert "warning" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no prompt given"),
        (["--text-file", "nowhere.txt"], "no file of prompts at nowhere.txt"),
        (["--text-file", "empty.txt"], "empty.txt holds none"),
        (["--text-file", "latin.txt"], "no UTF-8 text"),
        (["--text", "walk " * 11], "a prompt has 12 tokens, the text encoder holds 11"),
        (["--text", "walk", "--seconds", "2"], "2 s are 40 frames at 20 .* at most 23 frames: .*--seconds 1.15"),
        (["--text", "walk", "--seconds", "0"], "--seconds must be at least one frame, 0.05 s, got 0"),
        (["--text", "walk", "--seconds", "nan"], "--seconds must be at least one frame"),
        (["--text", ""], "a prompt is empty"),
        (["--text", "walk", "--text", "   "], "a prompt is empty"),
        (["--text", "walk", "--guidance", "nan"], "--guidance must be a finite number, got nan"),
        (["--text", "walk", "--guidance", "inf"], "--guidance must be a finite number, got inf"),
        (["--text", "walk", "--steps", "6"], "--steps must be 1 to 5"),
        (["--text", "walk", "--device", "abacus"], "no device 'abacus' here"),
        (["--text", "walk", "--out", "empty.txt"], "empty.txt is a file"),
        (["--text", "walk", "--out", "trained"], "record of another command .train."),
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
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    record.save(record.RunRecord(kind="train", name="x"), tmp_path / "trained")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert _call(f"{run}", *argv) == 2
    output = capfd.readouterr()
    assert output.out == ""
    (line,) = output.err.strip().splitlines()
    assert re.search(message, line), line
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_run_is_found_by_name_or_a_near_name_is_offered(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parent.parent)
    assert _call("toy", "--text", "walk", "--out", "by_name") == 0
    assert _call("tpy", "--text", "walk", "--out", "by_name") == 2
    assert "unknown run 'tpy'. Did you mean toy?" in capfd.readouterr().err
    (run.parent.parent / "bare").mkdir()
    assert _call("bare", "--text", "walk") == 2
    assert "bare is no run: it has no config.json" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("status", "told"),
    [("done", ""), ("interrupted", "run stopped at step 3 of 8:"), ("running", "run has come to step 3 of 8:")],
)
def test_a_run_that_was_not_trained_to_its_end_is_named(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], status: Any, told: str
) -> None:
    trained = shutil.copytree(run, tmp_path / "run")
    entry = record.RunRecord(kind="train", name="run", status=status, config={"training": {"steps": 8}})
    record.save(entry, trained)
    checkpoint.save_tensors(trained / STATE, {"step": torch.tensor(3)})
    assert _call(f"{trained}", "--text", "a person walks", "--out", f"{tmp_path / 'out'}") == 0
    output = capfd.readouterr()
    assert f"1 motion of {FRAMES} frames" in output.out
    assert output.err == (f"warning: {told} its numbers are not those of its recipe\n" if told else "")


def test_the_command_starts(run: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "casim.sample", f"{run}", "--text", "a person walks", "--out", "out"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert record.load(tmp_path / "out").argv[:3] == ["python", "-m", "casim.sample"]
