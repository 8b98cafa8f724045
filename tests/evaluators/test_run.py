import json
import shutil

import pandas as pd
import pytest
import torch

from casim import checkpoint, cli, record
from casim.backbones.mdm_decoder import MdmDecoder
from casim.data.choreography import Choreography
from casim.injection import Casim
from casim.setups import SamplingConfig, Setup
from casim.text.hashed import Hashed
from casim.text_to_motion import TextToMotion
from evaluators import arms, generation
from evaluators import run as runs
from evaluators.generation import choose
from evaluators.protocol import PRESETS, Protocol
from evaluators.run import Changes

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
    found = arms.find_runs(names)
    assert [(run.arm, run.seed) for run in found] == [
        ("choreography_casim", 0),
        ("choreography_casim", 1),
        ("other", 0),
    ]


def test_padding_makes_no_other_data(here):
    data = {**CONFIG["data"], "is_padded_full": True}
    names = write(here / "a"), write(here / "b", recipe="other", data=data)
    assert [run.arm for run in arms.find_runs(names)] == ["choreography_casim", "other"]


def test_unknown_device(here, capsys):
    assert "no device 'abacus' here" in refused(capsys, write(here / "a"), "--device", "abacus")
    assert not (here / "out").exists()


@pytest.mark.parametrize("argv", [("--samples", "0"), ("--protocol", "slow"), ("--steps", "many")])
def test_bad_options(here, capsys, argv):
    assert cli.run(runs.main, [write(here / "a"), *argv]) == 2


def test_changes_show_in_name_and_words():
    assert Changes().apply(PRESETS["quick"]) == PRESETS["quick"]
    changed = Changes(splits=("validation",), samples=5).apply(PRESETS["quick"])
    assert changed.name == "quick, changed"
    assert "validation" in changed.in_words()
    assert "5 captions" in changed.in_words()


def test_sampling_settings_are_told_where_all_runs_agree(here):
    own = {"sampler": "ddim", "steps": 7, "guidance": 2.5}
    names = write(here / "a", sampling=own), write(here / "b", recipe="other", sampling={**own, "steps": 11})
    words = arms.settled(Protocol(), arms.find_runs(names[:1])).in_words()
    assert "guidance 2.5, sampler ddim, steps 7" in words
    both = arms.settled(Protocol(guidance=4.0), arms.find_runs(names))
    assert (both.guidance, both.sampler, both.steps) == (4.0, "ddim", None)
    assert "steps as each run's own settings" in both.in_words()


def test_choice_of_clips():
    assert choose(31, Protocol()) == list(range(31))
    few = choose(31, Protocol(samples=7))
    assert len(set(few)) == 7
    assert few == choose(31, Protocol(samples=7)) != choose(31, Protocol(samples=7, seed=1))
    with pytest.raises(ValueError, match=r"takes 7 captions, but a split has 3; choose fewer: --samples 3"):
        choose(3, Protocol(samples=7))


DATA = Choreography.Config(train=23, validation=3, test=13, held_out=11)


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """Two seeds of arm a and one of arm b, which has the very weights of seed 0 of arm a."""
    dataset = Choreography(DATA)
    folders = []
    for arm, seed, weights in (("a", 0, 0), ("a", 1, 1), ("b", 1, 0)):
        torch.manual_seed(weights)
        backbone = MdmDecoder.Config(width=8, layers=1, heads=2, ff=11, patch=2, max_frames=96)
        setup = Setup(DATA, Hashed.Config(width=13), Casim.Config(), backbone, SamplingConfig("ddim", 2))
        model = TextToMotion.for_dataset(setup, dataset)
        folder = tmp_path_factory.mktemp(f"{arm}_seed{seed}")
        model.save(folder, {"recipe": arm, "training": {"seed": seed}})
        folders.append(folder)
    return folders


