"""Where every number comes from: command, commit, packages, machine, seeds, hashes; and how the arms differ."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from reports import words
from reports.comparison import flat
from reports.marks import marks
from reports.pages import Absence, Block, Cell, Code, Column, Group, Prose, Section, Table
from reports.scores import POOLED, TOKEN, evaluations
from reports.stored import Stored, of_kind

LEAD = "Every number above comes from one of these records. Each names the command that writes it again."


def section(records: Sequence[Stored]) -> Section | None:
    """The config difference of the arms, an overview of the records, and each record in full."""
    if not records:
        absence = Absence("Records", "none were found", "make demo")
        return Section("provenance", "Provenance", LEAD, (absence,), rank=90)
    blocks: list[Block] = [_arms(records), _overview(records)]
    blocks.append(Group("Each record in full", tuple(_full(i, item, records) for i, item in enumerate(records))))
    return Section("provenance", "Provenance", LEAD, tuple(blocks), rank=90)


def _arms(records: Sequence[Stored]) -> Block:
    """What differs between the configs of the two arms: it should be the injection alone."""
    pair = _configs(records)
    if pair is None:
        return Absence(
            "The config difference of the two arms",
            "no record holds the configs of both arms",
            "python -m evaluators.run",
        )
    first, second = (flat(config) for config in pair)
    keys = [key for key in dict.fromkeys([*first, *second]) if first.get(key) != second.get(key)]
    rows = tuple((Cell(key, tone="code"), _shown(first, key), _shown(second, key)) for key in keys)
    same = len(set(first) | set(second)) - len(keys)
    return Table(
        "arms",
        "All that differs between the configs of the two arms",
        (Column("Setting"), Column("casim"), Column("fixed")),
        rows,
        f"The other {same} settings are equal.",
    )


def _configs(records: Sequence[Stored]) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    by_arm: dict[str, Mapping[str, Any]] = {}
    for evaluation in evaluations(records)[:1]:
        runs = evaluation.stored.record.config.get("runs", {})
        for config in runs.values() if isinstance(runs, dict) else ():
            by_arm.setdefault(words.short(str(config.get("recipe", ""))), config)
    for item in of_kind(records, "train"):
        by_arm.setdefault(words.short(str(item.record.config.get("recipe", ""))), item.record.config)
    return (by_arm[TOKEN], by_arm[POOLED]) if TOKEN in by_arm and POOLED in by_arm else None


def _shown(values: Mapping[str, Any], key: str) -> str:
    return str(values[key]) if key in values else "no such setting"


def _overview(records: Sequence[Stored]) -> Table:
    rows = []
    for item in records:
        entry = item.record
        found = marks(item, records)
        state = Cell("; ".join(m.word for m in found), tone="warn") if found else Cell("clean", tone="good")
        commit = Cell(entry.revision.commit[:8], tone="code")
        rows.append(
            (Cell(item.id, tone="code"), entry.kind, commit, state, Cell(_took(item), order=_seconds(item)))
        )
    columns = (
        Column("Record"),
        Column("Kind"),
        Column("Commit"),
        Column("Marks"),
        Column("Wall time", is_number=True),
    )
    return Table("records", f"{len(records)} record{'s' if len(records) != 1 else ''}", columns, tuple(rows))


def _took(item: Stored) -> str:
    seconds = _seconds(item)
    return "not recorded" if seconds is None else words.seconds(seconds)


def _seconds(item: Stored) -> float | None:
    try:
        start, end = (datetime.fromisoformat(t) for t in (item.record.started, item.record.finished))
    except ValueError:
        return None
    return (end - start).total_seconds()


def _full(number: int, item: Stored, records: Sequence[Stored]) -> Group:
    entry = item.record
    found = marks(item, records)
    facts = [
        ("Status", entry.status + (f": {entry.error}" if entry.error else "")),
        ("Commit", entry.revision.commit + (", with uncommitted changes" if entry.revision.dirty else "")),
        ("Seed", "none" if entry.seed is None else str(entry.seed)),
        ("Device", f"{entry.device}, {entry.threads or 'unrecorded'} threads"),
        ("Started", entry.started or "not recorded"),
        ("Wall time", _took(item)),
        ("Packages", ", ".join(f"{name} {version}" for name, version in sorted(entry.packages.items())) or "none"),
    ]
    blocks: list[Block] = [Prose(f"{mark.word}: {mark.detail}.") for mark in found]
    blocks.append(Code("Exact command", shlex.join(entry.argv) if entry.argv else "not recorded"))
    rows = tuple((name, value) for name, value in facts)
    blocks.append(Table(f"record{number}", f"How {item.id} was made", (Column("Fact"), Column("Value")), rows))
    if entry.inputs or entry.artifacts:
        blocks.append(_files(number, item))
    return Group(item.id, tuple(blocks), is_folded=True)


def _files(number: int, item: Stored) -> Table:
    entry = item.record
    rows = [
        ("read", Cell(s.run, tone="code"), Cell(s.sha256, tone="code")) for _, s in sorted(entry.inputs.items())
    ]
    rows += [
        ("written", Cell(a.path, tone="code"), Cell(a.sha256, tone="code"))
        for _, a in sorted(entry.artifacts.items())
    ]
    columns = (Column("Use"), Column("File"), Column("SHA-256"))
    return Table(f"record{number}-files", f"What {item.id} read and wrote", columns, tuple(rows))
