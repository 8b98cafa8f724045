"""Charts of the attention probe beside its main ones: every layer and head, and how often each statistic errs."""

import re
from collections.abc import Mapping

from casim.record import Measure
from reports.charts import Dot, DotChart, DotSeries
from reports.pages import Figure

MOST = 0.07
"""Largest false-positive rate at which a statistic counts by itself."""
HEAD = re.compile(r"head/layer(\d+)/head(\d+)/auc")


def heads(results: Mapping[str, Measure]) -> Figure | None:
    """Alignment of every head of every layer."""
    found = sorted((int(m[1]), int(m[2]), results[key]) for key in results if (m := HEAD.fullmatch(key)))
    if not found:
        return None
    layers = sorted({layer for layer, _, _ in found})
    numbers = sorted({head for _, head, _ in found})
    held = {(layer, head): Dot(m.value, m.interval) for layer, head, m in found}
    series = [
        DotSeries(f"head {head}", tuple(held.get((layer, head)) for layer in layers), head % 5) for head in numbers
    ]
    caption = "Means over trainings, in which heads are matched by number alone."
    if measure := results.get("calibration/head"):
        caption += (
            f" At the 5 % level single heads are called aligned by chance in {measure.value:.1%} of simulations."
        )
    return DotChart(
        id="attention-heads",
        title="Every layer and head",
        rows=tuple(f"layer {layer}" for layer in layers),
        series=tuple(series),
        x_label="word-to-frame AUC",
        reference=0.5,
        caption=caption,
    ).figure()


def weightings(results: Mapping[str, Measure]) -> Figure | None:
    """The alignment of raw attention, of attention weighted by value norms, and rolled out over layers."""
    names = [m[1] for key in results if (m := re.fullmatch(r"weighting/(.+)/untrained", key))]
    if not names:
        return None
    told = (("trained", "auc"), ("untrained", "untrained"))
    series = [
        DotSeries(label, tuple(_dot(results.get(f"weighting/{name}/{part}")) for name in names), style)
        for style, (label, part) in enumerate(told)
    ]
    return DotChart(
        id="attention-weightings",
        title="Does it matter which attention is taken?",
        rows=tuple(names),
        series=tuple(series),
        x_label="word-to-frame AUC",
        reference=0.5,
        caption="Weights as they are; times the norm of what each token contributes (a weight on a short value "
        "moves nothing); rolled out over all layers. Bar: 95 % interval.",
    ).figure()


def _dot(measure: Measure | None) -> Dot | None:
    return Dot(measure.value, measure.interval) if measure else None


def calibration(results: Mapping[str, Measure]) -> Figure | None:
    """How often each statistic finds something in simulated maps that hold nothing."""
    found = {key.partition("/")[2]: measure for key, measure in results.items() if key.startswith("calibration/")}
    if not found:
        return None
    dots = tuple(Dot(measure.value, measure.interval) for measure in found.values())
    count = max(measure.n or 0 for measure in found.values())
    return DotChart(
        id="attention-calibration",
        title="False alarms of every statistic",
        rows=tuple(found),
        series=(DotSeries("false-positive rate", dots),),
        x_label="share of simulations at the 5 % level",
        reference=MOST,
        caption=f"{count} simulations with the spectra of the model's own maps. Beyond the dashed line, {MOST}, a "
        "statistic is no evidence by itself.",
    ).figure()


def events(results: Mapping[str, Measure], name: str, number: int) -> Figure | None:
    """On clips whose word intervals nobody knows: attention to a word against the movement that it names.

    Args:
        results: of a record.
        name: its id.
        number: tells figures of several records apart.
    """
    found = {key.removesuffix("/event_rho"): m for key, m in results.items() if key.endswith("/event_rho")}
    if not found:
        return None
    said = next((m.protocol for key, m in results.items() if key.startswith("verdict/")), "")
    return DotChart(
        id=f"attention-events{number}",
        title=f"Real clips: attention to a word and the movement that it names, {name}",
        rows=tuple(found),
        series=(DotSeries("rho", tuple(Dot(m.value, m.interval) for m in found.values())),),
        x_label="rank correlation over the frames of a clip",
        reference=0.0,
        caption=said,
    ).figure()
