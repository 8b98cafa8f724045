"""Joint positions with captions as they lie in a folder: arrays by clip id and an index.json."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float32, Shaped

from casim import tagger
from casim.data._caption_files import Caption
from casim.skeleton import SKELETONS

SPLITS = ("train", "val", "test")
_SHARES = (80, 85, 100)
"""Where the splits of clips without one end, in percent: HumanML3D's own shares."""


@dataclass(frozen=True)
class JointClip:
    """One clip of a folder."""

    name: str
    joints: Float32[np.ndarray, "frames joints xyz"]
    captions: tuple[Caption, ...]
    split: str
    is_tagged_here: bool
    """True if the folder gives no part-of-speech tags, so that ours stand in."""


def read_joint_folder(folder: Path) -> list[JointClip]:
    """All clips of a folder, in the order of its index.

    Raises:
        FileNotFoundError: no folder, index or arrays.
        ValueError: a broken index; arrays without entry or entries without array; other joints, frame rate or unit
            than the skeleton's; NaN or infinite positions; a clip id that is no file name.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    path = folder / "index.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{folder} has no index.json; it lists the clips: {{'clips': [{{'id': ...}}, ...]}}"
        )
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        entries = index["clips"] if isinstance(index, dict) else index
        names = [str(entry["id"]) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no index: {type(error).__name__} {error}; expected a list of clips with id"
        ) from None
    arrays = _arrays(folder)
    _check_names(path, names, set(arrays))
    clips = [_clip(entry, arrays[name], name) for entry, name in zip(entries, names, strict=True)]
    _check_convention(path, index if isinstance(index, dict) else {}, clips)
    return clips


def _arrays(folder: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    packed = sorted(folder.glob("*.npz"))
    single = sorted(folder.glob("*.npy"))
    if not packed and not single:
        raise FileNotFoundError(f"{folder} holds no joint arrays: neither .npz nor .npy files")
    found: dict[str, np.ndarray] = {}
    try:
        for file in packed:
            with np.load(file, allow_pickle=False) as arrays:
                found |= {name: arrays[name] for name in arrays.files}
        return found | {file.stem: np.load(file, allow_pickle=False) for file in single}
    except (ValueError, EOFError, BadZipFile) as error:
        raise ValueError(f"an array file in {folder} is broken: {error}") from None


def _check_names(path: Path, names: list[str], arrays: set[str]) -> None:
    problems = {
        "lists clips without an array": sorted(set(names) - arrays),
        "does not list the arrays": sorted(arrays - set(names)),
        "lists more than once": sorted(name for name, count in Counter(names).items() if count > 1),
        "has ids that are no file names": sorted(name for name in names if not re.fullmatch(r"\w[\w.-]*", name)),
        "has ids that a mirror would take": sorted(name for name in names if f"M{name}" in set(names)),
    }
    for problem, bad in problems.items():
        if bad:
            raise ValueError(f"{path} {problem}: {', '.join(bad[:5])}{', ...' if len(bad) > 5 else ''}")
    if not names:
        raise ValueError(f"{path} lists no clips")


def _clip(entry: dict[str, Any], array: Shaped[np.ndarray, "..."], name: str) -> JointClip:
    if array.ndim != 3 or array.shape[1] not in SKELETONS or array.shape[2] != 3 or array.dtype.kind != "f":
        raise ValueError(f"clip {name} is {array.dtype} {array.shape}; wanted floats (frames, 22 or 21 joints, 3)")
    if not np.isfinite(array).all():
        frame = int((~np.isfinite(array)).any((1, 2)).argmax())
        raise ValueError(f"clip {name}, frame {frame}: NaN or infinite joint positions")
    if len(array) < 2:
        raise ValueError(f"clip {name} has {len(array)} frames; features need at least 2")
    texts, tokens = (_strings(entry, field, name) for field in ("captions", "tokens"))
    if tokens and len(tokens) != len(texts):
        raise ValueError(f"clip {name} has {len(texts)} captions but {len(tokens)} token lists in index.json")
    split = entry.get("split") or _drawn_split(name)
    if split not in SPLITS:
        raise ValueError(f"clip {name} is in split {split!r}; allowed: {', '.join(SPLITS)}")
    captions = tuple(
        Caption(" ".join(text.split()), tuple(tokens[i].split()) if tokens else tagger.tag(text))
        for i, text in enumerate(texts)
    )
    for caption in captions:
        _check_caption(caption, name)
    joints = np.ascontiguousarray(array, dtype=np.float32)
    return JointClip(name, joints, captions, split, bool(texts) and not tokens)


def _strings(entry: dict[str, Any], field: str, name: str) -> list[str]:
    """A field of a clip's entry; a lone string would be read letter by letter."""
    values = entry.get(field) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"clip {name}: {field} in index.json must be a list of strings, got {values!r:.60}")
    return values


def _check_caption(caption: Caption, name: str) -> None:
    try:
        caption.line()
    except ValueError as error:
        raise ValueError(f"clip {name}: {error}") from None


def _check_convention(path: Path, index: dict[str, Any], clips: list[JointClip]) -> None:
    """What the index says about the arrays must be what the features expect; nothing is converted silently."""
    kinds = sorted({clip.joints.shape[1] for clip in clips})
    if len(kinds) > 1:
        raise ValueError(
            f"{path.parent} mixes skeletons of {' and '.join(map(str, kinds))} joints; split the folder"
        )
    skeleton = SKELETONS[kinds[0]]
    wanted = {
        "joints": list(skeleton.names),
        "fps": skeleton.fps,
        "up": "y",
        "unit": {"metre": "m", "millimetre": "mm"}[skeleton.length_unit],
    }
    for name, value in wanted.items():
        if name in index and index[name] != value:
            raise ValueError(f"{path}: {name} is {index[name]!r}, wanted {value!r}; convert the arrays first")


def _drawn_split(name: str) -> str:
    draw = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 100
    return next(split for split, end in zip(SPLITS, _SHARES, strict=True) if draw < end)
