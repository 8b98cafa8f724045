"""What the capacity probe prints: the curve, what the codecs keep, what can be read off latents, the verdict."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.capacity_results import CODEC, HEADLINE, MAIN
from analysis.latent_readout import ACTIONS, TASKS
from casim import terminal
from casim.record import Measure, RunRecord


def show(written: RunRecord, console: Console) -> None:
    """Prints the tables and the verdict."""
    console.print(written.config["protocol"]["text"], highlight=False, markup=False)
    for split in written.config["protocol"]["splits"]:
        terminal.tabulate(_curve(written, split), console)
    terminal.tabulate(_held(written), console)
    for key, measure in written.results.items():
        if key.startswith("gate/"):
            state = "passed" if measure.value else "failed"
            console.print(f"{state}: {key.partition('/')[2]} ({measure.protocol})", highlight=False, markup=False)
        if key.startswith("verdict/"):
            word = key.partition("/")[2]
            console.print(f"a small representation caps the gain: {word}", highlight=False, markup=False)
    if missing := written.config["missing"]:
        names = ", ".join(missing)
        console.print(f"not measured: {names} (python -m casim.suite capacity_medium)", highlight=False)


def _curve(written: RunRecord, split: str) -> Table:
    table = Table(title=f"{split}: {HEADLINE}, {MAIN}s", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for name in ("representation", "through the codec", "casim", "fixed", "gain"):
        table.add_column(name, justify="left" if name == "representation" else "right")
    for name in [*written.config["representations"], *written.config["beside"]]:
        place = f"{HEADLINE}/{split}/{MAIN}"
        keys = [f"{name} {who}/{place}" for who in (CODEC, "casim", "fixed", "gain")]
        label = name if name in written.config["representations"] else f"{name} (beside)"
        table.add_row(label, *(_cell(written.results.get(key)) for key in keys))
    slope = written.results.get(f"slope/{HEADLINE}/{split}/{MAIN}")
    table.add_row("slope per doubling", "", "", "", _cell(slope))
    return table


def _held(written: RunRecord) -> Table:
    table = Table(title="what the latents hold", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    heads: Sequence[str] = (
        "representation",
        "numbers",
        "bits",
        "mm",
        *(f"{task}: new, selective" for task in TASKS),
        "actions: new, untrained",
    )
    for head in heads:
        table.add_column(head, justify="left" if head == "representation" else "right")
    for name in written.config["representations"]:
        found = written.results
        plain = [found.get(f"{name} budget/{key}") for key in ("numbers", "bits")]
        error = found.get(f"{name} {CODEC}/joint_error/{written.config['protocol']['splits'][0]}/all")
        read = [[found.get(f"{name} latent/{task}/{key}") for key in ("unseen", "selectivity")] for task in TASKS]
        cells = [f"{m.value:.0f}" if m else "-" for m in (*plain, error)]
        read.append([found.get(f"{name} {part}latent/{ACTIONS}/unseen") for part in ("", "untrained ")])
        cells += [", ".join(f"{m.value:.2f}" if m else "-" for m in pair) for pair in read]
        table.add_row(name, *cells)
    return table


def _cell(measure: Measure | None) -> Text:
    if measure is None:
        return Text("-")
    low_high = f" [{measure.interval[0]:.2f}, {measure.interval[1]:.2f}]" if measure.interval else ""
    return Text(f"{measure.value:.3f}") + Text(low_high, style="dim")
