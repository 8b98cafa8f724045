"""Why do transitions in long motions get better or worse with the handshake?

`python -m analysis.transition_probe [RUN ...]` joins the same segments, made from the same noise, in every way:
DoubleTake with handshakes of 5 to 40 frames and blends of 0 to 15, one linear blend, and plain concatenation. The
clips, their lengths and the window around a seam (60 frames) are the same in every cell, so that nothing but the
joining moves; cells that the segments have no room for are listed. Take the runs of `python -m casim.suite
transitions`, trained on clips long enough for all cells: `python -m analysis.transition_probe runs/transitions`.

Record (`kind="probe"`, `name="transition_probe"`). CELL is concatenate, linear_blend hH, or double_take hH bB:

- `ARM CELL/METRIC`, `gain CELL/METRIC` (casim less fixed), and of real windows `real, change of action/METRIC`,
  `real, anywhere/METRIC`: peak_jerk and mean_jerk of a window; jerk_gap: mean distance of its jerk from the mean of
  real changes of action; seam_jerk: how far it stands out across the seam; distance: joints' step over the seam
  in the body's own frame, largest_step: largest in the
  window; skate_ratio; speed; left_exact, right_exact: the neighbour shows what it was asked for, and nothing else,
  up to the middle of the seam; left_kept, right_kept: its action next to the seam is still there; cost, lost:
  how many segments lose the first, and the second, against concatenation (a segment with two seams counts once).
  CELL `inside` is the middle of the segments, where nothing is joined: how rough the generator itself is.
- `.../curve_peak_jerk`, `.../curve_jerk_area`: peak of the mean curve, and area between it and the real mean
  (FlowMDM's PJ and AUJ, in seconds). `.../fid.SPACE.raw`: Frechet distance of windows to real changes of action.
- `ARM trend bB/METRIC`: slope per 10 frames over the handshakes above 0 at blend B; `ARM trend linear_blend/...`:
  the same for averaging alone; `ARM trend over blend hH/...`; `ARM CELL - OTHER/...`: differences of cells, each
  handshake against the next shorter one and against concatenation among them.
- `one prompt ARM/{exact_prompt|order_accuracy|action_recall}/N actions/Sx`: one caption, no joining, clips of S
  times the trained length; `one prompt ARM/reach/Sx`: where it stops (`analysis.transition_sequences`).
- `ARM trainings`: how many training seeds the arm has.
- `gate/NAME`, `verdict/{trade-off|smoother|no smoother|undetermined}`: `analysis.transition_results`.

`seams.csv` has a row for every seam, `curves.npz` the mean jerk curve of every cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from rich.progress import Progress

from analysis import transition_design as design
from analysis import transition_seams as seams
from analysis import transition_sequences as sequences
from analysis.store import Store, npz
from analysis.transition_design import Cell
from analysis.transition_results import ANYWHERE, CHANGE, INSIDE, PLAIN, Reference, measures, scores_of, verdict
from analysis.transition_seams import Eye, Seams
from analysis.transition_tables import show
from casim import checkpoint, cli, devices, long_form, record, terminal
from casim.data.choreography import Choreography
from casim.text_to_motion import TextToMotion
from casim.types import Clips, MotionBatch
from evaluators.arms import Run, check_finished, expanded, find_runs
from evaluators.embed import oracle as oracles
from evaluators.intervals import Resampling
from evaluators.judges import Judge, of_probes

NAME = "transition_probe"
SEAMS, CURVES = "seams.csv", "curves.npz"
BRIEFLY = "config, protocol"
"""Where the protocol stands in words, once."""
FEWEST = 8
"""Segments, and windows of real clips, at least."""
MADE = 2
"""Version of what is kept of a motion; raised when that changes, so that it is made again."""
REFERENCE = 600
"""Training clips whose changes of action are the reference."""


@dataclass(frozen=True)
class Config:
    """What to measure."""

    runs: Annotated[tuple[str, ...], cli.POSITIONAL] = ()
    """Runs, or folders of runs, of frame-level diffusion models on choreography; default the bundled pair, whose
    clips are too short for the longest handshakes."""
    handshakes: tuple[int, ...] = design.HANDSHAKES
    """Frames that neighbours share; 0 is concatenation."""
    blends: tuple[int, ...] = design.BLENDS
    """Frames beside a handshake that the second take changes."""
    at_blend: int = 10
    """The blend on which the verdict rests."""
    shortest: int | None = None
    """Frames of the shortest segment; default what the largest cell needs, or what the longest quarter of the
    clips have if that is less."""
    samples: int = 96
    """Captions that become segments."""
    sequences: int = 60
    """Captions of each number of actions and length without joining; 0: none."""
    resamples: int = 2000
    """Bootstrap replicates of every interval."""
    items: bool = True
    """Also write the scores of every seam."""
    seed: int = 0
    """Seed of noise, captions and resampling."""
    quick: bool = False
    """Shows the path in minutes: 24 captions, blends 0 and that of the verdict, 12 sequences, one training of each
    bundled arm."""
    out: Path | None = None
    """Folder of the record; default runs/transition_probe."""
    device: str = "cpu"
    """Where motions are generated."""

    def settled(self) -> "Config":
        """The same without `quick`.

        Raises:
            ValueError: a number out of range.
        """
        for name, least in (("samples", FEWEST), ("sequences", 0), ("resamples", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.at_blend not in self.blends:
            raise ValueError(f"at_blend {self.at_blend} is none of the blends {', '.join(map(str, self.blends))}")
        if not self.quick:
            return self
        return replace(
            self,
            blends=tuple(b for b in self.blends if b in (0, self.at_blend)),
            samples=min(self.samples, 24),
            sequences=min(self.sequences, 12),
            resamples=min(self.resamples, 500),
        )


def main(config: Annotated[Config, cli.FLAT] = Config()) -> None:
    """Why do transitions in long motions get better or worse with the handshake?"""
    console, config = terminal.console(), replace(config, device=str(devices.named(config.device)))
    folder = _folder(config)
    record.check_replaceable(folder, "probe")
    with Progress(console=console, transient=True) as progress:
        written = run(config, progress)
    show(written, console)
    console.print(f"record: {folder / record.FILE}", highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Subject:
    """A trained model of an arm."""

    run: Run
    model: TextToMotion
    arm: str


def run(config: Config, progress: Progress | None = None) -> record.RunRecord:
    """Joins, looks, writes the record and gives it. What was made before, by a probe that was stopped, is kept.

    Raises:
        ValueError: unknown or unfinished runs, ones that cannot be joined frame by frame, or other data.
    """
    folder, settled = _folder(config), config.settled()
    subjects = _subjects(settled.runs, settled.device, only_first=config.quick and not config.runs)
    dataset = subjects[0].model.dataset()
    if not isinstance(dataset, Choreography):
        raise ValueError(f"{subjects[0].run.dataset} does not know which action happens when; take choreography")
    cells = design.cells(settled.handshakes, settled.blends)
    clips = dataset.split("test")
    batches, shortest = _segments(clips, cells, settled)
    kept, left_out = design.feasible(cells, shortest)
    if PLAIN not in [cell.name for cell in kept]:
        raise ValueError(
            f"a window around a seam has {design.WINDOW} frames, the shortest segment {shortest}: take runs that "
            "were trained on longer clips, such as transition_casim"
        )
    judges = of_probes(dataset.spec)
    embedders = {name: judge.embedder for name, judge in judges.items() if name == "tmr"}
    eye = Eye(dataset, oracles.bundled(), embedders)
    words = _in_words(settled, batches, shortest)
    written = _begin(subjects, judges, settled, kept, left_out, words)
    with record.opened(written, folder):
        store = Store(folder, _key(settled, subjects, judges, kept))
        table = _joined(subjects, batches, kept, settled, eye, store, progress)
        real, reference = _real(dataset, batches, eye, settled.seed)
        how = Resampling(resamples=settled.resamples, seed=settled.seed)
        written.results = measures(table, real, reference, kept, how, BRIEFLY)
        written.results |= verdict(written.results, kept, settled.at_blend, BRIEFLY)
        if settled.sequences:
            rows = _sequences(subjects, dataset, settled, eye, store, progress)
            written.results |= sequences.measures(rows, how, BRIEFLY)
        _attach(written, folder, table, real, reference, with_items=config.items)
    return written


def _subjects(names: Sequence[str], device: str, *, only_first: bool) -> list[Subject]:
    found: list[Subject] = []
    for run in find_runs(expanded(names, "transitions")):
        check_finished(run)
        arm = run.config["injection"]["plugin"]
        if only_first and arm in [subject.arm for subject in found]:
            continue
        model = TextToMotion.load(run.folder, device).eval()
        long_form.check(model)
        if (arm, run.seed) in [(subject.arm, subject.run.seed) for subject in found]:
            raise ValueError(f"two runs are {arm} with training seed {run.seed}; name one of them")
        found.append(Subject(run, model, arm))
    return found


def _segments(clips: Clips, cells: Sequence[Cell], config: Config) -> tuple[list[MotionBatch], int]:
    """Chains of clips of two actions, none shorter than `shortest`.

    Raises:
        ValueError: too few.
    """
    lengths = clips.lengths
    truths = clips.batch(range(len(clips))).alignment or ()
    pairs = np.array([i for i, truth in enumerate(truths) if truth.kind == "pair"], dtype=int)
    largest, longest = max(cell.needs for cell in cells), np.sort(lengths[pairs])[::-1]
    most = min(config.samples, max(FEWEST, len(pairs) // 4))
    shortest = config.shortest or int(min(largest, *longest[:most]))
    chosen = pairs[lengths[pairs] >= shortest]
    chosen = np.random.default_rng(config.seed).permutation(chosen)[: config.samples]
    if len(chosen) < FEWEST:
        raise ValueError(
            f"{len(chosen)} test clips of two actions have {shortest} frames or more; choose a lower --shortest"
        )
    parts = [chosen[i : i + seams.CHAIN] for i in range(0, len(chosen), seams.CHAIN)]
    return [clips.batch(part.tolist()) for part in parts if len(part) > 1], int(lengths[chosen].min())


def _joined(
    subjects: Sequence[Subject],
    batches: Sequence[MotionBatch],
    cells: Sequence[Cell],
    config: Config,
    eye: Eye,
    store: Store,
    progress: Progress | None,
) -> dict[tuple[str, str], dict[int, Seams]]:
    """What is seen at all seams, by arm and cell, and training seed."""
    table: dict[tuple[str, str], dict[int, Seams]] = {}
    names = [INSIDE, *(cell.name for cell in cells)]
    task = progress.add_task("joining", total=len(subjects) * len(batches) * len(cells)) if progress else None
    for subject in subjects:
        parts: dict[str, list[Seams]] = {name: [] for name in names}
        for number, batch in enumerate(batches):

            def make(subject: Subject = subject, batch: MotionBatch = batch, number: int = number) -> dict:
                arrays: dict[str, np.ndarray] = {}
                for cell, motion, layout in seams.joined(subject.model, batch, cells, _noise(config.seed, number)):
                    seen = seams.look(motion, layout, batch.alignment or (), eye).arrays()
                    arrays |= {f"{cell.name}|{key}": values for key, values in seen.items()}
                    if cell.name == PLAIN:
                        own = seams.inside(motion, layout, eye).arrays()
                        arrays |= {f"{INSIDE}|{key}": values for key, values in own.items()}
                    if progress is not None and task is not None:
                        progress.update(task, advance=1, description=f"{subject.run.name}: {cell.name}")
                return arrays

            key = {"weights": _weights(subject), "run": subject.run.config, "clips": batch.ids}
            arrays = store.get(f"{subject.run.name}_{number}", key, make)
            for name in names:
                mine = {k.partition("|")[2]: v for k, v in arrays.items() if k.partition("|")[0] == name}
                parts[name].append(Seams.of_arrays(mine))
            if progress is not None and task is not None:
                progress.update(task, completed=len(cells) * (len(batches) * subjects.index(subject) + number + 1))
        for name, found in parts.items():
            table.setdefault((subject.arm, name), {})[subject.run.seed] = Seams.joined(found)
    return table


def _real(
    dataset: Choreography, batches: Sequence[MotionBatch], eye: Eye, seed: int
) -> tuple[dict[str, Seams], Reference]:
    """Windows of the segments' own clips, and of training clips as reference."""
    rng = np.random.default_rng(seed)
    real: dict[str, Seams] = {}
    for name, is_change in ((CHANGE, True), (ANYWHERE, False)):
        windows = torch.cat([seams.real_windows(batch, rng, is_change=is_change) for batch in batches])
        if len(windows) >= FEWEST:
            real[name] = eye.windows(windows)
    train = dataset.split("train")
    some = rng.permutation(len(train))[:REFERENCE].tolist()
    return real, Reference.of(eye.windows(seams.real_windows(train.batch(some), rng, is_change=True)))


