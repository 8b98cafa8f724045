"""Every score of the evaluations: arms, controls, real row and floors; differences; single seeds; captions."""

from collections.abc import Sequence

from casim.record import Measure
from reports import words
from reports.charts import Dot, DotChart, DotSeries
from reports.figures import FLOOR, REAL
from reports.pages import Absence, Block, Cell, Column, Figure, Group, Prose, Section, Table
from reports.scores import (
    CONTROLS,
    HEADLINE,
    OVERVIEW,
    REVERSED,
    TOKEN,
    Evaluation,
    Place,
    evaluations,
)
from reports.stored import Stored

LEAD = "All arms under one protocol; real clips are the ceiling, real clips judged by wrong captions the floor."
CAPTIONS = 12
FIRST = "scores0"
"""Name of the evaluation that can say most."""
ITEMS = "items.csv"
FLOOR_ARM = "floor: wrong caption"
OTHER = "real, other clips"
COMMAND = "python -m evaluators.run"


def section(records: Sequence[Stored]) -> Section | None:
    """Tables and figures of every evaluation, the one behind the verdict first."""
    found = evaluations(records)
    if not found:
        absence = Absence("Scores", "there is no finished evaluation record", COMMAND)
        return Section("metrics", "Scores", LEAD, (absence,), rank=10)
    blocks = _evaluation(found[0], 0)
    for number, evaluation in enumerate(found[1:], start=1):
        title = f"Another evaluation: {evaluation.stored.id}"
        blocks.append(Group(title, tuple(_evaluation(evaluation, number)), is_folded=True))
    return Section("metrics", "Scores", LEAD, tuple(blocks), rank=10)


def _evaluation(evaluation: Evaluation, number: int) -> list[Block]:
    name = f"scores{number}"
    blocks: list[Block] = [Prose(f"From {evaluation.stored.id}. {_protocol(evaluation)}")]
    if name != FIRST:
        blocks.append(Prose("Retrieval scores, and most scores of single trainings, are in its record, not here."))
    if (figure := _figure(evaluation, name)) is not None:
        blocks.append(figure)
    tables = _tables(evaluation, name)
    blocks += tables[:1]
    blocks += [_no_control(name) for name in CONTROLS if evaluation.has_pair and evaluation.arm(name) is None]
    if len(tables) > 1:
        blocks.append(Group("Other scores", tuple(tables[1:]), is_folded=True))
    for a, b in _pairs(evaluation):
        title = f"Differences: {words.short(a)} − {words.short(b)}"
        blocks.append(Group(title, (_differences(evaluation, a, b, name),), is_folded=True))
    if seeds := _seed_table(evaluation, name):
        blocks.append(Group("Single training seeds", (seeds,), is_folded=True))
    if evaluation.stored.has(ITEMS) and (captions := _captions(evaluation, name)):
        blocks.append(Group("Captions behind the numbers", (captions,), is_folded=True))
    return blocks


def places_of(evaluation: Evaluation, name: str) -> Sequence[Place]:
    """What is shown of an evaluation: all, or of any but the first one all but the many retrieval scores."""
    if name == FIRST:
        return evaluation.places
    return [place for place in evaluation.places if not place.metric.startswith("retrieval")]


def _protocol(evaluation: Evaluation) -> str:
    told = dict.fromkeys(m.protocol for m in evaluation.stored.record.results.values() if m.protocol)
    return " ".join(f"{text[0].upper()}{text[1:].rstrip('.')}." for text in told)


def _no_control(name: str) -> Absence:
    return Absence(
        words.ARMS[name].capitalize(),
        "this arm was not scored in this record",
        f"python -m casim.train choreography_{name} --training.seed 0",
    )


def _figure(evaluation: Evaluation, name: str) -> Figure | None:
    places = [p for p in OVERVIEW if any(evaluation.get(arm, p) for arm in evaluation.trained)]
    if not places:
        return None
    series = []
    references = [arm for arm in ("real", FLOOR_ARM) if arm in evaluation.references]
    for style, arm in enumerate((*evaluation.trained, *references)):
        found = [evaluation.get(arm, place) for place in places]
        dots = tuple(
            m and Dot(m.value, m.interval, tuple(evaluation.per_seed(arm, p).values()))
            for m, p in zip(found, places, strict=True)
        )
        series.append(DotSeries(words.arm_label(arm), dots, {"real": REAL, FLOOR_ARM: FLOOR}.get(arm, style)))
    return DotChart(
        f"{name}-arms",
        "Scores of all arms",
        tuple(place.label for place in places),
        tuple(series),
        "share of captions",
        limits=(-0.03, 1.03),
        caption="Dot and bar: mean with its 95 % interval; ticks: single training seeds.",
    ).figure()


