"""Loss curves of the trainings found, from the log beside each record."""

import re
from collections.abc import Sequence

from reports import words
from reports.charts import Line, LineChart, thinned
from reports.pages import Absence, Block, Cell, Column, Figure, Section, Table
from reports.stored import Stored, of_kind

LEAD = "How the models behind the scores were trained. Every seed of an arm has that arm's colour."
LOG = "log.csv"
POINTS = 120


def section(records: Sequence[Stored]) -> Section | None:
    """Loss curves by dataset, and a table of all trainings."""
    found = of_kind(records, "train")
    if not found:
        absence = Absence(
            "Training", "there is no finished training record", "python -m casim.train choreography_casim"
        )
        return Section("training", "Training", LEAD, (absence,), rank=35)
    blocks: list[Block] = []
    families: dict[str, list[Stored]] = {}
    for item in found:
        families.setdefault(_family(item), []).append(item)
    for number, (data, items) in enumerate(families.items()):
        if lines := _lines(items):
            blocks.append(_chart(number, data, lines))
    if not blocks:
        absence = Absence(
            "Loss curves", f"no training record lists a {LOG}", "python -m casim.train choreography_casim"
        )
        blocks.append(absence)
    return Section("training", "Training", LEAD, (*blocks, _table(found)), rank=35)


def _chart(number: int, data: str, lines: list[Line]) -> Figure:
    return LineChart(
        f"loss{number}",
        f"Training loss on {data}",
        tuple(lines),
        "optimiser step",
        "loss (log scale)",
        is_log=all(y > 0 for line in lines for y in line.ys),
        caption="Averaged over neighbouring log lines. Losses of different arms share a scale, but a lower loss is "
        "not a better motion: only the scores above compare the arms.",
    ).figure()


def _family(item: Stored) -> str:
    """Trainings that share a chart: those on one dataset; the cells of the ablation are too many beside others."""
    data = str(_plugin(item, "data"))
    return f"{data}, four-factor ablation" if "confound_" in _recipe(item) else data


def _plugin(item: Stored, part: str) -> str:
    config = item.record.config.get(part)
    return str(config.get("plugin", "unknown")) if isinstance(config, dict) else "unknown data"


def _recipe(item: Stored) -> str:
    return str(item.record.config.get("recipe", re.sub(r"_seed\d+$", "", item.record.name)))


def _lines(items: Sequence[Stored]) -> list[Line]:
    styles = {recipe: i for i, recipe in enumerate(sorted({_recipe(item) for item in items}))}
    lines = []
    for item in items:
        if item.has(LOG) and (points := _points(item)):
            xs, ys = zip(*points, strict=True)
            recipe = _recipe(item)
            line = Line(
                words.short(recipe),
                xs,
                ys,
                style=styles[recipe],
                is_dashed=styles[recipe] % 2 == 1,
                has_markers=False,
            )
            lines.append(thinned(line, POINTS))
    return lines


def _points(item: Stored) -> list[tuple[float, float]]:
    """(step, loss) averaged over as many neighbouring lines as leave about `POINTS`."""
    rows = [
        (float(row["step"]), float(row["loss"])) for row in item.rows(LOG) if row.get("step") and row.get("loss")
    ]
    width = max(1, len(rows) // POINTS)
    parts = [rows[i : i + width] for i in range(0, len(rows), width)]
    return [(part[-1][0], sum(loss for _, loss in part) / len(part)) for part in parts]


def _table(found: Sequence[Stored]) -> Table:
    rows = []
    for item in found:
        results = item.record.results
        loss, speed = results.get("loss"), results.get("steps_per_second")
        training = item.record.config.get("training")
        settings = training if isinstance(training, dict) else {}
        rows.append(
            (
                Cell(item.id, tone="code"),
                _plugin(item, "data"),
                str(settings.get("seed", item.record.seed if item.record.seed is not None else "–")),
                str(settings.get("steps", "–")),
                f"{loss.value:.4g}" if loss else "–",
                words.quantity(speed.value) if speed else "–",
            )
        )
    columns = (
        Column("Run"),
        Column("Data"),
        Column("Seed", is_number=True),
        Column("Steps", is_number=True),
        Column("Last loss", is_number=True),
        Column("Speed", "steps per second, higher is better", is_number=True),
    )
    return Table("trainings", "All trainings found", columns, tuple(rows))
