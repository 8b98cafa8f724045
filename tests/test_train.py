"""Training: killed and resumed gives the same bits, two processes give the same model, mistakes give one line."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from casim import checkpoint, record
from casim.recipes import named
from casim.text.clip import Clip
from casim.text.t5 import T5
from casim.text_to_motion import TextToMotion
from casim.train import command
from casim.trainer import STATE, Trainer

TINY = (
    *("--data.train", "48", "--data.validation", "7", "--data.test", "7", "--data.held-out", "7"),
    *("--data.max-frames", "44", "--backbone.width", "16", "--backbone.layers", "1", "--backbone.ff", "23"),
    *("--training.batch-size", "4", "--training.warmup", "2", "--device", "cpu"),
)


def arguments(out: Path, steps: int = 7, every: int = 2) -> list[str]:
    size = ["--training.steps", str(steps), "--training.checkpoint-every", str(every)]
    return ["choreography_casim", *TINY, *size, "--out", str(out), "--threads", "1"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert command(arguments(out)) == 0
    return out


def same_weights(a: Path, b: Path) -> bool:
    return all(
        torch.equal(value, checkpoint.load_tensors(b / name)[key])
        for name in (STATE, checkpoint.WEIGHTS)
        for key, value in checkpoint.load_tensors(a / name).items()
        if key != "seconds"
    )


KILLED = """
import os, signal, sys
from casim.train import command
from casim.trainer import Trainer

whole_step, last = Trainer.train_step, int(sys.argv[1])

def step_or_die(trainer):
    if trainer.step == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole_step(trainer)