def _groups(evaluation: Evaluation, metric: str) -> list[str]:
    return list(dict.fromkeys(place.group for place in evaluation.places if place.metric == metric))


def _splits(evaluation: Evaluation, metric: str) -> list[str]:
    return list(dict.fromkeys(place.split for place in evaluation.places if place.metric == metric))


def _tables(evaluation: Evaluation, name: str) -> list[Table]:
    """One table per metric and split: arms down, kinds of caption across; the held-out exact score first."""
    metrics = dict.fromkeys(place.metric for place in places_of(evaluation, name))
    by_kind = [metric for metric in metrics if len(_groups(evaluation, metric)) > 1]
    keys = [(metric, split) for metric in by_kind for split in _splits(evaluation, metric)]
    keys.sort(key=lambda key: key != ("exact_prompt", "held_out"))
    tables = [_table(evaluation, metric, split, name) for metric, split in keys]
    whole = [metric for metric in metrics if metric not in by_kind]
    splits = dict.fromkeys(place.split for place in places_of(evaluation, name) if place.metric in whole)
    return tables + [_whole(evaluation, whole, split, name) for split in splits]


def _whole(evaluation: Evaluation, metrics: Sequence[str], split: str, name: str) -> Table:
    """Scores that are not told apart by kind of caption: scores down, arms across."""
    arms = (*evaluation.trained, *evaluation.references)
    rows = []
    for metric in metrics:
        place = Place(metric, split, "all")
        found = [evaluation.get(arm, place) for arm in arms]
        sample = next((measure for measure in found if measure), None)
        if sample is not None:
            note = f"{sample.unit or 'share'}, {words.direction(sample.higher_is_better)}; N = {sample.n}"
            title = words.METRICS.get(metric, words.spaced(metric))
            rows.append((Cell(title, note), *(_cell(evaluation, arm, place) for arm in arms)))
    columns = (Column("Score"), *(Column(words.short(arm), is_number=True) for arm in arms))
    caption = f"All other scores, {words.SPLITS.get(split, split)}"
    return Table(f"{name}-whole-{split}", caption, columns, tuple(rows), "Scores of sets name the embedder.")


def _table(evaluation: Evaluation, metric: str, split: str, name: str) -> Table:
    groups = [g for g in _groups(evaluation, metric) if Place(metric, split, g) in evaluation.places]
    arms = [a for a in (*evaluation.trained, *evaluation.references) if _has(evaluation, a, metric, split, groups)]
    sample = next(m for arm in arms for g in groups if (m := evaluation.get(arm, Place(metric, split, g))))
    rows = []
    for arm in arms:
        cells = [_cell(evaluation, arm, Place(metric, split, group)) for group in groups]
        rows.append((Cell(words.short(arm), _arm_note(evaluation, arm)), *cells))
    columns = [Column("Arm")]
    for group in groups:
        counts = [m.n for arm in arms if (m := evaluation.get(arm, Place(metric, split, group))) and m.n]
        columns.append(Column(words.GROUPS.get(group, group), f"N = {max(counts, default=0)}", is_number=True))
    title = words.METRICS.get(metric, words.spaced(metric))
    unit = sample.unit or "share"
    asks = words.ASKS.get(metric, "")
    caption = f"{title}, {words.SPLITS.get(split, split)}: {unit}, {words.direction(sample.higher_is_better)}"
    return Table(
        f"{name}-{metric}-{split}", caption, tuple(columns), tuple(rows), f"What it asks: {asks}." if asks else ""
    )


def _arm_note(evaluation: Evaluation, arm: str) -> str:
    if arm in evaluation.trained:
        count = len(evaluation.seeds(arm))
        about = words.arm_label(arm).removeprefix(f"{words.short(arm)}, ")
        return f"{about}; {count} training seed{'s' if count != 1 else ''}"
    notes = {"real": "ceiling: what the recogniser makes of them", OTHER: "as many other real clips"}
    return notes.get(arm, "real clips, judged by other captions")


