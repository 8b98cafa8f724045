"""The transition probe: seams are where they should be, a planted cost is found, and only the joining differs."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from analysis import transition_probe, transition_seams, transition_sequences
from analysis.transition_design import WINDOW, Cell, cells, feasible
from analysis.transition_results import (
    CHANGE,
    INSIDE,
    PLAIN,
    Reference,
    losses_of,
    measures,
    scores_of,
    trends,
    verdict,
)
from analysis.transition_seams import Eye, Seams, cut, joined, real_windows
from analysis.transition_tables import show
from casim import record
from casim.backbones.mdm_decoder import MdmDecoder
from casim.data.choreography import Choreography
from casim.injection import Casim, Fixed
from casim.long_form import Joining, sample
from casim.record import Measure
from casim.setups import SamplingConfig, Setup
from casim.text.hashed import Hashed
from casim.text_to_motion import TextToMotion
from casim.types import MotionBatch
from evaluators.actions import is_exact
from evaluators.embed import oracle
from evaluators.intervals import Resampling
from evaluators.judges import Judge

HOW = Resampling(resamples=200)
DATA = Choreography.Config(train=97, validation=5, test=61, held_out=7, min_frames=91, max_frames=109)
SIZE = {"width": 14, "layers": 1, "heads": 2, "ff": 11}


@pytest.fixture(scope="module")
def dataset() -> Choreography:
    return Choreography(DATA)


@pytest.fixture(scope="module")
def eye(dataset: Choreography) -> Eye:
    return Eye(dataset, oracle.bundled(), {})


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, dataset: Choreography) -> Callable[..., Path]:
    root = tmp_path_factory.mktemp("transitions")

    def build(arm: str, seed: int = 0, data: Choreography.Config = DATA) -> Path:
        injection = {"casim": Casim.Config(), "fixed": Fixed.Config()}[arm]
        backbone = MdmDecoder.Config(**SIZE, patch=2)
        setup = Setup(data, Hashed.Config(width=23), injection, backbone, SamplingConfig("ddim", 3))
        torch.manual_seed(seed)
        model = TextToMotion.for_dataset(setup, dataset if data == DATA else Choreography(data))
        folder = root / f"{arm}_{seed}_{data.max_frames}"
        model.save(folder, {"recipe": f"transition_{arm}", "training": {"seed": seed}})
        return folder

    return build


def test_cells_and_the_room_they_need() -> None:
    every = cells((0, 5, 40), (0, 15))
    assert [cell.name for cell in every] == [
        "concatenate",
        "linear_blend h5",
        "double_take h5 b0",
        "double_take h5 b15",
        "linear_blend h40",
        "double_take h40 b0",
        "double_take h40 b15",
    ]
    assert [cell.needs for cell in every] == [60, 65, 65, 65, 100, 100, 120]
    kept, left_out = feasible(every, 100)
    assert [cell.name for cell in every if cell not in kept] == ["double_take h40 b15"]
    assert left_out == {"double_take h40 b15": "needs segments of 120 frames, the shortest has 100"}
    with pytest.raises(ValueError, match="count frames"):
        cells((5, -1), (0,))


def test_a_window_has_its_seam_in_the_middle(dataset: Choreography, make: Callable[..., Path]) -> None:
    batch = dataset.split("test").batch([0, 1, 2])
    model = TextToMotion.load(make("casim"))
    for cell, motion, layout in joined(model, batch, cells((0, 5, 20), (0, 4)), seed=1):
        assert len(motion) == layout.total == int(batch.lengths.sum()) - 2 * cell.handshake
        clock = torch.arange(len(motion), dtype=torch.float32)[None, :, None].expand(2, -1, 1)
        middles = layout.boundaries[1:-1]
        windows = cut(clock, middles)[..., 0]
        assert windows.shape == (2, WINDOW)
        for window, (first, end) in zip(windows, layout.seams, strict=True):
            assert window[WINDOW // 2] == first + cell.handshake // 2
            assert window[0] <= first
            assert window[-1] >= end - 1


def test_ways_of_joining_share_their_noise_and_are_those_of_long_form(
    dataset: Choreography, make: Callable[..., Path]
) -> None:
    batch = dataset.split("test").batch([3, 4, 5])
    model = TextToMotion.load(make("casim"))
    ways = cells((0, 10), (0, 6))
    found = {cell.name: (motion, layout) for cell, motion, layout in joined(model, batch, ways, seed=9)}
    assert set(found) == {cell.name for cell in ways}
    for method, name in (("concatenate", "concatenate"), ("linear_blend", "linear_blend h10")):
        motion, layout = found[name]
        takes = sample(model, batch.texts, layout, Joining(method, 10, 0), seed=9)
        torch.testing.assert_close(motion, takes.motion())
    motion, layout = found["double_take h10 b0"]
    torch.testing.assert_close(motion, sample(model, batch.texts, layout, Joining("first_take", 10), 9).motion())
    # a second take changes what lies around handshakes, and nothing else
    other, _ = found["double_take h10 b6"]
    touched = torch.from_numpy(Cell("double_take", 10, 6).layout(batch.lengths.tolist()).kinds() > 0)
    assert torch.equal(motion[~touched], other[~touched])
    assert not torch.equal(motion[touched], other[touched])


def test_real_segments_keep_their_meaning(dataset: Choreography, eye: Eye) -> None:
    """Real clips joined end to end are exact on both sides of every seam, and swapped captions are not."""
    clips = dataset.split("test")
    pairs = [i for i, plan in enumerate(clips.plans) if plan.kind == "pair"][:12]
    batch = clips.batch(pairs)
    layout = Cell(PLAIN).layout(batch.lengths.tolist())
    motion = torch.cat([row[:length] for row, length in zip(batch.motion, batch.lengths, strict=True)])
    truths = batch.alignment or ()
    seen = transition_seams.look(motion, layout, truths, eye)
    assert seen.jerk.shape == (11, WINDOW - 3)
    assert seen.scores["left_exact"].mean() > 0.85
    assert seen.scores["right_kept"].mean() > 0.9
    wrong = transition_seams.look(motion, layout, truths[::-1], eye)
    assert wrong.scores["left_exact"].mean() < 0.2
    # a jump at the seam is seen by the step over it
    assert (
        seen.scores["distance"].mean()
        > 5 * eye.windows(real_windows(batch, np.random.default_rng(0), is_change=True)).scores["distance"].mean()
    )


def test_real_windows_fit_their_clips(dataset: Choreography) -> None:
    batch = dataset.split("train").batch(range(97))
    rng = np.random.default_rng(0)
    anywhere = real_windows(batch, rng, is_change=False)
    assert anywhere.shape[:2] == (97, WINDOW)
    changes = real_windows(batch, rng, is_change=True)
    assert 10 < len(changes) < 97  # clips of one action have none
    both = [i for i, plan in enumerate(dataset.split("train").plans) if plan.kind == "while"]
    assert not len(real_windows(dataset.split("train").batch(both), rng, is_change=True))
    assert (changes.abs().sum(-1) > 0).all()  # no padding


def test_a_wrong_segment_counts_at_its_own_seams(dataset: Choreography, eye: Eye) -> None:
    """Segment 2 is wrong as a whole, segment 4 in its last action alone."""
    clips = dataset.split("test")
    pairs = [i for i, plan in enumerate(clips.plans) if plan.kind == "pair"]
    truths = clips.batch(pairs).alignment or ()
    right = [bool(e) for e in eye_exact(clips.batch(pairs), eye)]
    batch = clips.batch([i for i, is_right in zip(pairs, right, strict=True) if is_right][:6])
    layout = Cell(PLAIN).layout(batch.lengths.tolist())
    motion = torch.cat([row[:length] for row, length in zip(batch.motion, batch.lengths, strict=True)])
    wanted = list(batch.alignment or ())
    plain = transition_seams.look(motion, layout, wanted, eye)
    assert plain.scores["left_exact"].tolist() == plain.scores["right_exact"].tolist() == [1] * 5
    shown = {span.action for span in wanted[4].actions}
    other = next(span.action for truth in truths for span in truth.actions if span.action not in shown)
    wanted[2] = next(t for t in truths if not {s.action for s in t.actions} & {s.action for s in wanted[2].actions})
    last = replace(wanted[4].actions[-1], action=other)
    wanted[4] = replace(wanted[4], actions=(*wanted[4].actions[:-1], last))
    seen = transition_seams.look(motion, layout, wanted, eye)
    assert seen.segments["exact"].tolist() == [1, 1, 0, 1, 0, 1]
    assert seen.segments["kept"].tolist() == [1, 1, 0, 1, 0.5, 1]
    assert seen.scores["left_exact"].tolist() == [1, 1, 0, 1, 0]
    assert seen.scores["right_exact"].tolist() == [1, 0, 1, 0, 1]
    assert seen.scores["left_kept"].tolist() == [1, 1, 0, 1, 0]
    assert seen.scores["right_kept"].tolist() == [1, 0, 1, 1, 1]
    assert losses_of(seen, plain)["cost"].tolist() == [0, 0, 1, 0, 1, 0]


def eye_exact(batch: MotionBatch, eye: Eye) -> list[bool]:
    found = eye.recognise(batch.motion, batch.mask)
    return [is_exact(f, w) for f, w in zip(found, batch.alignment or (), strict=True)]


def made(offset: float, kept: float, seed: int, gap: float = 100.0) -> Seams:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal
    jerk = 500 + gap + 5 * np.abs(noise((53, WINDOW - 3)))
    scores = {name: 10 + noise(53) for name in ("peak_jerk", "mean_jerk", "largest_step", "skate_ratio", "speed")}
    scores["distance"] = offset + noise(53)
    segments = {name: (rng.random(54) < kept).astype(float) for name in ("exact", "kept")}
    scores |= {"left_exact": segments["exact"][:-1], "right_exact": segments["exact"][1:]}
    scores |= {"left_kept": segments["kept"][:-1], "right_kept": segments["kept"][1:]}
    return Seams(scores, jerk, {"essential": noise((53, 4))}, segments)


def planted(step: float, loss: float, exact: float = 0.98, trainings: int = 3) -> dict[str, Measure]:
    """Seams whose step falls by `step` mm and whose segments lose `loss` per 10 frames of handshake; end to end it
    is far larger than with any."""
    ways = cells((0, 10, 20, 30, 40), (10,))
    table = {("casim", INSIDE): {seed: made(10, 1.0, 50 + seed) for seed in range(trainings)}}
    for number, cell in enumerate(ways):
        tens = cell.handshake / 10
        offset = 60 - step * tens if tens else 200
        table["casim", cell.name] = {
            seed: made(offset, exact - loss * tens, 100 * number + seed) for seed in range(trainings)
        }
    reference = Reference(
        np.full(WINDOW - 3, 500.0), {"essential": np.random.default_rng(0).standard_normal((60, 4))}
    )
    found = measures(table, {CHANGE: made(1, 1.0, 7)}, reference, ways, HOW, "p")
    return found | verdict(found, ways, 10, "p")


@pytest.mark.parametrize(
    ("step", "loss", "word"),
    [(8.0, 0.15, "trade-off"), (8.0, 0.0, "smoother"), (-8.0, 0.15, "no smoother"), (0.0, 0.15, "undetermined")],
)
def test_a_planted_trend_is_found(step: float, loss: float, word: str) -> None:
    found = planted(step, loss, exact=0.98 if loss else 1.0)
    assert f"verdict/{word}" in found
    assert found["casim trend b10/distance"].value == pytest.approx(-step, abs=1.0)
    assert found["casim trend b10/cost"].value == pytest.approx(loss, abs=0.04)
    assert found["casim trend b10/lost"].value == pytest.approx(loss, abs=0.04)
    assert found["gate/step over the seam sees a seam"].value == 1.0
    assert found["gate/a handshake smooths"].value == 1.0
    one = found["casim double_take h20 b10 - double_take h10 b10/distance"]
    assert one.value == pytest.approx(-step, abs=1.0)


def test_no_verdict_without_meaning_or_from_few_trainings() -> None:
    for found in (planted(8.0, 0.0, exact=0.0), planted(8.0, 0.15, trainings=2)):
        assert "verdict/undetermined" in found
    assert planted(8.0, 0.0, exact=0.0)["gate/meaning to lose"].value == 0.0


def test_a_segment_with_two_seams_counts_once() -> None:
    """The interval of the loss is that of 54 segments, as wide as that of one side alone."""
    found = planted(8.0, 0.15)
    cost, left = (found[f"casim double_take h20 b10 - {PLAIN}/{name}"] for name in ("cost", "left_exact"))
    assert cost.n == 54
    assert cost.interval is not None
    assert left.interval is not None
    assert np.ptp(cost.interval) == pytest.approx(np.ptp(left.interval), rel=0.25)


def test_jerk_across_a_seam_stands_out() -> None:
    still = made(0, 1, 3)
    still.jerk[:] = 100
    still.jerk[:, WINDOW // 2 - 3 : WINDOW // 2] = 700
    reference = Reference(np.full(WINDOW - 3, 100.0), {})
    assert scores_of(still, reference)["seam_jerk"].tolist() == [600.0] * 53
    position = torch.zeros(1, WINDOW)
    position[:, WINDOW // 2 :] = 1  # a step at the seam
    touched = position.diff(n=3, dim=1)[0] != 0
    assert torch.arange(WINDOW - 3)[touched].tolist() == [27, 28, 29]


def test_the_slope_is_that_of_least_squares() -> None:
    """Over the handshakes above 0; and each against the next."""
    every = trends(cells((0, 5, 20, 40), (0, 10)))
    handshakes, values = [5, 20, 40], [7.0, 3.0, 1.0]
    fitted = np.polyfit(np.array(handshakes) / 10, values, 1)[0]
    names = [f"double_take h{h} b10" for h in handshakes]
    weights = every["trend b10"]
    assert sum(weights[n] * v for n, v in zip(names, values, strict=True)) == pytest.approx(fitted)
    assert every[f"{names[2]} - {names[1]}"] == {names[2]: 1.0, names[1]: -1.0}
    assert every[f"{names[0]} - {PLAIN}"] == {names[0]: 1.0, PLAIN: -1.0}


def test_sequences_are_longer_than_any_training_clip_and_exact_themselves(dataset: Choreography, eye: Eye) -> None:
    clips = dataset.sequences(5, 240, 23)
    batch = clips.batch(range(23))
    assert batch.motion.shape[:2] == (23, 240)
    assert all(len(truth.actions) == 5 for truth in batch.alignment or ())
    assert all(text.count(" then ") == 4 for text in batch.texts)
    rows = transition_sequences.judge(batch.motion, batch, eye, "real", 0, "5 actions/1.2x")
    assert rows["exact_prompt"].mean() > 0.8
    # another draw differs, the same one does not
    assert dataset.sequences(5, 240, 23).plans == clips.plans
    assert dataset.sequences(5, 240, 23, seed=1).plans != clips.plans
    with pytest.raises(ValueError, match="two or more actions"):
        dataset.sequences(1, 240, 3)


def test_the_probe_on_toy_runs_goes_on_where_it_was_stopped(
    make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tuple(str(make(arm, seed)) for arm in ("casim", "fixed") for seed in (0, 1))
    config = transition_probe.Config(
        runs,
        handshakes=(0, 10, 20, 40),
        blends=(0, 10),
        samples=11,
        sequences=3,
        resamples=50,
        out=tmp_path / "out",
    )
    written = transition_probe.run(config)
    assert "needs segments of 110 frames" in written.config["left_out"]["double_take h40 b10"]
    rows = pd.read_csv(tmp_path / "out" / "seams.csv")
    assert set(rows["cell"]) == {INSIDE, *written.config["cells"]}
    assert len(rows) == len(runs) * rows["cell"].nunique() * rows["seam"].nunique()
    assert rows["seam"].nunique() == 7
    assert written.results["casim concatenate/cost"].value == 0
    assert written.results["casim concatenate/cost"].n == 8
    with np.load(tmp_path / "out" / "curves.npz") as curves:
        assert curves["casim concatenate"].shape == (WINDOW - 3,)
    assert {"gain concatenate/distance", f"{CHANGE}/jerk_gap", "one prompt gain/exact_prompt/6 actions/2x"} <= set(
        written.results
    )
    assert written.results["one prompt real/action_recall/6 actions/1x"].value > 0.7
    console = Console(file=io.StringIO(), width=120)
    show(record.load(tmp_path / "out"), console)
    text = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert "left out: double_take h40 b10" in text
    assert "a longer handshake: " in text

    def fail(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(transition_seams, "joined", fail)
    monkeypatch.setattr(transition_sequences, "generated", fail)
    again = transition_probe.run(config)
    assert again.results == written.results
    with pytest.raises(AssertionError, match="made again"):  # parts hold the cells they were made for
        transition_probe.run(replace(config, handshakes=(0, 10, 20)))
    monkeypatch.setattr(Judge, "sha256", lambda judge: "another")
    with pytest.raises(AssertionError, match="made again"):  # and the networks that looked
        transition_probe.run(config)


def test_runs_that_cannot_be_joined_are_refused(make: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no runs in"):
        transition_probe.run(transition_probe.Config((str(tmp_path / "empty"),), out=tmp_path / "out"))
    run = str(make("casim"))
    with pytest.raises(ValueError, match="choose a lower --shortest"):
        transition_probe.run(transition_probe.Config((run,), shortest=400, out=tmp_path / "out"))
    short = str(make("casim", data=replace(DATA, min_frames=36, max_frames=43)))
    with pytest.raises(ValueError, match="trained on longer clips"):
        transition_probe.run(transition_probe.Config((short,), out=tmp_path / "out"))
    for wrong, told in (
        ({"samples": 0}, "samples must be at least 8"),
        ({"sequences": -1}, "sequences must be at least 0"),
        ({"resamples": 0}, "resamples must be at least 1"),
        ({"at_blend": 7}, "none of the blends"),
    ):
        with pytest.raises(ValueError, match=told):
            transition_probe.run(transition_probe.Config((run,), out=tmp_path / "out", **wrong))
    assert not (tmp_path / "out").exists()
