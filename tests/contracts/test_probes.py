"""Every `analysis/x_probe.py`: a Config, `run(config)`, and a valid record from toy models."""

import importlib
import json
import pkgutil
import re
import shutil
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import analysis
from analysis import attention_parts, attention_probe
from analysis.store import Store
from casim import cli, record
from casim.backbones.mdm_decoder import MdmDecoder
from casim.backbones.mdm_encoder import MdmEncoder
from casim.data.choreography import Choreography
from casim.injection import Casim, Fixed
from casim.setups import SamplingConfig, Setup
from casim.text.hashed import Hashed
from casim.text_to_motion import TextToMotion

PROBES = sorted(m.name for m in pkgutil.iter_modules(analysis.__path__) if m.name.endswith("_probe"))
DATA = Choreography.Config(train=31, validation=5, test=41, held_out=37, max_frames=83)
SIZE = {"width": 14, "layers": 2, "heads": 2, "ff": 11}


def toy(folder: Path, seed: int, injection: object = None, backbone: object = None, recipe: str = "casim") -> Path:
    """A run of random weights, as training would have saved it."""
    chosen = backbone or MdmDecoder.Config(**SIZE, patch=2)
    sampling = SamplingConfig("ddim", 3)
    setup = Setup(DATA, Hashed.Config(width=23), injection or Casim.Config(), chosen, sampling)
    torch.manual_seed(seed)
    model = TextToMotion.for_dataset(setup, Choreography(DATA))
    model.save(folder, {"recipe": f"choreography_{recipe}", "training": {"seed": seed}})
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    root = tmp_path_factory.mktemp("runs")
    return tuple(str(toy(root / f"toy_seed{seed}", seed)) for seed in (0, 1))


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_runs_on_toy_models_and_writes_a_valid_record(
    name: str, runs: tuple[str, ...], tmp_path: Path
) -> None:
    module: ModuleType = importlib.import_module(f"analysis.{name}")
    assert is_dataclass(module.Config)
    assert {"runs", "out", "quick"} <= {field.name for field in fields(module.Config)}
    written = module.run(module.Config(runs=runs, out=tmp_path, quick=True))
    stored = record.load(tmp_path)
    assert stored == written.model_copy(update={"config": stored.config})
    assert (stored.kind, stored.name, stored.status) == ("probe", name, "done")
    assert stored.results
    assert {record.relative(run) for run in runs} <= set(stored.inputs)
    assert all(np.isfinite(m.value) and m.protocol for m in stored.results.values())
    assert "NaN" not in (tmp_path / record.FILE).read_text()
    for artifact in stored.artifacts.values():
        assert record.sha256(tmp_path / artifact.path) == artifact.sha256


