"""From one row per run and caption to the entries of the capacity probe's record, and the verdict."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.capacity_grid import ARMS, latents_of
from casim.record import Measure
from evaluators import variance
from evaluators.intervals import Resampling, contrast_interval, difference_interval, mean_interval
from evaluators.metrics.fid import Fid
from evaluators.protocol import Space
from evaluators.scores import GROUPS, LENGTHS, in_group, metrics
from evaluators.set_scores import concatenated

METRICS = ("exact_prompt", "action_recall", "order_accuracy", "side_accuracy", "joint_error")
"""Scores of single clips; those that a clip or an arm has not are left out."""
HEADLINE = "exact_prompt"
MAIN = "pair"
"""Group on which the verdict rests: two actions one after the other."""
SPACES = ("tmr", "essential")
CODEC, SLOPE = "codec", "slope"
KEEPS, LEARNED, MARGIN = 0.5, 0.25, 0.02
"""Least score of every reconstruction; least score of the best token-level arm; largest change of the gain per
doubling of latents that still counts as none."""


def measures(rows: pd.DataFrame, how: Resampling, protocol: str) -> dict[str, Measure]:
    """Levels, gains, and what the gains do along the curve.

    Args:
        rows: one row per arm ("vae4 casim"), seed, split and item (`evaluators.scores.judge`).
        how: how intervals are drawn.
        protocol: the protocol in words.
    """
    found: dict[str, Measure] = {}
    kinds = metrics()
    for metric, split, group, part in _parts(rows):
        kind = kinds[metric]
        tables = {arm: _crossed(part, arm, metric) for arm in dict.fromkeys(part["arm"])}
        place = f"{metric}/{split}/{group}"
        is_share = kind.unit == "share"
        for arm, table in tables.items():
            for who, values in _levels(arm, table, with_seeds=group in ("all", MAIN)):
                if estimate := mean_interval(values, how, is_share=is_share):
                    found[f"{who}/{place}"] = estimate.measure(
                        protocol, unit=kind.unit, higher_is_better=kind.higher_is_better
                    )
        found |= _gains(tables, how, protocol, place, kind.unit, kind.higher_is_better)
    return found


def _parts(rows: pd.DataFrame) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    for split in dict.fromkeys(rows["split"]):
        own = _where(rows, rows["split"] == split)
        for group in (*GROUPS, *LENGTHS):
            part = in_group(own, group)
            for metric in METRICS:
                if metric in part and bool(np.isfinite(part[metric].to_numpy(float)).any()):
                    yield metric, split, group, part


def _levels(
    arm: str, table: pd.DataFrame, *, with_seeds: bool
) -> Iterator[tuple[str, Float[np.ndarray, "seeds items"]]]:
    yield arm, _values(table)
    if with_seeds and not arm.endswith(CODEC):
        for seed in table.index:
            yield f"{arm}@seed{seed}", _values(table.loc[[seed]])


def _gains(
    tables: Mapping[str, pd.DataFrame],
    how: Resampling,
    protocol: str,
    place: str,
    unit: str,
    higher_is_better: bool | None,
) -> dict[str, Measure]:
    """Casim less fixed of every representation that has both, and the curve of these gains."""
    names = list(dict.fromkeys(arm.rpartition(" ")[0] for arm in tables))
    both = [name for name in names if all(f"{name} {arm}" in tables for arm in ARMS)]
    if higher_is_better is None or any(_values(tables[f"{n} {a}"]).size == 0 for n in both for a in ARMS):
        return {}
    found = {}
    for name in both:
        casim, fixed = (_values(tables[f"{name} {arm}"]) for arm in ARMS)
        if estimate := difference_interval(casim, fixed, how):
            found[f"{name} gain/{place}"] = estimate.measure(protocol, unit=unit, higher_is_better=higher_is_better)
    for key, weights in contrasts(both).items():
        arms = [_values(tables[f"{name} {arm}"]) for name in weights for arm in ARMS]
        signed = [sign * weight for weight in weights.values() for sign in (1.0, -1.0)]
        parts = {key: arms}
        if key == SLOPE and len({len(arm) for arm in arms}) == 1:
            parts |= {f"{key}@seed{i}": [arm[[i]] for arm in arms] for i in range(len(arms[0]))}
        for name, values in parts.items():
            if estimate := contrast_interval(values, signed, how):
                found[f"{name}/{place}"] = estimate.measure(protocol, unit=unit, higher_is_better=higher_is_better)
    return found


def contrasts(names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Weighted sums of gains: the slope per doubling of a VAE's latents, and differences of neighbours and ends.

    Args:
        names: representations with both arms.
    """
    sizes = sorted((count, name) for name in names if (count := latents_of(name)) is not None)
    found: dict[str, dict[str, float]] = {}
    if len(sizes) >= 2:
        doublings = np.log2([count for count, _ in sizes])
        centred = doublings - doublings.mean()
        slope = centred / (centred @ centred)
        found[SLOPE] = {name: float(w) for (_, name), w in zip(sizes, slope, strict=True)}
        for (_, small), (_, large) in {*pairwise(sizes), (sizes[0], sizes[-1])}:
            found[f"gain {large} - {small}"] = {large: 1.0, small: -1.0}
    if sizes and "vq" in names:
        found[f"gain vq - {sizes[0][1]}"] = {"vq": 1.0, sizes[0][1]: -1.0}
    return dict(sorted(found.items()))


