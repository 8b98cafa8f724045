"""Throughput: what the benchmarks measured, on which machine."""

from collections import Counter
from collections.abc import Sequence

from casim.record import Measure
from reports import words
from reports.charts import Dot, DotChart, DotSeries
from reports.pages import Absence, Block, Cell, Column, Figure, Section, Table
from reports.stored import Stored, of_kind

LEAD = "Speed on the machine that wrote each record; numbers from different machines do not compare."


def section(records: Sequence[Stored]) -> Section | None:
    """One table per benchmark record."""
    found = of_kind(records, "bench")
    blocks: list[Block] = [_chart(number, item) for number, item in enumerate(found) if len(_largest(item)) > 1]
    blocks += [_table(number, item) for number, item in enumerate(found)]
    named = " ".join(item.record.name for item in found)
    for name, what in (("features", "Joints to features"), ("train", "Training steps")):
        if name not in named:
            blocks.append(Absence(what, "no finished record of this benchmark", f"python -m casim.bench {name}"))
    return Section("bench", "Throughput", LEAD, tuple(blocks), rank=40)


def _largest(item: Stored) -> dict[str, Measure]:
    """The measurements of the unit that most of a record have."""
    results = item.record.results
    unit = Counter(measure.unit for measure in results.values()).most_common(1)
    return {key: m for key, m in sorted(results.items()) if unit and m.unit == unit[0][0]}


def _chart(number: int, item: Stored) -> Figure:
    found = _largest(item)
    sample = next(iter(found.values()))
    scale = 1e6 if max(m.value for m in found.values()) > 1e5 else 1
    dots = tuple(
        Dot(m.value / scale, (m.interval[0] / scale, m.interval[1] / scale) if m.interval else None)
        for m in found.values()
    )
    return DotChart(
        id=f"bench-chart{number}",
        title=f"Throughput: {item.id}",
        rows=tuple(found),
        series=(DotSeries("measured", dots),),
        x_label=f"{'millions of ' if scale > 1 else ''}{sample.unit}, {words.direction(sample.higher_is_better)}",
        caption=f"On {item.record.device}.",
    ).figure()


def _table(number: int, item: Stored) -> Table:
    rows = []
    for key, m in sorted(item.record.results.items()):
        interval = f"{words.quantity(m.interval[0])} to {words.quantity(m.interval[1])}" if m.interval else ""
        value = Cell(words.quantity(m.value), interval)
        rows.append((key, value, m.unit or "–", words.direction(m.higher_is_better), m.protocol or "–"))
    columns = (
        Column("Measured"),
        Column("Value", is_number=True),
        Column("Unit"),
        Column("Direction"),
        Column("How"),
    )
    threads = f"{item.record.threads} threads" if item.record.threads else "threads not recorded"
    return Table(f"bench{number}", f"{item.id}: {item.record.device}, {threads}", columns, tuple(rows))