@pytest.fixture(scope="module")
def evaluated(toys, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    names = [str(folder) for folder in toys]
    argv = [*names, "--protocol", "quick", "--samples", "7", "--out", str(out)]
    assert cli.run(runs.main, argv) == 0
    return out


def test_record(evaluated, toys):
    found = record.load(evaluated)
    assert (found.kind, found.status, found.seed) == ("evaluate", "done", 0)
    arms = {key.split("/")[0] for key in found.results}
    assert arms >= {"a", "a@seed0", "a@seed1", "b", "b@seed1", "a - b", "real", "floor: wrong caption"}
    assert {key.split("/")[2] for key in found.results} == {"test", "held_out"}
    assert found.results["real/exact_prompt/test/all"].value == 1.0
    assert all("quick, changed: 7 captions" in measure.protocol for measure in found.results.values())
    assert len(found.config["runs"]) == 3
    assert found.config["protocol"]["samples"] == 7
    assert {source.sha256 for source in found.inputs.values()} >= {
        record.sha256(folder / checkpoint.WEIGHTS) for folder in toys
    }
    assert "/tmp" not in (evaluated / record.FILE).read_text().replace(json.dumps(found.argv), "")


def test_runs_that_were_stopped_are_named(toys, tmp_path, capsys):
    stopped = shutil.copytree(toys[0], tmp_path / "stopped")
    entry = record.RunRecord(kind="train", name="x", status="interrupted", config={"training": {"steps": 8}})
    record.save(entry, stopped)
    argv = [str(stopped), "--protocol", "quick", "--samples", "7", "--splits", "test"]
    assert cli.run(runs.main, [*argv, "--out", str(tmp_path / "out")]) == 0
    assert "warning: stopped stopped at step 0 of 8" in capsys.readouterr().err


def test_the_last_lines_name_the_report_and_the_record(toys, here, capsys):
    argv = [str(toys[0]), "--protocol", "quick", "--samples", "7", "--splits", "test", "--out"]
    for out, named in (("runs/x", ""), ("elsewhere", " elsewhere")):
        assert cli.run(runs.main, [*argv, out]) == 0
        *_, report, last = capsys.readouterr().out.splitlines()
        assert report.endswith(f": python -m reports.build{named}")
        assert last == f"record: {out}/record.json"


def test_items(evaluated):
    items = pd.read_csv(evaluated / "items.csv")
    assert list(items.columns[:7]) == ["arm", "seed", "split", "item", "kind", "is_reversed", "text"]
    assert {"exact_prompt", "action_recall", "side_accuracy", "order_accuracy"} <= set(items.columns)
    assert items.groupby(["arm", "seed", "split"], dropna=False)["item"].nunique().eq(7).all()
    assert items[items["arm"] == "real"]["seed"].isna().all()
    assert record.load(evaluated).artifacts["items.csv"].sha256 == record.sha256(evaluated / "items.csv")


def test_noise_is_the_same_for_all_runs_and_new_for_every_repeat(toys):
    model = TextToMotion.load(toys[0])
    clips = model.dataset().split("test")
    asked = generation.asked("test", clips, Protocol(repeats=2, batch_size=5))
    assert len(asked) == 6  # three batches, twice
    first, again = (generation.generate(model, asked[0], Protocol()).motion for _ in range(2))
    torch.testing.assert_close(first, again)
    assert not torch.allclose(first, generation.generate(model, asked[1], Protocol()).motion)
    assert asked[0].real.ids == asked[1].real.ids
    lengths = [batch.real.lengths.tolist() for batch in asked[::2]]
    assert [n for part in lengths for n in part] == sorted(clips.lengths.tolist())


@pytest.mark.parametrize(
    ("spoil", "argv", "word"),
    [
        (None, ["--splits", "tests"], "unknown split"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"short"), [], "truncated"),
        (lambda folder: (folder / "model.safetensors").unlink(), [], "no weights"),
    ],
)
def test_spoilt_input_leaves_nothing(here, toys, capsys, spoil, argv, word):
    shutil.copytree(toys[0], here / "run")
    if spoil:
        spoil(here / "run")
    assert word in refused(capsys, "run", *argv)
    assert not (here / "out").exists()


def test_without_runs_the_bundled_pair_is_scored(here):
    bundled = [name for name in checkpoint.runs() if name.startswith("choreography_")]
    if not bundled:
        with pytest.raises(ValueError, match="name the runs"):
            arms.find_runs()
    else:
        assert {run.arm for run in arms.find_runs()} == {"choreography_casim", "choreography_fixed"}


def test_counterfactuals_are_scored_on_request(toys, evaluated, tmp_path):
    argv = [str(toys[0]), "--protocol", "quick", "--samples", "7", "--splits", "test", "--counterfactuals"]
    assert cli.run(runs.main, [*argv, "--out", str(tmp_path / "out")]) == 0
    results = record.load(tmp_path / "out").results
    stability = results["a/paraphrase_stability/test/all"]
    assert stability.value > 0
    assert stability.higher_is_better is False
    assert 0 <= results["a/mirror_consistency/test/all"].value <= 1
    assert "a/mirror_consistency/test/all" not in record.load(evaluated).results
    columns = pd.read_csv(tmp_path / "out" / "items.csv").columns
    assert {"paraphrase_stability", "mirror_consistency"} <= set(columns)
