"""Runs under a protocol: motions of every arm, seed and repeat, judged by every metric that applies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from rich.progress import Progress

from casim import checkpoint, record
from casim.motion_codec import MotionCodec
from casim.text_to_motion import TextToMotion
from evaluators import generation, rewording, scores, set_scores
from evaluators.arms import Run
from evaluators.generation import Asked, Observer
from evaluators.judges import Judge
from evaluators.protocol import EvalBatch, Protocol
from evaluators.set_scores import Collected

ITEMS = "items.csv"
VARIANCES = "variances.csv"


def evaluate(
    runs: Sequence[Run],
    judges: Mapping[str, Judge],
    protocol: Protocol,
    out: Path,
    *,
    device: str = "cpu",
    progress: Progress | None = None,
    with_items: bool = True,
) -> record.RunRecord:
    """Generates, judges and writes the record of all runs below `out`; gives the record.

    Args:
        runs: runs of one dataset.
        judges: embedders by name.
        protocol: how to measure.
        out: folder of the record.
        device: where motions are generated.
        progress: shows what is under way.
        with_items: write values per clip and variances beside the record.

    Raises:
        ValueError: a split that the dataset does not have, or that holds fewer captions than the protocol takes.
    """
    models = [model_of(run, device) for run in runs]
    by_name = {run.name: model for run, model in zip(runs, models, strict=True)}
    observer = Observer(models[0].dataset(), {name: judge.embedder for name, judge in judges.items()})
    splits = {split: observer.dataset.split(split) for split in protocol.splits or ()}
    asked = {split: generation.asked(split, clips, protocol) for split, clips in splits.items()}
    written = _begin(runs, judges, protocol, out.name, device)
    # Everything that wrong input can spoil has been read by now; from here on there is a record on disk.
    with record.opened(written, out):
        collected, rows = Collected(), []
        for split, batches in asked.items():
            rows += _references(observer, split, batches, protocol, collected)
        batches = [batch for part in asked.values() for batch in part]
        for run, batch, seen in generated(
            list(zip(runs, models, strict=True)), batches, protocol, observer, progress
        ):
            collected.add(batch.split, run.arm, run.seed, batch.repeat, seen)
            row = scores.judge(seen, run.arm, run.seed, batch.split)
            model = by_name[run.name]
            if protocol.counterfactuals and isinstance(model, TextToMotion):
                row = row.assign(**rewording.judged(model, batch, protocol, observer))
            rows.append(row)
        _enter(
            written, pd.concat(rows, ignore_index=True), collected, protocol, out if with_items else None, progress
        )
    return written


def model_of(run: Run, device: str) -> TextToMotion | MotionCodec:
    """The generator, or the codec, of a run."""
    return (MotionCodec if run.is_codec else TextToMotion).load(run.folder, device)


def _begin(
    runs: Sequence[Run], judges: Mapping[str, Judge], protocol: Protocol, name: str, device: str
) -> record.RunRecord:
    """A record of what will be scored, with the hashes of all weights."""
    config = {
        "protocol": asdict(protocol),
        "runs": {run.name: dict(run.config) for run in runs},
        "caveats": {name: judge.embedder.caveat for name, judge in judges.items() if judge.embedder.caveat},
    }
    written = record.begin(
        "evaluate", name, config, seed=protocol.seed, device=device, threads=torch.get_num_threads()
    )
    for folder in [run.folder for run in runs] + [judge.folder for judge in judges.values()]:
        weights = record.sha256(folder / checkpoint.WEIGHTS)
        written.inputs[record.relative(folder)] = record.Source(run=record.relative(folder), sha256=weights)
    return written


def _references(
    observer: Observer, split: str, batches: Sequence[Asked], protocol: Protocol, collected: Collected
) -> list[pd.DataFrame]:
    """Rows of the real clips of a split and of the floors; their vectors are collected."""
    first = [batch for batch in batches if batch.repeat == 0]
    real = [observer.real(batch) for batch in first]
    others = [observer.real(batch) for batch in generation.other_clips(observer.dataset, split, first, protocol)]
    collected.add_references(split, real, others)
    return [scores.judge_real(batch, split) for batch in real]


def generated(
    runs: Sequence[tuple[Run, TextToMotion | MotionCodec]],
    batches: Sequence[Asked],
    protocol: Protocol,
    observer: Observer,
    progress: Progress | None = None,
) -> Iterator[tuple[Run, Asked, EvalBatch]]:
    """Every run's motions for every batch of captions, as the observer sees them."""
    task = progress.add_task("generating", total=len(runs) * len(batches)) if progress else None
    for run, model in runs:
        for batch in batches:
            yield run, batch, observer.look(generation.generate(model, batch, protocol), batch.prompt)
            if progress is not None and task is not None:
                progress.update(task, advance=1, description=f"{run.name}, {batch.split}")


def _enter(
    written: record.RunRecord,
    rows: pd.DataFrame,
    collected: Collected,
    protocol: Protocol,
    out: Path | None,
    progress: Progress | None,
) -> None:
    """Scores as entries of the record; values per clip and variances by source as files in `out`, if there is
    one."""
    task = progress.add_task("scoring sets", total=None) if progress else None

    def tick(text: str) -> None:
        if progress is not None and task is not None:
            progress.update(task, description=f"scoring {text}")

    rows = scores.average_repeats(rows)
    sets = set_scores.entries(collected, protocol.in_words(), tick)
    words, how = protocol.in_words(), protocol.resampling
    written.results = scores.measures(rows, how, words) | rewording.measures(rows, how, words) | sets.measures
    written.config["left_out"] = sets.notes
    if out is None:
        return
    blank = rows.assign(seed=rows["seed"].where(rows["seed"] != scores.UNSEEDED).astype("Int64"))
    for name, table in ((ITEMS, blank), (VARIANCES, pd.DataFrame(sets.variances))):
        record.write_atomic(out / name, table.to_csv(index=False, float_format="%.4g").encode())
    record.attach(written, out, out / ITEMS, out / VARIANCES)
