"""What the attention probe prints: its main numbers, gates and verdict."""

from rich.console import Console
from rich.table import Table

from analysis.attention_calibration import LIMIT
from analysis.attention_results import NULLS
from analysis.attention_weightings import WORDS
from casim import terminal
from casim.record import Measure, RunRecord


def show(written: RunRecord, console: Console) -> None:
    """Prints the main numbers and the verdict."""
    arm, results = written.config["arm"], written.results
    if f"{arm}/event_rho" in results:
        terminal.tabulate(_events(results, arm), console)
        _parts(results, console)
        _outcome(results, console)
        return
    terminal.tabulate(_auc(results, arm), console)
    terminal.tabulate(_boundary(results, arm, written.config["protocol"]["steps"]), console)
    masses = {name: results.get(f"{who}/{name}") for who, name in ((arm, "share"), (arm, "sink"))}
    uniform = results.get("null uniform/share")
    if uniform and masses["share"]:
        console.print(
            f"attention to content words that is on the action under way: {_value(masses['share'])}", end=""
        )
        console.print(f" (if all words got the same: {_value(uniform)})")
    if masses["sink"]:
        console.print(f"attention on special tokens: {_value(masses['sink'])}")
    _parts(results, console)
    _outcome(results, console)


def _outcome(results: dict[str, Measure], console: Console) -> None:
    """The gates and the verdicts in words."""
    for key, measure in results.items():
        if key.startswith("gate/"):
            mark = "[green]passed[/]" if measure.value else "[red]failed[/]"
            console.print(f"{key.removeprefix('gate/')}: {mark}; ", end="")
            console.print(measure.protocol, highlight=False, markup=False)
    for key, measure in results.items():
        if key.startswith(("verdict/", "persistence/verdict/")):
            console.print(f"\n[bold]{key.rpartition('/')[2]}[/]: ", end="")
            console.print(measure.protocol, highlight=False, markup=False)


def _parts(results: dict[str, Measure], console: Console) -> None:
    """The tables of the parts that were made."""
    if "design/plain/auc" in results:
        table = Table("designed prompts", "AUC", "less the clips' own")
        for name in (key.split("/")[1] for key in results if key.startswith("design/") and key.endswith("/auc")):
            if not name.endswith("less plain"):
                difference = results.get(f"design/{name} less plain/auc")
                table.add_row(name, _cell(results[f"design/{name}/auc"]), _cell(difference))
        console.print(table)
    if "weighting/raw/auc" in results:
        table = Table("which attention", "AUC", "untrained", "less raw")
        for name in WORDS:
            entries = (f"weighting/{name}{part}" for part in ("/auc", "/untrained", " less raw/auc"))
            table.add_row(name, *(_cell(results.get(entry)) for entry in entries))
        terminal.tabulate(table, console)
        terminal.tabulate(table, console)
    if "cause/unchanged/target" in results:
        table = Table(
            "intervention while sampling", "drop of target", "drop of other", "specificity", "corrected p"
        )
        for name in (key.split("/")[1] for key in results if key.endswith("/target")):
            if name != "unchanged":
                cells = (results.get(f"cause/{name}/{part}") for part in ("target", "other", "specificity"))
                table.add_row(name, *map(_cell, cells), _value(results.get(f"cause/{name}/p")))
        terminal.tabulate(table, console)
    names = [key.split("/")[1] for key in results if key.startswith("persistence/") and key.endswith("/icc")]
    if names:
        table = Table("persistence over", "ICC", "JSD (bits)", "top-3 overlap")
        for name in (*names, "null prompt swap"):
            table.add_row(name, *(_cell(results.get(f"persistence/{name}/{p}")) for p in ("icc", "jsd", "top3")))
        terminal.tabulate(table, console)
    if rates := {key.partition("/")[2]: m for key, m in results.items() if key.startswith("calibration/")}:
        table = Table("statistic", "false-positive rate", "reportable by itself")
        for name, measure in rates.items():
            table.add_row(name, _cell(measure), "yes" if measure.value <= LIMIT else "[red]no[/]")
        terminal.tabulate(table, console)


def _events(results: dict[str, Measure], arm: str) -> Table:
    table = Table("attention to a word and the movement that it names", "rho")
    for who in (arm, "null untrained", "null position", "null prompt swap", f"{arm} - null prompt swap"):
        table.add_row(who, _cell(results.get(f"{who}/event_rho")))
    return table


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
