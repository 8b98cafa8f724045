"""Which of CASIM's four changes brings the gain? Main effects of the four-factor ablation, with intervals.

`python -m analysis.confound_probe --runs runs/confounds` scores every run of the suite `confounds` (or
`confounds_full`) with the oracle under one protocol and takes the scores apart by factor. The authors' released
model differs from its baseline in four things at once (`casim.recipes.Factors`); only one of them is CASIM's idea.

Every effect is a contrast of the cells' mean scores (`analysis.confound_design`) with a two-way bootstrap interval:
captions are resampled for all cells alike, training seeds within each cell. In the half fraction a main effect
stands for itself plus one three-factor interaction, and two-factor interactions come in pairs
(`casim.suites.confounds`); the four main effects then add up to the gain.

Record (`kind="probe"`, `name="confound_probe"`). Keys of `results`; SPLIT is test or held_out, GROUP is all, pair,
pair_reversed or cut (captions that a window of 22 tokens cuts), FACTOR is tokens, window, mask or norm:

- `CELL/exact_prompt/SPLIT/GROUP`: score of a cell, like `tokens_77_mask_norm`; `CELL@seedN/...`: of one training.
- `gain/exact_prompt/SPLIT/GROUP`: all four on less all four off.
- `effect FACTOR/exact_prompt/SPLIT/GROUP`: main effect.
- `share FACTOR/exact_prompt/SPLIT/GROUP`: main effect as a share of the gain; left out where the gain's interval
  holds 0.
- `interaction A:B + C:D/exact_prompt/SPLIT/GROUP`: two-factor interactions, aliased ones in one key.
- `cut/SPLIT`: share of captions that the short window cuts; also of the train split.

Effects are left out if cells are missing; `config["missing"]` then names them, and `config["notes"]` says what must
be read with the numbers. `scores.csv` has a row for every run and caption, with the factors' levels as 0 and 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, cast

import pandas as pd
import torch
from rich.progress import Progress

from analysis.confound_design import Design, check_clean
from analysis.confound_results import METRIC, measures
from analysis.confound_tables import show
from casim import checkpoint, cli, devices, plugins, record, terminal
from casim.recipes import FACTORS, WINDOWS, Factors
from casim.setups import Setup
from casim.text_to_motion import TextToMotion
from casim.types import Clips, TextEncoder
from evaluators import generation, scores
from evaluators.arms import Run, check_finished, expanded, find_runs, settled
from evaluators.embed import oracle as oracles
from evaluators.evaluation import generated
from evaluators.generation import Observer
from evaluators.protocol import PRESETS, Protocol

NAME = "confound_probe"
SCORES = "scores.csv"
SUITE = "runs/confounds"
CHUNK = 500
"""Captions encoded at a time."""
NOTES = (
    "Both injections have the same trainable text layer and as many parameters; the pooled arm averages its "
    "output. Token by token or averaged is all that the factor tokens changes.",
    "A model that sees padded frames is trained on clips padded to full length, and sampled at full length and "
    "cut, as MDM is: it is not told how long the motion shall be.",
    "In the half fraction each main effect includes one interaction of the other three factors.",
)


@dataclass(frozen=True)
class Config:
    """What to measure."""

    runs: tuple[str, ...] = (SUITE,)
    """Runs, or folders of runs, of the suite confounds or confounds_full."""
    splits: tuple[str, ...] = ("test", "held_out")
    """Dataset splits; settings are chosen on "validation", never on the others."""
    samples: int | None = None
    """Captions per split; default all."""
    resamples: int = 2000
    """Bootstrap replicates of every interval."""
    seed: int = 0
    """Seed of noise, captions and resampling."""
    quick: bool = False
    """At most 60 captions per split and 500 replicates."""
    out: Path | None = None
    """Folder of the record; default runs/confound_probe."""
    device: str = "cpu"
    """Where motions are generated."""

    def protocol(self, clips: int) -> Protocol:
        """The protocol of the scores; the smallest split has `clips` clips."""
        samples, resamples = self.samples, self.resamples
        if self.quick:
            samples, resamples = min(samples or 60, 60, clips), min(resamples, 500)
        standard = PRESETS["standard"]
        how = replace(standard.resampling, resamples=resamples, seed=self.seed)
        name = "quick" if self.quick else "standard"
        return replace(standard, name=name, splits=self.splits, samples=samples, seed=self.seed, resampling=how)


def main(config: Annotated[Config, cli.FLAT] = Config()) -> None:
    """Takes the gain of CASIM's released configuration apart: tokens, window, mask, norm."""
    console, config = terminal.console(), replace(config, device=str(devices.named(config.device)))
    with Progress(console=console, transient=True) as progress:
        written = run(config, progress)
    show(written, console)
    console.print(f"record: {_folder(config) / record.FILE}", highlight=False, soft_wrap=True)


