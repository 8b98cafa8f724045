"""What the attention probe prints: its main numbers, gates and verdict."""

from rich.console import Console
from rich.table import Table

from analysis.attention_results import NULLS
from casim import record


def show(written: record.RunRecord, console: Console) -> None:
    """Prints the main numbers and the verdict."""
    arm, results = written.config["arm"], written.results
    rows = [
        f"{arm}/auc",
        *(f"null {null}/auc" for null in NULLS),
    ]
    table = Table("word-to-frame AUC", "all", "natural", "reversed")
    for key in rows:
        table.add_row(
            key.removesuffix("/auc"), *(_cell(results.get(key + tail)) for tail in ("", "/natural", "/reversed"))
        )
    console.print(table)
    steps = written.config["protocol"]["steps"]
    table = Table("boundary tracking (Spearman)", *(f"t={step}" for step in steps))
    for who in (arm, "null untrained"):
        table.add_row(who, *(_cell(results.get(f"{who}/boundary_rho/t{step}")) for step in steps))
    console.print(table)
    for key, measure in results.items():
        if key.startswith(("gate/", "verdict/")):
            mark = "" if key.startswith("verdict/") else ("passed: " if measure.value else "failed: ")
            console.print(f"{key}: {mark}{measure.protocol}", highlight=False, markup=False)


def _cell(measure: record.Measure | None) -> str:
    if measure is None:
        return "-"
    interval = f" \\[{measure.interval[0]:.2f}, {measure.interval[1]:.2f}]" if measure.interval else ""
    return f"{measure.value:.3f}{interval}"
