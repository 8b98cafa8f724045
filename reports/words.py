"""How numbers, arms and scores are worded: the same everywhere in the report."""

from collections.abc import Sequence

ARMS = {
    "casim": "casim, every token",
    "fixed": "fixed, one pooled vector",
    "fixed_strong": "control: pooled, first token everywhere",
    "fixed_long": "control: pooled, trained 3× as long",
    "real": "real clips",
    "floor: wrong caption": "floor: wrong caption",
    "floor: swapped order": "floor: swapped order",
}
NBSP = "\u00a0"
"""Keeps an interval on one line."""
METRICS = {
    "exact_prompt": "Exact prompt",
    "action_recall": "Action recall",
    "side_accuracy": "Left/right",
    "order_accuracy": "Order",
}
ASKS = {
    "exact_prompt": "every action asked for, with its side, in the order asked, and no other",
    "action_recall": "share of the actions asked for that are in the motion",
    "side_accuracy": "share of the sides named that the motion takes",
    "order_accuracy": "whether the actions happen in the order that the caption means",
}
SPLITS = {"test": "seen pairs", "held_out": "held-out pairs", "validation": "validation"}
GROUPS = {
    "all": "all captions",
    "single": "one action",
    "pair": "two actions",
    "pair_reversed": "two, told in reverse",
    "while": "two at once",
    "triple": "three actions",
    "short": "short clips",
    "medium": "medium clips",
    "long": "long clips",
}


def short(arm: str) -> str:
    """An arm without the name of its dataset: `choreography_fixed_long` gives `fixed_long`."""
    tail = arm.partition("_")[2]
    return tail if tail in ARMS else arm


def arm_label(arm: str) -> str:
    """An arm in words."""
    return ARMS.get(short(arm), arm)


def spaced(name: str) -> str:
    """A name of the code in plain words."""
    return name.replace("_", " ")


def number(value: float, digits: int = 2) -> str:
    """A number with fixed digits and a true minus sign."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.replace("-", "")


def signed(value: float, digits: int = 2) -> str:
    """A difference: the sign is always written."""
    text = number(value, digits)
    return text if text.startswith("−") else f"+{text}"


def span(interval: tuple[float, float] | None, digits: int = 2, *, is_signed: bool = False) -> str:
    """An interval, or words for its absence."""
    if interval is None:
        return "no interval"
    write = signed if is_signed else number
    return f"{write(interval[0], digits)}{NBSP}to{NBSP}{write(interval[1], digits)}"


def quantity(value: float) -> str:
    """A number of any size with three significant digits, thousands separated."""
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def seconds(value: float) -> str:
    """A duration."""
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


def listed(items: Sequence[str]) -> str:
    """Items as an enumeration."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def direction(higher_is_better: bool | None) -> str:
    """Which way is better."""
    return {True: "higher is better", False: "lower is better", None: "no direction"}[higher_is_better]