def _sequences(
    subjects: Sequence[Subject],
    dataset: Choreography,
    config: Config,
    eye: Eye,
    store: Store,
    progress: Progress | None,
) -> pd.DataFrame:
    """A row for every motion of one prompt, and for the clips themselves."""
    rows: list[pd.DataFrame] = []
    longest = subjects[0].model.max_frames
    stimuli = list(sequences.stimuli(dataset, longest, config.sequences, config.seed))
    task = progress.add_task("one prompt", total=len(stimuli) * len(subjects)) if progress else None
    for actions, stretch, batch in stimuli:
        place = sequences.place_of(actions, stretch)
        rows.append(sequences.judge(batch.motion, batch, eye, sequences.REAL, 0, place))
        for subject in subjects:

            def make(subject: Subject = subject, batch: MotionBatch = batch, place: str = place) -> dict:
                motion = sequences.generated(subject.model, batch, config.seed)
                table = sequences.judge(motion, batch, eye, subject.arm, subject.run.seed, place)
                return {name: table[name].to_numpy(float) for name in sequences.METRICS}

            own = {"weights": _weights(subject), "run": subject.run.config, "clips": batch.ids}
            name = f"{subject.run.name}_{actions}_{stretch:g}"
            scores = store.get(name, own, make)
            told = {"arm": subject.arm, "seed": subject.run.seed, "place": place, "item": batch.ids}
            rows.append(pd.DataFrame(told | scores))
            if progress is not None and task is not None:
                progress.update(task, advance=1, description=f"one prompt: {place}")
    return pd.concat(rows, ignore_index=True)


