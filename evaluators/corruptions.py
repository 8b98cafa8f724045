"""python -m evaluators.corruptions: does every metric move as it says when real clips are damaged in known ways?

Real clips stand in place of generated ones; every damage of `evaluators.damage` is done to them, and every metric
that applies is measured before and after, with an interval of the difference. A metric declares which damage makes
it worse, and which leaves it as it is; what is not declared is shown all the same. One that breaks its word has a
bug, or does not measure what its name says: the command then ends with exit code 1.

Record (`kind="corruptions"`). Keys of `results`: `real/METRIC/SPLIT/all`, `DAMAGE/METRIC/SPLIT/all`, and the
difference `DAMAGE - real/METRIC/SPLIT/all`. `config["declared"]` holds what each metric declares, and
`config["broken"]` the words that were broken.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from casim import cli, record, terminal
from casim.record import RunRecord
from evaluators import generation, scores, set_scores, variance
from evaluators.damage import DAMAGES, Layout, damaged
from evaluators.generation import Asked, Observer
from evaluators.intervals import Estimate, mean_interval, paired_interval
from evaluators.judges import find_judges
from evaluators.metric import ItemMetric, SetMetric
from evaluators.protocol import EvalBatch, Protocol, Space
from evaluators.training._data import open_data

REAL = "real"
SAME = 1e-3
"""Change up to which a metric counts as unchanged, relative to its value: rounding of positions in float32."""
FEWEST = 10
"""Clips to which a metric must apply before it is held to its word."""


@dataclass(frozen=True)
class Change:
    """One metric under one damage."""

    metric: str
    damage: str
    before: Estimate
    after: Estimate
    difference: Estimate
    declared: str
    """worse, same, or empty if the metric promises nothing."""
    higher_is_better: bool | None
    unit: str

    @property
    def is_kept(self) -> bool:
        """Whether the metric did what it declares: worse with an interval beyond 0, or unchanged."""
        if not self.declared or self.difference.n < FEWEST:
            return True
        low, high = self.difference.interval or (self.difference.value, self.difference.value)
        if self.declared == "same":
            return max(abs(low), abs(high)) <= SAME * abs(self.before.value) + 1e-4
        return high < 0 if self.higher_is_better else low > 0


def main(
    data: str = "choreography",
    split: str = "test",
    samples: int = 200,
    embedder: Annotated[tuple[str, ...], cli.APPEND] = (),
    out: Path = Path("runs/corruptions"),
) -> int:
    """Damages real clips in known ways and checks that every metric moves as it declares.

    Args:
        data: choreography, or a folder in the layout of HumanML3D or KIT.
        split: split of the dataset.
        samples: clips, drawn with a fixed seed.
        embedder: folder or name of an embedder; may be given several times. Default: the ones that come with the
            package, on choreography.
        out: folder of the record.
    """
    dataset = open_data(data).dataset
    judges = find_judges(embedder, data, dataset.spec)
    batches = generation.asked(split, dataset.split(split), Protocol("corruptions", samples=samples))
    config = {"data": data, "split": split, "samples": samples, "damage": list(DAMAGES)}
    written = record.begin("corruptions", out.name, config, threads=torch.get_num_threads())
    with record.opened(written, out), Progress(transient=True) as progress:
        task = progress.add_task("damaging", total=len(DAMAGES))
        observer = Observer(dataset, {name: judge.embedder for name, judge in judges.items()})
        found = list(changes(observer, batches, lambda: progress.advance(task)))
        _enter(written, found, split)
    show(found)
    broken = written.config["broken"]
    promised = sum(bool(change.declared) for change in found)
    lines = [f"{promised - len(broken)} of {promised} declarations kept", *(f"broken: {text}" for text in broken)]
    print("\n".join([*lines, f"record: {out / record.FILE}"]))
    return 1 if broken else 0


def changes(observer: Observer, batches: Sequence[Asked], tick: Callable[[], object]) -> Iterator[Change]:
    """Every metric under every damage; `tick` is called after each damage."""
    dataset = observer.dataset
    layout = Layout(dataset.spec, torch.as_tensor(dataset.mean), torch.as_tensor(dataset.std))
    real = [observer.real(batch) for batch in batches]
    for damage in DAMAGES:
        after = [
            _looked_at(observer, damaged(seen, damage, layout), b) for seen, b in zip(real, batches, strict=True)
        ]
        for name, metric in scores.metrics().items():
            if all(metric.applies(batch) for batch in (*real, *after)):
                yield from _item_change(name, metric, damage, real, after)
        for name, kind in set_scores.metrics().items():
            for space in real[0].spaces:
                yield from _set_changes(name, kind(space), damage, _joined(real, space), _joined(after, space))
        tick()


def _looked_at(observer: Observer, batch: EvalBatch, asked: Asked) -> EvalBatch:
    """The batch with its own joints: those that come back from its features differ by the converter's rounding."""
    return replace(observer.look(batch, asked.prompt), joints=batch.joints)


