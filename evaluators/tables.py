"""Tables of an evaluation on the terminal: one per split, numbers with their intervals."""

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from casim import terminal
from casim.record import Measure, RunRecord
from evaluators.protocol import Protocol
from evaluators.scores import GROUPS

HEADLINE = "exact_prompt"
REVERSED = ("order_accuracy", "pair_reversed")
ARROWS = {True: "↑", False: "↓", None: " "}
"""Which way is better."""


def show(record: RunRecord, protocol: Protocol, console: Console | None = None) -> None:
    """Prints the protocol in words, then per split the exact prompts by kind of caption and all other scores.

    Differences of arms are shown where there are two arms; all of them are in the record.
    """
    console = console or terminal.console()
    console.print(protocol.in_words(), highlight=False, markup=False)
    metrics = list(dict.fromkeys(key.split("/")[1] for key in record.results))
    for split in protocol.splits or ():
        by_kind = {group.replace("_", " "): (HEADLINE, group) for group in GROUPS}
        rest = {metric: (metric, "all") for metric in metrics if metric != HEADLINE}
        rest |= {"order_accuracy, reversed pairs": REVERSED}
        tables = (
            _table(record.results, split, "exact prompt, by kind of caption", by_kind, has_intervals=True),
            _table(record.results, split, "all other scores; intervals are in the record", rest),
        )
        for table in tables:
            if table.row_count:
                terminal.tabulate(table, console)
    for note in record.config.get("left_out", []):
        console.print(f"left out: {note}", highlight=False, markup=False)
    for name, caveat in record.config.get("caveats", {}).items():
        console.print(f"{name}: {caveat}", highlight=False, markup=False)


def _table(
    results: Mapping[str, Measure],
    split: str,
    title: str,
    rows: Mapping[str, tuple[str, str]],
    *,
    has_intervals: bool = False,
) -> Table:
    """Scores down, arms across."""
    arms = list(dict.fromkeys(key.split("/")[0] for key in results if "@seed" not in key))
    differences = [arm for arm in arms if " - " in arm]
    shown = [arm for arm in arms if len(differences) == 1 or arm not in differences]
    table = Table(title=f"{split}: {title}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("score", no_wrap=True, min_width=max(map(len, rows), default=0) + 2)
    for arm in shown:
        table.add_column(_short_arm(arm), justify="right")
    for name, (metric, group) in rows.items():
        found = [results.get(f"{arm}/{metric}/{split}/{group}") for arm in shown]
        one = next((measure for measure in found if measure), None)
        if one is not None:
            table.add_row(_head(name, one), *(_cell(measure, has_interval=has_intervals) for measure in found))
    return table


def _short_arm(arm: str) -> str:
    """An arm on narrow lines: its dataset's name is the same for all."""
    return "\n- ".join(part.partition("_")[2] or part for part in arm.split(" - "))


def _head(name: str, measure: Measure) -> Text:
    """The score's name, which way is better, and its unit unless it is a share."""
    unit = "" if measure.unit == "share" else f" [{measure.unit}]"
    return Text(f"{ARROWS[measure.higher_is_better]} {name}{unit}")


def _cell(measure: Measure | None, *, has_interval: bool) -> Text:
    """The value, and below it the interval."""
    if measure is None or not has_interval:
        return Text("-" if measure is None else _short(measure.value, 3))
    low, high = measure.interval or (measure.value, measure.value)
    return Text(f"{_short(measure.value, 3)}\n") + Text(f"[{_short(low)} {_short(high)}]", style="dim")


def _short(value: float, digits: int = 2) -> str:
    """A few digits, without the zero in front, as columns are narrow."""
    if abs(value) >= 1:
        return f"{value:.{max(digits, 3)}g}" if abs(value) < 1e4 else f"{value:.2e}"
    return f"{value:.{digits}f}".replace("0.", ".", 1)
