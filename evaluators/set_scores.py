"""From vectors of judged clips to the entries of a record: scores of whole sets, and of their differences."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import torch
from torchmetrics import Metric

from casim import plugins
from casim.record import Measure
from evaluators import variance
from evaluators.metric import SetMetric
from evaluators.protocol import EvalBatch, Space
from evaluators.scores import REAL, UNSEEDED
from evaluators.variance import Scores, SourcedEstimate

OTHER = "real, other clips"
"""As many other real clips in place of the generated ones: how far apart two sets of real motion are."""
WRONG = "floor: wrong caption"

Sets = dict[str, dict[int, list[Mapping[str, Space]]]]
"""Sets of vectors by arm and training seed, one per repeat."""


@dataclass
class Collected:
    """Vectors of judged clips, by split, arm, training seed and repeat, of every space."""

    parts: dict[tuple[str, str, int, int], list[Mapping[str, Space]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, split: str, arm: str, seed: int, repeat: int, batch: EvalBatch) -> None:
        """Adds the clips of a batch."""
        self.parts[split, arm, seed, repeat].append(batch.spaces)

    def add_references(self, split: str, real: Sequence[EvalBatch], others: Sequence[EvalBatch]) -> None:
        """Adds the real row, that of other real clips, and the floor of wrong captions."""
        own = _joined([batch.spaces for batch in real])
        far = _joined([batch.spaces for batch in others])
        self.parts[split, REAL, UNSEEDED, 0] = [own]
        self.parts[split, OTHER, UNSEEDED, 0] = [
            {name: replace(space, motion=far[name].motion[: len(space)]) for name, space in own.items()}
        ]
        self.parts[split, WRONG, UNSEEDED, 0] = [
            {name: replace(s, text=s.text.roll(len(s) // 2, 0)) for name, s in own.items() if s.text is not None}
        ]

    def splits(self) -> tuple[str, ...]:
        """The splits, in the order in which they came."""
        return tuple(dict.fromkeys(split for split, *_ in self.parts))

    def sets(self, split: str) -> Sets:
        """The sets of a split; arms in the order in which they came, seeds and repeats in rising order."""
        found: Sets = {}
        for (own, arm, seed, _), parts in sorted(self.parts.items(), key=lambda entry: entry[0][2:]):
            if own == split:
                found.setdefault(arm, {}).setdefault(seed, []).append(_joined(parts))
        return {arm: found[arm] for _, arm, *_ in self.parts if arm in found}


@dataclass
class Entries:
    """Entries of a record, variances by source as rows of a table, and what was left out and why."""

    measures: dict[str, Measure] = field(default_factory=dict)
    variances: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def metrics() -> dict[str, type[SetMetric]]:
    """The metrics of whole sets, by name."""
    found = {name: plugins.load(Metric, "evaluators.metrics", name) for name in plugins.names("evaluators.metrics")}
    return {name: kind for name, kind in found.items() if issubclass(kind, SetMetric)}


def entries(collected: Collected, words: str, tick: Callable[[str], object] = lambda text: None) -> Entries:
    """All entries of the metrics of whole sets.

    Args:
        collected: vectors of all clips.
        words: the protocol in words.
        tick: told of each metric and space before it is computed.
    """
    found = Entries()
    for split in collected.splits():
        sets = collected.sets(split)
        spaces = dict.fromkeys(name for seeds in sets.values() for parts in seeds.values() for name in parts[0])
        for name, kind in metrics().items():
            for space in spaces:
                tick(f"{name}.{space}, {split}")
                _enter(found, kind(space), name, split, sets, words)
    found.notes = list(dict.fromkeys(found.notes))
    return found


def _enter(found: Entries, metric: SetMetric, name: str, split: str, sets: Sets, words: str) -> None:
    """Enters the scores of one metric in one space."""
    scored: dict[str, Scores] = {}
    for arm, seeds in sets.items():
        rows, note = _rows(metric, name, seeds)
        if note:
            found.notes.append(note)
        if rows:
            scored[arm] = variance.scores(metric.score, rows)
    told: dict[str, tuple[SourcedEstimate, ...]] = {arm: variance.arm(scores) for arm, scores in scored.items()}
    trained = [arm for arm in scored if UNSEEDED not in sets[arm]]
    for arm in trained:
        for number, seed in enumerate(sorted(sets[arm])):
            told[f"{arm}@seed{seed}"] = variance.arm(scored[arm].seed(number))
    for a, b in combinations(trained, 2):
        told[f"{a} - {b}"] = variance.difference(scored[a], scored[b])
    for arm, parts in told.items():
        for key, estimate in zip(metric.ids(name, metric.space), parts, strict=True):
            found.measures[f"{arm}/{key}/{split}/all"] = estimate.measure(
                words, higher_is_better=metric.higher_is_better, unit=metric.unit
            )
            found.variances += [
                {"arm": arm, "metric": key, "split": split, "source": source, "variance": v.variance, "n": v.n}
                for source, v in estimate.variances.items()
                if "@seed" not in arm
            ]


def _rows(
    metric: SetMetric, name: str, seeds: Mapping[int, list[Mapping[str, Space]]]
) -> tuple[list[list[Space]], str]:
    """The sets that a metric scores, by seed and repeat; empty, with the reason, where it does not apply."""
    rows = [[part[metric.space] for part in seeds[seed] if metric.space in part] for seed in sorted(seeds)]
    if not all(rows) or (metric.reads_text and any(space.text is None for row in rows for space in row)):
        return [], ""
    if metric.motions_per_prompt > 1:
        if len(rows[0]) < metric.motions_per_prompt:
            wanted = f"{metric.motions_per_prompt} motions per caption: --repeats {metric.motions_per_prompt}"
            return [], f"{name} needs {wanted}"
        rows = [[concatenated(row)] for row in rows]
    if (clips := len(rows[0][0])) < metric.minimum:
        return [], f"{name} needs at least {metric.minimum} clips, the protocol gives {clips}"
    return rows, ""


def _joined(parts: Sequence[Mapping[str, Space]]) -> dict[str, Space]:
    """Batches of one set as one."""
    return {name: concatenated([part[name] for part in parts]) for name in parts[0]}


def concatenated(spaces: Sequence[Space]) -> Space:
    """Sets as one."""
    texts = [space.text for space in spaces if space.text is not None]
    return Space(
        torch.cat([space.motion for space in spaces]),
        torch.cat([space.real for space in spaces]),
        torch.cat([space.prompt for space in spaces]),
        torch.cat(texts) if texts else None,
    )
