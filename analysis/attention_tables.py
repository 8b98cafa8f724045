"""What the attention probe prints: its main numbers, gates and verdict."""

from rich.console import Console
from rich.table import Table

from analysis.attention_results import NULLS
from casim.record import Measure, RunRecord


def show(written: RunRecord, console: Console) -> None:
    """Prints the main numbers and the verdict."""
    arm, results = written.config["arm"], written.results
    console.print(_auc(results, arm), _boundary(results, arm, written.config["protocol"]["steps"]))
    masses = {name: results.get(f"{who}/{name}") for who, name in ((arm, "share"), (arm, "sink"))}
    uniform = results.get("null uniform/share")
    if uniform and masses["share"]:
        console.print(
            f"attention to content words that is on the action under way: {_value(masses['share'])}", end=""
        )
        console.print(f" (if all words got the same: {_value(uniform)})")
    if masses["sink"]:
        console.print(f"attention on special tokens: {_value(masses['sink'])}")
    for key, measure in results.items():
        if key.startswith("gate/"):
            mark = "[green]passed[/]" if measure.value else "[red]failed[/]"
            console.print(f"{key.removeprefix('gate/')}: {mark}; ", end="")
            console.print(measure.protocol, highlight=False, markup=False)
    for key, measure in results.items():
        if key.startswith("verdict/"):
            console.print(f"\n[bold]{key.removeprefix('verdict/')}[/]: ", end="")
            console.print(measure.protocol, highlight=False, markup=False)


def _auc(results: dict[str, Measure], arm: str) -> Table:
    table = Table("word-to-frame AUC", "all", "natural", "reversed")
    for who in (arm, *(f"null {name}" for name in NULLS)):
        cells = (_cell(results.get(f"{who}/auc{group}")) for group in ("", "/natural", "/reversed"))
        table.add_row(who, *cells)
    return table


def _boundary(results: dict[str, Measure], arm: str, steps: tuple[int, ...]) -> Table:
    table = Table("boundary tracking (rho)", *(f"t={step}" for step in steps))
    for who in (arm, "null untrained"):
        table.add_row(who, *(_value(results.get(f"{who}/boundary_rho/t{step}")) for step in steps))
    return table


def _value(measure: Measure | None) -> str:
    return "-" if measure is None else _short(measure.value, 3)


def _cell(measure: Measure | None) -> str:
    if measure is None:
        return "-"
    interval = ", ".join(_short(end, 2) for end in measure.interval or ())
    return _value(measure) + (f" \\[{interval}]" if interval else "")


def _short(value: float, digits: int) -> str:
    """The number without its leading zero."""
    return f"{value:.{digits}f}".replace("0.", ".", 1)
