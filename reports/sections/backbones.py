"""The same question on every backbone: paired effects, one row each."""

from collections.abc import Sequence

from reports import words
from reports.charts import Dot, DotChart, DotSeries
from reports.pages import Absence, Figure, Section
from reports.scores import HEADLINE, POOLED, TOKEN, Evaluation, evaluations
from reports.stored import Stored

LEAD = "One trainer and one protocol for every backbone, with every token and with one pooled vector."
COMMAND = "python -m casim.suite backbones"


def section(records: Sequence[Stored]) -> Section | None:
    """Levels of both arms, and their difference, of every backbone with a record."""
    found: dict[str, Evaluation] = {}
    for evaluation in evaluations(records):
        token, pooled = evaluation.arm(TOKEN), evaluation.arm(POOLED)
        if token and pooled and evaluation.difference(token, pooled, HEADLINE):
            found.setdefault(_backbone(evaluation, token), evaluation)
    if not found:
        absence = Absence("Other backbones", "there is no evaluation of both arms on held-out pairs", COMMAND)
        return Section("backbones", "Every backbone", LEAD, (absence,), rank=12)
    ordered = sorted(found.items(), key=lambda pair: -_gain(pair[1]).value)
    return Section("backbones", "Every backbone", LEAD, (_levels(ordered), _gains(ordered)), rank=12)


def _backbone(evaluation: Evaluation, arm: str) -> str:
    runs = evaluation.stored.record.config.get("runs", {}).values()
    own = next((run for run in runs if run.get("recipe") == arm), {})
    return str(own.get("backbone", {}).get("plugin", arm))


def _gain(evaluation: Evaluation) -> Dot:
    token, pooled = evaluation.arm(TOKEN), evaluation.arm(POOLED)
    assert token
    assert pooled
    measure = evaluation.difference(token, pooled, HEADLINE)
    assert measure
    return Dot(
        measure.value, measure.interval, tuple(evaluation.differences_by_seed(token, pooled, HEADLINE).values())
    )


def _levels(found: Sequence[tuple[str, Evaluation]]) -> Figure:
    series = []
    for style, (name, label) in enumerate(((TOKEN, "every token"), (POOLED, "one pooled vector"))):
        dots = []
        for _, evaluation in found:
            arm = evaluation.arm(name)
            measure = evaluation.get(arm, HEADLINE) if arm else None
            seeds = tuple(evaluation.per_seed(arm, HEADLINE).values()) if arm else ()
            dots.append(Dot(measure.value, measure.interval, seeds) if measure else None)
        series.append(DotSeries(label, tuple(dots), style))
    return DotChart(
        id="backbones-levels",
        title="Exact prompts of every backbone",
        rows=tuple(name for name, _ in found),
        series=tuple(series),
        x_label="share of exact pairs, held-out pairs",
        limits=(-0.02, 1.02),
        caption="Thick lines are 95 % intervals, ticks single trainings.",
    ).figure()


def _gains(found: Sequence[tuple[str, Evaluation]]) -> Figure:
    return DotChart(
        id="backbones-gains",
        title="What every token adds",
        rows=tuple(name for name, _ in found),
        series=(DotSeries("casim − fixed", tuple(_gain(evaluation) for _, evaluation in found)),),
        x_label=f"difference in share of exact pairs, {words.SPLITS['held_out']}",
        reference=0.0,
        caption="The same captions and noise. A backbone whose arms both learn nothing has no gain either.",
    ).figure()
