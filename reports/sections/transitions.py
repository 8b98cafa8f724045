"""Why transitions get better or worse with the handshake, and where one prompt stops reaching."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from casim.record import Measure
from reports import words
from reports.charts import Line, LineChart
from reports.figures import REAL as REAL_STYLE
from reports.gates import gates, word_of
from reports.pages import Absence, Block, Cell, Column, Effect, Figure, Group, Prose, Section, Table, Verdict, Word
from reports.stored import Stored, of_kind

LEAD = (
    "The same segments from the same noise, joined in every way. The window around a seam and the clips stay the "
    "same in every cell, so that nothing but the joining moves."
)
COMMAND = "python -m casim.suite transitions && python -m analysis.transition_probe runs/transitions"
ARMS = {"casim": "every token", "fixed": "one pooled vector"}
KNOWN: Mapping[str, Word] = {"trade-off": "trade-off", "smoother": "smoother", "no smoother": "no smoother"}
CLAIMS = {
    "trade-off": "Over all handshakes, longer ones make seams smoother and cost meaning beside them.",
    "smoother": "Over all handshakes, longer ones make seams smoother; a cost of meaning was excluded.",
    "no smoother": "Over all handshakes, longer ones make seams rougher, not smoother.",
    "undetermined": "Whether a longer handshake makes seams smoother, and at what cost, is not decided.",
}
SWEPT = {
    "distance": ("The step over the seam", "mean step of the joints over the seam, mm"),
    "seam_jerk": ("Jerk across the seam", "jerk across it less the rest of the window, m/s³"),
    "cost": ("What the segments lose", "share of segments no longer exact"),
}
COLUMNS = {
    "peak_jerk": ("Peak jerk", "m/s³"),
    "jerk_gap": ("Jerk gap", "m/s³, lower is better"),
    "seam_jerk": ("Jerk across", "less the window's rest, m/s³"),
    "distance": ("Step", "over the seam, mm"),
    "skate_ratio": ("Skating", "share, lower is better"),
    "fid.tmr.raw": ("FID", "TMR, lower is better"),
    "cost": ("Cost", "segments no longer exact"),
    "left_exact": ("Left exact", "share, higher is better"),
    "right_exact": ("Right exact", "share, higher is better"),
}
REAL = {"real, change of action": "real, change of action", "real, anywhere": "real, anywhere"}


def section(records: Sequence[Stored]) -> Section | None:
    """The verdict, the sweep over the handshake, and one prompt without joining."""
    found = of_kind(records, "probe", "transition_probe")
    if not found:
        absence = Absence("The transition probe", "there is no finished record of it", COMMAND)
        return Section("transitions", "Transitions", LEAD, (absence,), rank=31)
    item = max(found, key=lambda stored: (len(stored.record.results), stored.id))
    results, config = item.record.results, item.record.config
    if lacking := item.lacks("protocol", "at_blend", "window", "cells"):
        absence = Absence("The transition probe", f"{item.id}, of another version, lacks its {lacking}", COMMAND)
        return Section("transitions", "Transitions", LEAD, (absence,), rank=31)
    blocks: list[Block] = [_verdict(results, config)] if word_of(results) else []
    blocks += [figure for metric in SWEPT if (figure := _sweep(results, config, metric))]
    if reach := _one_prompt(results):
        blocks.append(reach)
    blocks.append(Group("Every cell", tuple(_cells(results, config, arm) for arm in ARMS), is_folded=True))
    if left_out := config.get("left_out"):
        told = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        blocks.append(Prose(f"Left out, not clipped. {told}."))
    blocks.append(Prose(f"{item.id}: {config['protocol']['text']}."))
    return Section("transitions", "Transitions", LEAD, tuple(blocks), rank=31)


def _verdict(results: Mapping[str, Measure], config: Mapping[str, Any]) -> Verdict:
    word = word_of(results) or "undetermined"
    trend = f"casim trend b{config['at_blend']}"
    labels = {
        f"{trend}/distance": "step over the seam per 10 frames of handshake, mm",
        f"{trend}/seam_jerk": "jerk across the seam per 10 frames of handshake, m/s³",
        f"{trend}/cost": "exactness that segments lose per 10 frames of handshake",
    }
    effects = [Effect(t, m.value, m.interval) for key, t in labels.items() if (m := results.get(key))]
    return Verdict(
        id="verdict-transitions",
        question="Does a longer handshake make better transitions?",
        word=KNOWN.get(word, "undetermined"),
        claim=f"{CLAIMS.get(word, CLAIMS['undetermined'])}{_least(results, config)}",
        effects=tuple(effects),
        gates=gates(results),
        change="A generator whose own motion is as smooth as real clips, in which a seam stands out more.",
        scope="DoubleTake on the built-in benchmark, small models that see every token; a window of "
        f"{config['window']} frames.",
    )


def _least(results: Mapping[str, Measure], config: Mapping[str, Any]) -> str:
    """Where the step over the seam is smallest."""
    line = _line(results, "casim", f"double_take h{{}} b{config['at_blend']}", "distance", "", 0)
    if line is None:
        return ""
    step, handshake = min(zip(line.ys, line.xs, strict=True))
    return (
        f" The step over the seam is smallest at {handshake:.0f} frames, {words.quantity(step)} mm; end to end it "
        f"is {words.quantity(line.ys[0])} mm."
    )


def _sweep(results: Mapping[str, Measure], config: Mapping[str, Any], metric: str) -> Figure | None:
    title, y_label = SWEPT[metric]
    lines = []
    for style, (arm, name) in enumerate(ARMS.items()):
        ways = {f"double_take h{{}} b{config['at_blend']}": "DoubleTake", "linear_blend h{}": "averaged once"}
        for way, told in ways.items():
            line = _line(results, arm, way, metric, f"{name}, {told}", style)
            lines += [line] if line else []
    if not lines:
        return None
    inside = results.get(f"casim inside/{metric}")
    return LineChart(
        id=f"transitions-{metric}",
        title=title,
        lines=tuple(lines),
        x_label="handshake, frames (0: end to end)",
        y_label=y_label,
        reference=inside.value if inside else None,
        caption="Bands are 95 % intervals over seams and trainings."
        + (" The thin line is the middle of generated segments, where nothing is joined." if inside else ""),
    ).figure()


def _line(results: Mapping[str, Measure], arm: str, way: str, metric: str, name: str, style: int) -> Line | None:
    pattern = re.compile(re.escape(f"{arm} {way}/{metric}").replace(r"\{\}", r"(\d+)"))
    points = {int(m[1]): results[key] for key in results if (m := pattern.fullmatch(key))}
    if plain := results.get(f"{arm} concatenate/{metric}"):
        points[0] = plain
    found = sorted((x, m) for x, m in points.items() if m.interval)
    if len(found) < 2:
        return None
    lows, highs = zip(*(m.interval or (m.value, m.value) for _, m in found), strict=True)
    xs, ys = tuple(float(x) for x, _ in found), tuple(m.value for _, m in found)
    return Line(name, xs, ys, lows, highs, style, is_dashed="averaged" in name)


def _one_prompt(results: Mapping[str, Measure]) -> Figure | None:
    lines = []
    styles = {"casim": 0, "fixed": 1, "real": REAL_STYLE}
    for arm, name in {"real": "real clips", **ARMS}.items():
        for stretch, is_dashed in (("1x", False), ("2x", True)):
            pattern = re.compile(rf"one prompt {arm}/exact_prompt/(\d+) actions/{stretch}")
            found = sorted((int(m[1]), results[key]) for key in results if (m := pattern.fullmatch(key)))
            if not found:
                continue
            spans = [m.interval or (m.value, m.value) for _, m in found]
            told = f"{name}, {'trained length' if stretch == '1x' else 'twice as long'}"
            lines.append(
                Line(
                    told,
                    tuple(float(x) for x, _ in found),
                    tuple(m.value for _, m in found),
                    tuple(low for low, _ in spans),
                    tuple(high for _, high in spans),
                    styles[arm],
                    is_dashed,
                )
            )
    if not lines:
        return None
    return LineChart(
        id="transitions-one-prompt",
        title="One prompt, no joining",
        lines=tuple(lines),
        x_label="actions in the caption",
        y_label="share of exact motions",
        caption="Training shows at most three actions in a caption.",
    ).figure()


def _cells(results: Mapping[str, Measure], config: Mapping[str, Any], arm: str) -> Table:
    own = {f"{arm} {cell}": cell.replace("_", " ") for cell in ("inside", *config["cells"])}
    rows = []
    for who, name in {**REAL, **own}.items():
        cells: list[str | Cell] = []
        for metric in COLUMNS:
            measure = results.get(f"{who}/{metric}")
            if measure is None:
                cells.append("–")
                continue
            span = measure.interval
            note = f"{words.quantity(span[0])} to {words.quantity(span[1])}" if span else ""
            cells.append(Cell(words.quantity(measure.value), note))
        rows.append((name, *cells))
    heads = (Column("Seams"), *(Column(title, note, is_number=True) for title, note in COLUMNS.values()))
    return Table(f"transitions-{arm}", f"Seams of {ARMS[arm]}", heads, tuple(rows))
