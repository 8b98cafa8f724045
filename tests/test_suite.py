"""Suites: what is done stays, what broke off goes on, what fails does not stop the others."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from math import prod
from pathlib import Path

import pytest
import torch
from rich.console import Console
from rich.progress import Progress

from casim import checkpoint, cli, record, train
from casim.checkpoint import STATE
from casim.crew import Slurm, cluster, locked
from casim.recipes import HALF, RECIPES
from casim.suite import Board, Crew, Options, command, run
from casim.suites import SUITES, Cell, Suite, named, suite
from casim.trainer import LOG

TINY = {
    **{f"data.{split}": 7 for split in ("validation", "test", "held_out")},
    **{"data.train": 48, "data.max_frames": 44, "backbone.width": 16, "backbone.layers": 1, "backbone.ff": 23},
    **{"training.batch_size": 4, "training.warmup": 2, "training.steps": 7, "training.checkpoint_every": 2},
}
LONG = {"training.steps": 800, "training.checkpoint_every": 20}


def cell(seed: int, **changes: object) -> Cell:
    """A toy; a double underscore in a name stands for the dot."""
    overrides = TINY | {name.replace("__", "."): value for name, value in changes.items()}
    return Cell("choreography_casim", seed, overrides)


def toy(*cells: Cell) -> Suite:
    return Suite("toy", "A toy.", cells)


def begun(made: Cell, out: Path, **changes: object) -> Path:
    """What a training of the cell leaves when it breaks off before its first checkpoint."""
    entry = record.begin("train", made.name, made.config.to_json())
    record.save(entry.model_copy(update=changes), out / made.name)
    return out / made.name


# The suites


@pytest.mark.parametrize("name", SUITES)
def test_cells_are_recipes_that_exist_and_have_names_of_their_own(name: str) -> None:
    made = named(name)
    assert made.name == name
    assert made.about.splitlines()[0].endswith(".")
    assert {cell.recipe for cell in made.cells} <= set(RECIPES)
    assert len({cell.name for cell in made.cells}) == len(made.cells)


def test_the_half_fraction_has_the_aliases_that_its_docstring_states() -> None:
    signs = [tuple(1 if level else -1 for level in vars(factors).values()) for factors in HALF]
    assert len(signs) == 8
    assert {(1, 1, 1, 1), (-1, -1, -1, -1)} < set(signs)
    columns = {"".join("ABCD"[i] for i in word): [prod(s[i] for i in word) for s in signs] for word in WORDS}
    aliases = {name: {other for other in columns if columns[other] == columns[name]} for name in columns}
    assert set(columns["ABCD"]) == {1}
    assert aliases["A"] == {"A", "BCD"}
    assert aliases["AB"] == {"AB", "CD"}
    assert aliases["AC"] == {"AC", "BD"}
    assert aliases["AD"] == {"AD", "BC"}
    for one, other in (("A", "B"), ("A", "C"), ("B", "D"), ("A", "AB"), ("A", "BC"), ("AB", "AC")):
        assert sum(x * y for x, y in zip(columns[one], columns[other], strict=True)) == 0


WORDS = [tuple(i for i in range(4) if mask >> i & 1) for mask in range(1, 16)]


def test_two_cells_of_one_name_are_refused() -> None:
    def twins() -> tuple[Cell, ...]:
        """Twins."""
        return cell(0), cell(0, training__steps=9)

    build = suite(twins)
    SUITES.pop("twins")
    with pytest.raises(ValueError, match="two cells of one name"):
        build()


def test_overrides_are_read_as_training_reads_them() -> None:
    config = Cell(
        "confound_tokens_77_mask_norm", 5, {"backbone.has_final_norm": False, "data.is_padded_full": True}
    ).config
    assert not config.setup.backbone.has_final_norm
    assert config.setup.data.is_padded_full
    assert config.training.seed == 5


# Where a cell stands


def test_a_cell_is_absent_broken_off_or_done(tmp_path: Path) -> None:
    made = cell(3)
    assert made.standing(tmp_path) == "absent"
    folder = begun(made, tmp_path)
    assert made.standing(tmp_path) == "absent"  # no checkpoint to go on from
    assert made.argv(tmp_path)[-1] == "--overwrite"
    (folder / STATE).touch()
    assert made.standing(tmp_path) == "broken off"
    assert made.argv(tmp_path)[-1] == "--resume"
    begun(made, tmp_path, status="done")
    assert made.standing(tmp_path) == "done"


def test_a_first_file_that_was_never_finished_is_nothing(tmp_path: Path) -> None:
    (tmp_path / cell(3).name).mkdir()
    (tmp_path / cell(3).name / ".record.json.17.tmp").touch()
    assert cell(3).standing(tmp_path) == "absent"


def test_the_command_line_is_the_config(tmp_path: Path) -> None:
    made = cell(3, backbone__has_final_norm=False)
    recipe, options = train.parse(made.argv(tmp_path, threads=2))
    assert recipe == made.config
    assert (options.out, options.threads, options.overwrite) == (tmp_path / made.name, 2, True)


@pytest.mark.parametrize("status", ["done", "interrupted"])
def test_another_config_is_refused_by_field_and_nothing_starts(
    status: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begun(cell(1, training__steps=9), tmp_path, status=status)
    assert cli.guarded(lambda: run(toy(cell(0), cell(1)), Options(out=tmp_path))) == 2
    error = capfd.readouterr().err
    assert "training.steps was 9 and is now 7" in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [cell(1).name]


def test_something_else_is_not_overwritten(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / cell(0).name).mkdir()
    (tmp_path / cell(0).name / "thesis.txt").touch()
    assert cli.guarded(lambda: run(toy(cell(0)), Options(out=tmp_path))) == 2
    assert "no run" in capfd.readouterr().err
    assert (tmp_path / cell(0).name / "thesis.txt").exists()


# The command


def test_listing_trains_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert command(["confounds", "--list", "--only", "*tokens*_seed1", "--out", str(out)]) == 0
    shown = capfd.readouterr().out
    assert shown.count("absent") == 4
    assert "seed0" not in shown
    assert not out.exists()


def test_suites_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert command([]) == 2
    assert command(["--help"]) == 0
    shown = capfd.readouterr().out
    assert all(shown.count(f"  {name}  ") == 2 for name in SUITES)
    assert shown.count("4 of 28 cells are codecs, trained first.") == 2
    assert "of 24 cells" not in shown


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["confund"], "Did you mean confounds"),
        (["confounds", "--only", "*token_*"], "no cell of confounds fits"),
        (["confounds", "--jobs", "0"], "at least 1"),
        pytest.param(
            ["confounds", "--cluster", "slurm"],
            r"casim\[cluster\]|no slurm cluster here",
            marks=pytest.mark.skipif(bool(os.environ.get("SLURM_JOB_ID")), reason="a cluster is here"),
        ),
    ],
)
def test_bad_input_is_one_line(
    argv: list[str], words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command([*argv, "--out", str(tmp_path / "out")]) == 2
    error = capfd.readouterr().err
    assert re.search(words, error)
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_at_work_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(ValueError, match="at work"), locked(tmp_path, patience=0.2):
        pass
    with locked(tmp_path, patience=0.2):
        pass


# Trainings


def files(out: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in out.glob("*_seed*/*")}


def same_weights(a: Path, b: Path) -> bool:
    first, second = (checkpoint.load_tensors(folder / checkpoint.WEIGHTS) for folder in (a, b))
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.slow
def test_what_fails_stops_no_other_and_what_is_done_stays(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good, bad = (cell(0), cell(2)), cell(1, training__batch_size=4000)
    assert run(toy(good[0], bad, good[1]), Options(out=tmp_path)) == 1
    shown = " ".join(capfd.readouterr().out.split())
    assert f"{bad.name}: failed with exit code 2: error: 48 training clips do not fill one batch" in shown
    assert [made.standing(tmp_path) for made in good] == ["done", "done"]
    before = files(tmp_path)
    assert run(toy(*good), Options(out=tmp_path)) == 0
    assert files(tmp_path) == before
    assert train.command([*good[0].words, "--threads", "1", "--out", str(tmp_path / "alone")]) == 0
    assert same_weights(tmp_path / "alone", tmp_path / good[0].name)


SUITE = """
import json, sys
from pathlib import Path
from casim.suite import Options, run
from casim.suites import Cell, Suite

