"""Does a fixed-length motion representation cap what token-level text gains?

`python -m analysis.capacity_probe` trains a grid (`python -m casim.suite capacity_small`, or medium, full) and
reads it; stopped, it goes on where it stood. One denoiser, MLD's, works on 1, 2, 4, 7, 16 or 24 latents of a motion
VAE, on the VQ-VAE's vectors (one for every four frames), and on frames; each with every token and with one pooled
one, at equal parameters, equal training and latents of equal scale. Other backbones, such as t2m_gpt, may stand
beside the curve (`--beside`), not on it.

Record (`kind="probe"`, `name="capacity_probe"`). REP is vae1, vae2, ..., vq, frames or a backbone's name; SPLIT is
held_out or test; GROUP is all, pair, pair_reversed, triple or while (number and order of actions), or short, medium
or long (thirds of the clips by length).

- `REP casim/METRIC/SPLIT/GROUP`, `REP fixed/...`; with `@seedN` behind the arm of one training: generation.
- `REP codec/METRIC/SPLIT/GROUP`: the clips through the codec and back; joint_error in mm.
- `REP gain/...`: casim less fixed; captions paired, seeds crossed.
- `slope/...`, `slope@seedN/...`: change of the gain per doubling of a VAE's latents.
- `gain A - B/...`: difference of two gains.
- `.../fid.tmr.raw/...`, `.../fid.essential.raw/...`: Frechet distances.
- `REP latent/{side|part|order}/{accuracy|control|selectivity|unseen}`, `REP latent/actions/{accuracy|unseen}`: what
  a linear layer reads off the latents (`analysis.latent_readout`); `REP untrained latent/...`: of a codec with
  random weights.
- `REP budget/{numbers|bits|parameters}`: what the representation holds of a clip; trained numbers of the denoiser.
- `gate/NAME` and `verdict/{supported|not supported|undetermined}`: `analysis.capacity_results`.

`scores.csv` has a row for every run and caption. What is missing is named in `config["missing"]`. A probe that was
stopped goes on where it stood.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from rich.progress import Progress

from analysis import capacity_grid, latent_readout
from analysis.capacity_grid import ARMS, Member, budget, parameters
from analysis.capacity_results import CODEC, METRICS, SPACES, frechet, measures, verdict
from analysis.capacity_tables import show
from analysis.store import Store
from casim import checkpoint, cli, devices, record, suite, terminal
from casim.recipes import REPRESENTATIONS
from casim.record import Measure
from casim.suites import named
from casim.text_to_motion import TextToMotion
from casim.types import MotionDataset
from evaluators import generation, scores
from evaluators.arms import settled
from evaluators.generation import Asked, Observer
from evaluators.judges import Judge, of_probes
from evaluators.protocol import PRESETS, EvalBatch, Protocol, Space

NAME = "capacity_probe"
SCORES = "scores.csv"
MADE = 1
"""Version of what is kept of a motion; raised when that changes, so that it is made again."""
BRIEFLY = "config, protocol"
"""Where the protocol stands in words, once."""
COLUMNS = ("arm", "seed", "split", "item", "kind", "is_reversed", "frames")
SPLIT = "held_out"
"""The verdict rests on pairs of actions that no training clip shows."""


@dataclass(frozen=True)
class Config:
    """What to measure."""

    runs: Annotated[tuple[str, ...], cli.POSITIONAL] = ()
    """Runs, or folders of runs, of a capacity grid; none: the grid is trained first, or taken up again."""
    grid: Literal["small", "medium", "full"] = "small"
    """small: 1, 4 and 16 latents and VQ latents, 3 seeds (24 cells behind 4 codecs, about an hour on 2 cores);
    medium: also 2, 7 and 24 latents and frames; full: that with 5 seeds."""
    beside: tuple[str, ...] = ()
    """Runs of other backbones of the same data, to stand beside the curve: choreography_t2m_gpt_casim_seed0 ..."""
    splits: tuple[str, ...] = (SPLIT, "test")
    """Dataset splits, the verdict rests on the first; settings are chosen on "validation", never on the others."""
    samples: int | None = None
    """Captions per split; default all."""
    resamples: int = 2000
    """Bootstrap replicates of every interval."""
    jobs: int = 2
    """Cells trained at a time."""
    items: bool = True
    """Also write the scores of every clip."""
    seed: int = 0
    """Seed of noise, captions and resampling."""
    quick: bool = False
    """Shows the path in minutes: 1 latent and VQ latents, one seed, 150 training steps, 40 captions. Numbers of no
    worth."""
    out: Path | None = None
    """Folder of the record; default runs/capacity_probe."""
    device: str = "cpu"
    """Where motions are generated."""

    @property
    def suite(self) -> str:
        """The suite that trains the grid."""
        return f"capacity_{'quick' if self.quick else self.grid}"

    def protocol(self, clips: int) -> Protocol:
        """The protocol of the scores; the smallest split has `clips` clips."""
        samples, resamples = self.samples, self.resamples
        if self.quick:
            samples, resamples = min(samples or 40, 40, clips), min(resamples, 500)
        standard = PRESETS["standard"]
        how = replace(standard.resampling, resamples=resamples, seed=self.seed)
        name = "quick" if self.quick else "standard"
        return replace(standard, name=name, splits=self.splits, samples=samples, seed=self.seed, resampling=how)


def main(config: Annotated[Config, cli.FLAT] = Config()) -> None:
    """Does the size of the motion representation cap what token-level text gains?"""
    console, config = terminal.console(), replace(config, device=str(devices.named(config.device)))
    folder = _folder(config)
    record.check_replaceable(folder, "probe")
    if not config.runs:
        config = replace(config, runs=(str(_trained(config)),))
    with Progress(console=console, transient=True) as progress:
        written = run(config, progress)
    show(written, console)
    console.print(f"record: {folder / record.FILE}", highlight=False, soft_wrap=True)


def _trained(config: Config) -> Path:
    """The folder of the grid, all cells trained.

    Raises:
        RuntimeError: a cell failed.
        KeyboardInterrupt: stopped; the same command goes on.
    """
    out = Path("runs") / config.suite
    code = suite.run(named(config.suite), suite.Options(jobs=config.jobs, out=out))
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise RuntimeError(f"some cells of {out} failed, see {out / 'logs'}; the same command takes them up again")
    return out


def run(config: Config, progress: Progress | None = None) -> record.RunRecord:
    """Scores the runs, writes the record and gives it.

    Raises:
        ValueError: unknown or unfinished runs, runs that cannot be compared, or data without known actions.
    """
    folder = _folder(config)
    if not config.splits:
        raise ValueError("name one split at least: --splits held_out")
    if config.resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {config.resamples}")
    found = capacity_grid.members((*config.runs, *config.beside))
    models = [TextToMotion.load(member.run.folder, config.device) for member in found]
    dataset = models[0].dataset()
    clips = {split: dataset.split(split) for split in config.splits}
    if next(iter(clips.values())).batch([0]).alignment is None:
        raise ValueError(f"{found[0].run.dataset} does not know which action happens when; take choreography")
    protocol = settled(config.protocol(min(map(len, clips.values()))), [member.run for member in found])
    judges = of_probes(dataset.spec)
    written = _begin(found, judges, protocol, config.device)
    with record.opened(written, folder):
        asked = [batch for split in clips for batch in generation.asked(split, clips[split], protocol)]
        stated = {"protocol": protocol.in_words(), "data": found[0].run.config["data"], "made": MADE}
        store = Store(folder, stated | {"judges": {name: judge.sha256() for name, judge in judges.items()}})
        jobs = _jobs(found, models)
        rows, spaces = _scored(jobs, asked, protocol, _observer(dataset, judges), store, progress)
        results = measures(rows, protocol.resampling, BRIEFLY) | frechet(spaces, BRIEFLY)
        results |= _of_codecs(found, models, dataset, protocol)
        written.results = results | verdict(results, config.splits[0], BRIEFLY)
        if config.items:
            record.write_atomic(folder / SCORES, _tidy(rows).to_csv(index=False, float_format="%.4g").encode())
            record.attach(written, folder, folder / SCORES)
    return written


@dataclass(frozen=True)
class Job:
    """Clips to look at: of a run, or of its codec."""

    arm: str
    seed: int
    model: TextToMotion
    weights: str
    """SHA-256."""
    config: Mapping[str, Any]


def _observer(dataset: MotionDataset, judges: Mapping[str, Judge]) -> Observer:
    return Observer(dataset, {name: judge.embedder for name, judge in judges.items()})


Rows = tuple[pd.DataFrame, dict[tuple[str, str, int], list[Mapping[str, Space]]]]


def _scored(
    jobs: Sequence[Job],
    asked: Sequence[Asked],
    protocol: Protocol,
    observer: Observer,
    store: Store,
    progress: Progress | None,
) -> Rows:
    """One row per run (or codec) and caption, and the vectors of all clips."""
    parts, spaces = [], defaultdict(list)
    task = progress.add_task("generating", total=len(jobs) * len(asked)) if progress else None
    for job in jobs:
        for number, batch in enumerate(asked):

            def make(job: Job = job, batch: Asked = batch) -> dict[str, np.ndarray]:
                is_codec = job.arm.endswith(CODEC)
                made = (_reconstructed if is_codec else generation.generate)(job.model, batch, protocol)
                seen = observer.look(made, batch.prompt)
                rows = scores.judge(seen, job.arm, job.seed, batch.split)
                return _arrays(rows, {name: space for name, space in seen.spaces.items() if name in SPACES})

            own = {
                "weights": job.weights,
                "run": job.config,
                "clips": batch.real.ids,
                "noise": batch.seed,
                "arm": job.arm,
            }
            rows, held = _of_arrays(store.get(f"{job.arm} {job.seed} {number}".replace(" ", "_"), own, make))
            parts.append(rows)
            spaces[batch.split, job.arm, job.seed].append(held)
            if progress is not None and task is not None:
                progress.update(task, advance=1, description=f"{job.arm}, seed {job.seed}, {batch.split}")
    return pd.concat(parts, ignore_index=True), dict(spaces)


def _arrays(rows: pd.DataFrame, spaces: Mapping[str, Space]) -> dict[str, np.ndarray]:
    kept = rows.reindex(columns=[*COLUMNS, *(metric for metric in METRICS if metric in rows)])
    columns = {f"row/{name}": np.array(kept[name].tolist()) for name in kept}
    vectors = {
        f"{part}/{name}": getattr(s, part).numpy() for name, s in spaces.items() for part in ("motion", "real")
    }
    prompts = {f"prompt/{name}": space.prompt.numpy() for name, space in spaces.items()}
    return columns | vectors | prompts


def _of_arrays(arrays: Mapping[str, np.ndarray]) -> tuple[pd.DataFrame, dict[str, Space]]:
    rows = pd.DataFrame({k.partition("/")[2]: v for k, v in arrays.items() if k.startswith("row/")})
    names = [key.partition("/")[2] for key in arrays if key.startswith("prompt/")]
    parts = ("motion", "real", "prompt")
    return rows, {n: Space(*(torch.from_numpy(arrays[f"{part}/{n}"]) for part in parts)) for n in names}


def _jobs(found: Sequence[Member], models: Sequence[TextToMotion]) -> list[Job]:
    """Every run, and before the first of a representation its codec."""
    seen, jobs = set(), []
    for member, model in zip(found, models, strict=True):
        weights = record.sha256(member.run.folder / checkpoint.WEIGHTS)
        if model.codec is not None and member.representation not in seen:
            jobs.append(Job(f"{member.representation} {CODEC}", 0, model, weights, member.run.config))
        seen.add(member.representation)
        jobs.append(Job(member.who, member.run.seed, model, weights, member.run.config))
    return jobs


@torch.no_grad()
def _reconstructed(model: TextToMotion, batch: Asked, _: Protocol) -> EvalBatch:
    """The real clips through the codec and back; as they are, where there is none."""
    real, codec = batch.real.to(model.device), model.codec
    given = real.motion if codec is None else codec.decode(codec.encode(real).motion, real.mask)
    return EvalBatch(given.cpu(), batch.real.mask, batch.real, is_reconstruction=True)


def _of_codecs(
    found: Sequence[Member], models: Sequence[TextToMotion], dataset: MotionDataset, protocol: Protocol
) -> dict[str, Measure]:
    """Budgets, and what can be read off latents, of every representation on the curve."""
    entries: dict[str, Measure] = {}
    clips = dataset.split("test")
    for member, model in zip(found, models, strict=True):
        name = member.representation
        if member.is_beside or f"{name} budget/numbers" in entries:
            continue
        codec = model.codec if model.codec is None else model.codec.cpu()
        held, words = budget(codec, clips), "mean over test clips"
        numbers = Measure(value=held.numbers, n=len(clips), unit="numbers", protocol=words)
        entries[f"{name} budget/numbers"] = numbers
        if held.bits is not None:
            entries[f"{name} budget/bits"] = Measure(value=held.bits, n=len(clips), unit="bits", protocol=words)
        trained = Measure(value=float(parameters(model)), n=1, unit="parameters", protocol="injection and backbone")
        entries[f"{name} budget/parameters"] = trained
        read = latent_readout.measures(codec, dataset, protocol.resampling, protocol.seed)
        entries |= {f"{name} latent/{key}": measure for key, measure in read.items()}
        if codec is not None:
            null = latent_readout.untrained(model.setup.first_stage.codec, codec, protocol.seed)
            read = latent_readout.measures(null, dataset, protocol.resampling, protocol.seed)
            entries |= {f"{name} untrained latent/{key}": measure for key, measure in read.items()}
        model.to(model.device)
    return entries


def _begin(
    found: Sequence[Member], judges: Mapping[str, Judge], protocol: Protocol, device: str
) -> record.RunRecord:
    """A record of what will be scored, with the hashes of all weights."""
    there = {(member.representation, member.arm) for member in found}
    config = {
        "protocol": {"text": protocol.in_words(), **asdict(protocol)},
        "runs": {member.run.name: dict(member.run.config) for member in found},
        "representations": list(dict.fromkeys(m.representation for m in found if not m.is_beside)),
        "beside": list(dict.fromkeys(m.representation for m in found if m.is_beside)),
        "missing": [f"{name} {arm}" for name in REPRESENTATIONS for arm in ARMS if (name, arm) not in there],
    }
    threads = torch.get_num_threads()
    written = record.begin("probe", NAME, config, seed=protocol.seed, device=device, threads=threads)
    for folder in [member.run.folder for member in found] + [judge.folder for judge in judges.values()]:
        weights = record.sha256(folder / checkpoint.WEIGHTS)
        written.inputs[record.relative(folder)] = record.Source(run=record.relative(folder), sha256=weights)
    return written


def _tidy(rows: pd.DataFrame) -> pd.DataFrame:
    table = rows.assign(is_reversed=rows["is_reversed"].astype(int))
    return table.sort_values(["split", "arm", "seed", "item"])


def _folder(config: Config) -> Path:
    return config.out or Path("runs") / NAME


if __name__ == "__main__":
    cli.main_exit(main)
