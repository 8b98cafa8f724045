"""What lies in a folder of HumanML3D's layout, read once and in parallel: lists, motions, captions, statistics."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float64

from casim import record as records
from casim.data._caption_files import read_captions
from casim.data._folder import UNCAPTIONED
from casim.features import FeatureSpec
from casim.prepare.clips import SPLITS
from casim.prepare.folder import Statistics, progress_bar
from casim.skeleton import HUMANML3D, KIT
from casim.tagger import check_tokens

T = TypeVar("T")
_READERS, _AHEAD = 8, 256
_WIDTHS = {FeatureSpec(len(skeleton)).dims: skeleton for skeleton in (HUMANML3D, KIT)}

Row = Float64[np.ndarray, " feats"]


@dataclass
class Inventory:
    """A folder's content; problems of single files are kept as text, so that all of them can be reported."""

    folder: Path
    spec: FeatureSpec
    """The features that the folder claims to hold."""
    is_prepared: bool
    """True if `casim.prepare` made the folder."""
    lists: dict[str, list[str]]
    """Ids by list."""
    frames: dict[str, int] = field(default_factory=dict)
    """Frames of every motion; 0 if it cannot be used."""
    texts: set[str] = field(default_factory=set)
    """Clips that have a caption file."""
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What is wrong with single files, by kind of finding."""
    stored: dict[str, Row] = field(default_factory=dict)
    """Mean and Std, where they can be used."""
    computed: dict[str, Row] = field(default_factory=dict)
    """The same of the motions that can be used."""

    @property
    def uncaptioned(self) -> set[str]:
        """Ids that are listed as having no captions."""
        return set(self.lists.get(UNCAPTIONED, ()))


def take_inventory(folder: Path) -> Inventory:
    """Reads the folder.

    Raises:
        FileNotFoundError: no such folder, or no motions in it.
        ValueError: its record is broken.
    """
    if not folder.exists():
        raise FileNotFoundError(f"no data folder {folder}; `python -m casim.prepare joints` makes one")
    motions = sorted((folder / "new_joint_vecs").glob("*.npy"))
    if not motions:
        raise FileNotFoundError(f"{folder} is no folder of motions: no .npy files in {folder / 'new_joint_vecs'}")
    record = records.load(folder) if (folder / records.FILE).exists() else None
    made = record.config if record and record.kind == "prepare" else {}
    spec = _spec(folder, motions, made.get("converter", "legacy"))
    found = Inventory(folder, spec, bool(made), _lists(folder, {path.stem for path in motions}))
    _read_motions(found, motions)
    texts = sorted((folder / "texts").glob("*.txt"))
    for path, (kind, what) in zip(texts, _in_bulk(_caption_problem, texts, "reading captions"), strict=True):
        found.texts.add(path.stem)
        if kind:
            found.problems[kind].append(what)
    for name in ("Mean", "Std"):
        row = _loaded(folder / f"{name}.npy")
        if isinstance(row, str) or row.shape != (found.spec.dims,) or not np.isfinite(row).all():
            continue
        if name == "Mean" or (row > 0).all():
            found.stored[name] = row.astype(np.float64)
    return found


def _spec(folder: Path, motions: Sequence[Path], converter: str) -> FeatureSpec:
    """The features by the width of the statistics or of the first motion; 22 joints if neither says."""
    for path in (folder / "Mean.npy", *motions[:1]):
        array = _loaded(path)
        if not isinstance(array, str) and array.ndim and array.shape[-1] in _WIDTHS:
            skeleton = _WIDTHS[array.shape[-1]]
            return FeatureSpec(len(skeleton), skeleton.fps, "fixed" if converter == "fixed" else "legacy")
    return FeatureSpec()


def _lists(folder: Path, motions: set[str]) -> dict[str, list[str]]:
    """Ids by list; a text file that names no motion and is not called as a split is none."""
    found = {path.stem: path.read_text(encoding="utf-8").split() for path in sorted(folder.glob("*.txt"))}
    return {name: ids for name, ids in found.items() if name in (*SPLITS, UNCAPTIONED) or motions.intersection(ids)}


def _read_motions(found: Inventory, paths: Sequence[Path]) -> None:
    statistics = Statistics(found.spec)
    for path, array in zip(paths, _in_bulk(_loaded, paths, "reading motions"), strict=True):
        found.frames[path.stem] = 0
        if isinstance(array, str):
            found.problems["broken_motion"].append(f"{path.stem} ({array})")
        elif array.ndim != 2 or array.shape[1] != found.spec.dims:
            found.problems["wrong_width"].append(f"{path.stem} {array.shape}")
        elif not np.isfinite(array).all():
            found.problems["not_finite"].append(path.stem)
        else:
            found.frames[path.stem] = len(array)
            statistics.add(array)
    if statistics.count:
        found.computed = dict(zip(("Mean", "Std"), statistics.rows(), strict=True))


def _loaded(path: Path) -> np.ndarray | str:
    """The array in a file, or why it cannot be read."""
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        return str(error).replace(f"{path.parent}/", "")


def _caption_problem(path: Path) -> tuple[str, str]:
    """Kind and text of what is wrong with a caption file, or two empty texts."""
    try:
        captions = read_captions(path)
    except ValueError as error:
        return "broken_caption", str(error).replace(f"{path.parent}/", "")
    try:
        for caption in captions:
            check_tokens(caption.tokens)
    except ValueError as error:
        return "odd_token", f"{path.name}: {str(error).partition(';')[0]}"
    return "", ""


def _in_bulk(function: Callable[[Path], T], paths: Sequence[Path], what: str) -> Iterator[T]:
    """The results in order; only as many files as `_AHEAD` are in memory at a time."""
    with progress_bar() as progress, ThreadPoolExecutor(_READERS) as pool:
        task = progress.add_task(what, total=len(paths))
        for first in range(0, len(paths), _AHEAD):
            block = paths[first : first + _AHEAD]
            yield from pool.map(function, block)
            progress.advance(task, len(block))
