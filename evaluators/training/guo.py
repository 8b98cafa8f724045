"""Trains an evaluator of Guo et al. and tells how well it retrieves real clips.

Paper and settings: Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022. First the
movement encoder learns as part of an autoencoder; then it is frozen, and the rest learns to match captions and
clips. Where we differ: the wrong motions of a caption are its batch moved by 1 to B - 1 rows (the authors draw 0 to
B - 2, and 0 makes the right motions the wrong ones); steps are counted instead of epochs; the learning rate falls
to zero; the decoder beside the movement encoder is that encoder backwards. Statistics are those of the dataset,
with the deviations of turn, root velocity, root height and contacts divided by `feat_bias` once.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, cast

import numpy as np
import torch
from jaxtyping import Float
from rich.progress import Progress

from casim import checkpoint, cli, record
from casim.record import Measure
from evaluators import embedder
from evaluators.embed.guo import Guo
from evaluators.glove import read as read_vectors
from evaluators.intervals import mean_interval
from evaluators.pools import chance_among_nearest, rank_own
from evaluators.training import _pools as pools
from evaluators.training._data import Data, open_data
from evaluators.training._guo_stages import MATCHING, MOVEMENTS, Fitting, Report, Training, embedded
from evaluators.words import WordLists, read_lists

CURVE = "curve.csv"
LAPTOP = Training()
SIZES: Mapping[str, Mapping[str, int]] = {
    "laptop": {"text_hidden": 96, "movement_hidden": 96, "movement_width": 96, "motion_hidden": 128, "width": 96},
    "paper": {},
}
"""Widths by name; those of the paper are the defaults of `Guo.Config`."""
BIASED = ("turn", "velocity", "height", "contacts")
"""Groups of features that `Training.feat_bias` makes count more."""


def main(
    *,
    data: str,
    out: Path,
    glove: Path | None = None,
    lists: Path | None = None,
    training: Annotated[Training, cli.FLAT] = LAPTOP,
    device: str = "cpu",
) -> None:
    """Trains an evaluator of Guo et al. and measures real clips with its saved weights.

    Args:
        data: choreography, or a folder in the layout of HumanML3D or KIT.
        out: folder of weights, config, loss curve and record.
        glove: folder of the authors' word vectors (our_vab_data.npy and two more); without it, vectors from a hash.
        lists: JSON file with the authors' five lists of words; without it, our own.
        training: optimisation.
        device: where it is trained.
    """
    opened = open_data(data)
    guo = untrained(opened, training, glove, lists)
    with Progress(transient=True) as progress:
        stages = {MOVEMENTS: training.movement_steps, MATCHING: training.steps}
        tasks = {stage: progress.add_task(stage, total=steps) for stage, steps in stages.items()}

        def report(stage: str, loss: float) -> None:
            progress.update(tasks[stage], advance=1, description=f"{stage}, loss {loss:.4f}")

        inputs = {"data": opened.folder, "glove": glove, "lists": lists}
        written = train(guo.to(device), opened, training, out, inputs, report)
    for key, measure in written.results.items():
        print(f"{key:45s} {measure.value:.4f}")
    print(f"record: {out / record.FILE}")


def train(
    guo: Guo,
    data: Data,
    training: Training,
    out: Path,
    inputs: Mapping[str, Path | None] = MappingProxyType({}),
    report: Report = lambda *_: None,
) -> record.RunRecord:
    """Trains `guo`, saves it below `out`, measures real clips with what was saved, and gives the record.

    `inputs` are the files and folders that went into `guo` and `data`.

    Raises:
        ValueError: the training clips are too few or too short, or a reported split is smaller than a pool.
    """
    for split in data.reported:
        pools.check_size(split, len(data.dataset.split(split)))
    fitting = Fitting(guo, data, training, report)
    first = fitting.validation.batch([0])
    config = {"training": asdict(training), "data": data.config, "caveat": guo.caveat}
    config["tagger"] = "none" if first.tags is None else "as given"
    device, threads = str(guo.mean.device), torch.get_num_threads()
    written = record.begin("train", "guo", config, seed=training.seed, device=device, threads=threads)
    for name, path in inputs.items():
        if path is not None:
            written.inputs[name] = record.Source(run=record.relative(path), sha256=record.sha256(path))
    with record.opened(written, out):
        record.write_atomic(out / CURVE, fitting.run().table())
        embedder.save(guo.cpu(), out)
        saved = checkpoint.load_config(out)["embedder"]
        written.config["embedder"] = saved | {"vocabulary": f"{len(guo.config.vocabulary)} words"}
        written.results = check(cast(Guo, embedder.load(out, "guo")), data)
        record.attach(written, out, *(out / name for name in (checkpoint.WEIGHTS, checkpoint.CONFIG, CURVE)))
    return written


def untrained(data: Data, training: Training, glove: Path | None = None, lists: Path | None = None) -> Guo:
    """An evaluator with random weights, for the features, the words and the statistics of the data."""
    vectors = None if glove is None else read_vectors(glove)
    config = Guo.Config(
        spec=data.learnt.spec,
        vocabulary=() if vectors is None else vectors.words,
        lists=WordLists() if lists is None else read_lists(lists),
        origin=f"weights trained by this project on {data.name}",
        **SIZES[training.sizes],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        guo = Guo(config)
    guo.mean.copy_(torch.as_tensor(data.learnt.mean))
    guo.std.copy_(torch.as_tensor(data.learnt.std))
    for group in BIASED:
        if group in data.learnt.spec.groups:
            guo.std[data.learnt.spec.groups[group]] /= training.feat_bias
    if vectors is not None:
        guo.vectors.copy_(torch.from_numpy(vectors.vectors))
    return guo


def check(guo: Guo, data: Data) -> dict[str, Measure]:
    """R-precision and matching distance of real clips, with chance and ceiling, for each reported split."""
    results: dict[str, Measure] = {}
    for split in data.reported:
        clips = data.dataset.split(split)
        text, motion = embedded(guo, data, clips)
        meanings = pools.meanings(clips.batch(range(len(clips))))
        words = (
            f"real clips of {split}, all {len(clips)} first captions, expectation over all pools of {pools.POOL}; "
            "ties take a random place; interval over captions"
        )
        ranks = rank_own(text, motion, torch.arange(len(clips)))
        chances = chance_among_nearest(ranks, len(pools.KS), pools.POOL).numpy()
        for k in pools.KS:
            end = f"r_precision@{k}.guo/{split}/all"
            results[f"real/{end}"] = _mean(chances[:, k - 1], words)
            results[f"chance/{end}"] = Measure(value=pools.CHANCE[k], higher_is_better=True)
            results[f"ceiling/{end}"] = Measure(
                value=pools.ceiling(meanings, k),
                higher_is_better=True,
                protocol=f"{words}; of an embedder that cannot tell apart clips with {data.meaning}",
            )
        results[f"real/mm_dist.guo/{split}/all"] = _mean(
            (text - motion).norm(dim=1).double().numpy(), words, higher_is_better=False, unit="distance"
        )
    return results


def _mean(values: Float[np.ndarray, " clips"], protocol: str, **options: Any) -> Measure:
    estimate = mean_interval(values[None])
    if estimate is None:
        raise ValueError("every value is NaN; the training diverged, lower its learning rate")
    return estimate.measure(protocol, **options)
