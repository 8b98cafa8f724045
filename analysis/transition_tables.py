"""What the transition probe prints: the sweep of each arm, one prompt without joining, the verdict."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis import transition_sequences as sequences
from analysis.transition_results import ANYWHERE, ARMS, CHANGE, INSIDE
from casim import terminal
from casim.record import Measure, RunRecord

COLUMNS = {
    "peak_jerk": "peak",
    "seam_jerk": "across",
    "distance": "step",
    "skate_ratio": "skate",
    "fid.tmr.raw": "FID",
    "cost": "cost",
    "left_exact": "left",
    "right_exact": "right",
}
DIGITS = {"peak_jerk": 0, "seam_jerk": 0, "distance": 1, "fid.tmr.raw": 1}
LEGEND = (
    "peak, across: jerk, its peak and how far it stands out across the seam, m/s^3; step: over the seam, mm; left, "
    "right: neighbours that show exactly what they were asked for, shares; cost: their loss against concatenation"
)


def show(written: RunRecord, console: Console) -> None:
    """Prints the tables and the verdict."""
    console.print(written.config["protocol"]["text"], highlight=False, markup=False)
    console.print(LEGEND, highlight=False, markup=False)
    for arm in ARMS:
        if any(key.startswith(f"{arm} ") for key in written.results):
            terminal.tabulate(_sweep(written, arm), console)
    if any(key.startswith("one prompt ") for key in written.results):
        terminal.tabulate(_one_prompt(written), console)
    for name, why in written.config["left_out"].items():
        console.print(f"left out: {name} ({why})", highlight=False, markup=False)
    for key, measure in written.results.items():
        if key.startswith("gate/"):
            state = "passed" if measure.value else "failed"
            console.print(f"{state}: {key.partition('/')[2]} ({measure.protocol})", highlight=False, markup=False)
        if key.startswith("verdict/"):
            console.print(f"a longer handshake: {key.partition('/')[2]}", highlight=False, markup=False)


def _sweep(written: RunRecord, arm: str) -> Table:
    table = Table(title=f"{arm}: seams", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for name in ("", *COLUMNS.values()):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    own = [
        (f"{arm} {cell}", cell.replace("double_take", "double").replace("linear_blend", "linear"))
        for cell in (INSIDE, *written.config["cells"])
    ]
    for who, label in [(CHANGE, "real, change"), (ANYWHERE, "real, anywhere"), *own]:
        table.add_row(label, *(_cell(written.results.get(f"{who}/{metric}"), metric) for metric in COLUMNS))
    trend = f"{arm} trend b{written.config['at_blend']}"
    cells = (_cell(written.results.get(f"{trend}/{metric}"), metric, is_signed=True) for metric in COLUMNS)
    table.add_row(f"+10 frames, b{written.config['at_blend']}", *cells)
    return table


def _one_prompt(written: RunRecord) -> Table:
    title = "one prompt, no joining: exact (order)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("actions, length")
    arms = [
        arm for arm in (sequences.REAL, *ARMS) if any(k.startswith(f"one prompt {arm}/") for k in written.results)
    ]
    for arm in arms:
        table.add_column(arm, justify="right")
    for stretch in sequences.STRETCHES:
        for actions in sequences.ACTIONS:
            place = sequences.place_of(actions, stretch)
            row = []
            for arm in arms:
                exact, order = (
                    written.results.get(f"one prompt {arm}/{metric}/{place}")
                    for metric in ("exact_prompt", "order_accuracy")
                )
                row.append(f"{exact.value:.2f} ({order.value:.2f})" if exact and order else "-")
            table.add_row(place.replace("/", ", "), *row)
    return table


def _cell(measure: Measure | None, metric: str, *, is_signed: bool = False) -> Text:
    if measure is None:
        return Text("-")
    sign, digits = "+" if is_signed else "", DIGITS.get(metric, 2)
    text = Text(f"{measure.value:{sign}.{digits}f}")
    if is_signed and measure.interval and measure.interval[0] <= 0 <= measure.interval[1]:
        text.stylize("dim")
    return text
