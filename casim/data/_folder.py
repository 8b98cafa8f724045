"""Folders of captioned motion as HumanML3D's authors lay them out; the data sets `humanml3d` and `kit` are such.

    new_joint_vecs/ID.npy   features [frames, 263 or 251], not normalised
    texts/ID.txt            caption#tokens#start#end, one line per caption
    train.txt val.txt ...   ids of a split, one per line; any such file is a split
    uncaptioned.txt         ids that have no caption file (ours; optional): their caption is the empty text
    Mean.npy Std.npy        statistics

Where we differ from the authors' loader: a missing or broken file is an error that names it, where they skip it
without a word; every clip that the rules leave out is counted; part-of-clip captions get a name by their place in
the file, where they draw a random letter; caption, length and crop depend on (seed, clip) alone, not on batch or
worker.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from casim.data._caption_files import Caption, read_captions
from casim.data._keyword_files import read_keywords
from casim.features import FeatureSpec
from casim.plugins import closest
from casim.record import load as load_record
from casim.types import Clips, MotionBatch, MotionDataset, frame_mask

UNIT = 4
"""Lengths are multiples of this many frames."""
UNCAPTIONED = "uncaptioned"


@dataclass(frozen=True)
class Entry:
    """A clip, or a part of one with a caption of its own."""

    name: str
    motion: Float32[np.ndarray, "frames feats"]
    captions: tuple[Caption, ...]
    clip: str
    """Id of the clip that it is, or is a part of."""


@dataclass(frozen=True)
class FolderConfig:
    """Where the data is and which clips to keep."""

    folder: str
    """Folder of the data set; environment variables are filled in."""
    spec: FeatureSpec
    """How the features of the folder were made; subset "essential" reads only the columns that joint positions
    come back from."""
    min_frames: int
    """Shorter clips are left out."""
    max_frames: int = 196
    """Longest motion in a batch; clips of `max_frames` + 4 frames and more are left out."""
    is_padded_full: bool = False
    """Pad every batch to `max_frames`, as the authors do, instead of to its longest clip."""
    keywords: str = ""
    """JSON file of CoMo's keywords (`casim.data._keyword_files`); empty: none. Training draws one alternative of
    each place, sampling takes the first."""


class FolderDataset(MotionDataset):
    """The data set in a folder. A data set of this layout is a subclass with the defaults of its own."""

    known_bad: ClassVar[frozenset[str]] = frozenset()
    """Ids of the release that nobody can use; left out and counted, present or not."""

    def __init__(self, config: FolderConfig):
        if config.max_frames % UNIT or not UNIT <= config.min_frames <= config.max_frames:
            raise ValueError(
                f"min_frames {config.min_frames}, max_frames {config.max_frames}: the largest must be a multiple "
                f"of {UNIT}, and the least between {UNIT} and it"
            )
        self.config = config
        self.folder = _existing(config.folder)
        self.spec = config.spec
        self._width = replace(config.spec, subset="all").dims
        _check_converter(self.folder, config.spec.converter)
        self.mean, self.std = (self._statistics(name) for name in ("Mean.npy", "Std.npy"))
        if not (self.std > 0).all():
            raise ValueError(f"{self.folder / 'Std.npy'} holds values that are not positive; make it again")
        self.keywords = read_keywords(Path(os.path.expandvars(config.keywords))) if config.keywords else {}
        self._splits: dict[str, FolderClips] = {}

    @property
    def caption_fps(self) -> float:
        """Frames per second that caption times, in seconds, are counted at."""
        return self.spec.fps

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits: the lists of ids in the folder."""
        return tuple(sorted(path.stem for path in self.folder.glob("*.txt") if path.stem != UNCAPTIONED))

    def split(self, name: str) -> "FolderClips":
        """The split called `name`, read whole into memory.

        Raises:
            ValueError: no such split, an empty list, a clip of another width or with NaN, a broken caption line, or
                a split of which the length rules leave nothing.
            FileNotFoundError: listed files are missing; the message names them.
        """
        if name not in self.splits:
            raise ValueError(closest("split", name, self.splits))
        if name not in self._splits:
            self._splits[name] = FolderClips(self, name)
        return self._splits[name]

    def read(self, clip: str) -> Float32[np.ndarray, "frames feats"]:
        """Features of a clip, checked and not normalised."""
        path = self.folder / "new_joint_vecs" / f"{clip}.npy"
        motion = _array(path)
        if motion.ndim != 2 or motion.shape[1] != self._width:
            raise ValueError(
                f"{path} is {motion.shape}, but {self.spec.joints} joints have {self._width} features per frame"
            )
        if not np.isfinite(motion).all():
            frame = int((~np.isfinite(motion)).any(1).argmax())
            raise ValueError(
                f"{path} is NaN or infinite from frame {frame} on; remove the clip from the split lists"
            )
        return np.ascontiguousarray(motion[:, : self.spec.dims])

    def _statistics(self, name: str) -> Float32[np.ndarray, " feats"]:
        values = _array(self.folder / name)
        if values.shape != (self._width,):
            raise ValueError(f"{self.folder / name} is {values.shape}, expected ({self._width},)")
        if not np.isfinite(values).all():
            raise ValueError(f"{self.folder / name} holds NaN or infinite values; make it again")
        return values[: self.spec.dims]