def _attach(
    written: record.RunRecord,
    folder: Path,
    table: Mapping[tuple[str, str], Mapping[int, Seams]],
    real: Mapping[str, Seams],
    reference: Reference,
    *,
    with_items: bool,
) -> None:
    parts, curves = [], {"reference": reference.jerk.astype(np.float32)}
    for (arm, cell), seeds in table.items():
        curves[f"{arm} {cell}"] = np.mean([s.jerk.mean(0) for s in seeds.values()], 0).astype(np.float32)
        for seed, found in seeds.items():
            scores = scores_of(found, reference)
            place = {"arm": arm, "cell": cell, "seed": seed, "seam": np.arange(len(found.jerk))}
            parts.append(pd.DataFrame(place | scores))
    curves |= {name: found.jerk.mean(0).astype(np.float32) for name, found in real.items()}
    rows = pd.concat(parts, ignore_index=True)
    record.write_atomic(folder / CURVES, npz(curves))
    record.attach(written, folder, folder / CURVES)
    if with_items:
        record.write_atomic(folder / SEAMS, rows.to_csv(index=False, float_format="%.4g").encode())
        record.attach(written, folder, folder / SEAMS)


def _begin(
    subjects: Sequence[Subject],
    judges: Mapping[str, Judge],
    config: Config,
    kept: Sequence[Cell],
    left_out: Mapping[str, str],
    words: str,
) -> record.RunRecord:
    stated = {
        "protocol": {"text": words, "samples": config.samples, "seed": config.seed, "resamples": config.resamples},
        "runs": {subject.run.name: dict(subject.run.config) for subject in subjects},
        "cells": [cell.name for cell in kept],
        "left_out": dict(left_out),
        "at_blend": config.at_blend,
        "window": design.WINDOW,
    }
    threads = torch.get_num_threads()
    written = record.begin("probe", NAME, stated, seed=config.seed, device=config.device, threads=threads)
    for folder in [subject.run.folder for subject in subjects] + [judge.folder for judge in judges.values()]:
        weights = record.sha256(folder / checkpoint.WEIGHTS)
        written.inputs[record.relative(folder)] = record.Source(run=record.relative(folder), sha256=weights)
    return written


def _in_words(config: Config, batches: Sequence[MotionBatch], shortest: int) -> str:
    count = sum(len(batch) for batch in batches)
    return (
        f"{count - len(batches)} seams between {count} captions of two actions of the test split, segments as long "
        f"as their clips ({shortest} frames or more), the same noise in every cell (seed {config.seed}), window of "
        f"{design.WINDOW} frames around a seam; {config.resamples} two-way bootstrap replicates over seams x "
        "training seeds"
    )


def _key(
    config: Config, subjects: Sequence[Subject], judges: Mapping[str, Judge], cells: Sequence[Cell]
) -> dict[str, object]:
    """What every part depends on, beside its own run."""
    eyes = {name: judge.sha256() for name, judge in judges.items()}
    stated = {"seed": config.seed, "cells": [cell.name for cell in cells], "data": subjects[0].run.config["data"]}
    return {**stated, "judges": eyes, "made": MADE}


def _weights(subject: Subject) -> str:
    return record.sha256(subject.run.folder / checkpoint.WEIGHTS)


def _noise(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _folder(config: Config) -> Path:
    return config.out or Path("runs") / NAME


if __name__ == "__main__":
    cli.main_exit(main)
