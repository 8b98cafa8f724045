"""Does attention follow the words in time? Alignment beside its nulls, boundary tracking, and maps to look at."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from casim.record import Measure
from reports import words
from reports.attention_figures import calibration, events, heads, weightings
from reports.charts import Dot, DotChart, DotSeries, Line, LineChart
from reports.figures import FLOOR
from reports.heat import WordMap, word_map
from reports.pages import Absence, Block, Column, Figure, Group, Player, Prose, Section, Table, Track
from reports.stored import Stored, of_kind
from reports.verdicts import does_it_persist, is_attention_semantic

LEAD = (
    "A word's attention over time is compared with the frames in which the motion does what the word says. The "
    "benchmark knows those frames exactly. Each number stands beside what it would be without meaning."
)
COMMAND = "python -m analysis.attention_probe"
ARRAYS = "arrays.npz"
NULLS = {
    "null position": "null: word position alone",
    "null template": "null: other captions told in the same order",
    "null untrained": "null: untrained model",
    "null time reversal": "null: time reversed",
    "null prompt swap": "null: another prompt's map",
}
GROUPS = {"": "all", "natural": "told in order", "reversed": "told in reverse"}


def section(records: Sequence[Stored]) -> Section | None:
    """The probe with most clips: verdict, nulls, boundary, maps."""
    found = [r for r in of_kind(records, "probe") if any(key.endswith("/auc") for key in r.record.results)]
    found.sort(key=lambda r: (-max(m.n or 0 for m in r.record.results.values()), r.id))
    why = "there is no finished record of it on clips whose word intervals are known"
    blocks: list[Block] = _probe(found[0]) if found else [Absence("The attention probe", why, COMMAND)]
    if len(found) > 1:
        blocks.append(_others(found))
    real = [r for r in of_kind(records, "probe") if r not in found]
    blocks += [figure for i, r in enumerate(real) if (figure := events(r.record.results, r.id, i))]
    return Section("attention", "Is the attention semantic?", LEAD, tuple(blocks), rank=20)


def _probe(item: Stored) -> list[Block]:
    results = item.record.results
    blocks: list[Block] = []
    if verdict := is_attention_semantic(results):
        blocks.append(verdict)
    if persistence := does_it_persist(results):
        blocks.append(persistence)
    blocks.append(Group(f"How {item.id} measured this", (Prose(_protocol(item)),), is_folded=True))
    blocks.append(_alignment(results).figure())
    if chart := _boundary(results):
        blocks.append(chart.figure())
    blocks += [figure for figure in (weightings(results), heads(results), calibration(results)) if figure]
    blocks.append(Group("Every number of the probe", (_table(results),), is_folded=True))
    if item.has(ARRAYS):
        blocks += _maps(item.arrays(ARRAYS))
    else:
        blocks.append(Absence("Maps of single prompts", f"{item.id} holds no {ARRAYS}", COMMAND))
    return blocks


def _protocol(item: Stored) -> str:
    notes = item.record.config.get("notes", [])
    arm = _arm(item.record.results)
    first = item.record.results.get(f"{arm}/auc")
    told = [first.protocol if first else "", *(notes if isinstance(notes, list) else [])]
    return " ".join(f"{text[0].upper()}{text[1:].rstrip('.')}." for text in map(str, told) if text)


def _arm(results: Mapping[str, Measure]) -> str:
    """The arm whose runs were probed: the mean over its seeds, if there is one."""
    found = [key.removesuffix("/auc") for key in results if key.endswith("/auc") and " " not in key]
    means = [name for name in found if "_seed" not in name]
    return (means or found or ["casim"])[0]


def _runs(results: Mapping[str, Measure]) -> list[str]:
    return sorted(key.removesuffix("/auc") for key in results if re.fullmatch(r".*_seed\d+/auc", key))


def _alignment(results: Mapping[str, Measure]) -> DotChart:
    arm, runs = _arm(results), _runs(results)
    rows = {arm: f"{arm}, trained"} | {name: label for name, label in NULLS.items() if f"{name}/auc" in results}
    series = []
    for style, (group, label) in enumerate(GROUPS.items()):
        tail = f"/auc/{group}" if group else "/auc"
        dots = []
        for name in rows:
            measure = results.get(name + tail)
            points = tuple(results[r + tail].value for r in runs if r + tail in results) if name == arm else ()
            dots.append(Dot(measure.value, measure.interval, points) if measure else None)
        if any(dots):
            series.append(DotSeries(f"captions: {label}", tuple(dots), style))
    return DotChart(
        "attention-auc",
        "Word-to-frame alignment beside its nulls",
        tuple(rows.values()),
        tuple(series),
        "AUC (0.50: no alignment)",
        reference=0.5,
        caption="AUC: how often a frame inside a word's true interval gets more of its attention than one outside. "
        "Dot and bar: mean with 95 % interval; ticks: single trainings. Captions told in reverse separate "
        "meaning from position: there the first words describe what happens last.",
    )


def _boundary(results: Mapping[str, Measure]) -> LineChart | None:
    lines = []
    for style, (name, label) in enumerate(((_arm(results), "trained"), ("null untrained", "untrained"))):
        steps = {
            int(match.group(1)): measure
            for key, measure in results.items()
            if (match := re.fullmatch(re.escape(name) + r"/boundary_rho/t(\d+)", key))
        }
        if steps:
            xs = sorted(steps, reverse=True)
            bands = [steps[x].interval or (steps[x].value, steps[x].value) for x in xs]
            lines.append(
                Line(
                    label,
                    tuple(float(x) for x in xs),
                    tuple(steps[x].value for x in xs),
                    tuple(low for low, _ in bands),
                    tuple(high for _, high in bands),
                    style if name != "null untrained" else FLOOR,
                )
            )
    if not lines:
        return None
    return LineChart(
        "attention-boundary",
        "Does attention switch where the motion switches?",
        tuple(lines),
        "noise step, from noise (left) to motion (right)",
        "rank correlation of the two switching points",
        reference=0.0,
        is_reversed=True,
        caption="Two-action clips: the frame where attention moves from the first action's words to the second's, "
        "against the frame where the motion changes action. Band: 95 % interval.",
    )


def _table(results: Mapping[str, Measure]) -> Table:
    told = {key: m for key, m in sorted(results.items()) if not key.startswith(("verdict/", "gate/"))}
    parts = Counter(part for m in told.values() for part in dict.fromkeys(m.protocol.split("; ")))
    common = [part for part, count in parts.items() if 2 * count > len(told)]
    rows = [
        (
            key,
            words.number(m.value, 3),
            words.span(m.interval, 3) if m.interval else "none",
            str(m.n or "–"),
            m.unit or "–",
            "; ".join(part for part in m.protocol.split("; ") if part not in common) or "see below",
        )
        for key, m in told.items()
    ]
    columns = (
        Column("Measure"),
        Column("Value", is_number=True),
        Column("95 % interval", is_number=True),
        Column("N", is_number=True),
        Column("Unit"),
        Column("Protocol"),
    )
    note = f"Besides, of most: {'; '.join(common)}." if common else ""
    return Table("attention-all", "All results of the attention probe", columns, tuple(rows), note)


def _maps(arrays: Mapping[str, np.ndarray]) -> list[Block]:
    count = int(arrays["examples"]) if "examples" in arrays else 0
    players = [_player(arrays, i) for i in range(count)]
    if not players:
        return []
    first, rest = players[:2], players[2:]
    told = Prose(
        "Rows are the caption's words, columns are frames; stronger colour means more attention, outlines are the "
        "true intervals of the words that describe one action. The person's left limbs are orange, the right ones "
        "blue. Words heat up with the attention of the frame shown; click a word or a place of the map, drag a "
        "figure to turn it."
    )
    blocks: list[Block] = [Group("Maps of single captions", (told, *first))]
    if rest:
        blocks.append(Group(f"{len(rest)} more maps", tuple(rest), is_folded=True))
    return blocks


def _player(arrays: Mapping[str, np.ndarray], i: int) -> Player:
    def get(name: str) -> np.ndarray | None:
        return arrays.get(f"example{i}/{name}")

    prompt, shown = str(arrays[f"example{i}/prompt"]), tuple(map(str, arrays[f"example{i}/words"]))
    fps = float(arrays["fps"]) if "fps" in arrays else 20.0
    attention = np.asarray(arrays[f"example{i}/map"], dtype=np.float32)
    segments, starts, ends = (np.asarray(arrays[f"example{i}/{name}"]) for name in ("segments", "starts", "ends"))
    content = get("is_content")
    timed = tuple(bool(s >= 0 and (content is None or content[k])) for k, s in enumerate(segments))
    real = get("real")
    what = WordMap(shown, attention, starts, ends, timed, fps, real)
    text = _told(what)
    wide, narrow = word_map(f"map{i}", f"Attention over time for the caption “{prompt}”. {text}", what)
    told = "told in reverse" if bool(arrays.get(f"example{i}/is_reversed", False)) else "told in order"
    kind = words.GROUPS.get(str(arrays.get(f"example{i}/kind", "")), "caption")
    figure = Figure(
        f"map{i}",
        prompt,
        text,
        wide,
        narrow,
        f"{kind}, {told}; attention of the first training on the real clip, noised.",
        _rows(i, what),
    )
    heads = get("heads")
    seeds = tuple(map(int, _seeds(arrays)[: len(heads)])) if heads is not None else ()
    tracks = [Track("real clip", real)] if real is not None else []
    tracks += _generated(arrays, i, measured=0 if heads is None else len(heads))
    span = (tuple(map(int, starts)), tuple(map(int, ends)))
    return Player(f"player{i}", prompt, shown, fps, tuple(tracks), figure, attention, *span, timed, heads, seeds)


def _seeds(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    return arrays["tracks/seed"] if "tracks/seed" in arrays else np.arange(len(arrays.get("tracks/arm", ())))


def _generated(arrays: Mapping[str, np.ndarray], i: int, measured: int) -> list[Track]:
    """The motions of the runs whose heads are shown (the first `measured`), of other arms that of one run."""
    motions, arms = arrays.get(f"example{i}/motions"), arrays.get("tracks/arm")
    if motions is None or arms is None:
        return []
    first = {str(arm): k for k, arm in reversed(list(enumerate(arms)))}
    shown = sorted({*range(measured), *first.values()})
    seeds = _seeds(arrays)
    return [
        Track(f"{words.arm_label(str(arms[k]))}, training {seeds[k]}", motions[k], str(arms[k]), int(seeds[k]))
        for k in shown
    ]


def _inside(what: WordMap, k: int) -> tuple[float, float]:
    """Mean attention of a word inside and outside its true interval."""
    frames = np.arange(what.attention.shape[1])
    inside = (frames >= what.starts[k]) & (frames < what.ends[k])
    row = what.attention[k]
    return float(row[inside].mean() if inside.any() else 0), float(row[~inside].mean() if (~inside).any() else 0)


def _told(what: WordMap) -> str:
    timed = [k for k, is_timed in enumerate(what.is_timed) if is_timed]
    better = sum(_inside(what, k)[0] > _inside(what, k)[1] for k in timed)
    return f"{better} of {len(timed)} words about one action get more attention inside their interval than outside."


def _rows(i: int, what: WordMap) -> Table:
    rows = []
    for k, word in enumerate(what.words):
        peak = int(what.attention[k].argmax()) / what.fps
        true = f"{what.starts[k] / what.fps:.2f} to {what.ends[k] / what.fps:.2f} s" if what.is_timed[k] else "–"
        inside, outside = _inside(what, k)
        compared = (
            (f"{inside:.3f}", f"{outside:.3f}") if what.is_timed[k] else ("–", f"{what.attention[k].mean():.3f}")
        )
        rows.append((word, true, f"{peak:.2f} s", *compared))
    columns = (
        Column("Word"),
        Column("True interval", is_number=True),
        Column("Strongest at", is_number=True),
        Column("Attention inside", is_number=True),
        Column("Outside", is_number=True),
    )
    return Table(f"map{i}-data", "Numbers of this map, word by word", columns, tuple(rows))


def _others(found: Sequence[Stored]) -> Table:
    rows = []
    for item in found:
        results = item.record.results
        arm = _arm(results)
        verdict = is_attention_semantic(results)
        own, null = results.get(f"{arm}/auc"), results.get("null position/auc")
        cells = (words.number(own.value) if own else "–", words.number(null.value) if null else "–")
        rows.append((item.id, str((own and own.n) or "–"), *cells, verdict.word if verdict else "none written"))
    columns = (
        Column("Record"),
        Column("Clips", is_number=True),
        Column("AUC", is_number=True),
        Column("Position alone", is_number=True),
        Column("Verdict"),
    )
    return Table("attention-records", "The same question put to every probe found", columns, tuple(rows))
