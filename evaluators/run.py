"""python -m evaluators.run RUN [RUN ...]: scores choreography runs with the oracle, as one record.

Runs of one recipe are an arm, its training seeds are crossed with the captions. Beside the arms stand the real
clips and two floors (real clips judged by wrong captions, and by captions in swapped order), and the differences of
the arms.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from rich.progress import Progress

from casim import checkpoint, cli, plugins, record
from casim.text_to_motion import TextToMotion
from casim.types import Clips, MotionBatch, MotionDataset
from evaluators import scores
from evaluators.embed import oracle as oracles
from evaluators.protocol import PRESETS, EvalBatch, Protocol
from evaluators.tables import show

BUNDLED_ARMS = ("choreography_casim", "choreography_fixed")
ITEMS = "items.csv"


@dataclass(frozen=True)
class Changes:
    """Changes to the preset; what is left out stays as in the preset."""

    splits: tuple[str, ...] | None = None
    """Dataset splits; choose settings on "validation", never on the others."""
    samples: int | None = None
    """Captions per split."""
    repeats: int | None = None
    """Motions per caption."""
    guidance: float | None = None
    """Guidance scale of all runs."""
    sampler: Literal["ddpm", "ddim"] | None = None
    """Sampler of all runs."""
    steps: int | None = None
    """Sampling steps of all runs."""
    seed: int | None = None
    """Seed of noise and choice of captions."""

    def apply(self, protocol: Protocol) -> Protocol:
        """The protocol with these changes, named as changed if there are any."""
        changed = {name: value for name, value in vars(self).items() if value is not None}
        return replace(protocol, name=f"{protocol.name}, changed", **changed) if changed else protocol


@dataclass(frozen=True)
class Run:
    """A run to score and where it stands in the comparison."""

    name: str
    folder: Path
    arm: str
    seed: int
    config: Mapping[str, Any]


def main(
    runs: tuple[str, ...] = (),
    /,
    *,
    protocol: Literal["quick", "standard"] = "standard",
    out: Path | None = None,
    changes: Annotated[Changes, cli.FLAT] = Changes(),
    device: str = "cpu",
) -> None:
    """Scores choreography runs with the oracle.

    Args:
        runs: folders or names of runs; none: the pair that comes with the package.
        protocol: quick (60 captions per split) or standard (all captions).
        out: folder of the record; default runs/evaluate_PROTOCOL.
        changes: changes to the protocol.
        device: where motions are generated.
    """
    found = find_runs(runs)
    chosen = settled(changes.apply(PRESETS[protocol]), found)
    folder = out or Path("runs") / f"evaluate_{protocol}"
    with Progress(transient=True) as progress:
        written = evaluate(found, chosen, folder, device=device, progress=progress)
    show(written, chosen)
    print(f"record: {folder / record.FILE}")


def find_runs(names: tuple[str, ...] = ()) -> list[Run]:
    """The runs of these names, checked to be comparable; those of the bundled pair if there are no names.

    Raises:
        ValueError: unknown run, no choreography run, or runs that cannot be compared.
    """
    runs = [_run(name) for name in names or _bundled()]
    for i, run in enumerate(runs):
        for other in runs[:i]:
            _check_comparable(other, run)
    return runs


def settled(protocol: Protocol, runs: list[Run]) -> Protocol:
    """The protocol with the runs' own sampling settings written in, where it leaves them open and all agree."""
    agreed = {}
    for name in ("guidance", "sampler", "steps"):
        own = [run.config.get("sampling", {}).get(name) for run in runs]
        if getattr(protocol, name) is None and all(value == own[0] for value in own):
            agreed[name] = own[0]
    return replace(protocol, **agreed)


def evaluate(
    runs: list[Run], protocol: Protocol, out: Path, *, device: str = "cpu", progress: Progress | None = None
) -> record.RunRecord:
    """Generates, judges and writes the record of all runs below `out`; gives the record."""
    oracle = oracles.bundled()
    models = [TextToMotion.load(run.folder, device=device) for run in runs]
    dataset = models[0].dataset()
    clips = {split: dataset.split(split) for split in protocol.splits}
    written = _begin(runs, protocol, out.name, device)
    # Everything that wrong input can spoil has been read by now; from here on there is a record on disk.
    with record.opened(written, out):
        parts = [_real(oracle, dataset, protocol, split) for split in protocol.splits]
        asked = [batch for split in clips for batch in batches(split, clips[split], protocol)]
        parts += generated(list(zip(runs, models, strict=True)), asked, protocol, oracle, progress)
        rows = scores.average_repeats(pd.concat(parts, ignore_index=True))
        written.results = scores.measures(rows, protocol.resampling, protocol.in_words())
        blank = rows.assign(seed=rows["seed"].where(rows["seed"] != scores.UNSEEDED).astype("Int64"))
        record.write_atomic(out / ITEMS, blank.to_csv(index=False, float_format="%.4g").encode())
        record.attach(written, out, out / ITEMS)
    return written


def _begin(runs: list[Run], protocol: Protocol, name: str, device: str) -> record.RunRecord:
    """A record of what will be scored, with the hashes of all weights."""
    config = {"protocol": asdict(protocol), "runs": {run.name: dict(run.config) for run in runs}}
    written = record.begin(
        "evaluate", name, config, seed=protocol.seed, device=device, threads=torch.get_num_threads()
    )
    for folder in [run.folder for run in runs] + [oracles.BUNDLED]:
        weights = record.sha256(folder / checkpoint.WEIGHTS)
        written.inputs[record.relative(folder)] = record.Source(run=record.relative(folder), sha256=weights)
    return written