@pytest.fixture(scope="module")
def attention(runs: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("attention")
    pooled = (str(toy(out / "pooled", 2, Fixed.Config(), recipe="fixed")),)
    config = attention_probe.Config(
        runs, pooled, out=out / "probe", steps=(900, 10), samples=29, examples=5, resamples=50
    )
    attention_probe.run(config)
    return out / "probe"


def test_random_weights_get_no_verdict_of_meaning(attention: Path) -> None:
    results = record.load(attention).results
    assert abs(results["casim/auc"].value - 0.5) < 0.1
    assert results["null time reversal/auc"].value == pytest.approx(1 - results["casim/auc"].value, abs=0.1)
    assert [key for key in results if key.startswith("verdict/")] != ["verdict/semantic"]
    assert results["gate/semantic gain"].value == 0


def test_the_record_has_the_keys_that_its_docstring_promises(attention: Path) -> None:
    results = record.load(attention).results
    groups = ("", "/natural", "/reversed", "/pair", "/triple")
    whose = ("casim", "toy_seed0", "toy_seed1", "null untrained", "null position", "null time reversal")
    wanted = {f"{who}/auc{group}" for who in whose for group in groups}
    wanted |= {f"{who}/boundary_rho/t{t}" for who in (*whose[:3], "null untrained") for t in (900, 10)}
    wanted |= {"casim/auc/t10", "casim/auc/layer1", "casim - null position/auc/reversed", "casim/boundary_rho/rise"}
    wanted |= {f"casim/auc/{kind} words" for kind in ("action", "side", "speed", "count")}
    wanted |= {"casim/share", "null uniform/share", "casim/sink", "casim/text_mass", "null constant/boundary_error"}
    assert wanted <= set(results)
    assert results["casim/auc"].value == pytest.approx(
        np.mean([results[f"toy_seed{seed}/auc"].value for seed in (0, 1)])
    )
    assert results["casim/text_mass"].value == pytest.approx(1, abs=1e-5)


def test_the_arrays_are_what_the_docstring_promises(attention: Path) -> None:
    stored = np.load(attention / "arrays.npz")
    assert stored["examples"] == 5
    assert stored["clips/is_reversed"].any()
    for i in range(5):
        words, frames = stored[f"example{i}/map"].shape
        assert len(stored[f"example{i}/words"]) == len(stored[f"example{i}/starts"]) == words
        assert len(str(stored[f"example{i}/prompt"]).split()) == words
        assert stored[f"example{i}/map_steps"].shape == (2, words, frames)
        assert stored[f"example{i}/heads"].shape == (2, 2, 2, words, frames)  # runs, layers, heads
        assert stored[f"example{i}/real"].shape == (frames, 22, 3)
        assert stored[f"example{i}/motions"].shape == (3, frames, 22, 3)
        shares = stored[f"example{i}/heads"].astype(float) * stored[f"example{i}/heads_unit"]
        assert 0 < shares.sum(-2).max() < 1.02
        assert not np.array_equal(stored[f"example{i}/motions"][0], stored[f"example{i}/motions"][2])
        total = stored[f"example{i}/map"].astype(float).sum(0) + stored[f"example{i}/sink"]
        np.testing.assert_allclose(total, 1, atol=0.01)
        mean = stored[f"example{i}/map_steps"].astype(float).mean(0)
        np.testing.assert_allclose(mean, stored[f"example{i}/map"], atol=2e-3)
    pairs = len(stored["boundary/true"])
    assert stored["boundary/found"].shape == (2, pairs)
    assert (stored["clips/kind"] == "pair").sum() == pairs
    assert stored["tracks/arm"].tolist() == ["casim", "casim", "fixed"]
    assert stored["tracks/seed"].tolist() == [0, 1, 2]


def test_the_same_seed_gives_the_same_numbers(runs: tuple[str, ...], attention: Path, tmp_path: Path) -> None:
    config = attention_probe.Config(runs=runs, out=tmp_path, steps=(900, 10), samples=29, examples=5, resamples=50)
    assert attention_probe.run(config).results == record.load(attention).results


def test_parts_that_are_done_are_not_made_again(
    runs: tuple[str, ...], attention: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a stop: nothing is left to make, and the numbers are those of before; other settings are made
    anew."""
    out = shutil.copytree(attention, tmp_path / "probe")
    pooled = (str(attention.parent / "pooled"),)
    config = attention_probe.Config(runs, pooled, out=out, steps=(900, 10), samples=29, examples=5, resamples=50)
    made = []
    monkeypatch.setattr(attention_parts.designs, "measures", lambda study: made.append(study) or {})
    monkeypatch.setattr(attention_parts.causes, "measures", lambda *args, **kwargs: made.append(args) or {})
    assert attention_probe.run(config).results == record.load(attention).results
    assert not made
    attention_probe.run(replace(config, resamples=20))
    assert len(made) == 2


def test_a_stopped_probe_says_that_it_goes_on(
    runs: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(attention_parts.persistence, "measures", stop)
    argv = [*runs, "--steps", "900", "--samples", "11", "--parts", "persistence", "--resamples", "20"]
    assert cli.run(attention_probe.main, [*argv, "--out", str(tmp_path)]) == 130
    assert f"interrupted; {cli.GOES_ON}" in " ".join(capsys.readouterr().err.split())
    store = Store(tmp_path, {})
    with pytest.raises(KeyboardInterrupt, match=cli.GOES_ON):
        store.get("arrays", {}, stop)  # type: ignore[arg-type]


def test_parts_give_their_entries(attention: Path) -> None:
    results = record.load(attention).results
    wanted = {
        "design/content",
        "design/square/time",
        "mixed/trained",
        "head/layer1/head1/q",
        "cause/keys blocked/p",
    }
    wanted |= {"cause/heads best 50%/target", "persistence/training seed/icc", "persistence/heads/matched"}
    assert wanted <= set(results)
    raw, normed = (results[f"weighting/{name}/auc"].value for name in ("raw", "value norm"))
    assert raw == pytest.approx(results["casim/auc"].value)  # the same maps
    assert results["weighting/value norm less raw/auc"].value == pytest.approx(normed - raw)
    assert len({results[f"weighting/{name}/auc"].value for name in ("raw", "value norm", "rollout")}) == 3
    assert results["persistence/noise/jsd"].value < results["persistence/null prompt swap/jsd"].value


def test_calibration_of_a_model_without_meaning(runs: tuple[str, ...], tmp_path: Path) -> None:
    config = attention_probe.Config(
        runs, out=tmp_path, steps=(900,), samples=29, examples=0, resamples=20, parts=(), calibrate=6
    )
    results = attention_probe.run(config).results
    rates = {key: m for key, m in results.items() if key.startswith("calibration/")}
    assert rates["calibration/semantic gain"].value <= 1 / 6
    assert all(m.n == 6 and m.interval is not None for m in rates.values())


def test_an_encoder_reports_its_mass_on_text(tmp_path: Path) -> None:
    folder = toy(tmp_path / "enc", 0, backbone=MdmEncoder.Config(**SIZE))
    config = attention_probe.Config(
        runs=(str(folder),), out=tmp_path / "out", steps=(400, 10), samples=11, examples=1, resamples=20
    )
    assert 0 < attention_probe.run(config).results["casim/text_mass"].value < 1


def test_a_map_of_any_prompt(runs: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "a person juggles seven flames"  # words that no clip has
    argv = ["--run", runs[0], "--prompt", prompt, "--seconds", "1.1", "--step", "900", "--out", str(tmp_path)]
    assert cli.run(attention_probe.main, argv) == 0
    stored = record.load(tmp_path)
    assert (stored.name, stored.status, set(stored.artifacts)) == ("attention_map", "done", {"map.png", "map.npz"})
    drawn = np.load(tmp_path / "map.npz")
    assert drawn["map"].shape == (5, 22)
    assert drawn["steps"].tolist() == [999]  # the nearest of 0, 500 and 999
    assert list(drawn["words"]) == prompt.split()
    np.testing.assert_allclose(drawn["map"].astype(float).sum(0) + drawn["sink"], 1, atol=0.01)
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert "sink" in capsys.readouterr().out


def test_layers_and_heads_can_be_chosen(runs: tuple[str, ...], tmp_path: Path) -> None:
    maps = {}
    for name, extra in (("mean", []), ("l0", ["--layer", "0"]), ("l1", ["--layer", "1"]), ("h1", ["--head", "1"])):
        argv = ["--run", runs[0], "--prompt", "sits down", "--seconds", "1", "--out", str(tmp_path / name), *extra]
        assert cli.run(attention_probe.main, argv) == 0
        maps[name] = np.load(tmp_path / name / "map.npz")["map"].astype(float)
    np.testing.assert_allclose((maps["l0"] + maps["l1"]) / 2, maps["mean"], atol=2e-3)
    assert not np.allclose(maps["h1"], maps["mean"], atol=1e-3)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["choreography_casm_seed0"], "unknown run|no run"),
        (["--run", "RUN", "--prompt", "  "], "prompt is empty"),
        (["--prompt", "a person waves"], "--run RUN"),
        (["--run", "RUN", "--prompt", "waves", "--seconds", "60"], "60: this model makes motions of up to 4.2 s"),
        (["--run", "RUN", "--prompt", "waves", "--layer", "2"], "layers 0 to 1"),
        (["--run", "RUN", "--prompt", "waves", "--head", "7"], "heads 0 to 1"),
        (["--run", "RUN", "--prompt", "waves", "--step", "1000"], "0 \\(clean\\) to 999"),
        (["--run", "RUN", "--prompt", " ".join(["waves"] * 99)], "100"),
        (["RUN", "--steps", "1000"], "0 \\(clean\\) to 999"),
        (["RUN", "--split", "helt_out"], "held_out"),
        (["RUN", "RUN"], "same folder name"),
        (["RUN", "--samples", "1"], "samples must be at least 2"),
        (["RUN", "--causes", "3"], "causes must be at least 4"),
        (["RUN", "--parts", "cause"], "causes"),
        (["FIXED"], "one pooled token"),
        (["RUN", "--pooled", "RUN"], "measured already"),
        (["--run", "FIXED", "--prompt", "waves"], "one pooled token"),
        (["RUN", "OTHER"], "no seeds of one arm"),
        (["RUN", "--device", "abacus"], "no device 'abacus' here"),
        (["--run", "RUN", "--prompt", "waves", "--device", "abacus"], "no device 'abacus' here"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    argv: list[str], message: str, runs: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"RUN": lambda: runs[0]}
    places["FIXED"] = lambda: str(toy(tmp_path / "fixed", 0, Fixed.Config(), recipe="fixed"))
    places["OTHER"] = lambda: str(toy(tmp_path / "other", 0, recipe="casim_other"))
    argv = [places.get(word, lambda word=word: word)() for word in argv]
    out = tmp_path / "out"
    assert cli.run(attention_probe.main, [*argv, "--out", str(out)]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert re.search(message, error)
    assert not out.exists()


def test_another_commands_record_is_not_overwritten(runs: tuple[str, ...], tmp_path: Path) -> None:
    other = json.dumps({"kind": "sample", "name": "x"})
    (tmp_path / record.FILE).write_text(other)
    assert cli.run(attention_probe.main, [runs[0], "--out", str(tmp_path)]) == 2
    assert cli.run(attention_probe.main, ["--run", runs[0], "--prompt", "sits", "--out", str(tmp_path)]) == 2
    assert (tmp_path / record.FILE).read_text() == other
