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
from reports import marks
from reports.archive import pack
from reports.page import page
from reports.pages import Report, Section
from reports.stored import MAKE_SOME, Stored, stored

LIMIT = 15_000_000
"""Bytes beyond which a page is refused: browsers choke on more."""
SECTIONS = "reports.sections"
ASSETS = Path(plugins.__file__).parent / "assets"


def main(records: Annotated[tuple[Path, ...], POSITIONAL] = (), out: Path = Path("report.html")) -> None:
    """Compiles records into one self-contained HTML file.

    Args:
        records: Folders or record files; default: results/, the bundled models' and runs/.
        out: File to write.
    """
    began = time.perf_counter()
    found = stored(records or default_roots())
    html = page(compile_report(found), pack(found)).encode()
    if len(html) > LIMIT:
        raise ValueError(
            f"the page would have {len(html) / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f}; name fewer records: "
            "python -m reports.build FOLDER ..."
        )
    if out.is_dir():
        raise IsADirectoryError(f"{out} is a folder; name a file: --out {out / 'report.html'}")
    write_atomic(out, html)
    print(f"{out}: {len(found)} records, {len(html) / 1e6:.2f} MB, {time.perf_counter() - began:.1f} s")


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
