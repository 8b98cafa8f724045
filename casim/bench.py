"""How fast the parts are, as records: `python -m casim.bench features`, `... train`, `... sample`, `...
evaluate`."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor, nn

from casim import devices
from casim import record as records
from casim.cli import main_exit
from casim.features import FeatureSpec, from_joints, to_joints
from casim.skeleton import HUMANML3D
from casim.types import Condition, frame_mask


def features(
    out: Path = Path("runs/bench_features"),
    threads: int = 2,
    clips: int = 64,
    frames: int = 196,
    repeats: int = 7,
) -> None:
    """Joints to features and back, frames per second: the best of several repeats.

    Args:
        out: Folder of the record.
        threads: Threads of torch.
        clips: Clips per batch.
        frames: Frames per clip, at 20 fps.
        repeats: Timed runs, after one that warms up.
    """
    if min(threads, clips, repeats) < 1 or frames < 2:
        raise ValueError("threads, clips and repeats must be at least 1, and frames at least 2")
    torch.set_num_threads(threads)
    config = {"clips": clips, "frames": frames, "repeats": repeats}
    record = records.begin("bench", "features", config, threads=threads)
    joints = _walks(clips, frames)
    protocol = f"best of {repeats}; {clips} clips of {frames} frames; {threads} threads"
    with records.opened(record, out):
        for spec in (FeatureSpec(), FeatureSpec(converter="fixed"), FeatureSpec(subset="essential")):
            motion = from_joints(joints, spec)
            tail = f"/{spec.converter}/{spec.subset}"
            for name, call in (
                ("joints_to_features", lambda spec=spec: from_joints(joints, spec)),
                ("features_to_joints", lambda spec=spec, motion=motion: to_joints(motion, spec)),
            ):
                seconds = best_seconds(call, repeats)
                record.results[name + tail] = records.Measure(
                    value=clips * frames / seconds,
                    n=repeats,
                    unit="frames/s",
                    higher_is_better=True,
                    protocol=protocol + f"; {asdict(spec)}",
                )
    report(record, out)


def train(
    out: Path = Path("runs/bench_train"),
    threads: int = 2,
    batch: int = 16,
    frames: int = 196,
    repeats: int = 3,
    device: str = "cpu",
) -> None:
    """Seconds of a training step (forward and backward) of the paper's CASIM decoder, beside torch's own decoder.

    The two and the two precisions take turns, so that a machine that slows down slows all of them.

    Args:
        out: Folder of the record.
        threads: Threads of torch.
        batch: Clips per step.
        frames: Frames per clip, at 20 fps.
        repeats: Timed steps of each, after one that warms up.
        device: auto (the accelerator if there is one), cpu, cuda, ...
    """
    if min(threads, batch, frames, repeats) < 1:
        raise ValueError("threads, batch, frames and repeats must be at least 1")
    place = devices.named(device)
    torch.set_num_threads(threads)
    settings = {"batch": batch, "frames": frames, "repeats": repeats}
    record = records.begin("bench", "train", settings, threads=threads, device=str(place))
    steps = _training_steps(batch, frames, place)
    protocol = f"median of {repeats}; batch {batch}, {frames} frames, 77 text tokens, dropout .1; {threads} threads"
    with records.opened(record, out):
        found: dict[str, list[float]] = {name: [] for name in steps}
        for repeat in range(repeats + 1):
            for name, step in steps.items():
                start = time.perf_counter()
                step()
                if repeat:  # the first warms up
                    found[name].append(time.perf_counter() - start)
        for name, seconds in found.items():
            record.results[name] = records.Measure(
                value=float(np.median(seconds)),
                interval=(min(seconds), max(seconds)),
                n=repeats,
                unit="s/step",
                higher_is_better=False,
                protocol=protocol + "; interval: fastest and slowest",
            )
    report(record, out)


def _training_steps(batch: int, frames: int, device: torch.device) -> dict[str, Callable[[], None]]:
    from casim.backbones.mdm_decoder import MdmDecoder

    random = torch.Generator().manual_seed(0)
    motion = torch.randn(batch, frames, 263, generator=random).to(device)
    text = torch.randn(batch, 77, 512, generator=random).to(device)
    real = frame_mask([20] * batch, 77).to(device)
    everything = torch.ones(batch, frames, dtype=torch.bool, device=device)
    t = torch.randint(0, 1000, (batch,), generator=random).to(device)
    ours = MdmDecoder(MdmDecoder.Config(), 263).to(device)
    layer = nn.TransformerDecoderLayer(512, 4, 1024, 0.1, "gelu", batch_first=True)
    plain = nn.TransformerDecoder(layer, 8, nn.LayerNorm(512)).to(device)
    embed, unembed = nn.Linear(263, 512).to(device), nn.Linear(512, 263).to(device)

    def step_ours() -> None:
        given = ours.denoise(motion, t, Condition(text, real), everything)
        (given - motion).square().mean().backward()

    def step_plain() -> None:
        padded = ~everything
        given = plain(embed(motion), text, tgt_key_padding_mask=padded, memory_key_padding_mask=~real)
        (unembed(given) - motion).square().mean().backward()

    def halved(step: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            with torch.autocast(device.type, torch.bfloat16):
                step()

        return run

    steps = {"casim_mdm_decoder": step_ours, "torch_decoder": step_plain}
    return {f"{n}/fp32": s for n, s in steps.items()} | {f"{n}/bf16": halved(s) for n, s in steps.items()}


def sample(
    out: Path = Path("runs/bench_sample"),
    threads: int = 2,
    batch: int = 32,
    codes: int = 50,
    repeats: int = 3,
    device: str = "cpu",
) -> None:
    """Motions per second of T2M-GPT's transformer at paper size, with random weights and 77 text tokens.

    One motion at a time with and without the key/value cache, and a batch with it; the three take turns.

    Args:
        out: Folder of the record.
        threads: Threads of torch.
        batch: Motions sampled at once.
        codes: Codes of each motion; 50 are the most of the paper.
        repeats: Timed runs of each, after one that warms up.
        device: auto (the accelerator if there is one), cpu, cuda, ...
    """
    if min(threads, batch, codes, repeats) < 1 or codes > 50:
        raise ValueError("threads, batch, codes and repeats must be at least 1, and codes at most 50")
    place = devices.named(device)
    torch.set_num_threads(threads)
    settings = {"batch": batch, "codes": codes, "repeats": repeats}
    record = records.begin("bench", "sample", settings, threads=threads, device=str(place))
    runs = {
        "batch 1, no cache": _writing(1, codes, place, uses_cache=False),
        "batch 1, cache": _writing(1, codes, place, uses_cache=True),
        f"batch {batch}, cache": _writing(batch, codes, place, uses_cache=True),
    }
    protocol = f"fastest of {repeats}; {codes} codes, 77 text tokens, {threads} threads"
    with records.opened(record, out):
        rates = {
            name: (1 if name.startswith("batch 1,") else batch) / best_seconds(call, repeats)
            for name, call in runs.items()
        }
        plain = rates["batch 1, no cache"]
        for name, rate in rates.items():
            for key, value, unit in (
                (name, rate, "motions/s"),
                (f"{name}, against no cache", rate / plain, "times"),
            ):
                record.results[key] = records.Measure(
                    value=value, n=repeats, unit=unit, higher_is_better=True, protocol=protocol
                )
    report(record, out)


def _writing(batch: int, codes: int, device: torch.device, *, uses_cache: bool) -> Callable[[], object]:
    from casim.guidance import Guided

    model = _paper_gpt(device)
    text = torch.randn(batch, 77, model.config.width, generator=torch.Generator().manual_seed(0)).to(device)
    guided = Guided(Condition(text, torch.ones(batch, 77, dtype=torch.bool, device=device)))
    places = frame_mask([codes] * batch).to(device)

    def run() -> object:
        random = torch.Generator().manual_seed(0)
        return model.sample(guided, places, random, length="given", uses_cache=uses_cache)

    return run


@cache
def _paper_gpt(device: torch.device) -> Any:
    """228 million parameters, made once."""
    from casim.backbones.t2m_gpt import T2mGpt

    torch.manual_seed(0)
    return T2mGpt(T2mGpt.Config(text_places=77), (512,)).to(device).eval()


def evaluate(
    out: Path = Path("runs/bench_evaluate"),
    threads: int = 2,
    clips: int = 4384,
    width: int = 512,
    repeats: int = 20,
) -> int:
    """Seconds of the scores of a whole protocol, without sampling: runs `python -m evaluators.bench`.

    In a process of its own, because evaluators stand above this package, which must not import them.

    Args:
        out: Folder of the record.
        threads: Threads of torch.
        clips: Clips of each repeat; HumanML3D's test split has 4,384.
        width: Width of the embedder's vectors.
        repeats: Sets of generated clips, scored one after the other.
    """
    options = {"out": out, "threads": threads, "clips": clips, "width": width, "repeats": repeats}
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return subprocess.run([sys.executable, "-m", "evaluators.bench", *flags], check=False).returncode


COMMANDS = {"features": features, "train": train, "sample": sample, "evaluate": evaluate}
"""The sub-commands by name."""


def best_seconds(call: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of several calls, after one that warms up."""
    call()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def report(record: records.RunRecord, out: Path) -> None:
    """Prints the numbers of a record and where it lies."""
    console = Console(soft_wrap=True, highlight=False)
    for name, measure in record.results.items():
        console.print(f"{name}: {measure.value:,.6g} {measure.unit}", markup=False)
    console.print(f"record: {out / records.FILE}", markup=False)


def _walks(clips: int, frames: int) -> Float[Tensor, "clips frames joints xyz"]:
    """Bodies that wander and sway: real geometry is not needed for speed, only non-degenerate bones."""
    random = torch.Generator().manual_seed(0)
    pose = torch.zeros(22, 3)
    offsets = torch.from_numpy(HUMANML3D.rest_offsets.astype(np.float32))
    for joint, parent in enumerate(HUMANML3D.parents[1:], 1):
        pose[joint] = pose[parent] + offsets[joint]
    sway = torch.randn(clips, frames, 22, 3, generator=random).cumsum(1) * 0.002
    path = torch.randn(clips, frames, 1, 3, generator=random).cumsum(1) * torch.tensor([0.01, 0.0, 0.01])
    return pose + sway + path


if __name__ == "__main__":
    main_exit(COMMANDS)
