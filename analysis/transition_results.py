"""From seams to the entries of the transition probe's record: levels, trends over the handshake, the verdict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.transition_design import WINDOW, Cell
from analysis.transition_seams import Seams
from casim.record import Measure
from evaluators import variance
from evaluators.frechet import Gaussian, frechet, gaussian
from evaluators.intervals import Estimate, Resampling, contrast_interval, difference_interval, mean_interval
from evaluators.protocol import Space

UNITS = {
    "peak_jerk": ("m/s^3", None),
    "mean_jerk": ("m/s^3", None),
    "jerk_gap": ("m/s^3", False),
    "seam_jerk": ("m/s^3", None),
    "distance": ("mm", None),
    "largest_step": ("mm", None),
    "skate_ratio": ("share", False),
    "speed": ("m/s", None),
    "left_exact": ("share", True),
    "right_exact": ("share", True),
    "left_kept": ("share", True),
    "right_kept": ("share", True),
    "cost": ("share", False),
    "lost": ("share", False),
    "curve_peak_jerk": ("m/s^3", None),
    "curve_jerk_area": ("m/s^2", False),
}
"""Unit of each metric, and whether higher is better. None: what real clips show is best."""
FPS = 20.0
"""Frames per second of choreography."""
PER_SEAM = tuple(name for name in UNITS if not name.startswith("curve"))
ARMS = ("casim", "fixed")
PLAIN, INSIDE = "concatenate", "inside"
CHANGE, ANYWHERE = "real, change of action", "real, anywhere"
ROUGH = {"distance": "step over the seam", "seam_jerk": "jerk across the seam"}
"""Measures of roughness, in the order in which the verdict takes them."""
MARGIN = 0.01
"""Share of segments per 10 frames of handshake that counts as no loss of meaning."""
EXACT = 0.2
"""Share of segments that are exact end to end, at least: with less there is no meaning to lose."""
TRAININGS = 3
"""Trainings of an arm, at least, for a verdict that is not of one of them."""
ACROSS = slice(WINDOW // 2 - 3, WINDOW // 2)
"""Third differences that span the seam."""

Table = Mapping[tuple[str, str], Mapping[int, Seams]]
"""Seams by arm and cell, and training seed."""


@dataclass(frozen=True)
class Reference:
    """Windows of real clips around a change of action, from clips of their own."""

    jerk: Float[np.ndarray, " thirds"]
    """Mean curve."""
    vectors: Mapping[str, Float[np.ndarray, "windows _"]]

    @staticmethod
    def of(windows: Seams) -> "Reference":
        """From what was seen in them."""
        return Reference(windows.jerk.mean(0), windows.vectors)


def scores_of(seams: Seams, reference: Reference) -> dict[str, Float[np.ndarray, " seams"]]:
    """Every score of every seam of one cell and training.

    `jerk_gap` is how far jerk is from the mean of the `reference`, real changes of action; `seam_jerk` how far it
    stands out across the seam from the rest of the window.
    """
    rest = np.delete(seams.jerk, np.arange(seams.jerk.shape[1])[ACROSS], 1)
    found = dict(seams.scores)
    found["jerk_gap"] = np.abs(seams.jerk - reference.jerk.mean()).mean(1)
    found["seam_jerk"] = seams.jerk[:, ACROSS].mean(1) - rest.mean(1)
    return found


def losses_of(seams: Seams, plain: Seams) -> dict[str, Float[np.ndarray, " segments"]]:
    """What every segment loses against the same segments end to end; empty where no segments were joined."""
    names = {"cost": "exact", "lost": "kept"}
    return {name: plain.segments[kind] - seams.segments[kind] for name, kind in names.items() if seams.segments}


def measures(
    table: Table,
    real: Mapping[str, Seams],
    reference: Reference,
    cells: Sequence[Cell],
    how: Resampling,
    words: str,
) -> dict[str, Measure]:
    """`WHO CELL/METRIC`: WHO is an arm, `gain` (casim less fixed); and `real, .../METRIC`."""
    found: dict[str, Measure] = {}
    for name, seams in real.items():
        for metric, values in scores_of(seams, reference).items():
            if estimate := mean_interval(values[None], how):
                found[f"{name}/{metric}"] = _measure(estimate, metric, words)
    scored = {key: _crossed(table, key, reference) for key in table}
    for (arm, cell), metrics in scored.items():
        for metric, values in metrics.items():
            if estimate := mean_interval(values, how):
                found[f"{arm} {cell}/{metric}"] = _measure(estimate, metric, words)
            other = scored.get(("fixed", cell), {}).get(metric)
            if arm == "casim" and other is not None and (e := difference_interval(values, other, how)):
                found[f"gain {cell}/{metric}"] = _measure(e, metric, words)
    for arm in dict.fromkeys(arm for arm, _ in table):
        own = {cell: metrics for (who, cell), metrics in scored.items() if who == arm}
        for key, weights in trends(cells).items():
            for metric in PER_SEAM:
                values = [own[cell].get(metric) for cell in weights]
                if any(v is None for v in values):
                    continue
                if e := contrast_interval([v for v in values if v is not None], list(weights.values()), how):
                    found[f"{arm} {key}/{metric}"] = _measure(e, metric, words)
    for arm, count in {arm: len(seeds) for (arm, cell), seeds in table.items() if cell == PLAIN}.items():
        found[f"{arm} trainings"] = Measure(value=float(count), n=count, unit="trainings", protocol=words)
    return found | _sets(table, real, reference, words)


def trends(cells: Sequence[Cell]) -> dict[str, dict[str, float]]:
    """Weighted sums of cells: slopes per 10 frames of handshake (end to end is none) or blend, differences from one
    handshake to the next and from end to end, and what denoising together adds to averaging."""
    found: dict[str, dict[str, float]] = {f"{PLAIN} - {INSIDE}": {PLAIN: 1.0, INSIDE: -1.0}}
    double = [cell for cell in cells if cell.method == "double_take"]
    linear = [cell for cell in cells if cell.method == "linear_blend"]
    if len(linear) > 1:
        found["trend linear_blend"] = _slope({c.name: c.handshake for c in linear})
    for blend in sorted({cell.blend for cell in double}):
        own = {c.name: c.handshake for c in double if c.blend == blend}
        if len(own) > 1:
            found[f"trend b{blend}"] = _slope(own)
        for less, more in pairwise(sorted(own, key=own.__getitem__)):
            found[f"{more} - {less}"] = {more: 1.0, less: -1.0}
    for handshake in sorted({cell.handshake for cell in double}):
        own = {c.name: c.blend for c in double if c.handshake == handshake}
        if len(own) > 1:
            found[f"trend over blend h{handshake}"] = _slope(own)
        for cell in double:
            same = f"linear_blend h{handshake}"
            if cell.handshake == handshake and same in {c.name for c in linear}:
                found[f"{cell.name} - {same}"] = {cell.name: 1.0, same: -1.0}
    for cell in cells:
        if cell.name != PLAIN:
            found[f"{cell.name} - {PLAIN}"] = {cell.name: 1.0, PLAIN: -1.0}
    return found


def _slope(frames: Mapping[str, int]) -> dict[str, float]:
    """Weights of the least-squares slope per 10 frames."""
    x = np.array(list(frames.values())) / 10
    centred = x - x.mean()
    return dict(zip(frames, (centred / (centred @ centred)).tolist(), strict=True))


def _sets(table: Table, real: Mapping[str, Seams], reference: Reference, words: str) -> dict[str, Measure]:
    """Scores of whole sets of seams: of the mean jerk curve (FlowMDM), and Frechet distances."""
    parts: dict[str, tuple[Callable[[Seams], Tensor], Callable[[Space], Tensor], str, bool | None]] = {}
    level = float(reference.jerk.mean())
    curves: dict[str, Callable[[Space], Tensor]] = {
        "curve_peak_jerk": lambda rows: rows.motion.mean(0).amax()[None],
        "curve_jerk_area": lambda rows: ((rows.motion.mean(0) - level).abs().sum() / FPS)[None],
    }
    for name, score in curves.items():
        parts[name] = (_jerk, score, *UNITS[name])
    for space, vectors in reference.vectors.items():
        distance = partial(_distance, there=gaussian(torch.from_numpy(vectors)))
        parts[f"fid.{space}.raw"] = (partial(_vectors, space=space), distance, "distance²", False)
    found: dict[str, Measure] = {}
    everything = {f"{arm} {cell}": seeds for (arm, cell), seeds in table.items()}
    everything |= {name: {0: seams} for name, seams in real.items()}
    for metric, (pick, score, unit, is_better) in parts.items():
        for who, seeds in everything.items():
            rows = [[_space(pick(seams))] for _, seams in sorted(seeds.items())]
            estimate = variance.arm(variance.scores(score, rows))[0]
            found[f"{who}/{metric}"] = estimate.measure(words, unit=unit, higher_is_better=is_better)
    return found


def _jerk(seams: Seams) -> Tensor:
    return torch.from_numpy(seams.jerk)


def _vectors(seams: Seams, space: str) -> Tensor:
    return torch.from_numpy(seams.vectors[space])


def _distance(rows: Space, there: Gaussian) -> Tensor:
    return frechet(gaussian(rows.motion), there)[None]


def _space(vectors: Float[Tensor, "seams width"]) -> Space:
    return Space(vectors, vectors, torch.arange(len(vectors)))


def _crossed(
    table: Table, key: tuple[str, str], reference: Reference
) -> dict[str, Float[np.ndarray, "seeds seams"]]:
    arm, _ = key
    seeds = sorted(table[key].items())
    rows = [scores_of(s, reference) | losses_of(s, table[arm, PLAIN][seed]) for seed, s in seeds]
    return {metric: np.stack([row[metric] for row in rows]) for metric in rows[0]}


def _measure(estimate: Estimate, metric: str, words: str) -> Measure:
    unit, is_better = UNITS[metric]
    return estimate.measure(words, unit=unit, higher_is_better=is_better)


@dataclass(frozen=True)
class Gate:
    """A condition of the verdict."""

    name: str
    measure: Measure | None
    is_passed: bool | None
    """None: could not be measured."""
    rule: str


def gates(results: Mapping[str, Measure], cells: Sequence[Cell], blend: int, arm: str = "casim") -> list[Gate]:
    """The conditions, for the double take at a blend; smoothness is that of the first measure that sees a seam.

    The entry `ARM trainings` holds the number of trainings.
    """

    def gate(name: str, key: str, rule: str, is_true: Callable[[float, float], bool]) -> Gate:
        measure = results.get(key)
        interval = measure.interval if measure else None
        return Gate(name, measure, None if interval is None else is_true(*interval), rule)

    seen = [
        gate(
            f"{words} sees a seam",
            f"{arm} {PLAIN} - {INSIDE}/{metric}",
            f"{words} of concatenation above that inside the segments",
            lambda low, _: low > 0,
        )
        for metric, words in ROUGH.items()
    ]
    metric, words = next((m for m, g in zip(ROUGH.items(), seen, strict=True) if g.is_passed), ("", ""))
    trend = f"{arm} trend b{blend}"
    first = min((c.handshake for c in cells if c.method == "double_take" and c.blend == blend), default=0)
    trainings = results.get(f"{arm} trainings")
    exact = f"{arm} {PLAIN}/left_exact"
    return [
        Gate(
            "three trainings",
            trainings,
            None if trainings is None else trainings.value >= TRAININGS,
            f"{TRAININGS} or more trainings of the arm",
        ),
        gate("meaning to lose", exact, f"more than {EXACT} of them exact end to end", lambda low, _: low > EXACT),
        *seen,
        gate(
            "a handshake smooths",
            f"{arm} double_take h{first} b{blend} - {PLAIN}/{metric}",
            f"{words} with a handshake of {first} frames below that end to end",
            lambda _, high: high < 0,
        ),
        gate("smoother", f"{trend}/{metric}", f"slope of the {words} below 0", lambda _, high: high < 0),
        gate("meaning is paid", f"{trend}/cost", "slope of the segments' loss above 0", lambda low, _: low > 0),
        gate(
            "no meaning is paid",
            f"{trend}/cost",
            f"slope of the segments' loss below {MARGIN} per 10 frames",
            lambda _, high: high < MARGIN,
        ),
    ]


def verdict(results: Mapping[str, Measure], cells: Sequence[Cell], blend: int, words: str) -> dict[str, Measure]:
    """The gates, and what a longer handshake does beside a short one: `trade-off` (smoother, at a cost of meaning),
    `smoother` (at none), `no smoother` (rougher), or `undetermined`, which every model is that shows no meaning or
    has fewer than three trainings."""
    found = gates(results, cells, blend)
    trainings, meaning, (smoother, paid, free) = found[0], found[1], found[-3:]
    slope = smoother.measure.interval if smoother.measure else None
    word = "undetermined"
    if trainings.is_passed and meaning.is_passed:
        if smoother.is_passed and (paid.is_passed or free.is_passed):
            word = "trade-off" if paid.is_passed else "smoother"
        elif slope is not None and slope[0] > 0:
            word = "no smoother"
    entries = {
        f"gate/{gate.name}": Measure(
            value=float(gate.is_passed),
            n=gate.measure.n,
            unit="passed",
            protocol=f"{gate.rule}; observed {gate.measure.value:.4g}",
        )
        for gate in found
        if gate.is_passed is not None and gate.measure is not None
    }
    return entries | {f"verdict/{word}": Measure(value=1.0, n=1, unit="verdict", protocol=words)}
