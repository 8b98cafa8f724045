"""python -m evaluators.bench: how long the scores of sets of clips take, as a record.

Random vectors stand for those of an embedder: neither generation nor embedding is timed.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import torch

from casim import cli, plugins, record
from casim.bench import report
from evaluators.metric import SetMetric
from evaluators.protocol import Space

PAPER = ("r_precision", "mm_dist", "fid", "diversity")
"""What the papers report of every repeat (MultiModality needs other sets)."""
OTHERS = ("fid_inf", "kid", "precision", "recall", "density", "coverage", "diversity_gap")
"""What we add."""


def main(
    out: Path = Path("runs/bench_evaluate"),
    threads: int = 2,
    clips: int = 4384,
    width: int = 512,
    repeats: int = 20,
) -> None:
    """Times the scores of a whole protocol.

    Args:
        out: Folder of the record.
        threads: Threads of torch.
        clips: Clips of each repeat; HumanML3D's test split has 4,384.
        width: Width of the embedder's vectors.
        repeats: Sets of generated clips, scored one after the other.
    """
    fewest = max(metric().minimum for metric in _metrics().values())
    if min(threads, width, repeats) < 1 or clips < fewest:
        raise ValueError(f"threads, width and repeats must be at least 1, and clips at least {fewest}")
    torch.set_num_threads(threads)
    config = {"clips": clips, "width": width, "repeats": repeats}
    written = record.begin("bench", "evaluate", config, threads=threads)
    protocol = f"sum over {repeats} repeats of {clips} clips, random vectors of width {width}; {threads} threads"
    with record.opened(written, out):
        seconds = _seconds(clips, width, repeats)
        seconds["paper"] = sum(seconds[name] for name in PAPER)
        for name, value in seconds.items():
            words = protocol + (f"; {', '.join(PAPER)} together" if name == "paper" else "")
            written.results[name] = record.Measure(
                value=value, n=repeats, unit="s", higher_is_better=False, protocol=words
            )
    report(written, out)


def _seconds(clips: int, width: int, repeats: int) -> dict[str, float]:
    """Seconds that each score takes for all repeats, after a small set that warms up."""
    metrics = {name: metric() for name, metric in _metrics().items()}
    for metric in metrics.values():
        metric.score(next(_sets(metric.minimum, width, 1)))
    seconds = dict.fromkeys(metrics, 0.0)
    for space in _sets(clips, width, repeats):
        for name, metric in metrics.items():
            start = time.perf_counter()
            metric.score(space)
            seconds[name] += time.perf_counter() - start
    return seconds


def _metrics() -> dict[str, type[SetMetric]]:
    return {name: plugins.load(SetMetric, "evaluators.metrics", name) for name in PAPER + OTHERS}


def _sets(clips: int, width: int, repeats: int) -> Iterator[Space]:
    """Sets that share captions and real clips, near which the generated ones lie."""
    random = torch.Generator().manual_seed(0)
    real, beside, prompt = *torch.randn(2, clips, width, generator=random), torch.arange(clips)
    for _ in range(repeats):
        yield Space(real + torch.randn(clips, width, generator=random), real, prompt, real + beside)


if __name__ == "__main__":
    cli.main_exit(main)
