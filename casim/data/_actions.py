"""The actions of the choreography benchmark as curves of joint angles, and forward kinematics of a 22-joint body.

Everything is vectorised over clips: an action adds its curves to the angle table of all clips that show it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

LOWER = (
    "walk_forward",
    "walk_backward",
    "sidestep_left",
    "sidestep_right",
    "turn_left",
    "turn_right",
    "jump",
    "squat",
    "sit",
    "kick_left",
    "kick_right",
)
"""Actions of legs and root."""
UPPER = (
    "wave_left",
    "wave_right",
    "raise_left",
    "raise_right",
    "punch_left",
    "punch_right",
    "clap",
    "bow",
)
"""Actions of arms and spine: each goes with any lower one at the same time."""
ACTIONS = LOWER + UPPER
COUNTABLE = ("jump", "squat", "kick_left", "kick_right", *UPPER)
"""Actions that can be asked for twice or three times."""

ANGLES = (
    "ahead",  # root velocity, metres per frame
    "aside",  # towards the person's left
    "turn",  # radians per frame, positive to the left
    "lift",  # metres above standing on the lowest foot
    "spine",  # forward bend, radians
    *(
        f"{joint}_{side}"
        for joint in ("hip", "spread", "knee", "shoulder", "open", "elbow", "swing")
        for side in "lr"
    ),
)
"""Columns of the angle table."""
_COLUMN = {name: i for i, name in enumerate(ANGLES)}

Curve = Float[np.ndarray, "segments frames"]


@dataclass(frozen=True)
class Motions:
    """Segments of actions, one row each; the same action may occur in many clips."""

    clip: Int[np.ndarray, " segments"]
    action: Int[np.ndarray, " segments"]
    """Index into `ACTIONS`."""
    start: Int[np.ndarray, " segments"]
    length: Int[np.ndarray, " segments"]
    """Frames."""
    count: Int[np.ndarray, " segments"]
    """Repetitions asked for; 0: as usual."""
    speed: Float[np.ndarray, " segments"]
    """Cycles relative to normal."""
    size: Float[np.ndarray, " segments"]
    """Amplitude relative to normal."""
    phase: Float[np.ndarray, " segments"]
    """Where a gait begins, radians."""


def angle_table(motions: Motions, clips: int, frames: int) -> Float[np.ndarray, "clips frames angles"]:
    """Angles of all clips: standing with hanging arms, plus the curves of every segment."""
    table = np.zeros((clips, frames, len(ANGLES)))
    table[..., [_COLUMN["open_l"], _COLUMN["open_r"]]] = 0.16
    table[..., [_COLUMN["elbow_l"], _COLUMN["elbow_r"]]] = 0.18
    for index, name in enumerate(ACTIONS):
        rows = np.flatnonzero(motions.action == index)
        if not len(rows):
            continue
        steps = np.arange(motions.length[rows].max())
        length = motions.length[rows, None]
        inside = steps < length
        curves = _curves(name, motions, rows, steps)
        frame = np.minimum(motions.start[rows, None] + steps, frames - 1)
        where = (np.broadcast_to(motions.clip[rows, None], inside.shape)[inside], frame[inside])
        for angle, curve in curves.items():
            # a clip shows an action at most once at a time, so no frame is hit twice
            table[(*where, _COLUMN[angle])] += np.broadcast_to(curve, inside.shape)[inside]
    return table


def _curves(
    name: str, motions: Motions, rows: Int[np.ndarray, " segments"], steps: Int[np.ndarray, " frames"]
) -> dict[str, Curve]:
    length = motions.length[rows, None].astype(float)
    part = (steps + 0.5) / length
    edge = np.maximum(2.0, 0.18 * length)
    hold = _smooth(np.minimum(steps + 0.5, length - steps - 0.5) / edge) * motions.size[rows, None]
    gait = 2 * np.pi * 0.055 * motions.speed[rows, None] * steps + motions.phase[rows, None]
    count = motions.count[rows, None]
    side = "lr"[name.endswith("right")]
    verb = name.removesuffix("_left").removesuffix("_right")
    return _LOOKUP[verb](_Moves(part, hold, gait, count, motions.speed[rows, None], side))


@dataclass(frozen=True)
class _Moves:
    part: Curve
    hold: Curve
    gait: Curve
    count: Int[np.ndarray, "segments 1"]
    speed: Float[np.ndarray, "segments 1"]
    side: str

    def times(self, usual: int) -> Float[np.ndarray, "segments 1"]:
        """Repetitions: what was asked for, or the usual number."""
        return np.where(self.count > 0, self.count, usual).astype(float)

    def bumps(self, usual: int) -> Curve:
        """As many smooth bumps from 0 to 1 as repetitions, within the amplitude."""
        amplitude = self.hold.max(1, keepdims=True)
        return np.sin(np.pi * self.times(usual) * np.clip(self.part, 0, 1)) ** 2 * amplitude


def _smooth(x: Curve) -> Curve:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _walk(direction: float) -> Callable[["_Moves"], dict[str, Curve]]:
    def pose(m: _Moves) -> dict[str, Curve]:
        swing, lift = np.sin(m.gait), np.cos(m.gait) * direction
        return {
            "ahead": direction * 0.08 * m.speed * m.hold * (1.0 if direction > 0 else 0.75),
            "hip_l": 0.48 * swing * m.hold,
            "hip_r": -0.48 * swing * m.hold,
            "knee_l": 0.75 * np.maximum(lift, 0) * m.hold,
            "knee_r": 0.75 * np.maximum(-lift, 0) * m.hold,
            "shoulder_l": -0.32 * swing * m.hold,
            "shoulder_r": 0.32 * swing * m.hold,
        }

    return pose


def _sidestep(m: _Moves) -> dict[str, Curve]:
    sign = 1.0 if m.side == "l" else -1.0
    reach = 0.16 * (1 - np.cos(m.gait)) * m.hold
    first, second = m.side, "r" if m.side == "l" else "l"
    return {
        "aside": sign * 0.036 * m.speed * m.hold,
        "spread_l": reach,
        "spread_r": reach,
        f"knee_{first}": 0.45 * np.maximum(np.sin(m.gait), 0) * m.hold,
        f"knee_{second}": 0.45 * np.maximum(-np.sin(m.gait), 0) * m.hold,
        f"hip_{first}": 0.25 * np.maximum(np.sin(m.gait), 0) * m.hold,
        f"hip_{second}": 0.25 * np.maximum(-np.sin(m.gait), 0) * m.hold,
    }


def _turn(m: _Moves) -> dict[str, Curve]:
    sign = 1.0 if m.side == "l" else -1.0
    share = m.hold / np.maximum(m.hold.sum(1, keepdims=True), 1e-9)
    total = 1.9 * m.hold.max(1, keepdims=True)
    return {
        "turn": sign * total * share,
        "hip_l": 0.22 * np.maximum(np.sin(m.gait), 0) * m.hold,
        "hip_r": 0.22 * np.maximum(-np.sin(m.gait), 0) * m.hold,
        "knee_l": 0.5 * np.maximum(np.sin(m.gait), 0) * m.hold,
        "knee_r": 0.5 * np.maximum(-np.sin(m.gait), 0) * m.hold,
    }


def _jump(m: _Moves) -> dict[str, Curve]:
    amplitude = m.hold.max(1, keepdims=True)
    beat = np.clip(m.part, 0, 1) * m.times(1) % 1.0
    flight = np.clip((beat - 0.32) / 0.4, 0, 1)
    crouch = amplitude * (_bell(beat, 0.2, 0.2) + 0.7 * _bell(beat, 0.82, 0.18))
    air = 4 * flight * (1 - flight)
    return {
        "lift": 0.34 * air * amplitude,
        "hip_l": 0.65 * crouch,
        "hip_r": 0.65 * crouch,
        "knee_l": 1.2 * crouch,
        "knee_r": 1.2 * crouch,
        "spine": 0.25 * crouch,
        "shoulder_l": (1.3 * air - 0.5 * crouch) * amplitude,
        "shoulder_r": (1.3 * air - 0.5 * crouch) * amplitude,
    }


def _bell(x: Curve, middle: float, half: float) -> Curve:
    return np.cos(np.pi / 2 * np.clip((x - middle) / half, -1, 1)) ** 2


def _squat(m: _Moves) -> dict[str, Curve]:
    deep = m.bumps(1)
    both = {"hip": 1.45, "knee": 2.0, "shoulder": 1.25}
    return {"spine": 0.35 * deep} | {f"{joint}_{s}": a * deep for joint, a in both.items() for s in "lr"}


def _sit(m: _Moves) -> dict[str, Curve]:
    down = m.hold
    return {"spine": 0.12 * down} | {f"{joint}_{s}": 1.5 * down for joint in ("hip", "knee") for s in "lr"}


def _kick(m: _Moves) -> dict[str, Curve]:
    high, side = m.bumps(1), m.side
    other = "r" if side == "l" else "l"
    return {
        f"hip_{side}": 1.35 * high,
        f"knee_{side}": 1.3 * high * (1 - np.minimum(high, 1)) * 2,
        f"knee_{other}": 0.2 * high,
        "spine": -0.15 * high,
        f"shoulder_{other}": 0.5 * high,
    }


def _wave(m: _Moves) -> dict[str, Curve]:
    beat = 2 * np.pi * m.times(3) * np.clip(m.part, 0, 1)
    return {
        f"open_{m.side}": 1.75 * m.hold,
        f"elbow_{m.side}": 0.1 * m.hold,
        f"swing_{m.side}": (0.55 - 0.65 * np.cos(beat)) * m.hold,
    }


def _raise(m: _Moves) -> dict[str, Curve]:
    up = np.where(m.count > 0, m.bumps(1), m.hold)
    return {f"shoulder_{m.side}": 2.75 * up, f"elbow_{m.side}": -0.1 * up}


def _punch(m: _Moves) -> dict[str, Curve]:
    out = m.bumps(2)
    return {
        f"shoulder_{m.side}": 0.35 * m.hold + 1.1 * out,
        f"elbow_{m.side}": 1.9 * m.hold - 1.9 * np.minimum(out, m.hold),
    }


def _clap(m: _Moves) -> dict[str, Curve]:
    beat = np.cos(2 * np.pi * m.times(3) * np.clip(m.part, 0, 1))
    arms = {"shoulder": 1.25 * m.hold, "elbow": 0.35 * m.hold, "open": (-0.07 + 0.36 * beat) * m.hold}
    return {f"{joint}_{s}": curve for joint, curve in arms.items() for s in "lr"}


def _bow(m: _Moves) -> dict[str, Curve]:
    down = np.where(m.count > 0, m.bumps(1), m.hold)
    return {"spine": 1.15 * down, "shoulder_l": 0.25 * down, "shoulder_r": 0.25 * down}


_LOOKUP = {
    "walk_forward": _walk(1.0),
    "walk_backward": _walk(-1.0),
    "sidestep": _sidestep,
    "turn": _turn,
    "jump": _jump,
    "squat": _squat,
    "sit": _sit,
    "kick": _kick,
    "wave": _wave,
    "raise": _raise,
    "punch": _punch,
    "clap": _clap,
    "bow": _bow,
}

# Metres: a standing adult. Index = joint of the 22-joint skeleton.
_HIP, _THIGH, _SHIN, _FOOT = (0.07, -0.08), 0.40, 0.41, 0.13
_SPINE = (0.11, 0.14, 0.06)
_COLLAR, _SHOULDER, _UPPER_ARM, _FOREARM = (0.06, 0.11), (0.11, 0.02), 0.27, 0.25
_NECK, _HEAD = 0.21, 0.11
_ANKLE_HEIGHT = 0.05


def joints_of(
    angles: Float[np.ndarray, "clips frames angles"], scale: Float[np.ndarray, "clips limbs"]
) -> Float[np.ndarray, "clips frames joints xyz"]:
    """Joint positions in metres, y up; frame 0 stands at the origin and faces +z, +x is the person's left.

    `scale` multiplies arm, leg and torso lengths of each clip. The lowest foot stands on the floor unless lifted.
    """
    column = {name: angles[..., i] for name, i in _COLUMN.items()}
    arm, leg, torso = (scale[:, None, i, None] for i in range(3))
    out = np.zeros((*angles.shape[:2], 22, 3))
    for side, sign, hip, knee, ankle, toe in (("l", 1.0, 1, 4, 7, 10), ("r", -1.0, 2, 5, 8, 11)):
        out[:, :, hip] = leg * np.array([sign * _HIP[0], _HIP[1], 0.0])
        thigh, spread = column[f"hip_{side}"], sign * column[f"spread_{side}"]
        shin = thigh - column[f"knee_{side}"]
        out[:, :, knee] = out[:, :, hip] + leg * _THIGH * _hanging(thigh, spread)
        out[:, :, ankle] = out[:, :, knee] + leg * _SHIN * _hanging(shin, spread)
        # the foot stays nearly level: it follows a third of the shin's tilt
        out[:, :, toe] = out[:, :, ankle] + leg * _FOOT * _hanging(shin / 3 + 1.2, np.zeros_like(shin))
    bend = column["spine"]
    upright = np.stack([np.zeros_like(bend), np.cos(bend), np.sin(bend)], -1)
    for joint, before, length in (
        (3, 0, _SPINE[0]),
        (6, 3, _SPINE[1]),
        (9, 6, _SPINE[2]),
        (12, 9, _NECK),
        (15, 12, _HEAD),
    ):
        out[:, :, joint] = out[:, :, before] + torso * length * upright
    left = np.array([1.0, 0.0, 0.0])
    for side, sign, collar, shoulder, elbow, wrist in (("l", 1.0, 13, 16, 18, 20), ("r", -1.0, 14, 17, 19, 21)):
        out[:, :, collar] = out[:, :, 9] + torso * (sign * _COLLAR[0] * left + _COLLAR[1] * upright)
        out[:, :, shoulder] = out[:, :, collar] + torso * (sign * _SHOULDER[0] * left + _SHOULDER[1] * upright)
        pitch, opened = column[f"shoulder_{side}"] - 0.6 * bend, column[f"open_{side}"]
        out[:, :, elbow] = out[:, :, shoulder] + arm * _UPPER_ARM * _hanging(pitch, sign * opened)
        lower = _hanging(pitch + column[f"elbow_{side}"], sign * (opened + column[f"swing_{side}"]))
        out[:, :, wrist] = out[:, :, elbow] + arm * _FOREARM * lower
    floor = out[:, :, [7, 8]].min(2)[..., 1] - _ANKLE_HEIGHT
    floor = np.minimum(floor, out[:, :, [10, 11], 1].min(2))
    return _placed(out, column, -floor + column["lift"])


def _hanging(pitch: Curve, aside: Curve) -> Float[np.ndarray, "clips frames xyz"]:
    """Unit vector of a limb that hangs down at 0, swings forward with `pitch` and to +x with `aside`."""
    return np.stack(
        [np.sin(aside), -np.cos(aside) * np.cos(pitch), np.cos(aside) * np.sin(pitch)],
        -1,
    )


def _placed(
    body: Float[np.ndarray, "clips frames joints xyz"], column: dict[str, Curve], height: Curve
) -> Float[np.ndarray, "clips frames joints xyz"]:
    """The body turned and moved along its path."""
    turned = np.cumsum(column["turn"], 1) - column["turn"]
    cos, sin = np.cos(turned), np.sin(turned)
    x, z = body[..., 0].copy(), body[..., 2].copy()
    body[..., 0] = x * cos[..., None] + z * sin[..., None]
    body[..., 2] = z * cos[..., None] - x * sin[..., None]
    step_x = column["aside"] * cos + column["ahead"] * sin
    step_z = column["ahead"] * cos - column["aside"] * sin
    body[..., 0] += (np.cumsum(step_x, 1) - step_x)[..., None]
    body[..., 2] += (np.cumsum(step_z, 1) - step_z)[..., None]
    body[..., 1] += height[..., None]
    return body
