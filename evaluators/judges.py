"""The networks that look at motions: those that come with the package, or those that are named."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from casim import checkpoint, record
from casim.features import FeatureSpec
from evaluators import embedder as embedders
from evaluators.embed import oracle as oracles
from evaluators.embedder import Embedder

BUNDLED = ("guo", "tmr")
"""Embedders that come with the package, trained on choreography."""


@dataclass(frozen=True)
class Judge:
    """A network that looks at motions, and the folder that it came from."""

    folder: Path
    embedder: Embedder

    def sha256(self) -> str:
        """Hash of its weights."""
        return record.sha256(self.folder / checkpoint.WEIGHTS)


def of_probes(spec: FeatureSpec) -> dict[str, Judge]:
    """The bundled networks that the probes on choreography look through: the recogniser of actions, and a TMR."""
    found = find_judges((), "choreography", spec)
    return {name: found[name] for name in ("oracle", "tmr")}


def find_judges(names: Sequence[str], dataset: str, spec: FeatureSpec) -> dict[str, Judge]:
    """Embedders by kind; on choreography the oracle is one, and the bundled ones stand in where none is named.

    Args:
        names: folders, or names of runs.
        dataset: name of the dataset.
        spec: features of the motions.

    Raises:
        ValueError: unknown, two of one kind, or one that reads other features.
    """
    folders = [Path(name) if Path(name).is_dir() else checkpoint.find_run(name, is_scorer=True) for name in names]
    if dataset == "choreography":
        folders = [oracles.BUNDLED, *(folders or [checkpoint.BUNDLED / name for name in BUNDLED])]
    judges: dict[str, Judge] = {}
    for folder in folders:
        found = embedders.load(folder)
        kind = checkpoint.load_config(folder)["embedder"]["plugin"]
        if kind in judges:
            raise ValueError(f"{folder} and {judges[kind].folder} are both {kind}; name one of them")
        if kind != "oracle" and found.spec != spec:  # the oracle takes the first columns of any features
            raise ValueError(
                f"{kind} reads {found.spec.dims} features per frame ({found.spec}), the motions have {spec.dims} "
                f"({spec}); train one on their data: python -m evaluators.train {kind}"
            )
        judges[kind] = Judge(folder, found)
    return judges
