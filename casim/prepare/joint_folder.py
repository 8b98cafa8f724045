"""Joint positions with captions as they lie in a folder: arrays by clip id and an index.json."""

import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Shaped

from casim.data._caption_files import Caption
from casim.prepare.clips import SPLITS, JointClip, check_captions, check_ids, drawn_split, drawn_splits, some
from casim.prepare.templates import Templates
from casim.skeleton import SKELETONS


def read_joint_folder(folder: Path, templates: Templates | None = None) -> list[JointClip]:
    """All clips of a folder, in the order of its index.

    Args:
        folder: Folder with the arrays and the index.
        templates: What to make captions with for clips that have none but a content and a style.

    Raises:
        FileNotFoundError: no folder, index or arrays.
        ValueError: a broken index; arrays without entry or entries without array; other joints, frame rate or unit
            than the skeleton's; NaN or infinite positions; a clip id that is no file name; tokens that are not
            word/POS; a label that the templates do not have.
    """
    path = folder / "index.json"
    index, entries = _index(folder, path)
    arrays = _arrays(folder)
    names = [str(entry["id"]) for entry in entries]
    check_ids(path, names)
    missing, unlisted = sorted(set(names) - set(arrays)), sorted(set(arrays) - set(names))
    if missing or unlisted:
        problem = "lists clips without an array" if missing else "does not list the arrays"
        raise ValueError(f"{path} {problem}: {some(missing or unlisted)}")
    if not names:
        raise ValueError(f"{path} lists no clips")
    splits = drawn_splits({str(entry["id"]): str(entry["content"]) for entry in entries if "content" in entry})
    clips = [_clip(entry, arrays[str(entry["id"])], splits, templates) for entry in entries]
    _check_convention(path, index, clips)
    return clips


def _index(folder: Path, path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the index says of all clips, and of each."""
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    if not path.exists():
        raise FileNotFoundError(
            f"{folder} has no index.json; it lists the clips: {{'clips': [{{'id': ...}}, ...]}}"
        )
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        entries = index["clips"] if isinstance(index, dict) else index
        [entry["id"] for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no index: {type(error).__name__} {error}; expected a list of clips with id"
        ) from None
    return index if isinstance(index, dict) else {}, entries


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


def _clip(
    entry: dict[str, Any], array: Shaped[np.ndarray, "..."], splits: dict[str, str], templates: Templates | None
) -> JointClip:
    name = str(entry["id"])
    if array.ndim != 3 or array.shape[1] not in SKELETONS or array.shape[2] != 3 or array.dtype.kind != "f":
        raise ValueError(f"clip {name} is {array.dtype} {array.shape}; wanted floats (frames, 22 or 21 joints, 3)")
    if not np.isfinite(array).all():
        frame = int((~np.isfinite(array)).any((1, 2)).argmax())
        raise ValueError(f"clip {name}, frame {frame}: NaN or infinite joint positions")
    if len(array) < 2:
        raise ValueError(f"clip {name} has {len(array)} frames; features need at least 2")
    split = entry.get("split") or splits.get(name) or drawn_split(name)
    if split not in SPLITS:
        raise ValueError(f"clip {name} is in split {split!r}; allowed: {', '.join(SPLITS)}")
    captions = _captions(entry, name)
    is_templated = False
    if templates is not None and not captions and "content" in entry:
        is_templated = True
        captions = templates.of(name, str(entry["content"]), str(entry.get("style", "normal")))
    check_captions(name, captions)
    return JointClip(name, np.ascontiguousarray(array, dtype=np.float32), captions, split, is_templated)


def _captions(entry: dict[str, Any], name: str) -> tuple[Caption, ...]:
    texts, tokens = (_strings(entry, field, name) for field in ("captions", "tokens"))
    if tokens and len(tokens) != len(texts):
        raise ValueError(f"clip {name} has {len(texts)} captions but {len(tokens)} token lists in index.json")
    tokens = tokens or [""] * len(texts)
    return tuple(
        Caption(" ".join(text.split()), tuple(tags.split())) for text, tags in zip(texts, tokens, strict=True)
    )


def _strings(entry: dict[str, Any], field: str, name: str) -> list[str]:
    """A field of a clip's entry; a lone string would be read letter by letter."""
    values = entry.get(field) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"clip {name}: {field} in index.json must be a list of strings, got {values!r:.60}")
    return values


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
