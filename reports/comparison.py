"""Two sets of records side by side: which numbers, settings and hashes differ."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from casim.record import Measure
from reports import marks, words
from reports.pages import Block, Cell, Column, Group, Prose, Report, Section, Table
from reports.stored import Stored

SAME = "equal to the last digit"
LEAD = (
    "Records of the same place in both sets, number by number. Two intervals that overlap do not show that two "
    "numbers are equal; two that do not overlap show that they differ."
)


def compare(a: Sequence[Stored], b: Sequence[Stored], roots: tuple[Path, Path]) -> Report:
    """The report of two sets.

    Args:
        a, b: the records.
        roots: the folders (or files) that they lie in. Records pair by their place below it; two single
            records pair whatever they are called.

    Raises:
        ValueError: no record lies at the same place in both.
    """
    names = str(roots[0]), str(roots[1])
    left, right = ({_place(item, root): item for item in part} for part, root in zip((a, b), roots, strict=True))
    if len(left) == len(right) == 1:
        name = a[0].folder.name
        left, right = {name: a[0]}, {name: b[0]}
    both = [name for name in left if name in right]
    if not both:
        raise ValueError(
            f"no record of {names[0]} lies at the place of one of {names[1]}, such as {next(iter(left))}; give two "
            "folders with records at the same places, or two single records"
        )
    sections = [_overview(left, right, both, names)]
    sections += [_section(number, left[name], right[name], name, names) for number, name in enumerate(both)]
    notices = [f"{name}: {told}" for name, part in zip(names, (a, b), strict=True) for told in marks.notices(part)]
    return Report(
        title=f"{names[0]} against {names[1]}",
        about="Two sets of records side by side. Differences are the second set less the first.",
        sections=tuple(sections),
        notices=tuple(notices),
    )


def _place(item: Stored, root: Path) -> str:
    """Where a record lies below the root."""
    folder, root = item.folder.resolve(), root.resolve()
    return folder.relative_to(root).as_posix() if root.is_dir() else folder.name


def _overview(
    left: Mapping[str, Stored], right: Mapping[str, Stored], both: Sequence[str], names: tuple[str, str]
) -> Section:
    rows = []
    for name in dict.fromkeys([*left, *right]):
        if name not in both:
            rows.append(
                (Cell(name, tone="code"), f"only in {names[0] if name in left else names[1]}", "–", "–", "–")
            )
            continue
        one, other = left[name].record, right[name].record
        pairs = [(one.results[key], other.results[key]) for key in one.results if key in other.results]
        moved = sum(_differ(a, b) for a, b in pairs)
        apart = sum(_are_apart(a, b) for a, b in pairs)
        state = _state(left[name], right[name], moved)
        rows.append((Cell(name, tone="code"), state, str(len(pairs)), str(moved), str(apart)))
    heads = (
        Column("Record"),
        Column("State"),
        Column("Numbers in both", is_number=True),
        Column("Differ", is_number=True),
        Column("Intervals apart", is_number=True),
    )
    return Section(
        "overview", "What differs", LEAD, (Table("compared", "Records of both sets", heads, tuple(rows)),)
    )


def _state(one: Stored, other: Stored, moved: int) -> str:
    a, b = one.record, other.record
    if {a.status, b.status} != {"done"}:
        return f"{a.status} against {b.status}"
    if moved:
        return "numbers differ"
    return SAME if a.results.keys() == b.results.keys() else "equal where both have a number"


def _differ(a: Measure, b: Measure) -> bool:
    """In value, interval, N or unit; the words of the protocol may change."""
    return (a.value, a.interval, a.n, a.unit) != (b.value, b.interval, b.n, b.unit)


def _section(number: int, one: Stored, other: Stored, name: str, names: tuple[str, str]) -> Section:
    blocks: list[Block] = [_settings(number, one, other, names)]
    shared = [key for key in one.record.results if key in other.record.results]
    moved = [key for key in shared if _differ(one.record.results[key], other.record.results[key])]
    told = f"{len(shared) - len(moved)} of {len(shared)} numbers are {SAME}, with interval, N and unit."
    if alone := sorted({*one.record.results} ^ {*other.record.results}):
        told += f" {len(alone)} stand in one record alone, such as {alone[0]}."
    blocks.append(Prose(told))
    if moved:
        blocks.append(_numbers(number, one, other, sorted(moved), names))
    return Section(f"compared{number}", name, f"{one.id} and {other.id}.", tuple(blocks), rank=60)


def _numbers(number: int, one: Stored, other: Stored, keys: Sequence[str], names: tuple[str, str]) -> Table:
    rows = []
    for key in keys:
        a, b = one.record.results[key], other.record.results[key]
        apart = Cell("yes", tone="warn") if _are_apart(a, b) else "no"
        counts = str(a.n or "–") if a.n == b.n else f"{a.n or '–'} and {b.n or '–'}"
        unit = (a.unit or "–") if a.unit == b.unit else f"{a.unit or '–'} and {b.unit or '–'}"
        difference = f"{b.value - a.value:+.4g}".replace("-", "−")
        rows.append((key, _cell(a), _cell(b), difference, apart, counts, unit))
    heads = (
        Column("Measure"),
        Column(names[0], "95 % interval", is_number=True),
        Column(names[1], "95 % interval", is_number=True),
        Column("Difference", is_number=True),
        Column("Intervals apart"),
        Column("N", is_number=True),
        Column("Unit"),
    )
    return Table(f"numbers{number}", f"Numbers that differ in {one.id}", heads, tuple(rows))


def _cell(measure: Measure) -> Cell:
    note = words.span(measure.interval, 3) if measure.interval else ""
    return Cell(f"{measure.value:.4g}".replace("-", "−"), note)


def _are_apart(a: Measure, b: Measure) -> bool:
    if a.interval is None or b.interval is None:
        return False
    return a.interval[1] < b.interval[0] or b.interval[1] < a.interval[0]


def _settings(number: int, one: Stored, other: Stored, names: tuple[str, str]) -> Block:
    first, second = _facts(one), _facts(other)
    keys = [key for key in dict.fromkeys([*first, *second]) if first.get(key) != second.get(key)]
    if not keys:
        return Prose("Settings, commit, packages, seeds and the files read are equal.")
    rows = tuple((Cell(key, tone="code"), first.get(key, "none"), second.get(key, "none")) for key in keys)
    heads = (Column("Setting"), Column(names[0]), Column(names[1]))
    return Group(
        f"{len(keys)} settings or files differ",
        (Table(f"settings{number}", f"Settings and files that differ in {one.id}", heads, rows),),
        is_folded=True,
    )


def _facts(item: Stored) -> dict[str, str]:
    entry = item.record
    facts: dict[str, Any] = {"commit": entry.revision.commit, "dirty": entry.revision.dirty, "seed": entry.seed}
    facts |= {"device": entry.device, "threads": entry.threads}
    facts |= {f"package {name}": version for name, version in entry.packages.items()}
    facts |= {f"read {source.run}": source.sha256 for source in entry.inputs.values()}
    facts |= {f"config {key}": value for key, value in flat(entry.config).items()}
    return {key: str(value) for key, value in facts.items()}


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names."""
    if isinstance(values, Mapping) and values:
        parts = (flat(v, f"{prefix}.{k}" if prefix else str(k)) for k, v in sorted(values.items()))
        return {key: value for part in parts for key, value in part.items()}
    return {prefix: values}