def _item_change(
    name: str, metric: ItemMetric, damage: str, real: Sequence[EvalBatch], after: Sequence[EvalBatch]
) -> Iterator[Change]:
    before, then = (np.concatenate([metric.per_item(b).numpy() for b in part]) for part in (real, after))
    own, new, moved = mean_interval(before[None]), mean_interval(then[None]), paired_interval(then, before)
    if own and new and moved:
        declared = metric.declared.get(damage, "")
        yield Change(name, damage, own, new, moved, declared, metric.higher_is_better, metric.unit)


def _set_changes(name: str, metric: SetMetric, damage: str, real: Space, after: Space) -> Iterator[Change]:
    if metric.motions_per_prompt > 1 or len(real) < metric.minimum or (metric.reads_text and real.text is None):
        return
    before, then = (variance.scores(metric.score, [[space]]) for space in (real, after))
    parts = zip(
        metric.ids(name, metric.space),
        variance.arm(before),
        variance.arm(then),
        variance.difference(then, before),
        strict=True,
    )
    declared = metric.declared.get(damage, "")
    for key, own, new, moved in parts:
        yield Change(key, damage, own, new, moved, declared, metric.higher_is_better, metric.unit)


def _joined(batches: Sequence[EvalBatch], space: str) -> Space:
    return set_scores.concatenated([batch.space(space) for batch in batches])


def _enter(written: RunRecord, found: Sequence[Change], split: str) -> None:
    words = f"{written.config['samples']} real clips of {split} in place of generated ones"
    for change in found:
        rows = {REAL: change.before, change.damage: change.after, f"{change.damage} - {REAL}": change.difference}
        for row, estimate in rows.items():
            written.results[f"{row}/{change.metric}/{split}/all"] = estimate.measure(
                words, higher_is_better=change.higher_is_better, unit=change.unit
            )
    declared: dict[str, dict[str, str]] = {}
    for change in found:
        if change.declared:
            declared.setdefault(change.metric, {})[change.damage] = change.declared
    written.config["declared"] = declared
    written.config["broken"] = [
        f"{c.metric} under {c.damage}: declared {c.declared}, {c.before.value:.4g} became {c.after.value:.4g}"
        for c in found
        if not c.is_kept
    ]


def show(found: Sequence[Change], console: Console | None = None) -> None:
    """Prints metrics down and damage across: values, bold where declared to get worse, dim where to stay."""
    table = Table(title="real clips, damaged", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("score", no_wrap=True)
    for column in (REAL, *DAMAGES):
        table.add_column(column.replace("_", "\n"), justify="right")
    rows: dict[str, dict[str, Change]] = {}
    for change in found:
        rows.setdefault(change.metric, {})[change.damage] = change
    for metric, row in rows.items():
        first = next(iter(row.values()))
        table.add_row(metric, f"{first.before.value:.3g}", *(_cell(row.get(damage)) for damage in DAMAGES))
    terminal.tabulate(table, console or terminal.console())


def _cell(change: Change | None) -> str:
    if change is None:
        return "-"
    text = f"{change.after.value:.3g}"
    style = "bold red" if not change.is_kept else {"worse": "bold", "same": "dim"}.get(change.declared, "")
    return f"[{style}]{text}[/]" if style else text


if __name__ == "__main__":
    cli.main_exit(main)
