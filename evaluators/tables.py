"""Tables of an evaluation on the terminal: one per split, numbers with their intervals."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

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
        console.print(_table(record.results, split, "exact prompt by kind of caption", by_kind))
        rest = {metric.replace("_", " "): (metric, "all") for metric in metrics if metric != HEADLINE}
        rest |= {"order accuracy, reversed": ("order_accuracy", "pair_reversed")}
        console.print(_table(record.results, split, "all captions", rest))


def _table(results: Mapping[str, Measure], split: str, title: str, columns: Mapping[str, tuple[str, str]]) -> Table:
    table = Table(title=f"{split}: {title}", title_justify="left")
    table.add_column("arm")
    for name in columns:
        table.add_column(name, justify="right")
    for arm in dict.fromkeys(key.split("/")[0] for key in results if "@seed" not in key):
        cells = [results.get(f"{arm}/{metric}/{split}/{group}") for metric, group in columns.values()]
        table.add_row(arm, *map(_cell, cells))
    return table


def _cell(measure: Measure | None) -> str:
    if measure is None:
        return "-"
    low, high = measure.interval or (measure.value, measure.value)
    return f"{measure.value:.3f} \\[{low:.2f}, {high:.2f}]"
