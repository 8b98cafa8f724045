"""Tables of an evaluation on the terminal: one per split, numbers with their intervals."""

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from casim.record import Measure, RunRecord
from evaluators.protocol import Protocol
from evaluators.scores import GROUPS

HEADLINE = "exact_prompt"


def show(record: RunRecord, protocol: Protocol, console: Console | None = None) -> None:
    """Prints the protocol in words, then per split the exact prompts by kind of caption and the other metrics."""
    console = console or Console()
    console.print(protocol.in_words(), highlight=False, markup=False)
    metrics = list(dict.fromkeys(key.split("/")[1] for key in record.results))
    for split in protocol.splits:
        by_kind = {group.replace("_", " "): (HEADLINE, group) for group in GROUPS}
        console.print(_table(record.results, split, "exact prompt, by kind of caption", by_kind))
        rest = {metric.replace("_", " "): (metric, "all") for metric in metrics if metric != HEADLINE}
        rest |= {"order accuracy, reversed pairs": ("order_accuracy", "pair_reversed")}
        console.print(_table(record.results, split, "other metrics, all captions", rest))


def _table(results: Mapping[str, Measure], split: str, title: str, columns: Mapping[str, tuple[str, str]]) -> Table:
    arms = list(dict.fromkeys(key.split("/")[0] for key in results if "@seed" not in key))
    cells = {
        name: [results.get(f"{arm}/{metric}/{split}/{group}") for arm in arms]
        for name, (metric, group) in columns.items()
    }
    shown = {name: column for name, column in cells.items() if any(column)}
    table = Table(title=f"{split}: {title}", title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    table.add_column("arm", no_wrap=True)
    for name in shown:
        table.add_column(name, justify="right")
    for row, arm in enumerate(arms):
        table.add_row(arm.replace(" - ", "\n- "), *(_cell(column[row]) for column in shown.values()))
    return table


def _cell(measure: Measure | None) -> Text:
    """The value, and below it the interval."""
    if measure is None:
        return Text("-")
    low, high = measure.interval or (measure.value, measure.value)
    return Text(f"{measure.value:.3f}\n") + Text(f"[{_short(low)} {_short(high)}]", style="dim")


def _short(value: float) -> str:
    """Two decimals without the zero in front, as columns are narrow."""
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.1f}"