def frechet(
    spaces: Mapping[tuple[str, str, int], Sequence[Mapping[str, Space]]], protocol: str
) -> dict[str, Measure]:
    """FID of every arm, its seeds and its gain.

    Args:
        spaces: vectors of all clips by split, arm and training seed.
        protocol: the protocol in words.
    """
    found: dict[str, Measure] = {}
    for space in SPACES:
        metric = Fid(space)
        scored: dict[tuple[str, str], variance.Scores] = {}
        for split, arm in dict.fromkeys((split, arm) for split, arm, _ in spaces):
            seeds = sorted(seed for s, a, seed in spaces if (s, a) == (split, arm))
            rows = [[_joined([part[space] for part in spaces[split, arm, seed]])] for seed in seeds]
            scored[split, arm] = variance.scores(metric.score, rows)
        estimates = {(split, arm): variance.arm(one) for (split, arm), one in scored.items()}
        for (split, arm), one in scored.items():
            name = arm.removesuffix(" casim")
            if arm != name and (split, f"{name} fixed") in scored:
                estimates[split, f"{name} gain"] = variance.difference(one, scored[split, f"{name} fixed"])
        for (split, who), parts in estimates.items():
            key = f"{who}/{metric.ids('fid', space)[0]}/{split}/all"
            found[key] = parts[0].measure(protocol, unit=metric.unit, higher_is_better=False)
    return found


def _joined(parts: Sequence[Space]) -> Space:
    return concatenated(parts)


@dataclass(frozen=True)
class Gate:
    """A condition that is the same for every record."""

    name: str
    value: float | None
    is_passed: bool | None
    """None: could not be measured."""
    rule: str


def gates(results: Mapping[str, Measure], split: str) -> list[Gate]:
    """The conditions of the verdict, on pairs of actions of `split`."""
    place = f"{HEADLINE}/{split}/{MAIN}"
    vae = {name for key in results if (name := key.partition(" ")[0]).startswith("vae")}
    kept = {name: results.get(f"{name} {CODEC}/{place}") for name in vae}
    lowest = min((m.value for m in kept.values() if m), default=None)
    best = max((m.value for n in vae if (m := results.get(f"{n} casim/{place}"))), default=None)
    slope = results.get(f"{SLOPE}/{place}")
    rises = None if slope is None or slope.interval is None else slope.interval[0] > 0
    least = min(
        (m.value for key, m in results.items() if re.fullmatch(rf"{SLOPE}@seed\d+/{place}", key)), default=None
    )
    count = min((_trainings(results, f"{n} {arm}", place) for n in vae for arm in ARMS), default=0)
    return [
        Gate("codecs keep the actions", lowest, _at_least(lowest, KEEPS), f"every reconstruction {KEEPS} or more"),
        Gate("the denoiser learned", best, _at_least(best, LEARNED), f"best token-level arm {LEARNED} or more"),
        Gate("three trainings", float(count), count >= 3, "3 training seeds or more of every arm behind a VAE"),
        Gate("the gain rises", slope.value if slope else None, rises, "slope per doubling of latents above 0"),
        Gate(
            "in every training",
            least,
            None if least is None else least > 0,
            "slope above 0 with every training seed",
        ),
    ]


def _trainings(results: Mapping[str, Measure], arm: str, place: str) -> int:
    return sum(key.startswith(f"{arm}@seed") and key.endswith(f"/{place}") for key in results)


def _at_least(value: float | None, least: float) -> bool | None:
    return None if value is None else value >= least


def verdict(results: Mapping[str, Measure], split: str, protocol: str) -> dict[str, Measure]:
    """The gates, and the verdict: does a small representation cap the gain?

    supported: the gain rises with the number of latents; not supported: its slope lies within `MARGIN` of 0 or
    below; undetermined: anything else, or one of the conditions before fails.
    """
    found = gates(results, split)
    slope = results.get(f"{SLOPE}/{HEADLINE}/{split}/{MAIN}")
    word = "undetermined"
    if all(gate.is_passed for gate in found):
        word = "supported"
    elif all(gate.is_passed for gate in found[:-2]) and slope and slope.interval and slope.interval[1] < MARGIN:
        word = "not supported"
    entries = {
        f"gate/{gate.name}": Measure(
            value=float(gate.is_passed),
            n=1,
            unit="passed",
            protocol=f"{gate.rule}; observed {gate.value:.3f}" if gate.value is not None else gate.rule,
        )
        for gate in found
        if gate.is_passed is not None
    }
    rule = f"all gates pass; not supported: slope below {MARGIN} per doubling, the first three gates pass"
    return entries | {f"verdict/{word}": Measure(value=1.0, n=1, unit="verdict", protocol=f"{rule}; {protocol}")}


def _crossed(part: pd.DataFrame, arm: str, metric: str) -> pd.DataFrame:
    own = _where(part, part["arm"] == arm)
    return own.pivot(index="seed", columns="item", values=metric).sort_index(axis=1)


def _values(table: pd.DataFrame) -> Float[np.ndarray, "seeds items"]:
    return table.to_numpy(dtype=float)


def _where(rows: pd.DataFrame, mask: object) -> pd.DataFrame:
    return cast(pd.DataFrame, rows.loc[mask])  # pyright: ignore[reportArgumentType]
