"""One page that lists several reports: what each is about, its verdicts, whether its records have changed since."""

import hashlib
import html
import json
import os
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

import casim
from casim import record
from reports.pages import Cell, Column, Link, Report, Section, Table

SUMMARY = re.compile(r'<script type="application/json" id="summary">(.*?)</script>', re.S)
PACKAGE = Path(casim.__file__).parent.parent


class Summary(BaseModel):
    """What an index says of a report."""

    title: str
    held: dict[str, str]
    """SHA-256 of each record that it was made from, by id."""
    verdicts: list[tuple[str, str]]
    """Questions and words."""
    notices: list[str]


def summary(report: Report, held: Mapping[str, str]) -> str:
    """The summary of a report as JSON that is safe inside a script element."""
    verdicts = [(v.question, v.word) for section in report.sections for v in section.verdicts]
    told = Summary(title=report.title, held=dict(held), verdicts=verdicts, notices=list(report.notices))
    text = json.dumps(told.model_dump(), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def read(page: Path) -> Summary:
    """The summary of a report.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no report, or of another version.
    """
    found = SUMMARY.search(page.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{page} is no report; name pages that python -m reports.build wrote")
    try:
        return Summary.model_validate_json(html.unescape(found[1]))
    except ValueError as error:
        raise ValueError(f"{page} was built by another version, or damaged; build it again") from error


def changed(held: Mapping[str, str]) -> tuple[list[str], int]:
    """The ids of those records that lie here with another hash now, and how many do not lie here."""
    moved, gone = [], 0
    for name, digest in held.items():
        place = next((f for root in (Path(), PACKAGE) if (f := root / name / record.FILE).is_file()), None)
        if place is None:
            gone += 1
        elif _hash(place) != digest:
            moved.append(name)
    return moved, gone


def _hash(file: Path) -> str:
    try:
        return hashlib.sha256(record.dump(record.load(file))).hexdigest()
    except ValueError:
        return "not a record any more"


def _state(told: Summary) -> Cell:
    moved, gone = changed(told.held)
    if moved:
        more = f" and {len(moved) - 1} more" if len(moved) > 1 else ""
        return Cell("stale", f"changed since: {moved[0]}{more}; build it again", "warn")
    if gone == len(told.held):
        return Cell("not checked", "none of its records lies here")
    return Cell("as its records", f"{gone} of them do not lie here" if gone else "")


def index(pages: Sequence[Path], out: Path) -> Report:
    """The report that lists these.

    Args:
        pages: report files.
        out: where the index will lie: links are relative to it.
    """
    told = {page: read(page) for page in pages}
    questions = list(dict.fromkeys(question for one in told.values() for question, _ in one.verdicts))
    rows = []
    for page, one in told.items():
        words = dict(one.verdicts)
        path = os.path.relpath(page, out.parent).replace(os.sep, "/")
        link = Link(f"./{urllib.parse.quote(path)}", page.name)
        notes = Cell(str(len(one.notices)), tone="warn" if one.notices else "")
        answers = (words.get(question, "–") for question in questions)
        rows.append((link, one.title, _state(one), str(len(one.held)), notes, *answers))
    columns = (
        Column("Report"),
        Column("Title"),
        Column("State"),
        Column("Records", is_number=True),
        Column("Notices", is_number=True),
        *(Column(question) for question in questions),
    )
    table = Table("reports", f"{len(rows)} reports", columns, tuple(rows))
    lead = (
        "Every report is one file that stands by itself; this page holds nothing but links to them. A report is "
        "stale if a record that it was made from lies here with another hash."
    )
    return Report(
        "Reports", "Several reports and what they conclude.", (Section("list", "Reports", lead, (table,)),)
    )
