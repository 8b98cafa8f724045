"""The verdict on planted maps: alignment is found, position is called position, chance stays undecided."""

from functools import cache

import numpy as np
import pytest

from analysis import statistics as s
from analysis.attention_capture import Captured
from analysis.attention_results import Evidence, measures
from analysis.attention_verdict import persistence, real_verdict, verdict
from casim.record import Measure
from casim.types import ActionSpan, Alignment, WordSpan
from evaluators.intervals import Resampling

CLIPS = 120


def alignments(seed: int = 0) -> list[Alignment]:
    """Pairs "someone FIRST CONNECTIVE SECOND"; the text of every second one names the later action first."""
    random, made = np.random.default_rng(seed), []
    for clip in range(CLIPS):
        is_reversed, length = bool(clip % 2), int(random.integers(37, 60))
        boundary = int(length * random.uniform(0.3, 0.7))
        spans, order = ((0, boundary), (boundary, length)), ((1, 0) if is_reversed else (0, 1))
        words = ("someone", f"act{clip}", "after" if is_reversed else "then", f"do{clip}")
        told = [WordSpan(w, 0, length, -1, False) for w in range(4)]
        for word, segment in zip((1, 3), order, strict=True):
            told[word] = WordSpan(word, *spans[segment], segment, True)
        actions = tuple(ActionSpan(name, *span) for name, span in zip("ab", spans, strict=True))
        made.append(Alignment(words, tuple(told), actions, "pair", is_reversed))
    return made


