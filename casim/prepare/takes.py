"""Takes of motion capture, as a file holds them, to the 22 joints of HumanML3D at 20 fps.

What is done to a take, each where it is needed and each said: joints by name (`casim.prepare.joint_names`), unit,
up axis, a T-pose in the first frame left out, a thorax without length restored, frames interpolated to 20 fps.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from casim.prepare.joint_names import COLLAR, TABLES, plain
from casim.skeleton import HUMANML3D

CMU_UNIT = 0.0254 / 0.45
"""Metres in a unit of length of CMU's files."""
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "cmu": CMU_UNIT}
"""Metres in each unit."""
_LEGS = (0.55, 1.1)
"""Metres that a leg from hip to ankle may measure; the units differ so much that it tells them apart."""
_FASTEST = 1000.0
"""No motion capture takes more frames per second."""

Points = Float[np.ndarray, "frames joints xyz"]


@dataclass(frozen=True)
class Take:
    """What a file holds."""

    names: tuple[str, ...]
    positions: Float[np.ndarray, "frames nodes xyz"]
    """Where the bone of each name begins; "end of NAME" is where it ends."""
    fps: float
    metres: float | None = None
    """Metres in a unit of length; None: the format does not say."""


@dataclass(frozen=True)
class Reading:
    """How the files are read."""

    fps: float | None = None
    """Frames per second, for files that lie or say nothing (some of CMU's BVH files say 120 and have 60; AMC files
    say nothing and count as 120)."""
    unit: Literal["auto", "m", "cm", "mm", "inch", "cmu"] = "auto"
    """Unit of length; auto: as the file says, or the one in which its legs are as long as a person's."""
    up: Literal["y", "z"] = "y"
    """Axis that points up."""
    t_pose: Literal["auto", "drop", "keep"] = "auto"
    """First frame: drop it, keep it, or drop it if the body jumps from it into the second (auto)."""
    names: Path | None = None
    """JSON file that names the file's joint for each of ours, {"l_wrist": "Hand.L", ...}, for skeletons that the
    built-in tables do not know."""

    def read_names(self) -> dict[str, Any] | None:
        """The names of the file, checked.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it is no JSON object, a key is no joint of ours, or a value no name or mixture of two.
        """
        if self.names is None:
            return None
        if not self.names.exists():
            raise FileNotFoundError(f"no file {self.names}")
        try:
            found = json.loads(self.names.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{self.names} is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise ValueError(f"{self.names} holds a {type(found).__name__}; expected joint names by joint of ours")
        for joint, value in found.items():
            HUMANML3D.index(joint)
            parts = value if isinstance(value, list) else [value, value, 0.0]
            if [type(part) for part in parts[:2]] != [str, str] or not isinstance(parts[-1], float):
                raise ValueError(
                    f"{self.names}: {joint} is {value!r}; wanted a name, or [from, to, share of the way]"
                )
        return found


def convert(take: Take, where: str, reading: Reading, names: Mapping[str, Any] | None) -> tuple[Points, list[str]]:
    """The take as 22 joints in metres, y up, at 20 fps; and what had to be done to it.

    Raises:
        ValueError: no frames, NaN, a joint that no name fits, a bone without length, or no sensible frame rate or
            unit; the message names the file (`where`).
    """
    if len(take.positions) == 0:
        raise ValueError(f"{where} has no frames")
    if not np.isfinite(take.positions).all():
        frame = int((~np.isfinite(take.positions)).any((1, 2)).argmax())
        raise ValueError(f"{where}, frame {frame}: NaN or infinite values")
    fps = _rate(take, where, reading)
    joints, table = _joints(take, where, names)
    if reading.up == "z":
        joints = np.stack([joints[..., 0], joints[..., 2], -joints[..., 1]], -1)
    unit = reading.unit
    scale = UNITS[unit] if unit != "auto" else take.metres or _guessed_unit(joints, where)
    joints, said = joints * scale, [f"joints named as {table}", f"{fps:g} fps", f"a unit is {scale:.4g} m"]
    if reading.t_pose == "drop" or (reading.t_pose == "auto" and _jumps(joints)):
        joints = joints[1:]
        said.append("first frame left out (T-pose)")
        if not len(joints):
            raise ValueError(f"{where} has no frame but its T-pose")
    joints, restored = _with_thorax(joints, where)
    said += ["thorax without length: the bone below it repeated"] * restored
    return _resampled(joints, fps), said


def _rate(take: Take, where: str, reading: Reading) -> float:
    fps = reading.fps if reading.fps is not None else take.fps
    if not HUMANML3D.fps <= fps <= _FASTEST:
        raise ValueError(
            f"{where}: {fps:g} frames per second make no sense; --fps is from {HUMANML3D.fps:g} to {_FASTEST:g}"
        )
    return fps


def _joints(take: Take, where: str, names: Mapping[str, Any] | None) -> tuple[Points, str]:
    """The 22 joints in the file's unit and axes, and the table that fits."""
    nodes = {plain(name): index for index, name in enumerate(take.names)}
    tables = {"--names": dict(names)} if names else TABLES
    missing = {}
    for title, table in tables.items():
        missing[title] = [joint for joint in HUMANML3D.names if not _is_found(table.get(joint), nodes, joint)]
        if not missing[title]:
            return _placed(take, table, nodes), title
    title = min(missing, key=lambda title: len(missing[title]))
    joint = missing[title][0]
    raise ValueError(
        f"{where} has no joint for {joint}, looked for as {tables[title].get(joint)!r} ({title}); it has "
        f"{', '.join(take.names[:60])}; name all 22 joints with --names FILE"
    )


def _is_found(value: Any, nodes: Mapping[str, int], joint: str) -> bool:
    if value is None:
        return joint in ("l_collar", "r_collar")
    if isinstance(value, str):
        return any(plain(name) in nodes for name in value.split("|"))
    return all(plain(name) in nodes for name in value[:2])


def _placed(take: Take, table: Mapping[str, Any], nodes: Mapping[str, int]) -> Points:
    def at(name: str) -> Float[np.ndarray, "frames xyz"]:
        return take.positions[:, next(nodes[plain(n)] for n in name.split("|") if plain(n) in nodes)]

    found = {}
    for joint, value in table.items():
        if isinstance(value, str):
            found[joint] = at(value)
        else:
            start, end, share = value
            found[joint] = (1 - share) * at(start) + share * at(end)
    for side in "lr":
        middle = (1 - COLLAR) * found["spine3"] + COLLAR * found[f"{side}_shoulder"]
        found.setdefault(f"{side}_collar", middle)
    return np.stack([found[joint] for joint in HUMANML3D.names], 1)


def _guessed_unit(joints: Points, where: str) -> float:
    legs = _length(joints, "l_knee") + _length(joints, "l_ankle")
    for metres in UNITS.values():
        if _LEGS[0] <= legs * metres <= _LEGS[1]:
            return metres
    raise ValueError(f"{where}: legs of {legs:.3g} are a person's in no unit; give --unit {', '.join(UNITS)}")


def _length(joints: Points, name: str) -> float:
    """Mean length of the bone that ends at a joint."""
    joint = HUMANML3D.index(name)
    return float(np.linalg.norm(joints[:, joint] - joints[:, HUMANML3D.parents[joint]], axis=-1).mean())


def _jumps(joints: Points) -> bool:
    """True if the pose changes far more from the first frame to the second than in any of the steps after it."""
    pose = joints[:12] - joints[:12, :1]
    steps = np.linalg.norm(np.diff(pose, axis=0), axis=-1).mean(-1)
    return len(steps) > 1 and bool(steps[0] > max(0.03, 4 * steps[1:].max()))


def _with_thorax(joints: Points, where: str) -> tuple[Points, bool]:
    """The body with a thorax, and whether it was missing; cgspeed's BVH files have lost its length.

    The upper body hangs on it, so it moves up with it; only that puts shoulders and head where they were.
    """
    lost = [name for name in HUMANML3D.names[1:] if not _length(joints, name) > 1e-4]
    if lost and lost != ["spine3"]:
        raise ValueError(f"{where}: the bone to {lost[0]} has no length; name other joints with --names FILE")
    if not lost:
        return joints, False
    spine1, spine2, spine3 = (HUMANML3D.index(f"spine{i}") for i in (1, 2, 3))
    above = [spine3]
    for joint in range(spine3 + 1, len(HUMANML3D)):  # parents come first
        above += [joint] * (HUMANML3D.parents[joint] in above)
    joints = joints.copy()
    joints[:, above] += (joints[:, spine2] - joints[:, spine1])[:, None]
    return joints, True


def _resampled(joints: Points, fps: float) -> Float[np.ndarray, "steps joints xyz"]:
    """Positions at 20 fps, interpolated on a line; where the rate is a multiple of 20 every n-th frame as it is."""
    count = math.floor((len(joints) - 1) * HUMANML3D.fps / fps + 1e-6) + 1
    times = np.arange(count) * fps / HUMANML3D.fps
    before = np.minimum(np.floor(times + 1e-6).astype(int), len(joints) - 1)
    after = np.minimum(before + 1, len(joints) - 1)
    share = np.clip(times - before, 0, 1)[:, None, None]
    return (1 - share) * joints[before] + share * joints[after]