cells = tuple(Cell(*words) for words in json.loads(sys.argv[2]))
sys.exit(run(Suite("toy", "A toy.", cells), Options(out=Path(sys.argv[1]))))
"""


def spawn(out: Path, *cells: Cell) -> subprocess.Popen[str]:
    words = json.dumps([(made.recipe, made.seed, dict(made.overrides)) for made in cells])
    argv = [sys.executable, "-c", SUITE, str(out), words]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_begun(made: Cell, out: Path) -> bool:
    log = out / made.name / LOG
    return log.exists() and log.read_text().count("\n") > 1


def test_a_stopped_suite_says_that_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(crew: Crew, cells: object, board: object) -> dict[str, str]:
        crew.signals = 1
        return {}

    monkeypatch.setattr(Crew, "work", stop)
    assert run(toy(cell(0)), Options(out=tmp_path)) == 130
    assert cli.GOES_ON in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_suite_that_was_ended_goes_on_and_gives_the_same_bits(number: signal.Signals, tmp_path: Path) -> None:
    first, second, last = cell(0), cell(1, **LONG), cell(2, **LONG)
    out = tmp_path / "out"
    process = spawn(out, first, second, last)
    wait_for(lambda: first.standing(out) == "done" and has_begun(second, out))
    process.send_signal(number)
    process.communicate(timeout=240)
    assert process.returncode == (-number if number == signal.SIGKILL else 130)
    with locked(out):  # the trainings ended with it
        before = {k: v for k, v in files(out).items() if first.name in k}
        assert second.standing(out) == "broken off"
        assert record.load(out / second.name).status == "interrupted"  # it saved, even if the suite could not ask
    assert run(toy(first, second, last), Options(out=out)) == 0
    assert {k: v for k, v in files(out).items() if first.name in k} == before
    assert train.command([*second.words, "--threads", "1", "--out", str(tmp_path / "alone")]) == 0
    assert same_weights(tmp_path / "alone", out / second.name)


@pytest.mark.slow
def test_a_killed_training_is_reported_and_resumed(tmp_path: Path) -> None:
    made = cell(1, **LONG)
    process = spawn(tmp_path, made)
    wait_for(lambda: has_begun(made, tmp_path))
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    os.kill(int(children.stdout), signal.SIGKILL)
    text, _ = process.communicate(timeout=240)
    assert process.returncode == 1
    assert f"{made.name}: failed with exit code -9" in " ".join(text.split())
    assert made.standing(tmp_path) == "broken off"
    assert run(toy(made), Options(out=tmp_path)) == 0


@pytest.mark.slow
def test_two_suites_at_once_stay_apart(tmp_path: Path) -> None:
    processes = [spawn(tmp_path / name, cell(0)) for name in ("a", "b")]
    assert [process.communicate(timeout=240) and process.returncode for process in processes] == [0, 0]
    assert same_weights(tmp_path / "a" / cell(0).name, tmp_path / "b" / cell(0).name)


@pytest.mark.slow
def test_cells_run_as_jobs_of_submitit(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: pip install 'casim[cluster]'")
    good, bad = cell(0), cell(1, training__batch_size=4000)
    crew = Crew(cluster(tmp_path, Slurm(minutes=5), kind="local"), 2)
    with Progress(console=Console(quiet=True), auto_refresh=False) as progress:
        failed = crew.work([good, bad], Board("toy", [good, bad], tmp_path, progress))
    assert list(failed) == [bad.name]
    assert "do not fill one batch" in failed[bad.name]
    assert good.standing(tmp_path) == "done"
