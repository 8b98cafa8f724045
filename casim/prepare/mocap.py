"""Folders of motion capture files to clips: which file, which frames, which captions, which split."""

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from casim.data._caption_files import Caption, read_captions
from casim.prepare.clips import SPLITS, JointClip, check_captions, check_ids, drawn_split, some
from casim.prepare.folder import progress_bar
from casim.prepare.takes import Points, Reading, Take, convert

COLUMNS = ("source_path", "start_frame", "end_frame", "new_name")
MEANS_END = -1
"""As an end frame: the last frame."""


@dataclass(frozen=True)
class Selection:
    """What of the files becomes clips, and what is said about them."""

    index: Path | None = None
    """CSV file with the columns source_path, start_frame, end_frame, new_name, as HumanML3D's index.csv: frames at
    20 fps, an end of -1 is the last one; a column fps overrides a file's rate. Without it every file is a clip."""
    texts: Path | None = None
    """Captions: a folder of ID.txt (HumanML3D's lines, or one caption a line), or a JSON file {ID: [captions]}."""
    splits: Path | None = None
    """Folder with train.txt, val.txt and test.txt that list ids; other clips, or all, get a split by the hash of
    their id."""
    partial: bool = False
    """Leave out index rows without a file and captions without a motion, and keep motions without a caption,
    instead of refusing them; they are counted."""

    @property
    def sources(self) -> dict[str, Path]:
        """The files and folders that were given."""
        given = {"index": self.index, "texts": self.texts, "splits": self.splits}
        return {name: path for name, path in given.items() if path}


@dataclass(frozen=True)
class _Row:
    name: str
    start: int = 0
    end: int = MEANS_END
    fps: float | None = None


