"""From one row per judged clip to the entries of a record: groups of captions, arms, and differences of arms."""

from collections.abc import Mapping
from functools import cache
from itertools import combinations
from typing import Any, cast

import numpy as np
import pandas as pd
from jaxtyping import Float
from torchmetrics import Metric

from casim import plugins
from casim.record import Measure
from evaluators.corruption import swapped_order, wrong_caption
from evaluators.intervals import Estimate, Resampling, difference_interval, mean_interval
from evaluators.metric import ItemMetric
from evaluators.protocol import EvalBatch

GROUPS = ("all", "single", "pair", "pair_reversed", "while", "triple")
"""Kinds of caption; `pair_reversed` are the pairs whose text names the later action first ("B after A")."""
REAL = "real"
WRONG, SWAPPED = "floor: wrong caption", "floor: swapped order"
FLOORS = {WRONG: wrong_caption, SWAPPED: swapped_order}
"""Real clips judged by captions that do not fit them: what a score is worth that asks for nothing. Order can only
be swapped where it is known."""
LENGTHS = ("short", "medium", "long")
"""Thirds of a split's clips by length; what a codec loses is told apart by them."""
COLUMNS = ("arm", "seed", "split", "item", "kind", "is_reversed", "text", "frames")
UNSEEDED = -1
"""Stands in the seed column of rows that no training made."""


@cache
def metrics() -> Mapping[str, ItemMetric]:
    """The metrics that give a value per clip, by name."""
    found = {name: plugins.load(Metric, "evaluators.metrics", name) for name in plugins.names("evaluators.metrics")}
    return {name: metric() for name, metric in found.items() if issubclass(metric, ItemMetric)}


def judge(batch: EvalBatch, arm: str, seed: int, split: str) -> pd.DataFrame:
    """One row per clip: whose it is, its caption, and the value of every metric that applies to the batch."""
    truth = batch.reference.alignment
    rows = {
        "arm": arm,
        "seed": seed,
        "split": split,
        "item": batch.reference.ids,
        "kind": [t.kind for t in truth] if truth else "",
        "is_reversed": [t.is_reversed for t in truth] if truth else False,
        "text": batch.reference.texts if truth else "",  # captions of other people's data stay out of records
        "frames": batch.reference.lengths.tolist(),
    }
    values = {name: m.per_item(batch).numpy() for name, m in metrics().items() if m.applies(batch)}
    return pd.DataFrame(rows | values)


def judge_real(batch: EvalBatch, split: str) -> pd.DataFrame:
    """Rows of the real clips, and of the floors: the same clips judged by captions that do not fit."""
    real = judge(batch, REAL, UNSEEDED, split)
    clips = real[
        list(COLUMNS)
    ]  # a floor's row stands in the group of the clip, whatever its wrong caption asks for
    floors = [
        judge(corrupt(batch), arm, UNSEEDED, split).assign(**clips.assign(arm=arm))
        for arm, corrupt in FLOORS.items()
        if arm != SWAPPED or batch.reference.alignment
    ]
    return pd.concat([real, *floors], ignore_index=True)


def average_repeats(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per arm, seed, split and item: the mean over the motions generated for it."""
    means = rows.groupby(list(COLUMNS), sort=False, as_index=False).mean(numeric_only=True)
    return cast(pd.DataFrame, means)


def in_group(rows: pd.DataFrame, group: str) -> pd.DataFrame:
    """The rows of a group: a kind of caption of `GROUPS`, or a third of `LENGTHS`."""
    if group == "all":
        return rows
    if group in LENGTHS:
        edges = np.quantile(rows.drop_duplicates("item")["frames"], (1 / 3, 2 / 3))
        return _where(rows, np.digitize(rows["frames"].to_numpy(), edges) == LENGTHS.index(group))
    kind = group.removesuffix("_reversed")
    kept = rows["kind"] == kind
    return _where(rows, kept if kind == group else kept & rows["is_reversed"])


def measures(rows: pd.DataFrame, how: Resampling, protocol: str) -> dict[str, Measure]:
    """All entries of the record: arms, single seeds, differences of arms.

    Args:
        rows: one row per arm, seed, split and item (`average_repeats`).
        how: how intervals are drawn.
        protocol: the protocol in words.
    """
    results: dict[str, Measure] = {}
    pairs = list(combinations(dict.fromkeys(rows["arm"][rows["seed"] != UNSEEDED]), 2))
    judged = {name: metric for name, metric in metrics().items() if name in rows}
    for name, metric in judged.items():
        for split in dict.fromkeys(rows["split"]):
            for group in _groups(metric):
                part = in_group(_where(rows, rows["split"] == split), group)
                tables = {arm: _crossed(part, arm, name) for arm in dict.fromkeys(rows["arm"])}
                for arm, estimate in _estimates(tables, pairs, how, is_share=metric.unit == "share").items():
                    key = f"{arm}/{name}/{split}/{group}"
                    results[key] = estimate.measure(
                        protocol, higher_is_better=metric.higher_is_better, unit=metric.unit
                    )
    return results


def _groups(metric: ItemMetric) -> tuple[str, ...]:
    if metric.reads == "actions":
        return GROUPS
    return (*GROUPS[:1], *LENGTHS) if metric.of_reconstructions else GROUPS[:1]


def _estimates(
    tables: Mapping[str, pd.DataFrame], pairs: list[tuple[str, str]], how: Resampling, *, is_share: bool
) -> dict[str, Estimate]:
    """Arms, their seeds and their differences, where a clip has a value."""
    found = {arm: mean_interval(_values(table), how, is_share=is_share) for arm, table in tables.items()}
    for arm, table in tables.items():
        seeds = [seed for seed in table.index if seed != UNSEEDED]
        found |= {
            f"{arm}@seed{seed}": mean_interval(_values(table.loc[[seed]]), how, is_share=is_share) for seed in seeds
        }
    for a, b in pairs:
        found[f"{a} - {b}"] = difference_interval(_values(tables[a]), _values(tables[b]), how)
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def _crossed(part: pd.DataFrame, arm: str, metric: str) -> pd.DataFrame:
    """Seeds x items of one arm; items in the same order for every arm."""
    own = _where(part, part["arm"] == arm)
    return own.pivot(index="seed", columns="item", values=metric).sort_index(axis=1)


def _values(table: pd.DataFrame) -> Float[np.ndarray, "seeds items"]:
    return table.to_numpy(dtype=float)


def _where(rows: pd.DataFrame, mask: Any) -> pd.DataFrame:
    return cast(pd.DataFrame, rows.loc[mask])
