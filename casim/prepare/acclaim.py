"""Reads ASF skeletons and AMC motion (Acclaim), the formats of CMU's motion capture database.

A bone turns about axes of its own, fixed to the body: with C the rotation of these axes and M that of the frame,
both Rz Ry Rx, its rotation relative to the bone before it is C M C^T. It begins where the bone before it ends.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from casim.prepare.takes import Take

CMU_FPS = 120.0
"""What CMU recorded at, mostly; AMC files do not say."""
_INCH = 0.0254


@dataclass(frozen=True)
class _Bone:
    name: str
    vector: Float[np.ndarray, " xyz"]
    """From its beginning to its end, in the rest pose."""
    axes: Float[np.ndarray, "rows columns"]
    channels: tuple[str, ...]
    """What a line of motion holds: rx, ry, rz and for the root tx, ty, tz."""


@dataclass(frozen=True)
class Skeleton:
    """An ASF file."""

    bones: dict[str, _Bone]
    """All bones, the root included, by name."""
    parents: dict[str, str]
    """The bone before each, in an order that has it first."""
    metres: float
    """Metres in a unit of length."""


def read_skeleton(path: Path) -> Skeleton:
    """The skeleton in an ASF file.

    Raises:
        ValueError: a section is missing or broken; the message names it.
    """
    sections = _sections(path)
    try:
        units = dict(line.split()[:2] for line in sections["units"])
        is_degrees = units.get("angle", "deg").lower().startswith("deg")
        root = {words[0]: words[1:] for words in map(str.split, sections["root"])}
        bones = {"root": _root(root, is_degrees)}
        for block in re.findall(r"begin\n(.*?)\nend", "\n".join(sections["bonedata"]), re.S):
            bone = _bone(block.splitlines(), is_degrees)
            bones[bone.name] = bone
        lines = [line.split() for line in sections["hierarchy"] if line not in ("begin", "end")]
        parents = {child: parent for parent, *children in lines for child in children}
        _check_tree(bones, parents)
        return Skeleton(bones, parents, _INCH / float(units.get("length", 1)))
    except KeyError as error:
        raise ValueError(f"{path} is no ASF skeleton: {error.args[0]!r} is missing") from None
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} is no ASF skeleton: {error}") from None


def read_motion(path: Path, skeleton: Skeleton) -> Take:
    """The motion in an AMC file, on a skeleton.

    Raises:
        ValueError: no frames, a bone that the skeleton does not have, or frames of different length.
    """
    lines = [line for line in _text(path).splitlines() if line.strip() and line.lstrip()[0] not in "#:"]
    starts = [i for i, line in enumerate(lines) if line.strip().isdigit()]
    if not starts:
        raise ValueError(f"{path} has no frames")
    size = (starts[1] if len(starts) > 1 else len(lines)) - starts[0]
    body = lines[starts[0] :]
    names = [line.split()[0] for line in body[1:size]]
    if len(body) % size or any(body[i].split()[0] != names[i % size - 1] for i in range(len(body)) if i % size):
        raise ValueError(f"{path}: its frames do not all have the same bones in the same order")
    for name in names:
        if name not in skeleton.bones:
            raise ValueError(f"{path} moves {name!r}, which the skeleton does not have: is it the right ASF file?")
    widths = [len(skeleton.bones[name].channels) for name in names]
    try:
        words = " ".join(line.split(None, 1)[1] for i, line in enumerate(body) if i % size)
        values = np.array(words.split(), dtype=np.float64).reshape(len(starts), sum(widths))
    except (ValueError, IndexError):
        raise ValueError(f"{path}: a frame does not have the {sum(widths)} numbers of its skeleton") from None
    moved = dict(zip(names, np.split(values, np.cumsum(widths)[:-1], axis=1), strict=True))
    is_degrees = ":RADIANS" not in _text(path).upper()
    return _posed(skeleton, moved, len(starts), is_degrees)


def _posed(
    skeleton: Skeleton, moved: dict[str, Float[np.ndarray, "frames channels"]], frames: int, is_degrees: bool
) -> Take:
    """Forward kinematics of all frames at once."""
    turns, ends, names, positions = {}, {}, [], []
    for name in ("root", *skeleton.parents):
        bone = skeleton.bones[name]
        values = dict(zip(bone.channels, moved[name].T, strict=True)) if name in moved else {}
        still = np.zeros(frames)
        angles = np.stack([values.get(f"r{axis}", still) for axis in "xyz"], -1)
        turn = bone.axes @ Rotation.from_euler("xyz", angles, is_degrees).as_matrix() @ bone.axes.T
        if name == "root":
            start = bone.vector + np.stack([values.get(f"t{axis}", still) for axis in "xyz"], -1)
            turns[name], ends[name] = turn, start
        else:
            start = ends[skeleton.parents[name]]
            turns[name] = turns[skeleton.parents[name]] @ turn
            ends[name] = start + turns[name] @ bone.vector
        names += [name, f"end of {name}"]
        positions += [start, ends[name]]
    return Take(tuple(names), np.stack(positions, 1), CMU_FPS, skeleton.metres)


def _root(lines: dict[str, list[str]], is_degrees: bool) -> _Bone:
    position = np.array(lines["position"][:3], dtype=np.float64)
    axes = _axes([*lines["orientation"][:3], *lines["axis"]], is_degrees)
    channels = tuple(word.lower() for word in lines["order"])
    return _Bone("root", position, axes, _checked("root", channels, "tx ty tz rx ry rz"))


def _bone(lines: list[str], is_degrees: bool) -> _Bone:
    values = {words[0]: words[1:] for words in map(str.split, lines)}
    direction = np.array(values["direction"][:3], dtype=np.float64)
    channels = tuple(word.lower() for word in values.get("dof", []))
    name = values["name"][0]
    vector = direction * float(values["length"][0])
    return _Bone(name, vector, _axes(values["axis"], is_degrees), _checked(name, channels, "rx ry rz"))


def _axes(words: list[str], is_degrees: bool) -> Float[np.ndarray, "rows columns"]:
    *angles, order = words
    if order.upper() != "XYZ":
        raise ValueError(f"axis order {order} is not supported, only XYZ")
    return Rotation.from_euler("xyz", np.array(angles, dtype=np.float64), is_degrees).as_matrix()


def _checked(name: str, channels: tuple[str, ...], known: str) -> tuple[str, ...]:
    if unknown := set(channels) - set(known.split()):
        raise ValueError(f"bone {name} moves by {sorted(unknown)[0]}; only {known} is supported")
    return channels


def _check_tree(bones: dict[str, _Bone], parents: dict[str, str]) -> None:
    for child, parent in parents.items():
        if child not in bones or parent not in bones:
            raise ValueError(f"the hierarchy names {child!r} below {parent!r}, but not both are bones")
    before = {"root"}
    for child, parent in parents.items():
        if parent not in before:
            raise ValueError(f"the hierarchy names {child!r} before its parent {parent!r}")
        before.add(child)


def _sections(path: Path) -> dict[str, list[str]]:
    """The lines of each section, without comments and indentation."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in map(str.strip, _text(path).splitlines()):
        if line.startswith(":"):
            lines = found.setdefault(line.split()[0][1:].lower(), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


def _text(path: Path) -> str:
    return path.read_text(encoding="latin-1")
