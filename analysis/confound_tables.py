"""What the confound probe prints: effects, shares, interactions, cells, and how much the window cuts."""

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.confound_design import NAMES
from analysis.confound_results import GROUPS, METRIC
from casim import terminal
from casim.record import Measure, RunRecord

MEANT = {
    "tokens": "every token, not one vector",
    "window": "77 text tokens, not 22",
    "mask": "padded frames hidden",
    "norm": "final LayerNorm",
}


def show(written: RunRecord, console: Console) -> None:
    """Prints the tables, and one sentence on the tokens' part of the gain."""
    results = written.results
    console.print(written.config["protocol"]["text"], highlight=False, markup=False)
    splits = list(written.config["protocol"]["splits"])
    for split in splits:
        cells = {cell: cell for cell in written.config["cells"]}
        terminal.tabulate(_table(results, split, f"{split}: exact prompt, every cell", cells), console)
        effects = {f"{name}: {MEANT[name]}": f"effect {name}" for name in NAMES} | {"all four at once": "gain"}
        if f"gain/{METRIC}/{split}/all" in results:
            terminal.tabulate(_table(results, split, f"{split}: main effects on exact prompt", effects), console)
            names = {k.split("/")[0] for k in results if k.startswith("interaction ")}
            terminal.tabulate(
                _table(results, split, f"{split}: interactions", {n: n for n in sorted(names)}), console
            )
            console.print(sentence(results, split), highlight=False, markup=False)
    if missing := written.config["missing"]:
        console.print(f"no effects: the design lacks {', '.join(missing)}", highlight=False, soft_wrap=True)
    for key, measure in results.items():
        if key.startswith("cut/"):
            console.print(f"{measure.value:.1%} of {measure.n} {measure.protocol}", highlight=False, markup=False)


def sentence(results: Mapping[str, Measure], split: str) -> str:
    """How much of the gain belongs to tokens, in plain words."""
    gain, effect, share = (
        results.get(f"{name}/{METRIC}/{split}/all") for name in ("gain", "effect tokens", "share tokens")
    )
    if gain is None or effect is None:
        return f"{split}: effects were not measured."
    parts = f"{gain.value:+.3f}{_span(gain)}, {effect.value:+.3f}{_span(effect)}"
    tail = f", {share.value:.0%}{_span(share)}" if share else "; the gain itself is not clear of 0"
    return f"{split}: of the gain of {parts} belongs to tokens{tail}."


def _table(results: Mapping[str, Measure], split: str, title: str, rows: Mapping[str, str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("", no_wrap=True)
    groups = [
        group for group in GROUPS if any(f"{key}/{METRIC}/{split}/{group}" in results for key in rows.values())
    ]
    for group in groups:
        table.add_column(group.replace("_", " "), justify="right")
    for label, key in rows.items():
        table.add_row(label, *(_cell(results.get(f"{key}/{METRIC}/{split}/{group}")) for group in groups))
    return table


def _cell(measure: Measure | None) -> Text:
    if measure is None:
        return Text("-")
    return Text(f"{measure.value:.3f}") + Text(_span(measure), style="dim")


def _span(measure: Measure) -> str:
    return f" [{measure.interval[0]:.2f}, {measure.interval[1]:.2f}]" if measure.interval else ""
