"""A report as one HTML file: templates, embedded style, and a content policy that lets nothing else in."""

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import words
from reports.pages import Effect, Report, Svg, Table

HERE = Path(__file__).parent
SYMBOLS = {
    "supported": ("good", "✓"),
    "semantic": ("good", "✓"),
    "not supported": ("bad", "✕"),
    "positional": ("bad", "✕"),
    "persists": ("good", "✓"),
    "does not persist": ("bad", "✕"),
    "kept": ("good", "✓"),
    "lost": ("bad", "✕"),
    "mixed": ("open", "≈"),
    "undetermined": ("open", "?"),
    "passed": ("good", "✓"),
    "failed": ("bad", "✕"),
    "not run": ("open", "–"),
}
"""Tone and symbol of a verdict or of a gate; the word itself always stands beside them."""


def page(report: Report) -> str:
    """The whole file."""
    style = (HERE / "static" / "style.css").read_text(encoding="utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return _environment().get_template("report.html").render(report=report, style=Markup(style), policy=policy)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "kind": lambda block: type(block).__name__.lower(),
        "svg": _svg,
        "download": _download,
        "tone": lambda word: SYMBOLS[word][0],
        "symbol": lambda word: SYMBOLS[word][1],
        "effect": _effect,
        "span": lambda effect: words.span(effect.interval, is_signed=True),
    }
    return environment


def _svg(drawing: Svg) -> Markup:
    """Drawings are made by this package, which escapes every text in them."""
    return Markup(drawing)


def _download(table: Table) -> str:
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(table.to_csv().encode("utf-8-sig")).decode()


def _effect(effect: Effect) -> str:
    return words.signed(effect.value)