def _real(oracle: oracles.Oracle, dataset: MotionDataset, protocol: Protocol, split: str) -> pd.DataFrame:
    """Rows of the real clips of a split and of the floors."""
    clips = dataset.split(split)
    real = clips.batch(choose(len(clips), protocol))
    mean, std = torch.as_tensor(dataset.mean), torch.as_tensor(dataset.std)
    return scores.judge_real(oracles.look(oracle, EvalBatch(real.motion, real.mask, real), mean, std), split)


def generated(
    runs: list[tuple[Run, TextToMotion]],
    asked: list["Asked"],
    protocol: Protocol,
    oracle: oracles.Oracle,
    progress: Progress | None,
) -> Iterator[pd.DataFrame]:
    """Rows of every run's motions, one for each clip asked for, batch by batch."""
    task = progress.add_task("generating", total=len(runs) * len(asked)) if progress else None
    for run, model in runs:
        for batch in asked:
            motions = generate(model, batch, protocol)
            judged = oracles.look(oracle, motions, model.mean.cpu(), model.std.cpu())
            yield scores.judge(judged, run.arm, run.seed, batch.split)
            if progress is not None and task is not None:
                progress.update(task, advance=1, description=f"{run.name}, {batch.split}")


@dataclass(frozen=True)
class Asked:
    """A batch of captions to generate for, and the noise to generate from."""

    split: str
    real: MotionBatch
    seed: int


def choose(clips: int, protocol: Protocol) -> list[int]:
    """The clips of a split that a protocol takes."""
    count = clips if protocol.samples is None else min(protocol.samples, clips)
    return sorted(np.random.default_rng(protocol.seed).permutation(clips)[:count].tolist())


def generate(model: TextToMotion, asked: Asked, protocol: Protocol) -> EvalBatch:
    """Motions of the captions' real lengths."""
    motion = model.sample(
        asked.real.texts,
        asked.real.lengths.tolist(),
        seed=asked.seed,
        guidance=protocol.guidance,
        sampler=protocol.sampler,
        steps=protocol.steps,
    )
    motion = F.pad(motion, (0, 0, 0, asked.real.mask.shape[1] - motion.shape[1]))  # as the clips are padded
    return EvalBatch(motion.cpu(), asked.real.mask, asked.real)


def batches(split: str, clips: Clips, protocol: Protocol) -> list[Asked]:
    """The captions in order of length, so that little is padded; each batch and repeat from its own noise."""
    items = sorted(choose(len(clips), protocol), key=lambda item: (int(clips.lengths[item]), item))
    parts = [items[i : i + protocol.batch_size] for i in range(0, len(items), protocol.batch_size)]
    return [
        Asked(split, clips.batch(part), _noise_seed(protocol.seed, split, repeat, number))
        for number, part in enumerate(parts)
        for repeat in range(protocol.repeats)
    ]


def _noise_seed(seed: int, split: str, repeat: int, number: int) -> int:
    words = np.random.SeedSequence([seed, zlib.crc32(split.encode()), repeat, number])
    return int(words.generate_state(1)[0])


def _bundled() -> tuple[str, ...]:
    names = tuple(n for n in checkpoint.runs() if n.rpartition("_seed")[0] in BUNDLED_ARMS)
    if not names:
        raise ValueError("no bundled runs are installed; name the runs to score: python -m evaluators.run RUN ...")
    return names


def _run(name: str) -> Run:
    folder = checkpoint.find_run(name)
    config = checkpoint.load_config(folder)
    if not {"recipe", "data", "backbone"} <= set(config):
        raise ValueError(f"{name} is no run of a generator; name a run that python -m casim.train wrote")
    data = config["data"].get("plugin")
    if data != "choreography":
        raise ValueError(
            f"{name} was trained on {data}, but the oracle knows only the actions of choreography; "
            "score a run of a choreography recipe"
        )
    kind: Any = plugins.load(MotionDataset, "casim.data", data)
    # older runs lack fields that have come since
    config["data"] = plugins.describe(plugins.restore(kind.Config, config["data"]))
    return Run(record.relative(folder), folder, config["recipe"], int(config["training"]["seed"]), config)


def _check_comparable(a: Run, b: Run) -> None:
    data = [{k: v for k, v in run.config["data"].items() if k != "is_padded_full"} for run in (a, b)]
    if data[0] != data[1]:  # the same clips, however far they are padded in training
        raise ValueError(f"{a.name} and {b.name} were trained on different data; score them in two commands")
    if a.name == b.name:
        raise ValueError(f"two runs are called {a.name}; rename a folder, so that the record can tell them apart")
    if a.arm != b.arm:
        return
    if a.seed == b.seed:
        raise ValueError(f"{a.name} and {b.name} are both {a.arm} with training seed {a.seed}; name one of them")
    first, second = ({**run.config, "training": {**run.config["training"], "seed": None}} for run in (a, b))
    different = sorted(key for key in first | second if first.get(key) != second.get(key))
    if different:
        raise ValueError(
            f"{a.name} and {b.name} are of one recipe, {a.arm}, but differ in {', '.join(different)}, so they are "
            "no seeds of one arm; score them in two commands"
        )


if __name__ == "__main__":
    cli.main_exit(main)
