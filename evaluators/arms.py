"""Runs to compare: runs of one recipe are an arm, its training seeds are crossed with the captions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from casim import checkpoint, cli, plugins, record
from casim.types import MotionDataset
from evaluators.protocol import Protocol

BUNDLED = ("choreography_casim", "choreography_fixed")
"""Arms that come with the package."""
SPLITS = {"choreography": ("test", "held_out")}
"""Splits on which runs of a dataset are scored, where it is not "test" alone."""


@dataclass(frozen=True)
class Run:
    """A run to score and where it stands in the comparison."""

    name: str
    folder: Path
    arm: str
    seed: int
    config: Mapping[str, Any]

    @property
    def is_codec(self) -> bool:
        """Whether it is a first stage: its clips are reconstructed, not generated."""
        return "codec" in self.config

    @property
    def dataset(self) -> str:
        """Name of the dataset that it was trained on."""
        return self.config["data"]["plugin"]


def find_runs(names: Sequence[str] = ()) -> list[Run]:
    """The runs of these names, checked to be comparable; those of the bundled pair if there are no names.

    Raises:
        ValueError: unknown run, no run of a generator, or runs that cannot be compared.
    """
    runs = [_run(name) for name in names or _bundled()]
    for i, run in enumerate(runs):
        for other in runs[:i]:
            _check_comparable(other, run)
    return runs


def expanded(names: Sequence[str], suite: str) -> tuple[str, ...]:
    """The generators' runs inside folders of these names, or the names themselves.

    Args:
        names: of runs or folders.
        suite: what makes such a folder, for the error.

    Raises:
        ValueError: a folder without runs.
    """
    found: list[str] = []
    for name in names:
        folder = Path(name)
        if not folder.is_dir() or (folder / checkpoint.CONFIG).exists():
            found.append(name)
            continue
        inside = [path.parent for path in sorted(folder.glob(f"*/{checkpoint.CONFIG}"))]
        inside = [path for path in inside if "backbone" in checkpoint.load_config(path)]
        if not inside:
            raise ValueError(f"no runs in {folder}; make them with python -m casim.suite {suite}")
        found += map(str, inside)
    return tuple(found)


def check_finished(run: Run) -> None:
    """Refuses a run whose training was stopped.

    Raises:
        ValueError: it was.
    """
    if (run.folder / record.FILE).exists() and (status := record.load(run.folder).status) != "done":
        raise ValueError(f"{run.name} is not finished ({status}); python -m casim.suite takes it up again")


def warn_unfinished(folders: Iterable[Path]) -> None:
    """Says on standard error which of these runs are not what their recipes give."""
    for folder in folders:
        if told := checkpoint.unfinished(folder):
            cli.warn(told)


def settled(protocol: Protocol, runs: Sequence[Run]) -> Protocol:
    """The protocol with the dataset's own splits, and with sampling settings in which all runs agree."""
    agreed: dict[str, Any] = {}
    if protocol.splits is None:
        agreed["splits"] = SPLITS.get(runs[0].dataset, ("test",))
    for name in ("guidance", "sampler", "steps"):
        own = [run.config.get("sampling", {}).get(name) for run in runs]
        if getattr(protocol, name) is None and all(value == own[0] for value in own):
            agreed[name] = own[0]
    return replace(protocol, **agreed)


def _bundled() -> tuple[str, ...]:
    names = tuple(n for n in checkpoint.runs() if n.rpartition("_seed")[0] in BUNDLED)
    if not names:
        raise ValueError("no bundled runs are installed; name the runs to score: python -m evaluators.run RUN ...")
    return names


def _run(name: str) -> Run:
    folder = checkpoint.find_run(name)
    config = checkpoint.load_config(folder)
    if not {"recipe", "data"} <= set(config) or not {"backbone", "codec"} & set(config):
        raise ValueError(f"{name} is no run of a generator or a codec; name a run that python -m casim.train wrote")
    kind: Any = plugins.load(MotionDataset, "casim.data", config["data"].get("plugin"))
    # older runs lack fields that have come since
    config["data"] = plugins.describe(plugins.restore(kind.Config, config["data"]))
    return Run(record.relative(folder), folder, config["recipe"], int(config["training"]["seed"]), config)


def _check_comparable(a: Run, b: Run) -> None:
    if a.is_codec != b.is_codec:
        raise ValueError(f"{a.name} and {b.name} are of two stages; score them in two commands")
    data = [{k: v for k, v in run.config["data"].items() if k != "is_padded_full"} for run in (a, b)]
    if data[0] != data[1]:  # the same clips, however far they are padded in training
        raise ValueError(f"{a.name} and {b.name} were trained on different data; score them in two commands")
    if (a.arm, a.seed) == (b.arm, b.seed):
        raise ValueError(f"{a.name} and {b.name} are both {a.arm} with training seed {a.seed}; name one of them")
    if a.name == b.name:
        raise ValueError(f"two runs are called {a.name}; rename a folder, so that the record can tell them apart")
    if a.arm != b.arm:
        return
    first, second = ({**run.config, "training": {**run.config["training"], "seed": None}} for run in (a, b))
    different = sorted(key for key in first | second if first.get(key) != second.get(key))
    if different:
        raise ValueError(
            f"{a.name} and {b.name} are of one recipe, {a.arm}, but differ in {', '.join(different)}, so they are "
            "no seeds of one arm; score them in two commands"
        )