def _has(evaluation: Evaluation, arm: str, metric: str, split: str, groups: Sequence[str]) -> bool:
    return any(evaluation.get(arm, Place(metric, split, group)) for group in groups)


def _cell(evaluation: Evaluation, arm: str, place: Place) -> Cell:
    measure = evaluation.get(arm, place)
    if measure is None:
        return Cell("–", "not defined")
    return Cell(words.number(measure.value, 3), words.span(measure.interval) if measure.interval else "")


def _pairs(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Comparisons worth a table: the token arm with all others."""
    token = evaluation.arm(TOKEN)
    others = [other for other in evaluation.trained if token and other != token]
    return [
        (token, other)
        for other in others
        if token and any(evaluation.difference(token, other, place) for place in evaluation.places)
    ]


def _differences(evaluation: Evaluation, a: str, b: str, name: str) -> Table:
    rows = []
    for place in places_of(evaluation, name):
        measure = evaluation.difference(a, b, place)
        if measure is None:
            continue
        seeds = evaluation.differences_by_seed(a, b, place)
        clear = measure.interval is not None and (measure.interval[0] > 0 or measure.interval[1] < 0)
        rows.append(
            (
                place.label,
                words.signed(measure.value, 3),
                words.span(measure.interval, 3, is_signed=True),
                _favours(measure, a, b) if clear else "neither",
                ", ".join(words.signed(value) for value in seeds.values()) or "none",
                str(measure.n or "?"),
            )
        )
    columns = (
        Column("Score"),
        Column("Difference", is_number=True),
        Column("95 % interval", is_number=True),
        Column("In favour of", "interval without 0"),
        Column("By training seed", is_number=True),
        Column("N", is_number=True),
    )
    caption = f"{words.short(a)} − {words.short(b)}, the same captions from the same noise"
    return Table(f"{name}-{words.short(a)}-{words.short(b)}", caption, columns, tuple(rows))


def _favours(measure: Measure, a: str, b: str) -> str:
    """Which of two arms a difference speaks for."""
    if measure.higher_is_better is None:
        return "no direction"
    return words.short(a if (measure.value > 0) == measure.higher_is_better else b)


def _seed_table(evaluation: Evaluation, name: str) -> Table | None:
    seeds = sorted({seed for arm in evaluation.trained for seed in evaluation.seeds(arm)})
    if len(seeds) < 2:
        return None
    places = [
        place
        for place in places_of(evaluation, name)
        if place in (HEADLINE, REVERSED)
        or (place.group == "all" and (name == FIRST or place.metric in words.METRICS))
    ]
    rows = []
    for place in places:
        for arm in evaluation.trained:
            values = evaluation.per_seed(arm, place)
            if values:
                cells = [words.number(values[seed], 3) if seed in values else "–" for seed in seeds]
                rows.append((place.label, words.short(arm), *cells))
    if not rows:
        return None
    columns = (Column("Score"), Column("Arm"), *(Column(f"seed {seed}", is_number=True) for seed in seeds))
    return Table(f"{name}-seeds", "Every training by itself", columns, tuple(rows))


def _captions(evaluation: Evaluation, name: str) -> Table | None:
    """Every k-th held-out pair, in order of id, with the share of trainings that made it exactly."""
    items: dict[str, dict[str, list[float]]] = {}
    texts: dict[str, str] = {}
    for row in evaluation.stored.rows(ITEMS):
        if row.get("split") == "held_out" and row.get("kind") == "pair" and row.get("exact_prompt"):
            items.setdefault(row["item"], {}).setdefault(row["arm"], []).append(float(row["exact_prompt"]))
            texts[row["item"]] = row["text"]
    chosen = sorted(items)[:: max(1, len(items) // CAPTIONS)][:CAPTIONS]
    if not chosen:
        return None
    arms = evaluation.trained
    rows = []
    for item in chosen:
        scores = [items[item].get(arm, []) for arm in arms]
        rows.append((texts[item], *(words.number(sum(s) / len(s)) if s else "–" for s in scores)))
    columns = (Column("Caption"), *(Column(words.short(arm), is_number=True) for arm in arms))
    return Table(
        f"{name}-captions",
        "Share of trainings whose motion is exactly the caption",
        columns,
        tuple(rows),
        f"Every {max(1, len(items) // CAPTIONS)}th of {len(items)} held-out pairs in order of id, not by score.",
    )
