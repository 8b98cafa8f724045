"""Throughput: what the benchmarks measured, on which machine."""

from collections.abc import Sequence

from reports import words
from reports.pages import Absence, Block, Cell, Column, Section, Table
from reports.stored import Stored, of_kind

LEAD = "Speed on the machine that wrote each record; numbers from different machines do not compare."


def section(records: Sequence[Stored]) -> Section | None:
    """One table per benchmark record."""
    found = of_kind(records, "bench")
    blocks: list[Block] = [_table(number, item) for number, item in enumerate(found)]
    named = " ".join(item.record.name for item in found)
    for name, what in (("features", "Joints to features"), ("train", "Training steps")):
        if name not in named:
            blocks.append(Absence(what, "no finished record of this benchmark", f"python -m casim.bench {name}"))
    return Section("bench", "Throughput", LEAD, tuple(blocks), rank=40)


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
