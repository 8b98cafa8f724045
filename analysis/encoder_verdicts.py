"""What the encoder probe concludes and prints: corrected p-values, kept or lost, side accuracy of models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy.stats import false_discovery_control

from casim import record, terminal
from casim.record import Measure

LEAST = 0.75
"""Accuracy below this, where a planted direction is found, is a distinction lost."""
OTHERS = ("opposite", "synonym", "random")


def corrected(p: Mapping[str, float]) -> dict[str, Measure]:
    """The p of every comparison, corrected together."""
    if not p:
        return {}
    words = f"two-sided sign flips over templates; Benjamini-Hochberg over {len(p)} comparisons"
    adjusted = false_discovery_control(list(p.values()))
    return {
        key: Measure(value=float(one), unit="p", higher_is_better=False, protocol=words)
        for key, one in zip(p, adjusted, strict=True)
    }


def verdicts(
    results: Mapping[str, Measure], encoders: Mapping[str, Any], sets: Mapping[str, Any]
) -> dict[str, Measure]:
    """Whether each encoder keeps the distinction of each set, by its token states."""
    rule = (
        f"rule: kept if the probe's interval lies above {LEAST} and above chance, lost if below {LEAST} although a "
    )
    rule += "planted direction is found, else undetermined"
    found: dict[str, Measure] = {}
    for encoder in encoders:
        for label in sets:
            where = f"{encoder}/{label}/token"
            told, chance, sure = (results.get(f"{where}/{name}") for name in ("probe", "chance", "planted"))
            word = _word(told, chance, sure)
            gap, raw = results.get(f"{where}/closer/standardised"), results.get(f"{where}/opposite/raw")
            said = (
                "no probe: one template only"
                if told is None
                else f"probe {_number(told)}, chance {_number(chance)}"
            )
            said += f", planted {_number(sure)}; raw cosine with the opposite {_number(raw)}, "
            said += f"synonym closer than opposite by {_number(gap)} (standardised)"
            found[f"verdict/{encoder}/{label}/{word}"] = Measure(
                value=1.0, unit="gate", higher_is_better=None, protocol=f"{rule}; measured: {said}"
            )
    return found


def _word(told: Measure | None, chance: Measure | None, sure: Measure | None) -> str:
    if told is None or chance is None or sure is None or not (told.interval and chance.interval and sure.interval):
        return "undetermined"
    if told.interval[0] > max(LEAST, chance.interval[1]):
        return "kept"
    return "lost" if told.interval[1] < LEAST < sure.interval[0] else "undetermined"


def _number(measure: Measure | None) -> str:
    if measure is None:
        return "not measured"
    low, high = measure.interval or (measure.value, measure.value)
    return f"{measure.value:.3f} [{low:.3f}, {high:.3f}]"


def side_accuracy(paths: Sequence[Path]) -> dict[str, Measure]:
    """Side accuracy of models by the text encoder they read, best first, from evaluation records.

    Raises:
        FileNotFoundError: no record there.
    """
    found: dict[str, Measure] = {}
    for path in paths:
        written = record.load(path)
        arms = {r["recipe"]: encoder_name(r) for r in written.config.get("runs", {}).values() if "text" in r}
        for arm, encoder in arms.items():
            for key, measure in written.results.items():
                if key.startswith(f"{arm}/side_accuracy/") and key.endswith("/all"):
                    words = f"{arm}, {key.split('/')[2]}; {measure.protocol}"
                    if encoder not in found or measure.value > found[encoder].value:
                        found[encoder] = measure.model_copy(update={"protocol": words})
    return found


def encoder_name(run: Mapping[str, Any]) -> str:
    """Name of the text encoder of a run's config."""
    return str(run["text"].get("plugin", ""))


def show(written: record.RunRecord, console: Console) -> None:
    """Prints similarity, probes and verdicts."""
    results = written.results
    table = Table(
        "encoder, set, vector", "opposite", "synonym", "random", "closer, standardised", "probe", "control"
    )
    wheres = dict.fromkeys(key.rsplit("/", 2)[0] for key in results if key.endswith("/opposite/raw"))
    for where in wheres:
        if "@" not in where:
            cells = [results.get(f"{where}/{other}/raw") for other in OTHERS]
            cells += [results.get(f"{where}/{name}") for name in ("closer/standardised", "probe", "control")]
            table.add_row(where, *("-" if m is None else f"{m.value:.2f}" for m in cells))
    terminal.tabulate(table, console)
    for name, why in written.config["missing"].items():
        console.print(f"not at hand: {name}: {why}", markup=False, highlight=False, soft_wrap=True)
    for key, measure in results.items():
        if key.startswith("verdict/"):
            console.print(f"[bold]{key.removeprefix('verdict/')}[/]: ", end="")
            console.print(measure.protocol.partition("measured: ")[2], markup=False, highlight=False)
    console.print(
        "A high cosine is no evidence that a distinction is lost: it is made by what all states share. Read the "
        "probe.",
        highlight=False,
    )
