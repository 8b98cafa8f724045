"""From one row per run and caption to the entries of the confound probe's record."""

from typing import cast

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.confound_design import NAMES, Design, interaction_name
from casim.record import Measure
from evaluators.intervals import Estimate, Resampling, contrast_interval, mean_interval, ratio_interval
from evaluators.scores import in_group

METRIC = "exact_prompt"
GROUPS = ("all", "pair", "pair_reversed", "cut")


def measures(rows: pd.DataFrame, design: Design, how: Resampling, protocol: str) -> dict[str, Measure]:
    """Levels of the cells, and, if no cell is missing, what they say of the factors.

    Args:
        rows: one row per cell (`arm`), seed, split and item, with `is_cut`.
        design: the cells.
        how: how intervals are drawn.
        protocol: the protocol in words.
    """
    found: dict[str, Measure] = {}
    for split in dict.fromkeys(rows["split"]):
        for group in GROUPS:
            part = _in_group(cast(pd.DataFrame, rows[rows["split"] == split]), group)
            if part.empty:
                continue
            place = f"{METRIC}/{split}/{group}"
            tables = {cell.name: _crossed(part, cell.name) for cell in design.cells}
            for who, estimate in _levels(tables, how).items():
                found[f"{who}/{place}"] = estimate.measure(protocol)
            if not design.missing:
                found |= _effects(list(tables.values()), design, how, protocol, place)
    return found


def _in_group(rows: pd.DataFrame, group: str) -> pd.DataFrame:
    return cast(pd.DataFrame, rows[rows["is_cut"]]) if group == "cut" else in_group(rows, group)


def _crossed(part: pd.DataFrame, cell: str) -> pd.DataFrame:
    """Seeds x items of one cell; items in the same order for every cell."""
    own = cast(pd.DataFrame, part[part["arm"] == cell])
    return own.pivot(index="seed", columns="item", values=METRIC).sort_index(axis=1)


def _levels(tables: dict[str, pd.DataFrame], how: Resampling) -> dict[str, Estimate]:
    found = {cell: mean_interval(_values(table), how) for cell, table in tables.items()}
    for cell, table in tables.items():
        found |= {f"{cell}@seed{seed}": mean_interval(_values(table.loc[[seed]]), how) for seed in table.index}
    return {who: estimate for who, estimate in found.items() if estimate is not None}


def _effects(
    tables: list[pd.DataFrame], design: Design, how: Resampling, protocol: str, place: str
) -> dict[str, Measure]:
    """The gain, main effects, their shares of the gain, and interactions."""
    arms, gain = [_values(table) for table in tables], design.gain().tolist()
    contrasts = {"gain": gain} | {f"effect {name}": design.weights(name).tolist() for name in NAMES}
    for pairs, weights in design.interactions().items():
        contrasts[f"interaction {interaction_name(pairs)}"] = weights.tolist()
    found = {}
    for name, weights in contrasts.items():
        if estimate := contrast_interval(arms, weights, how):
            found[f"{name}/{place}"] = estimate.measure(protocol)
    for name in NAMES:
        if estimate := ratio_interval(arms, contrasts[f"effect {name}"], gain, how):
            found[f"share {name}/{place}"] = estimate.measure(
                protocol, higher_is_better=None, unit="share of the gain"
            )
    return found


def _values(table: pd.DataFrame) -> Float[np.ndarray, "seeds items"]:
    return table.to_numpy(dtype=float)
