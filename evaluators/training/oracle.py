"""Trains the recogniser that scores choreography runs.

It learns from clips of its own: choreography of another seed, with no pair of actions held out, and with noise
added so that it also reads generated motion. Its record holds its scores on the benchmark's real clips, taken with
the saved (float16) weights.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from rich.progress import Progress
from torch import Tensor

from casim import checkpoint, cli, plugins, record
from casim.data.choreography import Choreography
from casim.record import Measure
from casim.types import Clips, MotionBatch, MotionDataset
from evaluators import embedder, scores
from evaluators.embed import oracle as oracles
from evaluators.embed.oracle import Oracle
from evaluators.intervals import DEFAULT, mean_interval
from evaluators.protocol import EvalBatch

NOISE_LEVELS = (0.1, 0.3)
"""Noise on real clips at which the recogniser is checked, in standard deviations of each feature."""

BENCHMARK = Choreography.Config()


@dataclass(frozen=True)
class Training:
    """Optimisation of the oracle."""

    clips: int = 8000
    """Training clips."""
    steps: int = 1200
    """Optimiser steps."""
    batch_size: int = 64
    """Clips per step, of similar length."""
    learning_rate: float = 2e-3
    """Peak; warmed up over 5 % of the steps, then cosine to zero."""
    noise: float = 0.4
    """Largest noise added to a training clip, in standard deviations of each feature."""
    seed: int = 1_000_003
    """Seed of the training clips, the weights and the noise; no run may train on clips of this seed."""


def main(*, out: Path, training: Annotated[Training, cli.FLAT] = Training()) -> None:
    """Trains the recogniser of choreography's actions and scores it from its saved weights.

    Args:
        out: folder of weights, config and record.
        training: optimisation.
    """
    with Progress(transient=True) as progress:
        task = progress.add_task("training oracle", total=training.steps)

        def report(loss: float) -> None:
            progress.update(task, advance=1, description=f"training oracle, loss {loss:.4f}")

        written = train(training, out, BENCHMARK, report)
    for key, measure in written.results.items():
        if key.endswith("/all"):
            print(f"{key:60s} {measure.value:.4f}")
    print(f"record: {out / record.FILE}")


def train(
    training: Training,
    out: Path,
    benchmark: Choreography.Config = BENCHMARK,
    report: Callable[[float], object] = lambda loss: None,
) -> record.RunRecord:
    """Trains an oracle, saves it below `out`, scores what was saved on the benchmark, and gives the record."""
    if training.seed == benchmark.seed:
        raise ValueError(f"seed {training.seed} is that of the benchmark's clips; train the oracle on others")
    config = {"training": asdict(training), "benchmark": plugins.describe(benchmark)}
    written = record.begin("train", "oracle", config, seed=training.seed, threads=torch.get_num_threads())
    with record.opened(written, out):
        embedder.save(fit(training_data(training), training, report), out)
        written.config["embedder"] = checkpoint.load_config(out)["embedder"]
        written.results = check(cast(Oracle, embedder.load(out, "oracle")), Choreography(benchmark))
        record.attach(written, out, out / checkpoint.WEIGHTS, out / checkpoint.CONFIG)
    return written


def training_data(training: Training) -> MotionDataset:
    """Clips that no run trains on or is scored with: another seed."""
    return Choreography(Choreography.Config(seed=training.seed, train=training.clips, held_out_pairs=0))


def fit(
    dataset: MotionDataset, training: Training, report: Callable[[float], object] = lambda loss: None
) -> Oracle:
    """An oracle trained on the train split of a choreography dataset; `report` gets the loss of every step."""
    clips = dataset.split("train")
    generator = torch.Generator().manual_seed(training.seed)
    oracle = _fresh(dataset, clips, training)
    optimiser = torch.optim.AdamW(oracle.parameters(), lr=training.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, training.learning_rate, total_steps=training.steps, pct_start=0.05
    )
    order = torch.as_tensor(clips.lengths).argsort(stable=True)
    for _ in range(training.steps):
        start = int(torch.randint(max(len(clips) - training.batch_size, 1), (), generator=generator))
        batch = clips.batch(order[start : start + training.batch_size].tolist())
        loss = _loss(oracle, _features(batch, dataset), batch, training.noise, generator)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(oracle.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        report(float(loss.detach()))
    return oracle.eval()


def check(oracle: Oracle, dataset: MotionDataset) -> dict[str, Measure]:
    """Scores of the oracle on real clips of a benchmark, clean and under noise, and the floors."""
    results: dict[str, Measure] = {}
    generator = torch.Generator().manual_seed(0)
    for split in ("test", "held_out"):
        clips = dataset.split(split)
        real = clips.batch(range(len(clips)))
        for noise in (0.0, *NOISE_LEVELS):
            features = _features(real, dataset)
            features = features + noise * oracle.std * torch.randn(features.shape, generator=generator)
            words = f"oracle on {len(clips)} real clips of {split}, noise {noise} standard deviations"
            row = f"real, noise {noise}" if noise else "real"
            results[f"{row}/frame_exact/{split}/all"] = _frame_exact(oracle, features, real).measure(words)
            seen = EvalBatch(real.motion, real.mask, real, actions=oracle.recognise(features, real.mask))
            rows = scores.judge(seen, row, scores.UNSEEDED, split) if noise else scores.judge_real(seen, split)
            results |= scores.measures(rows, DEFAULT, words)
    return results


def _fresh(dataset: MotionDataset, clips: Clips, training: Training) -> Oracle:
    """An untrained oracle for the actions of the clips, with their statistics."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        sample = clips.batch(range(0, len(clips), max(len(clips) // 1000, 1)))
        actions = sorted({span.action for a in sample.alignment or () for span in a.actions})
        oracle = Oracle(Oracle.Config(tuple(actions)))
    frames = _features(sample, dataset)[sample.mask]
    oracle.mean.copy_(frames.mean(0))
    # Features that hardly vary would drown in their own noise if they were blown up to deviation one.
    deviation = frames.std(0)
    oracle.std.copy_(deviation.clamp(min=0.3 * deviation.median().item()))
    return oracle


def _features(batch: MotionBatch, dataset: MotionDataset) -> Float[Tensor, "batch frames read"]:
    """Denormalised features that the oracle reads."""
    features = batch.motion * torch.as_tensor(dataset.std) + torch.as_tensor(dataset.mean)
    return features[..., : Oracle.Config.feats]


def _loss(
    oracle: Oracle,
    features: Float[Tensor, "batch frames read"],
    batch: MotionBatch,
    noise: float,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Binary cross-entropy over real frames and actions, of clips with noise of a random size each."""
    size = noise * torch.rand(len(batch), 1, 1, generator=generator)
    x = oracle.standardise(features) + size * torch.randn(features.shape, generator=generator)
    wanted = oracles.targets(batch.alignment or (), x.shape[1], oracle.config.actions)
    return F.binary_cross_entropy_with_logits(oracle(x, batch.mask)[batch.mask], wanted[batch.mask])


def _frame_exact(oracle: Oracle, features: Float[Tensor, "batch frames read"], real: MotionBatch):
    """Share of the frames of which every action is told right, per clip."""
    with torch.no_grad():
        told = oracle(oracle.standardise(features), real.mask) > 0
    wanted = oracles.targets(real.alignment or (), told.shape[1], oracle.config.actions) > 0.5
    right = ((told == wanted).all(2) & real.mask).sum(1) / real.mask.sum(1)
    estimate = mean_interval(right.double().numpy()[None])
    if estimate is None:
        raise ValueError("no clip to score the oracle on")
    return estimate