Trainer.train_step = step_or_die
command(sys.argv[2:])
"""


def spawn(*argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *argv],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_same_seed_same_bits(whole: Path, tmp_path: Path) -> None:
    assert command(arguments(tmp_path / "again")) == 0
    assert same_weights(whole, tmp_path / "again")


def test_the_record_says_what_was_done(whole: Path) -> None:
    entry = record.load(whole)
    assert entry.status == "done"
    assert entry.results["loss"].value > 0
    assert set(entry.artifacts) == {checkpoint.WEIGHTS, "log.csv"}
    assert entry.config["data"]["plugin"] == "choreography"


@pytest.mark.slow
@pytest.mark.parametrize("kill_after", [1, 2, 3, 5])
def test_killed_at_any_step_and_resumed_gives_the_same_bits(whole: Path, tmp_path: Path, kill_after: int) -> None:
    out = tmp_path / "run"
    process = spawn("-c", KILLED, str(kill_after), *arguments(out))
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert record.load(out).status == "running"
    assert command([*arguments(out), "--resume"]) == 0
    assert same_weights(whole, out)


@pytest.mark.slow
def test_sigterm_saves_and_exits_cleanly(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = spawn("-m", "casim.train", *arguments(out, steps=100_000, every=100_000))
    deadline = time.monotonic() + 120
    while not (out / STATE).exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in text
    assert record.load(out).status == "interrupted"
    assert command([*arguments(out, steps=100_000, every=100_000)[:-2], "--resume", "--training.steps", "5"]) == 2


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    off = ["--backbone.dropout", "0", "--injection.context.dropout", "0"]
    assert command([*arguments(tmp_path / "one", steps=4), *off]) == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [*torchrun, "-m", "casim.train", *arguments(tmp_path / "two", steps=4), *off],
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        check=True,
        capture_output=True,
        timeout=180,
    )
    one, two = (checkpoint.load_tensors(tmp_path / name / checkpoint.WEIGHTS) for name in ("one", "two"))
    for name, value in one.items():
        # a key's bias has no gradient but rounding, which Adam scales up to steps of its own; the rest is rounding
        gap = (two[name] - value).abs()
        assert gap.max() < (1e-3 if name.endswith("in_proj.bias") else 1e-5), name


@pytest.mark.parametrize("is_overwritten", [False, True])
def test_stopped_before_the_first_step_says_that_nothing_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], is_overwritten: bool
) -> None:
    def build(*args: Any, **kwargs: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setattr("casim.train.Trainer", build)
    more = ["--overwrite"] if is_overwritten else []
    assert command([*arguments(tmp_path / "run"), *more]) == 130
    assert capfd.readouterr().err == "error: interrupted; nothing was saved\n"
    assert not (tmp_path / "run").exists()


def test_progress_has_a_dash_until_there_is_a_loss(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command([*arguments(shutil.copytree(whole, tmp_path / "done")), "--resume"]) == 0
    assert re.search(r"7/7 loss \d\.\d+ ", capfd.readouterr().err)
    monkeypatch.setattr(Trainer, "_loop", lambda trainer, tick: setattr(trainer, "is_stopping", True))
    assert command(arguments(tmp_path / "run")) == 130
    assert "0/7 loss -  - steps/s" in capfd.readouterr().err


def test_help_says_how_many_threads_are_fast(capfd: pytest.CaptureFixture[str]) -> None:
    assert command(["choreography_casim", "--help"]) == 0
    assert "one thread is many times faster" in re.sub(r"[\s│]+", " ", capfd.readouterr().out)


def test_a_second_ctrl_c_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def step(trainer: Trainer) -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    monkeypatch.setattr(Trainer, "train_step", step)
    assert command(arguments(tmp_path / "run")) == 130
    assert "interrupted; the last checkpoint is kept, continue with" in " ".join(capfd.readouterr().err.split())
    assert record.load(tmp_path / "run").status == "interrupted"


def test_resume_with_another_config_names_the_field(whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = record.sha256(whole)
    assert command([*arguments(whole), "--resume", "--training.learning-rate", "0.5"]) == 2
    text = capfd.readouterr().err
    assert "training.learning_rate" in text
    assert text.count("\n") == 1
    assert record.sha256(whole) == before


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["choreography_casin"], "choreography_casim"),
        (["choreography_casim", "--training.batch-size", "4000", *TINY[:10]], "do not fill one batch"),
        (["choreography_casim", "--backbone", "mdm_encodr"], "Did you mean mdm_encoder"),
        (["choreography_casim", "--injection=casin"], "Did you mean casim"),
        (["choreography_casim", "--text"], "unknown text ''"),
        (["choreography_casim", "--resume"], "nothing to resume"),
    ],
)
def test_bad_input_is_one_line(
    argv: list[str], words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(argv) == 2
    text = capfd.readouterr().err
    assert words in text
    assert text.count("\n") == 1
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("steps", "0", "at least 1"),
        ("batch-size", "0", "at least 1"),
        ("checkpoint-every", "0", "at least 1"),
        ("ema", "1", "less than 1"),
        ("ema", "nan", "less than 1"),
        ("learning-rate", "inf", "finite"),
        ("text-dropout", "1.5", "between 0 and 1"),
        ("seed", "-1", "at least 0"),
        ("precision", "half", "no, bf16, fp16"),
    ],
)
def test_settings_out_of_range(
    flag: str, value: str, words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command([*arguments(tmp_path / "run"), f"--training.{flag}", value]) == 2
    text = " ".join(capfd.readouterr().err.replace("│", "").split())  # in the parser's box, with the help's address
    assert f"training.{flag.replace('-', '_')} must be" in text
    assert words in text
    assert "Traceback" not in text
    assert not (tmp_path / "run").exists()


def test_another_plugin_in_a_recipe(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    argv = [*arguments(tmp_path / "run", steps=3), "--backbone", "mdm_encoder", "--backbone.first-frame", "31"]
    assert command([*argv, "--injection=fixed", "--injection.pool", "mean"]) == 0
    config = checkpoint.load_config(tmp_path / "run")
    own, changed = named("choreography_casim").setup.to_json(), config["backbone"]
    assert (changed["plugin"], changed["first_frame"], changed["width"]) == ("mdm_encoder", 31, 16)
    kept = ("patch", "heads", "dropout", "is_pre_norm", "max_frames", "diffusion")
    assert {name: changed[name] for name in kept} == {name: own["backbone"][name] for name in kept}
    assert (config["injection"]["plugin"], config["injection"]["pool"]) == ("fixed", "mean")
    assert config["injection"]["context"] == own["injection"]["context"]
    assert record.load(tmp_path / "run").config["backbone"]["plugin"] == "mdm_encoder"
    assert TextToMotion.load(tmp_path / "run").sample(["a person jumps"], [20]).isfinite().all()
    assert command([*argv, "--injection=fixed", "--injection.pool", "mean", "--resume"]) == 0
    assert command([*arguments(tmp_path / "run", steps=3), "--resume"]) == 2
    assert "plugin was 'fixed'" in capfd.readouterr().err


def test_another_encoder_brings_its_own_weights() -> None:
    setup = named("casim_mdm_decoder_bert_humanml3d").setup
    assert setup.with_plugin("text", "clip").text == Clip.Config()
    cut = named("mdm_decoder_humanml3d").setup.with_plugin("text", "t5").text
    assert (cut.weights, cut.truncate) == (T5.Config().weights, True)


def test_a_used_folder_is_not_overwritten(whole: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command(arguments(whole)) == 2
    assert "--overwrite" in capfd.readouterr().err


@pytest.mark.parametrize("kind", [None, "evaluate"])
def test_overwrite_deletes_runs_only(kind: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious").touch()
    if kind:
        record.save(record.RunRecord(kind=kind, name="x"), tmp_path)
    before = record.sha256(tmp_path)
    assert command([*arguments(tmp_path), "--overwrite"]) == 2
    assert capfd.readouterr().err.count("\n") == 1
    assert record.sha256(tmp_path) == before


def test_overwrite_deletes_when_all_is_read(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    (out / "stale").touch()
    for wrong in (["--training.batch-size", "4000"], ["--text.max-words", "2"]):
        assert command([*arguments(out), "--overwrite", *wrong]) == 2
        assert (out / "stale").exists()
    assert command([*arguments(out, steps=2), "--overwrite"]) == 0
    assert not (out / "stale").exists()


@pytest.mark.parametrize(
    "broken", [b"\x80\x04cposix\nsystem\n.", b"PK\x03\x04", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"]
)
def test_a_foreign_checkpoint_is_refused(
    whole: Path, tmp_path: Path, broken: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / STATE).write_bytes(broken)
    (tmp_path / checkpoint.CONFIG).write_bytes((whole / checkpoint.CONFIG).read_bytes())
    assert command([*arguments(tmp_path), "--resume"]) == 2
    assert STATE in capfd.readouterr().err


@pytest.mark.parametrize("lost", ["average.", "average.3", "optimizer.", "optimizer.5.exp_avg_sq", "seconds"])
def test_a_checkpoint_that_lacks_something_is_refused(
    whole: Path, tmp_path: Path, lost: str, capfd: pytest.CaptureFixture[str]
) -> None:
    state = checkpoint.load_tensors(whole / STATE)
    kept = {name: value for name, value in state.items() if not name.startswith(lost)}
    assert 0 < len(kept) < len(state)
    checkpoint.save_tensors(tmp_path / STATE, kept)
    (tmp_path / checkpoint.CONFIG).write_bytes((whole / checkpoint.CONFIG).read_bytes())
    assert command([*arguments(tmp_path), "--resume"]) == 2
    error = capfd.readouterr().err
    assert f": {lost}" in error
    assert "is missing instead of" in error
    assert error.count("\n") == 1


def test_a_field_newer_than_the_run_does_not_stop_it(
    whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    config = checkpoint.load_config(whole)
    del config["text"]["truncate"], config["training"]["precision"], config["backbone"]["diffusion"]["variance"]
    checkpoint.save_config(tmp_path, config)
    assert command([*arguments(tmp_path), "--resume", "--text.truncate"]) == 2
    assert "text.truncate was False and is now True (1 fields differ)" in capfd.readouterr().err
    config["backbone"]["width"] = "abc"
    checkpoint.save_config(tmp_path, config)
    assert command([*arguments(tmp_path), "--resume"]) == 2
    assert re.search(r"config.json: field 'width' of .* is 'abc'", capfd.readouterr().err)
    config["backbone"]["width"] = 16
    checkpoint.save_config(tmp_path, config)
    assert command([*arguments(tmp_path), "--resume"]) == 0
