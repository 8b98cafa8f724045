"""One page that lists several reports: what each is about, its verdicts, and a link to it."""

import html
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports.pages import Cell, Column, Link, Report, Section, Table

SUMMARY = re.compile(r'<script type="application/json" id="summary">(.*?)</script>', re.S)


def summary(report: Report, records: int) -> str:
    """What an index says of a report, as JSON that is safe inside a script element."""
    verdicts = [[v.question, v.word] for section in report.sections for v in section.verdicts]
    told = {"title": report.title, "records": records, "verdicts": verdicts, "notices": list(report.notices)}
    text = json.dumps(told, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def read(page: Path) -> dict[str, Any]:
    """The summary of a report.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no report.
    """
    found = SUMMARY.search(page.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{page} is no report; name pages that python -m reports.build wrote")
    return json.loads(html.unescape(found[1]))


def index(pages: Sequence[Path], out: Path) -> Report:
    """The report that lists these.

    Args:
        pages: report files.
        out: where the index will lie: links are relative to it.
    """
    told = {page: read(page) for page in pages}
    questions = list(dict.fromkeys(question for one in told.values() for question, _ in one["verdicts"]))
    rows = []
    for page, one in told.items():
        words = dict(one["verdicts"])
        link = Link(os.path.relpath(page, out.parent).replace(os.sep, "/"), page.name)
        notes = Cell(str(len(one["notices"])), tone="warn" if one["notices"] else "")
        rows.append((link, one["title"], str(one["records"]), notes, *(words.get(q, "–") for q in questions)))
    columns = (
        Column("Report"),
        Column("Title"),
        Column("Records", is_number=True),
        Column("Notices", is_number=True),
        *(Column(question) for question in questions),
    )
    table = Table("reports", f"{len(rows)} reports", columns, tuple(rows))
    lead = "Every report is one file that stands by itself; this page holds nothing but links to them."
    return Report(
        "Reports", "Several reports and what they conclude.", (Section("list", "Reports", lead, (table,)),)
    )
