"""`python -m reports.build [RECORDS ...] --out report.html`: records compiled into one offline page.

Reads records and the arrays and tables beside them, nothing else: no torch, no model, no network. The same records
give the same bytes.
"""

import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

from casim import plugins
from casim.cli import POSITIONAL, main_exit
from casim.record import write_atomic
from reports import comparison, marks
from reports.archive import pack
from reports.index import index
from reports.page import page
from reports.pages import Report, Section
from reports.stored import MAKE_SOME, Stored, hashes, stored

LIMIT = 15_000_000
"""Bytes beyond which a page is refused: browsers choke on more."""
SECTIONS = "reports.sections"
ASSETS = Path(plugins.__file__).parent / "assets"


def main(
    records: Annotated[tuple[Path, ...], POSITIONAL] = (),
    out: Path = Path("report.html"),
    compare: tuple[Path, Path] | None = None,
) -> None:
    """Compiles records into one self-contained HTML file.

    Args:
        records: Folders or record files; default: results/, the bundled models' and runs/. Report files (.html)
            instead: an index page of them.
        out: File to write.
        compare: Two folders of records, to be put side by side.
    """
    began = time.perf_counter()
    if out.is_dir():
        raise IsADirectoryError(f"{out} is a folder; name a file: --out {out / 'report.html'}")
    if compare is not None and records:
        raise ValueError("--compare takes two folders and no other records")
    if out.resolve() in {path.resolve() for path in records}:
        raise ValueError(f"{out} is one of the files to read; give --out another name")
    made, count, what = _made(records, out, compare)
    html = made.encode()
    if len(html) > LIMIT:
        raise ValueError(
            f"the page would have {len(html) / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f}; name fewer records "
            "(python -m reports.build FOLDER ...), or take a sample: fewer --examples in the probes"
        )
    write_atomic(out, html)
    print(f"{out}: {count} {what}, {len(html) / 1e6:.2f} MB, {time.perf_counter() - began:.1f} s")


def _made(records: Sequence[Path], out: Path, two: tuple[Path, Path] | None) -> tuple[str, int, str]:
    """The page, how much it was made from, and of what."""
    if records and all(path.suffix == ".html" for path in records):
        return page(index(records, out)), len(records), "reports"
    if two is not None:
        a, b = (stored([root]) for root in two)
        report = comparison.compare(a, b, two)
        return page(report, held=hashes([*a, *b])), len(a) + len(b), "records"
    found = stored(records or default_roots())
    return page(compile_report(found), pack(found), hashes(found)), len(found), "records"


def default_roots() -> tuple[Path, ...]:
    """Where records lie: committed results, bundled models, own runs; those that exist.

    Raises:
        FileNotFoundError: none of them exists.
    """
    roots = tuple(root for root in (Path("results"), ASSETS, Path("runs")) if root.is_dir())
    if not roots:
        raise FileNotFoundError(f"no results/, casim/assets/ or runs/ here; {MAKE_SOME}")
    return roots


def compile_report(records: Sequence[Stored]) -> Report:
    """The report of these records: every section that has something to say."""
    found = [made for name in plugins.names(SECTIONS) if (made := section_of(name)(records)) is not None]
    return Report(
        title="Words into motion: one vector or every token?",
        about="Motion generators read a caption as one pooled vector (fixed) or token by token (casim). Here both "
        "are trained alike and compared, with intervals, controls and nulls, from the records listed at the end.",
        sections=tuple(sorted(found, key=lambda section: (section.rank, section.id))),
        notices=marks.notices(records),
    )


def section_of(name: str) -> Callable[[Sequence[Stored]], Section | None]:
    """The function that writes the section called `name`."""
    return import_module(f"{SECTIONS}.{name}").section


if __name__ == "__main__":
    main_exit(main)