def run(config: Config, progress: Progress | None = None) -> record.RunRecord:
    """Scores the runs, writes the record and gives it.

    Raises:
        ValueError: unknown or unfinished runs, or runs that differ in more than the four factors.
    """
    folder, runs = _folder(config), find_cells(config.runs)
    if (folder / record.FILE).exists() and (name := record.load(folder).name) != NAME:
        raise ValueError(f"{folder} holds the record of {name}; give --out another folder")
    models = [TextToMotion.load(run.folder, config.device) for run in runs]
    dataset = models[0].dataset()
    clips = {split: dataset.split(split) for split in config.splits}
    protocol = settled(config.protocol(min(map(len, clips.values()))), runs)
    design = Design(tuple(sorted({Factors.of(model.setup) for model in models}, key=FACTORS.index)))
    written = _begin(runs, protocol, design, config.device)
    with record.opened(written, folder):
        asked = [batch for split in clips for batch in generation.asked(split, clips[split], protocol)]
        observer = Observer(dataset, {"oracle": oracles.bundled()})
        found = generated(list(zip(runs, models, strict=True)), asked, protocol, observer, progress)
        parts = [scores.judge(seen, run.arm, run.seed, batch.split) for run, batch, seen in found]
        rows = scores.average_repeats(pd.concat(parts, ignore_index=True))
        encoder = plugins.build(FACTORS[-1].apply(models[0].setup).text)
        rows["is_cut"] = is_cut(encoder, rows["text"].tolist())
        written.results = measures(rows, design, protocol.resampling, protocol.in_words())
        written.results |= cut_shares(encoder, {"train": dataset.split("train"), **clips})
        record.write_atomic(folder / SCORES, tidy(rows).to_csv(index=False, float_format="%.4g").encode())
        record.attach(written, folder, folder / SCORES)
    return written


def find_cells(names: Sequence[str]) -> list[Run]:
    """The runs of these names, and those inside folders of these names, as arms named after their factors.

    Raises:
        ValueError: no run, an unfinished one, two of one cell and seed, or runs that differ beyond the factors.
    """
    runs = find_runs(expanded(names, "confounds"))
    for run in runs:
        check_finished(run)
        if not hasattr(Setup.from_json(dict(run.config)).backbone, "has_final_norm"):
            raise ValueError(f"{run.name} has no switches for frame mask and final norm; measure runs of MDM")
    check_clean({run.name: run.config for run in runs})
    cells = [replace(run, arm=Factors.of(Setup.from_json(dict(run.config))).name) for run in runs]
    for i, run in enumerate(cells):
        if twin := next((r for r in cells[:i] if (r.arm, r.seed) == (run.arm, run.seed)), None):
            raise ValueError(f"{twin.name} and {run.name} are the same cell with the same seed; name one of them")
    return cells


def _begin(runs: Sequence[Run], protocol: Protocol, design: Design, device: str) -> record.RunRecord:
    """A record of what will be scored, with the hashes of all weights."""
    config = {
        "protocol": {"text": protocol.in_words(), **asdict(protocol)},
        "runs": {run.name: dict(run.config) for run in runs},
        "cells": {cell.name: asdict(cell) for cell in design.cells},
        "missing": [cell.name for cell in design.missing],
        "notes": NOTES,
    }
    threads = torch.get_num_threads()
    written = record.begin("probe", NAME, config, seed=protocol.seed, device=device, threads=threads)
    for folder in [run.folder for run in runs] + [oracles.BUNDLED]:
        weights = record.sha256(folder / checkpoint.WEIGHTS)
        written.inputs[record.relative(folder)] = record.Source(run=record.relative(folder), sha256=weights)
    return written


def is_cut(encoder: TextEncoder, texts: Sequence[str]) -> list[bool]:
    """Whether the short window cuts these captions."""
    parts = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
    return [count > WINDOWS[0] for part in parts for count in encoder.encode(part).mask.sum(1).tolist()]


def cut_shares(encoder: TextEncoder, clips: Mapping[str, Clips]) -> dict[str, record.Measure]:
    """The share of captions that the short window cuts, by split."""
    found = {}
    for name, split in clips.items():
        places = [range(at, min(at + CHUNK, len(split))) for at in range(0, len(split), CHUNK)]
        cut = [long for part in places for long in is_cut(encoder, split.batch(part).texts)]
        protocol = f"captions of {name} with more than {WINDOWS[0]} tokens, markers included; all captions"
        found[f"cut/{name}"] = record.Measure(
            value=sum(cut) / len(cut), n=len(cut), unit="share of captions", protocol=protocol
        )
    return found


def tidy(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for every run and caption, with the levels of its factors."""
    levels = pd.DataFrame([{"arm": cell.name, **asdict(cell)} for cell in FACTORS])
    columns = ["arm", *asdict(FACTORS[0]), "seed", "split", "item", "kind", "is_reversed", "is_cut", METRIC]
    table = cast(pd.DataFrame, rows.merge(levels, on="arm")[columns]).rename(columns={"arm": "cell"})
    flags = [*asdict(FACTORS[0]), "is_reversed", "is_cut"]
    return table.astype(dict.fromkeys(flags, int)).sort_values(["split", "cell", "seed", "item"])


def _folder(config: Config) -> Path:
    return config.out or Path("runs") / NAME


if __name__ == "__main__":
    cli.main_exit(main)
