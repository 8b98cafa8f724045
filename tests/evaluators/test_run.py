import pytest

from casim import checkpoint, cli
from evaluators import run as runs
from evaluators.protocol import PRESETS, Protocol
from evaluators.run import Changes, choose

CONFIG = {
    "recipe": "choreography_casim",
    "data": {"plugin": "choreography", "seed": 0},
    "text": {"plugin": "hashed"},
    "injection": {"plugin": "casim"},
    "backbone": {"plugin": "mdm_decoder", "width": 8},
    "training": {"seed": 0, "steps": 3},
}


def write(folder, **changes):
    checkpoint.save_config(folder, {**CONFIG, **changes})
    return str(folder)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, *argv):
    """The error line of a command that must end with exit code 2 and leave nothing behind."""
    assert cli.run(runs.main, [*argv, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_unknown_run_suggests_the_nearest(here, capsys):
    write(here / "runs" / "my_walker")
    error = refused(capsys, "my_waker")
    assert "my_walker" in error
    assert "Did you mean" in error
    assert not (here / "out").exists()


def test_folder_without_run(here, capsys):
    (here / "empty").mkdir()
    assert "config.json" in refused(capsys, "empty")


def test_other_data_is_refused(here, capsys):
    name = write(here / "a", data={"plugin": "humanml3d"})
    error = refused(capsys, name)
    assert "humanml3d" in error
    assert "only the actions of choreography" in error


def test_an_oracle_is_no_generator(here, capsys):
    checkpoint.save_config(here / "a", {"embedder": {"plugin": "oracle"}})
    assert "no run of a generator" in refused(capsys, "a")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"data": {"plugin": "choreography", "seed": 1}}, "different data"),
        ({}, "both choreography_casim with training seed 0"),
        ({"training": {"seed": 1, "steps": 5}}, "differ in training"),
        ({"training": {"seed": 1, "steps": 3}, "backbone": {"plugin": "mdm_decoder", "width": 16}}, "backbone"),
    ],
)
def test_incomparable_runs_are_refused(here, capsys, changes, word):
    error = refused(capsys, write(here / "a"), write(here / "b", **changes))
    assert word in error
    assert "a " in error
    assert not (here / "out").exists()


def test_seeds_of_an_arm_and_other_arms_are_comparable(here):
    names = (
        write(here / "a"),
        write(here / "b", training={"seed": 1, "steps": 3}),
        write(here / "c", recipe="other"),
    )
    found = runs.find_runs(names)
    assert [(run.arm, run.seed) for run in found] == [
        ("choreography_casim", 0),
        ("choreography_casim", 1),
        ("other", 0),
    ]


@pytest.mark.parametrize("argv", [("--samples", "0"), ("--protocol", "slow"), ("--steps", "many")])
def test_bad_options(here, capsys, argv):
    assert cli.run(runs.main, [write(here / "a"), *argv]) == 2


def test_changes_show_in_name_and_words():
    assert Changes().apply(PRESETS["quick"]) == PRESETS["quick"]
    changed = Changes(splits=("validation",), samples=5).apply(PRESETS["quick"])
    assert changed.name == "quick, changed"
    assert "validation" in changed.in_words()
    assert "5 captions" in changed.in_words()


def test_choice_of_clips():
    assert choose(31, Protocol()) == list(range(31))
    few = choose(31, Protocol(samples=7))
    assert len(set(few)) == 7
    assert few == choose(31, Protocol(samples=7)) != choose(31, Protocol(samples=7, seed=1))
    assert choose(3, Protocol(samples=7)) == [0, 1, 2]