def drifting(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Noise that wanders slowly, as attention does."""
    values = random.standard_normal(shape)
    for frame in range(1, shape[-1]):
        values[..., frame] = 0.8 * values[..., frame - 1] + 0.6 * values[..., frame]
    return values


def evidence(kind: str, seed: int = 0) -> Evidence:
    truth = alignments(seed)
    spans = s.Spans.of(truth, [a.actions[-1].end for a in truth])
    shape, random = (CLIPS, 4, int(spans.lengths.max())), np.random.default_rng(seed + 1)
    noise = 0.1 * random.random((3, *shape)) + 0.1
    time = (np.arange(shape[-1]) / spans.lengths[:, None])[:, None]
    template = np.exp(-((time - (np.arange(4) / 4 + 0.125)[:, None]) ** 2) * 9)
    guess = np.arange(shape[-1]) < 0.5 * spans.lengths[:, None, None]  # the right words, switched at half time
    planned = np.where((spans.segments == 0)[..., None], guess, ~guess) * spans.is_content[..., None]
    wander = 0.5 * drifting(random, shape)
    drift = time * np.array([0.3, 0.5, -0.7, 0.4])[:, None]
    steps = {
        "aligned": [planned * 0.1, spans.inside(shape[-1]) * 0.2],
        "planned": [planned * 0.2, planned * 0.2],
        "positional": [template, template],
        "diluted": [template + wander, template + wander],
        "drifting": [drift + 0.2 * wander, drift + 0.2 * wander],
        "chance": [0, 0],
    }[kind]
    maps = np.stack([np.broadcast_to(step, shape) + n for step, n in zip(steps, noise[:2], strict=True)], 1)
    blank = np.zeros((CLIPS, shape[-1])), np.ones(CLIPS)
    run = Captured((900, 10), maps, maps[:, :1], *blank)
    null = Captured((900, 10), noise[1:].swapaxes(0, 1), noise[1:].swapaxes(0, 1)[:, :1], *blank)
    is_reversed = np.array([a.is_reversed for a in truth])
    kinds = tuple(a.kind for a in truth)
    return Evidence("arm", {"r": run}, {"r": null}, spans, kinds, is_reversed, "toy", Resampling(300))


@cache
def measured(kind: str, seed: int = 0) -> dict[str, Measure]:
    return measures(evidence(kind, seed))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("aligned", "semantic"),
        ("planned", "mixed"),
        ("positional", "positional"),
        ("diluted", "positional"),
        ("chance", "undetermined"),
    ],
)
def test_planted_maps_get_the_verdict_that_they_deserve(kind: str, word: str, seed: int) -> None:
    results = measured(kind, seed)
    entries = verdict(results, "arm")
    assert [key for key in entries if key.startswith("verdict/")] == [f"verdict/{word}"]
    assert entries["gate/untrained is null"].value == 1
    assert "rule: " in entries["gate/semantic gain"].protocol
    assert "; measured: " in entries["gate/semantic gain"].protocol


def test_a_bad_control_leaves_the_question_open() -> None:
    results = dict(measured("aligned"))
    results["null untrained/auc"] = results["null untrained/auc"].model_copy(update={"value": 0.7})
    entries = verdict(results, "arm")
    assert entries["gate/untrained is null"].value == 0
    assert "verdict/undetermined" in entries


@pytest.mark.parametrize("kind", ["diluted", "drifting", "chance", "positional"])
def test_maps_without_meaning_never_pass_the_gate_of_meaning(kind: str) -> None:
    results = measured(kind)
    assert verdict(results, "arm")["gate/semantic gain"].value == 0
    if kind == "diluted":  # the gain over the position null alone would have passed
        gain = results["arm - null position/auc/reversed"]
        assert gain.value > 0.05
        assert gain.interval is not None
        assert gain.interval[0] > 0


def test_a_map_that_captions_told_alike_share_is_no_meaning() -> None:
    """A plan that switches at half time beats swapped prompts, and not the other captions of its template."""
    found = measures(evidence("planned"))
    assert found["arm - null prompt swap/auc/reversed"].interval[0] > 0
    assert found["arm - null template/auc/reversed"].value < 0.02
    assert verdict(found, "arm")["gate/beyond the template"].value == 0
    assert measures(evidence("aligned"))["arm - null template/auc/reversed"].interval[0] > 0


def flag(value: float, low: float, high: float) -> Measure:
    return Measure(value=value, interval=(low, high), n=7, unit="share", protocol="planted")


def test_stricter_gates_count_where_they_were_measured() -> None:
    found = dict(measured("aligned"))
    found["design/square/time"], found["design/square/place"] = flag(0.9, 0.8, 1), flag(0.02, -0.01, 0.05)
    assert "verdict/semantic" in verdict(found, "arm")
    found["design/square/place"] = flag(0.3, 0.2, 0.4)
    entries = verdict(found, "arm")
    assert entries["gate/time, not place"].value == 0
    assert "verdict/mixed" in entries


@pytest.mark.parametrize(
    ("blocked", "shuffled", "passed"),
    [((0.9, 0.8, 1), (0.0, -0.1, 0.1), 1), ((0.9, 0.8, 1), (0.8, 0.7, 0.9), 0), ((0.1, -0.2, 0.4), (0, 0, 0), 0)],
)
def test_the_gate_of_causes_wants_an_effect_that_its_control_lacks(
    blocked: tuple[float, ...], shuffled: tuple[float, ...], passed: float
) -> None:
    found = dict(measured("aligned"))
    found["cause/keys blocked/specificity"] = flag(*blocked)
    found["cause/others shuffled/specificity"] = flag(*shuffled)
    assert verdict(found, "arm")["gate/cause"].value == passed


@pytest.mark.parametrize(
    ("iccs", "word"),
    [
        ({"training seed": (0.8, 0.7, 0.9), "noise": (0.9, 0.8, 1)}, "persists"),
        ({"training seed": (0.3, 0.2, 0.4), "noise": (0.9, 0.8, 1)}, "does not persist"),
        ({"training seed": (0.5, 0.3, 0.7), "noise": (0.9, 0.8, 1)}, "undetermined"),
        ({"noise": (0.9, 0.8, 1)}, "undetermined"),
    ],
)
def test_persistence_has_a_verdict_of_its_own(iccs: dict[str, tuple[float, ...]], word: str) -> None:
    found = {f"persistence/{name}/icc": flag(*values) for name, values in iccs.items()}
    assert list(persistence(found)) == [f"persistence/verdict/{word}"]


def test_real_clips_never_get_more_than_mixed() -> None:
    found = {"null untrained/event_rho": flag(0.01, -0.02, 0.04)}
    gain = "arm - null prompt swap/event_rho"
    assert "verdict/mixed" in real_verdict(found | {gain: flag(0.2, 0.1, 0.3)}, "arm")
    assert "verdict/undetermined" in real_verdict(found | {gain: flag(0.02, 0.01, 0.03)}, "arm")