class FolderClips(Clips):
    """A split in memory, sorted by length, as the authors do."""

    def __init__(self, dataset: FolderDataset, name: str):
        self.dataset, self.name = dataset, name
        self.counts: Counter[str] = Counter()
        """Clips listed, captions, entries kept, and what was left out for which reason."""
        entries = sorted(self._entries(), key=lambda entry: len(entry.motion))
        if not entries:
            raise ValueError(
                f"split {name!r} of {dataset.folder} is empty after the length rules: {self.summary()}"
            )
        self.entries = tuple(entries)
        self.counts["entries"] = len(entries)
        self.ids = tuple(entry.name for entry in entries)
        self.lengths = np.array([len(entry.motion) // UNIT * UNIT for entry in entries])

    def summary(self) -> str:
        """The counts in one line."""
        return ", ".join(f"{what} {number}" for what, number in self.counts.items())

    def batch(self, items: Sequence[int], seed: int | None = None) -> MotionBatch:
        """The clips `items`; `seed` draws caption, length (a third are cut by 4 frames) and crop.

        None takes the first caption and the first `lengths[item]` frames.
        """
        config = self.dataset.config
        drawn = [self._draw(item, seed) for item in items]
        lengths = torch.tensor([len(motion) for motion, _ in drawn])
        mask = frame_mask(lengths, config.max_frames if config.is_padded_full else None)
        motion = torch.zeros(*mask.shape, self.dataset.spec.dims)
        for row, (clip, _) in zip(motion, drawn, strict=True):
            row[: len(clip)] = clip
        names = tuple(self.ids[item] for item in items)
        captions = [caption for _, caption in drawn]
        tags = tuple(caption.tokens for caption in captions)
        keywords = tuple(self._keywords(item, seed) for item in items) if self.dataset.keywords else None
        texts = tuple(caption.text for caption in captions)
        return MotionBatch(motion, mask, texts, names, tags=tags, keywords=keywords)

    def _keywords(self, item: int, seed: int | None) -> tuple[str, ...]:
        places = self.dataset.keywords[self.entries[item].clip]
        if seed is None:
            return tuple(place[0] for place in places)
        random = np.random.default_rng((seed, item, len(places)))
        return tuple(place[random.integers(len(place))] for place in places)

    def _draw(self, item: int, seed: int | None) -> tuple[Float[Tensor, "frames feats"], Caption]:
        entry, length = self.entries[item], int(self.lengths[item])
        caption, start = entry.captions[0], 0
        if seed is not None:
            random = np.random.default_rng((seed, item))
            caption = entry.captions[random.integers(len(entry.captions))]
            if random.integers(3) == 0 and length > UNIT:
                length -= UNIT
            start = int(random.integers(len(entry.motion) - length + 1))
        clip = (entry.motion[start : start + length] - self.dataset.mean) / self.dataset.std
        return torch.from_numpy(clip), caption

    def _entries(self) -> list[Entry]:
        folder = self.dataset.folder
        listed = _ids(folder / f"{self.name}.txt")
        silent = set(_ids(folder / f"{UNCAPTIONED}.txt")) if (folder / f"{UNCAPTIONED}.txt").exists() else set()
        self.counts["listed"] = len(listed)
        clips = [clip for clip in listed if clip not in self.dataset.known_bad]
        self._count("known bad", len(listed) - len(clips))
        _check_complete(folder, clips, silent)
        entries = []
        for clip in clips:
            motion = self.dataset.read(clip)
            captions = (Caption("", ()),) if clip in silent else read_captions(folder / "texts" / f"{clip}.txt")
            self._count("captions", len(captions) * (clip not in silent))
            self._count("without caption", int(clip in silent))
            entries += self._kept(clip, motion, captions)
        if self.dataset.keywords and (
            without := next((e for e in entries if e.clip not in self.dataset.keywords), None)
        ):
            raise ValueError(
                f"{self.dataset.config.keywords} has no keywords for clip {without.clip} of {self.name}"
            )
        return entries

    def _kept(
        self, clip: str, motion: Float32[np.ndarray, "frames feats"], captions: tuple[Caption, ...]
    ) -> list[Entry]:
        """The whole clip with its captions, and each part of it with its own."""
        if not self._fits(len(motion), "clips"):
            return []
        whole = tuple(caption for caption in captions if caption.is_whole)
        kept = [Entry(clip, motion, whole, clip)] if whole else []
        parts = [caption for caption in captions if not caption.is_whole]
        for number, caption in enumerate(parts):
            start, end = (int(time * self.dataset.caption_fps) for time in (caption.start, caption.end))
            part = motion[start:end]
            if self._fits(len(part), "parts"):
                kept.append(Entry(f"{_letters(number)}_{clip}", part, (caption,), clip))
        return kept

    def _fits(self, frames: int, what: str) -> bool:
        config = self.dataset.config
        is_short, is_long = frames < config.min_frames, frames >= config.max_frames + UNIT
        self._count(f"{what} too short", int(is_short))
        self._count(f"{what} too long", int(is_long))
        return not (is_short or is_long)

    def _count(self, what: str, number: int) -> None:
        if number:
            self.counts[what] += number


def _existing(folder: str) -> Path:
    filled = os.path.expandvars(os.path.expanduser(folder))
    if "$" in filled:
        raise FileNotFoundError(
            f"{folder}: the environment variable is not set; set it, or give --data.folder PATH"
        )
    path = Path(filled)
    if not path.is_dir():
        raise FileNotFoundError(f"no data folder {path}; `python -m casim.prepare joints` makes one")
    if not (path / "new_joint_vecs").is_dir():
        raise FileNotFoundError(
            f"{path} is no folder of motions: it has no new_joint_vecs/; `python -m casim.prepare joints` makes one"
        )
    return path


def _check_converter(folder: Path, converter: str) -> None:
    """A prepared folder says which converter made it; another one in the config is a mistake."""
    if (folder / "record.json").exists():
        made = load_record(folder).config.get("converter", converter)
        if made != converter:
            raise ValueError(f"{folder} was made by the {made!r} converter, the config says {converter!r}")


def _array(path: Path) -> Float32[np.ndarray, "..."]:
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    try:
        return np.load(path, allow_pickle=False).astype(np.float32, copy=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is no array file: {error}") from None


def _ids(path: Path) -> list[str]:
    ids = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(set(ids)) < len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise ValueError(f"{path} lists {twice} more than once")
    return ids


def _check_complete(folder: Path, clips: Sequence[str], silent: set[str]) -> None:
    motions = {path.stem for path in (folder / "new_joint_vecs").glob("*.npy")}
    texts = {path.stem for path in (folder / "texts").glob("*.txt")}
    missing = [f"new_joint_vecs/{clip}.npy" for clip in clips if clip not in motions]
    missing += [f"texts/{clip}.txt" for clip in clips if clip not in texts | silent]
    if missing:
        some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise FileNotFoundError(f"{folder} lacks {len(missing)} files that its split lists name: {some}")


def _letters(number: int) -> str:
    """A, B, ... Z, AA, AB, ...: names of the parts of a clip."""
    return ("" if number < 26 else _letters(number // 26 - 1)) + chr(ord("A") + number % 26)
