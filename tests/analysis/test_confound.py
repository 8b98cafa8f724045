"""The confound probe: effects of known scores come back, and runs that are no clean ablation are refused."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from analysis import attention_probe, confound_probe
from analysis.confound_design import NAMES, Design
from analysis.confound_results import measures
from analysis.confound_tables import show
from casim import checkpoint, cli, record
from casim.backbones.mdm_decoder import MdmDecoder
from casim.data.choreography import Choreography
from casim.injection import Casim
from casim.recipes import FACTORS, HALF, Factors
from casim.setups import SamplingConfig, Setup
from casim.text.hashed import Hashed
from casim.text_to_motion import TextToMotion
from evaluators.intervals import Resampling

HOW = Resampling(resamples=100)
EFFECTS = {"tokens": 0.5, "window": 0.02, "mask": 0.1, "norm": -0.04}
ALL = "exact_prompt/test/all"


def made_rows(cells: tuple[Factors, ...], *, extra: dict[tuple[str, ...], float] | None = None) -> pd.DataFrame:
    """Scores that are a sum of effects, interactions, items and seeds."""
    rng = np.random.default_rng(0)
    items = [f"c{i:02d}" for i in range(31)]
    hardness, rows = 0.2 * rng.standard_normal(31), []
    for cell in cells:
        level = {name: 1 if getattr(cell, name) else -1 for name in NAMES}
        mean = sum(EFFECTS[name] / 2 * level[name] for name in NAMES)
        mean += sum(size / 2 * np.prod([level[n] for n in names]) for names, size in (extra or {}).items())
        for seed in range(3):
            for i, item in enumerate(items):
                kind = ("pair", "triple")[i % 2]
                score = mean + hardness[i]
                rows.append((cell.name, seed, "test", item, kind, i % 4 == 0, i % 10 == 1, score))
    columns = ["arm", "seed", "split", "item", "kind", "is_reversed", "is_cut", "exact_prompt"]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.parametrize("cells", [HALF, FACTORS], ids=["half", "full"])
def test_main_effects_come_back_and_add_up_to_the_gain(cells: tuple[Factors, ...]) -> None:
    found = measures(made_rows(cells), Design(cells), HOW, "p")
    for name, effect in EFFECTS.items():
        assert found[f"effect {name}/{ALL}"].value == pytest.approx(effect)
        assert found[f"share {name}/{ALL}"].value == pytest.approx(effect / sum(EFFECTS.values()))
        # items are the same in all cells, so that their differences cancel; seeds do not differ here
        np.testing.assert_allclose(found[f"effect {name}/{ALL}"].interval, effect)
    assert found[f"gain/{ALL}"].value == pytest.approx(sum(EFFECTS.values()))
    assert all(abs(m.value) < 1e-9 for key, m in found.items() if key.startswith("interaction "))
    groups = {key.rpartition("/")[2] for key in found}
    assert groups == {"all", "pair", "pair_reversed", "cut"}


def test_the_half_fraction_adds_up_whatever_the_scores() -> None:
    rows = made_rows(HALF)
    rows["exact_prompt"] = np.random.default_rng(3).random(len(rows))
    found = measures(rows, Design(HALF), HOW, "p")
    total = sum(found[f"effect {name}/{ALL}"].value for name in NAMES)
    assert found[f"gain/{ALL}"].value == pytest.approx(total)


def test_aliased_interactions_come_as_sums_and_leave_main_effects_alone() -> None:
    extra = {("tokens", "mask"): 0.2, ("window", "norm"): 0.05, ("tokens", "norm"): -0.1}
    half = measures(made_rows(HALF, extra=extra), Design(HALF), HOW, "p")
    full = measures(made_rows(FACTORS, extra=extra), Design(FACTORS), HOW, "p")
    assert half[f"interaction tokens:mask + window:norm/{ALL}"].value == pytest.approx(0.25)
    assert half[f"interaction tokens:norm + window:mask/{ALL}"].value == pytest.approx(-0.1)
    assert full[f"interaction tokens:mask/{ALL}"].value == pytest.approx(0.2)
    assert full[f"interaction window:norm/{ALL}"].value == pytest.approx(0.05)
    assert len([key for key in half if key.startswith("interaction") and key.endswith(ALL)]) == 3
    assert len([key for key in full if key.startswith("interaction") and key.endswith(ALL)]) == 6
    for name, effect in EFFECTS.items():
        assert half[f"effect {name}/{ALL}"].value == pytest.approx(effect)


def test_a_three_factor_interaction_is_part_of_the_main_effect_in_the_half_fraction() -> None:
    extra = {("window", "mask", "norm"): 0.07}
    half = measures(made_rows(HALF, extra=extra), Design(HALF), HOW, "p")
    full = measures(made_rows(FACTORS, extra=extra), Design(FACTORS), HOW, "p")
    assert half[f"effect tokens/{ALL}"].value == pytest.approx(0.57)
    assert full[f"effect tokens/{ALL}"].value == pytest.approx(0.5)


def test_without_a_gain_there_are_no_shares() -> None:
    rows = made_rows(HALF)
    rows["exact_prompt"] = np.random.default_rng(4).random(len(rows))
    found = measures(rows, Design(HALF), HOW, "p")
    assert found[f"gain/{ALL}"].interval[0] < 0 < found[f"gain/{ALL}"].interval[1]
    assert not [key for key in found if key.startswith("share") and key.endswith(ALL)]


def test_an_incomplete_design_gives_levels_only() -> None:
    cells = HALF[:-1]
    assert Design(cells).missing == HALF[-1:]
    assert len(Design((*HALF, FACTORS[1])).missing) == 7  # a ninth cell asks for all sixteen
    found = measures(made_rows(cells), Design(cells), HOW, "p")
    assert {key.partition("/")[0].partition("@")[0] for key in found} == {cell.name for cell in cells}


# On models of random weights

DATA = Choreography.Config(train=31, validation=5, test=19, held_out=13, max_frames=43)


def toy(folder: Path, factors: Factors, seed: int, change: Callable[[Setup], Setup] = lambda setup: setup) -> Path:
    backbone = MdmDecoder.Config(width=12, layers=1, heads=2, ff=11, patch=2)
    base = Setup(DATA, Hashed.Config(width=23), Casim.Config(), backbone, SamplingConfig("ddim", 2))
    setup = change(factors.apply(base))
    torch.manual_seed(seed)
    model = TextToMotion.for_dataset(setup, Choreography(setup.data))
    path = folder / f"confound_{factors.name}_seed{seed}"
    model.save(path, {"recipe": f"confound_{factors.name}", "training": {"seed": seed, "steps": 3}})
    return path


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("confounds")
    for seed, factors in enumerate(HALF):
        toy(root, factors, seed % 2)
    toy(root, HALF[0], 1)
    (root / "logs").mkdir()
    return root


@pytest.fixture(scope="module")
def probed(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    assert cli.run(confound_probe.main, ["--runs", str(suite), "--samples", "11", "--out", str(out)]) == 0
    return out


def test_the_record_has_the_keys_that_its_docstring_promises(probed: Path, suite: Path) -> None:
    stored = record.load(probed)
    assert (stored.kind, stored.name, stored.status) == ("probe", "confound_probe", "done")
    places = [f"exact_prompt/{split}/{group}" for split in ("test", "held_out") for group in ("all", "pair")]
    whose = [cell.name for cell in HALF] + [f"{HALF[0].name}@seed{seed}" for seed in (0, 1)]
    whose += ["gain", *(f"effect {name}" for name in NAMES), "interaction tokens:window + mask:norm"]
    assert {f"{who}/{place}" for who in whose for place in places} <= set(stored.results)
    assert {"cut/train", "cut/test", "cut/held_out"} <= set(stored.results)
    assert stored.config["missing"] == []
    assert len(stored.inputs) == 10  # nine runs and the oracle
    assert "guidance 2.5, sampler ddim, steps 2" in stored.results[f"gain/{places[0]}"].protocol


def test_scores_are_tidy_and_give_the_effects(probed: Path) -> None:
    scores, results = pd.read_csv(probed / "scores.csv"), record.load(probed).results
    assert len(scores) == 9 * 2 * 11
    for split in ("test", "held_out"):
        cells = scores[scores["split"] == split].groupby(["cell", *NAMES])["exact_prompt"].mean().reset_index()
        for name in NAMES:
            high, low = (cells[cells[name] == level]["exact_prompt"].mean() for level in (1, 0))
            assert results[f"effect {name}/exact_prompt/{split}/all"].value == pytest.approx(high - low, abs=1e-4)


def test_the_window_is_counted_on_captions(probed: Path) -> None:
    results, dataset = record.load(probed).results, Choreography(DATA)
    for split in ("train", "test"):
        texts = dataset.split(split).batch(range(len(dataset.split(split)))).texts
        assert results[f"cut/{split}"].value == np.mean([len(text.split()) + 1 > 22 for text in texts])
        assert results[f"cut/{split}"].n == len(texts)


def test_same_seed_same_numbers(probed: Path, suite: Path, tmp_path: Path) -> None:
    config = confound_probe.Config(runs=(str(suite),), samples=11, out=tmp_path)
    assert confound_probe.run(config).results == record.load(probed).results


def test_what_is_printed(probed: Path) -> None:
    console = Console(record=True, width=150, file=io.StringIO())
    stored = record.load(probed)
    stored.results |= {f"gain/{ALL}": stored.results[f"gain/{ALL}"].model_copy(update={"value": 0.625})}
    show(stored, console)
    text = console.export_text()
    assert "of the gain of +0.625" in text
    assert "tokens:window + mask:norm" in text
    assert re.search(r"captions of train with more than 22 tokens", text)


def changed(**fields: object) -> Callable[[Setup], Setup]:
    return lambda setup: replace(setup, backbone=replace(setup.backbone, **fields))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: toy(root, FACTORS[1], 5, changed(layers=2)), "differ in their backbone beyond the four"),
        (
            lambda root: toy(root, FACTORS[1], 5, lambda s: replace(s, sampling=SamplingConfig("ddim", 3))),
            "differ in their sampling beyond",
        ),
        (
            lambda root: toy(root, FACTORS[1], 5, lambda s: replace(s, text=replace(s.text, max_words=21))),
            "in their text beyond",
        ),
        (lambda root: toy(root / "again", HALF[1], 1), "training seed 1; name one of them"),
    ],
)
def test_runs_that_differ_in_more_are_refused(
    spoil: Callable[[Path], Path], words: str, suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = spoil(tmp_path)
    argv = ["--runs", str(suite), str(other), "--out", str(tmp_path / "out")]
    assert cli.run(confound_probe.main, argv) == 2
    error = capsys.readouterr().err
    assert re.search(words, error)
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_unknown_device(suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--runs", str(suite), "--device", "abacus", "--out", str(tmp_path / "out")]
    assert cli.run(confound_probe.main, argv) == 2
    assert "no device 'abacus' here" in capsys.readouterr().err


def test_an_unfinished_run_is_refused(suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = toy(tmp_path, HALF[0], 5)
    record.save(record.begin("train", run.name, {}), run)
    assert cli.run(confound_probe.main, ["--runs", str(suite), str(run), "--out", str(tmp_path / "out")]) == 2
    assert "not finished (running); python -m casim.suite" in capsys.readouterr().err


def test_an_empty_folder_names_the_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(confound_probe.main, ["--runs", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "python -m casim.suite confounds" in capsys.readouterr().err


def test_another_training_is_refused(suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = toy(tmp_path, HALF[0], 5)
    config = json.loads((run / checkpoint.CONFIG).read_text())
    checkpoint.save_config(run, config | {"training": {"seed": 5, "steps": 4}})
    assert cli.run(confound_probe.main, ["--runs", str(suite), str(run), "--out", str(tmp_path / "out")]) == 2
    assert "differ in" in capsys.readouterr().err


def test_a_map_of_a_model_that_sees_padding_has_the_frames_asked_for(tmp_path: Path) -> None:
    run = toy(tmp_path, replace(FACTORS[-1], mask=False), 0)
    argv = ["--run", str(run), "--prompt", "a person jumps", "--seconds", "1.1", "--out", str(tmp_path / "out")]
    assert cli.run(attention_probe.main, argv) == 0
    assert np.load(tmp_path / "out" / "map.npz")["map"].shape == (3, 22)