def files(folder: Path, ending: str) -> list[Path]:
    """The files of an ending below a folder.

    Raises:
        FileNotFoundError: no such folder, or none in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ending)
    if not found:
        raise FileNotFoundError(f"{folder} holds no {ending} files")
    return found


def read_clips(
    files: Sequence[Path], folder: Path, read: Callable[[Path], Take], reading: Reading, selection: Selection
) -> tuple[list[JointClip], list[str]]:
    """The clips in the files, and notes on what was done to get them.

    Args:
        files: The files of motion.
        folder: The folder they lie in.
        read: Reads a file.
        reading: How the files are to be read.
        selection: Which clips to make of them.

    Raises:
        FileNotFoundError: a file that the options name.
        ValueError: bad files, rows, captions, or captions and motions that do not belong together.
    """
    names = reading.read_names()
    rows, notes = _rows(files, folder, selection)
    captions, more = _captions(selection, [row.name for file in rows for row in rows[file]])
    splits = _splits(selection.splits)
    clips, done = [], Counter()
    with progress_bar() as progress:
        for file in progress.track(rows, description="reading"):
            take = read(file)
            for rate, group in _by_rate(rows[file], reading):
                joints, said = convert(take, str(file), rate, names)
                done.update(said)
                clips += [
                    JointClip(
                        row.name,
                        _cropped(joints, row, file),
                        captions.get(row.name, ()),
                        splits.get(row.name) or drawn_split(row.name),
                    )
                    for row in group
                ]
    return clips, [*notes, *more, *(f"{count} files: {what}" for what, count in sorted(done.items()))]


def _by_rate(rows: Iterable[_Row], reading: Reading) -> list[tuple[Reading, list[_Row]]]:
    """The rows of a file by the frame rate that they say it has: mostly one group."""
    groups: dict[float | None, list[_Row]] = defaultdict(list)
    for row in rows:
        groups[row.fps or reading.fps].append(row)
    return [(replace(reading, fps=rate), group) for rate, group in groups.items()]


def _cropped(joints: Points, row: _Row, file: Path) -> Float32[np.ndarray, "steps joints xyz"]:
    end = len(joints) if row.end == MEANS_END else row.end
    if not 0 <= row.start < end <= len(joints):
        raise ValueError(
            f"clip {row.name}: {file} has {len(joints)} frames at 20 fps, not the frames {row.start} to {row.end}; "
            "if it lies about its rate, put it right with --fps or a column fps of the index"
        )
    return np.ascontiguousarray(joints[row.start : end], dtype=np.float32)


def _rows(files: Sequence[Path], folder: Path, selection: Selection) -> tuple[dict[Path, list[_Row]], list[str]]:
    """The rows of every file that has some."""
    if selection.index is None:
        found = {file: [_Row(_name(file.relative_to(folder)))] for file in files}
        check_ids(folder, [row.name for rows in found.values() for row in rows])
        return found, []
    places = _places(files, folder)
    found, missing = defaultdict(list), []
    for source, row in _read_index(selection.index):
        key = Path(source).with_suffix("").as_posix().removeprefix("./")
        file = places.get(key) or places.get(_stem(Path(source)))
        if file:
            found[file].append(row)
        else:
            missing.append(source)
    if missing and not selection.partial:
        raise ValueError(
            f"{selection.index} names files that {folder} does not have: {some(missing)}; --partial leaves them out"
        )
    if not found:
        raise ValueError(f"no row of {selection.index} names a file of {folder}, such as {files[0].name}")
    return dict(found), [f"{len(missing)} index rows without a file left out"] * bool(missing)


def _places(files: Sequence[Path], folder: Path) -> dict[str, Path]:
    """Files by path below the folder without ending, and those whose stem is unique by stem as well."""
    stems = Counter(_stem(file) for file in files)
    found = {_stem(file): file for file in files if stems[_stem(file)] == 1}
    return found | {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def _stem(path: Path) -> str:
    """A file's name without ending; AMASS, whose paths HumanML3D's index has, puts _poses behind it."""
    return path.stem.removesuffix("_poses")


def _name(path: Path) -> str:
    """A clip id made of a path."""
    return re.sub(r"[^\w.-]+", "_", path.with_suffix("").as_posix())


def _read_index(path: Path) -> list[tuple[str, _Row]]:
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if missing := set(COLUMNS) - set(reader.fieldnames or ()):
            raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))}; wanted {', '.join(COLUMNS)}")
        lines = list(reader)
    rows = []
    for number, line in enumerate(lines, 2):
        try:
            start, end = int(line["start_frame"]), int(line["end_frame"])
            fps = float(line["fps"]) if line.get("fps") else None
        except (TypeError, ValueError):
            raise ValueError(f"{path}:{number}: start_frame, end_frame and fps must be numbers: {line}") from None
        rows.append((line["source_path"], _Row(line["new_name"].removesuffix(".npy"), start, end, fps)))
    check_ids(path, [row.name for _, row in rows])
    return rows


def _captions(selection: Selection, clips: Sequence[str]) -> tuple[Mapping[str, tuple[Caption, ...]], list[str]]:
    """The captions by clip, each clip's and no other's."""
    if selection.texts is None:
        return {}, []
    found = _read_texts(selection.texts)
    for name, captions in found.items():
        check_captions(name, captions)
    silent, extra = sorted(set(clips) - set(found)), sorted(set(found) - set(clips))
    if (silent or extra) and not selection.partial:
        problem = "has no captions for" if silent else "has captions for clips that have no motion:"
        raise ValueError(f"{selection.texts} {problem} {some(silent or extra)}; --partial accepts that")
    notes = [f"{len(extra)} captioned clips without a motion left out"] * bool(extra)
    return found, notes


def _read_texts(path: Path) -> dict[str, tuple[Caption, ...]]:
    if path.is_dir():
        return {file.stem: _lines(file) for file in sorted(path.glob("*.txt"))}
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {path}")
    try:
        texts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(texts, dict) or not all(isinstance(value, list) for value in texts.values()):
        raise ValueError(f"{path} is no captions by clip: expected {{ID: [caption, ...]}}")
    return {
        name: tuple(Caption(" ".join(str(text).split()), ()) for text in value) for name, value in texts.items()
    }


def _lines(file: Path) -> tuple[Caption, ...]:
    text = file.read_text(encoding="utf-8")
    if "#" in text:
        return read_captions(file)
    return tuple(Caption(" ".join(line.split()), ()) for line in text.splitlines() if line.strip())


def _splits(folder: Path | None) -> dict[str, str]:
    """The split of each clip that a list names."""
    if folder is None:
        return {}
    found = {split: folder / f"{split}.txt" for split in SPLITS if (folder / f"{split}.txt").exists()}
    if not found:
        raise FileNotFoundError(f"{folder} has none of train.txt, val.txt and test.txt")
    return {name: split for split, path in found.items() for name in path.read_text(encoding="utf-8").split()}
