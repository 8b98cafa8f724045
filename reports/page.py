"""A report as one HTML file: templates, embedded style, and a content policy that lets nothing else in."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import words
from reports.archive import element
from reports.index import summary
from reports.pages import Effect, Player, Report, Svg, walk
from reports.players import payload

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
    "smoother": ("good", "✓"),
    "no smoother": ("bad", "✕"),
    "trade-off": ("open", "≈"),
    "mixed": ("open", "≈"),
    "undetermined": ("open", "?"),
    "passed": ("good", "✓"),
    "failed": ("bad", "✕"),
    "not run": ("open", "–"),
}
"""Tone and symbol of a verdict or of a gate; the word itself always stands beside them."""


def page(report: Report, archive: bytes = b"", held: Mapping[str, str] | None = None) -> str:
    """The whole file.

    Args:
        report: what it says.
        archive: records and arrays to give back (`reports.archive.pack`); empty: none.
        held: the records that it was made from, and their hashes (`reports.stored.hashes`).
    """
    style = _static("style.css")
    has_players = any(isinstance(b, Player) and b.tracks for s in report.sections for b in walk(s.blocks))
    scripts = [_static("page.js"), *([_static("player.js")] if has_players else [])]
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = f"default-src 'none'; script-src {allowed}; style-src 'sha256-{_digest(style)}'; img-src data:; "
    policy += "base-uri 'none'; form-action 'none'"
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            style=Markup(style),
            scripts=[Markup(script) for script in scripts],
            archive=Markup(element(archive)) if archive else "",
            summary_text=Markup(summary(report, held or {})),
            policy=policy,
        )
    )


def _static(name: str) -> str:
    return (HERE / "static" / name).read_text(encoding="utf-8").strip()


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


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
        "payload": lambda player: Markup(payload(player)),
        "tone": lambda word: SYMBOLS[word][0],
        "symbol": lambda word: SYMBOLS[word][1],
        "order": lambda cell: getattr(cell, "order", None),
        "effect": _effect,
        "span": lambda effect: words.span(effect.interval, is_signed=True),
    }
    return environment


def _svg(drawing: Svg) -> Markup:
    """Drawings are made by this package, which escapes every text in them."""
    return Markup(drawing)


def _effect(effect: Effect) -> str:
    return words.signed(effect.value)
