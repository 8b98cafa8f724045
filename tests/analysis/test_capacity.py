"""The capacity probe: a planted cap is found, none is not made up, and runs that are no curve are refused."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from analysis import capacity_grid, capacity_probe, latent_readout
from analysis.capacity_results import CODEC, contrasts, frechet, gates, measures, verdict
from analysis.capacity_tables import show
from casim import record, train
from casim.data.choreography import Choreography
from casim.features import FeatureSpec
from casim.motion_codec import with_first_stage
from casim.recipes import RECIPES
from casim.record import Measure
from casim.setups import SamplingConfig, Setup
from casim.text.hashed import Hashed
from casim.text_to_motion import TextToMotion
from casim.types import Alignment, Codec, MotionBatch
from evaluators.intervals import Resampling
from evaluators.judges import Judge
from evaluators.protocol import Space

HOW = Resampling(resamples=200)
PLACE = "exact_prompt/held_out/pair"
SIZES = (1, 4, 16)
DATA = Choreography.Config(train=83, validation=5, test=29, held_out=31, max_frames=47)


def made_rows(gains: dict[str, float], *, level: float = 0.3, kept: float = 0.9, seeds: int = 3) -> pd.DataFrame:
    """Scores of both arms with these gains, and of codecs that keep `kept`."""
    rng = np.random.default_rng(0)
    items = [f"c{i:03d}" for i in range(101)]
    hardness, rows = 0.1 * rng.standard_normal(len(items)), []
    for name, gain in gains.items():
        arms = [
            (f"{name} casim", level + gain, seeds),
            (f"{name} fixed", level, seeds),
            (f"{name} {CODEC}", kept, 1),
        ]
        for arm, mean, times in arms:
            for seed in range(times):
                scores = mean + hardness + 0.03 * rng.standard_normal(len(items)) + 0.002 * rng.standard_normal()
                rows += [
                    (arm, seed, "held_out", item, ("pair", "triple")[i % 2], i % 4 == 0, False, 40 + i, score)
                    for i, (item, score) in enumerate(zip(items, scores, strict=True))
                ]
    names = ["arm", "seed", "split", "item", "kind", "is_reversed", "is_cut", "frames", "exact_prompt"]
    return pd.DataFrame(rows, columns=names)


def judged(gains: dict[str, float], **levels: float) -> tuple[str, dict[str, Measure]]:
    found = measures(made_rows(gains, **levels), HOW, "p")
    told = verdict(found, "held_out", "p")
    (word,) = (key.partition("/")[2] for key in told if key.startswith("verdict/"))
    return word, found | told


def test_a_planted_cap_is_found_with_its_slope() -> None:
    word, found = judged({f"vae{n}": 0.05 * np.log2(n) for n in SIZES})
    assert word == "supported"
    assert found[f"slope/{PLACE}"].value == pytest.approx(0.05, abs=0.01)
    assert found[f"gain vae16 - vae1/{PLACE}"].value == pytest.approx(0.2, abs=0.03)
    low, high = found[f"vae4 gain/{PLACE}"].interval or (0.0, 0.0)
    assert low < 0.1 < high
    assert {key.partition("/")[2]: m.value for key, m in found.items() if key.startswith("gate/")} == {
        "codecs keep the actions": 1.0,
        "the denoiser learned": 1.0,
        "three trainings": 1.0,
        "the gain rises": 1.0,
        "in every training": 1.0,
    }
    # short, medium and long clips stand apart
    assert {"short", "medium", "long"} <= {key.rpartition("/")[2] for key in found}


@pytest.mark.parametrize(
    ("gains", "levels", "word"),
    [
        ([0.1, 0.1, 0.1], {}, "not supported"),
        ([0.2, 0.1, 0.0], {}, "not supported"),
        ([0.0, 0.05, 0.1], {"level": 0.01}, "undetermined"),  # nothing was learned
        ([0.0, 0.1, 0.2], {"kept": 0.3}, "undetermined"),  # the codecs lose the actions
        ([0.0, 0.1, 0.2], {"seeds": 2}, "undetermined"),
    ],
    ids=["flat", "falling", "unlearned", "lossy", "two seeds"],
)
def test_no_cap_is_made_up(gains: list[float], levels: dict[str, float], word: str) -> None:
    assert judged({f"vae{n}": gain for n, gain in zip(SIZES, gains, strict=True)}, **levels)[0] == word


def test_nothing_to_compare_leaves_it_undetermined() -> None:
    assert judged({"vq": 0.1})[0] == "undetermined"
    assert [gate.is_passed for gate in gates({}, "held_out")] == [None, None, False, None, None]


def test_the_slope_is_that_of_least_squares() -> None:
    weights = contrasts(["vae1", "vae4", "vae16", "vq"])
    gains = {"vae1": 0.02, "vae4": 0.11, "vae16": 0.13}
    fitted = np.polyfit([0, 2, 4], list(gains.values()), 1)[0]
    assert sum(weight * gains[name] for name, weight in weights["slope"].items()) == pytest.approx(fitted)
    assert set(weights) == {
        "slope",
        "gain vae4 - vae1",
        "gain vae16 - vae4",
        "gain vae16 - vae1",
        "gain vq - vae1",
    }


def test_frechet_distances_are_those_of_each_training() -> None:
    rng = np.random.default_rng(1)
    real = rng.standard_normal((400, 3))
    far = {"vae1 casim": 1.0, "vae1 fixed": 2.0}
    spaces = {}
    for arm, shift in far.items():
        made = Space(torch.as_tensor(real + shift), torch.as_tensor(real), torch.arange(len(real)))
        for seed in range(3):
            spaces["test", arm, seed] = [{"tmr": made, "essential": made}]
    found = frechet(spaces, "p")
    for arm, shift in far.items():
        assert found[f"{arm}/fid.tmr.raw/test/all"].value == pytest.approx(3 * shift**2)
    assert found["vae1 gain/fid.tmr.raw/test/all"].value == pytest.approx(3 - 12)


class PlantedCodec(Codec):
    """Latents in which one answer stands plainly among noise; nothing, where `task` is not told."""

    space = 5

    def __init__(self, task: str | None) -> None:
        super().__init__(FeatureSpec(), np.zeros(1), np.ones(1))
        self.task = task

    def decode(self, codes: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def loss(self, batch: MotionBatch, generator: torch.Generator) -> torch.Tensor:
        raise NotImplementedError

    def code_mask(self, mask: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(mask), 2, dtype=torch.bool)

    def encode(self, batch: MotionBatch, generator: torch.Generator | None = None) -> MotionBatch:
        latents = torch.randn(len(batch.motion), 2, 5, generator=torch.Generator().manual_seed(len(batch.motion)))
        for row, truth in zip(latents, batch.alignment or (), strict=True):
            if self.task is not None and truth.kind == "pair":
                row[1, 3] += 5 * latent_readout.answers(truth)[self.task]
        return replace(batch, motion=latents, mask=self.code_mask(batch.mask))


@pytest.fixture(scope="module")
def dataset() -> Choreography:
    return Choreography(replace(DATA, train=1500, test=400, held_out=400))


@pytest.mark.parametrize("task", latent_readout.TASKS)
def test_what_is_planted_in_latents_is_read_and_nothing_else(task: str, dataset: Choreography) -> None:
    found = latent_readout.measures(PlantedCodec(task), dataset, HOW)
    assert found[f"{task}/accuracy"].value > 0.98
    assert found[f"{task}/unseen"].value > 0.98
    assert found[f"{task}/selectivity"].value > 0.3
    for measure in found.values():
        low, high = measure.interval or (0, 0)
        assert -1 <= low <= measure.value <= high <= 1
    low, high = found[f"{task}/unseen"].interval or (0, 0)
    assert 0 < high - low < 0.1


def test_what_is_learned_by_heart_is_told_from_what_is_read(dataset: Choreography) -> None:
    """Latents that name the pair and nothing else: any answer is known for seen pairs, none for others."""
    pairs = sorted({tuple(s.action for s in t.actions) for t in all_truths(dataset) if t.kind == "pair"})

    class Pairs(PlantedCodec):
        def encode(self, batch: MotionBatch, generator: torch.Generator | None = None) -> MotionBatch:
            latents = torch.zeros(len(batch.motion), 2, len(pairs))
            for row, truth in zip(latents, batch.alignment or (), strict=True):
                if (own := tuple(s.action for s in truth.actions)) in pairs:
                    row[0, pairs.index(own)] = 1
            return replace(batch, motion=latents, mask=self.code_mask(batch.mask))

    found = latent_readout.measures(Pairs(None), dataset, HOW)
    for task in latent_readout.TASKS:
        assert found[f"{task}/accuracy"].value > 0.8
        assert found[f"{task}/control"].value > 0.8
        assert found[f"{task}/unseen"].value == pytest.approx(0.5, abs=0.01)
        gap = found[f"{task}/accuracy"].value - found[f"{task}/control"].value
        assert found[f"{task}/selectivity"].value == pytest.approx(gap)


def test_an_interval_is_that_of_balanced_accuracy() -> None:
    """Three of four answers are 1: a probe that always says 1 scores .5, certainly; a perfect one 1, not above."""
    truth = np.resize([1.0, 1.0, 1.0, -1.0], 80)
    always = latent_readout.Balanced((truth == 1)[None].astype(float), truth[None], [1.0]).estimate(HOW)
    assert always is not None
    assert always.value == 0.5
    assert always.interval == (0.5, 0.5)
    perfect = latent_readout.Balanced(np.ones((1, 80)), truth[None], [1.0]).estimate(HOW)
    assert perfect is not None
    assert perfect.interval is not None
    assert 0.9 < perfect.interval[0] < perfect.interval[1] == 1
    rng = np.random.default_rng(0)
    right = (rng.random(80) < 0.8).astype(float)
    own = latent_readout.Balanced(right[None], truth[None], [1.0]).estimate(Resampling(resamples=4000))
    assert own is not None
    shares = [right[truth == answer].mean() for answer in (1, -1)]
    spread = np.sqrt(sum(p * (1 - p) / (truth == answer).sum() for p, answer in zip(shares, (1, -1), strict=True)))
    assert own.value == pytest.approx(np.mean(shares))
    assert own.interval is not None
    assert own.interval[1] - own.interval[0] == pytest.approx(2 * 1.96 * spread / 2, rel=0.15)


def test_actions_are_named_where_latents_name_them(dataset: Choreography) -> None:
    """Latents with a place for every first and every second action; answers per pair are learned by heart too."""
    names = sorted({span.action for truth in all_truths(dataset) for span in truth.actions})

    class Named(PlantedCodec):
        def encode(self, batch: MotionBatch, generator: torch.Generator | None = None) -> MotionBatch:
            latents = torch.zeros(len(batch.motion), 2, len(names))
            for row, truth in zip(latents, batch.alignment or (), strict=True):
                for place, span in zip(row, truth.actions, strict=False):
                    place[names.index(span.action)] = 1
            return replace(batch, motion=latents, mask=self.code_mask(batch.mask))

    found = latent_readout.measures(Named(None), dataset, HOW)
    assert found["actions/unseen"].value == 1
    assert latent_readout.measures(PlantedCodec(None), dataset, HOW)["actions/unseen"].value < 0.05


def all_truths(dataset: Choreography) -> tuple[Alignment, ...]:
    clips = dataset.split("train")
    return clips.batch(range(len(clips))).alignment or ()


def test_a_grid_of_one_seed_is_not_three_trainings() -> None:
    """Seeds of other representations, beside the curve or on it, do not count for those behind the VAEs."""
    rows = made_rows({f"vae{n}": 0.05 * np.log2(n) for n in SIZES}, seeds=1)
    beside = made_rows({"t2m_gpt": 0.1, "vq": 0.1}, seeds=3)
    found = measures(pd.concat([rows, beside]), HOW, "p")
    told = verdict(found, "held_out", "p")
    assert told["gate/three trainings"].value == 0
    assert "verdict/undetermined" in told


def test_noise_tells_nothing(dataset: Choreography) -> None:
    found = latent_readout.measures(PlantedCodec(None), dataset, HOW)
    assert {f"{task}/unseen" for task in latent_readout.TASKS} <= set(found)
    for task in latent_readout.TASKS:
        assert found[f"{task}/unseen"].value == pytest.approx(0.5, abs=0.15)
        assert found[f"{task}/selectivity"].value == pytest.approx(0, abs=0.15)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    root = tmp_path_factory.mktemp("capacity")
    codecs: dict[str, Path] = {}

    def codec(name: str, seed: int) -> Path:
        if (key := f"{name}_{seed}") not in codecs:
            words = ["--data.train", "83", "--data.validation", "5", "--data.test", "29", "--data.held-out", "31"]
            words += ["--data.max-frames", "47", "--training.steps", "30", "--training.seed", str(seed)]
            words += ["--codec.width", "12"]
            words += ["--codec.network.width", "8"] if name == "vq" else ["--codec.ff", "13", "--codec.layers", "1"]
            assert train.command([f"capacity_{name}", "--out", str(root / key), "--threads", "1", *words]) == 0
            codecs[key] = root / key
        return codecs[key]

    def build(name: str, arm: str, seed: int = 0, codec_seed: int = 0, **changes: object) -> Path:
        folder = root / f"{name}_{arm}_{seed}_{codec_seed}_{'_'.join(map(str, changes))}"
        setup = RECIPES[f"capacity_{name}_{arm}"]().setup
        assert isinstance(setup, Setup)
        stage = replace(setup.first_stage, run=str(codec(name, codec_seed)) if name != "frames" else "")
        made = replace(setup.backbone.diffusion, prediction="sample")  # noise, where untrained, stays small
        size = {"diffusion": made, "width": 12, "layers": 1, "heads": 2, "ff": 11}
        setup = replace(setup, sampling=SamplingConfig("ddim", 3))
        setup = replace(setup, data=DATA, backbone=replace(setup.backbone, **size), first_stage=stage)
        torch.manual_seed(seed)
        model = TextToMotion.for_dataset(with_first_stage(replace(setup, **changes)), Choreography(DATA))
        model.save(folder, {"recipe": f"capacity_{name}_{arm}", "training": {"seed": seed, "steps": 2}})
        return folder

    return build


def test_the_curve_of_toy_runs(make: Callable[..., Path], tmp_path: Path) -> None:
    names = ("vae1", "vae4", "vq", "frames")
    runs = [make(name, arm, seed) for name in names for arm in ("casim", "fixed") for seed in (0, 1)]
    config = capacity_probe.Config(tuple(map(str, runs)), out=tmp_path / "out", samples=17, resamples=50)
    written = capacity_probe.run(config)
    assert written.config["representations"] == list(names)
    assert written.config["missing"] == [
        f"{name} {arm}" for name in ("vae2", "vae7", "vae16", "vae24") for arm in ("casim", "fixed")
    ]
    found = written.results
    assert found["vae1 budget/numbers"].value * 4 == found["vae4 budget/numbers"].value
    assert found["vq budget/bits"].value == pytest.approx(found["vq budget/numbers"].value / 12 * 8)
    assert "frames budget/bits" not in found
    assert (found["frames latent/side/accuracy"].n or 0) > 0
    assert "vae4 codec/joint_error/held_out/all" in found
    assert {"vq untrained latent/side/accuracy", "vae1 untrained latent/actions/unseen"} <= set(found)
    assert "frames untrained latent/actions/unseen" not in found
    assert "verdict/undetermined" in found
    table = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert len(table) == 2 * 17 * (16 + 3)
    console = Console(file=io.StringIO(), width=150)
    show(record.load(tmp_path / "out"), console)
    text = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert re.search(r"^\s*vae4 .*\[", text, re.M)
    assert "a small representation caps the gain: undetermined" in text
    assert "not measured: vae2 casim" in text


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        ([("vae1", "casim", {}), ("vae1", "casim", {"text": Hashed.Config(width=23)})], "name one of them"),
        ([("vae1", "casim", {}), ("vae4", "casim", {"text": Hashed.Config(width=23)})], "differ in their text"),
        ([("vae1", "casim", {}), ("vae1", "fixed", {"codec_seed": 1})], "different codecs of one kind"),
    ],
    ids=["twice", "other text", "other codec"],
)
def test_runs_that_are_no_curve_are_refused(
    pairs: list[tuple[str, str, dict]], why: str, make: Callable[..., Path], tmp_path: Path
) -> None:
    runs = tuple(str(make(name, arm, **changes)) for name, arm, changes in pairs)
    with pytest.raises(ValueError, match=why):
        capacity_probe.run(capacity_probe.Config(runs, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["vae1", "vq"])
def test_an_untrained_codec_has_other_weights_of_the_same_sizes(name: str, make: Callable[..., Path]) -> None:
    model = TextToMotion.load(make(name, "casim"))
    assert model.codec is not None
    null, again = (latent_readout.untrained(model.setup.first_stage.codec, model.codec, 3) for _ in range(2))
    own = {key.removeprefix("codec."): value for key, value in model.codec.state_dict().items()}
    fresh = null.state_dict()
    assert {key: value.shape for key, value in fresh.items()} == {key: own[key].shape for key in fresh}
    moved = [key for key in fresh if fresh[key].ndim > 1 and not torch.equal(fresh[key], own[key])]
    assert len(moved) > 3
    assert all(torch.equal(value, fresh[key]) for key, value in again.state_dict().items())


def test_scores_are_of_the_networks_that_looked(
    make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tuple(str(make("vae1", arm)) for arm in ("casim", "fixed"))
    config = capacity_probe.Config(runs, out=tmp_path / "out", samples=9, resamples=20)
    results = capacity_probe.run(config).results
    made: list[str] = []
    generate = capacity_probe.generation.generate
    monkeypatch.setattr(
        capacity_probe.generation, "generate", lambda *a, **k: made.append("again") or generate(*a, **k)
    )
    assert capacity_probe.run(config).results == results
    assert not made
    monkeypatch.setattr(Judge, "sha256", lambda judge: "another")
    capacity_probe.run(config)
    assert made
    with pytest.raises(ValueError, match="one split at least"):
        capacity_probe.run(replace(config, splits=()))
    with pytest.raises(ValueError, match="resamples must be"):
        capacity_probe.run(replace(config, resamples=0))


def test_unfinished_runs_and_codecs_are_refused(make: Callable[..., Path], tmp_path: Path) -> None:
    folder = make("vae1", "casim", 5)
    codec = folder.parent / "vae1_0"
    with pytest.raises(ValueError, match="is a first stage"):
        capacity_grid.members([str(codec)])
    stopped = record.begin("training", "toy", {}, seed=0, device="cpu", threads=1)
    stopped.status = "interrupted"
    record.save(stopped, folder)
    with pytest.raises(ValueError, match="is not finished"):
        capacity_grid.members([str(folder)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no runs in .*capacity_small"):
        capacity_grid.members([str(tmp_path / "empty")])
