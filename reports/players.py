"""What the page's player is given: motions, attention and intervals as small numbers in JSON."""

import base64
import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from casim.skeleton import SKELETONS, Skeleton
from reports.pages import Player

LIMBS = {
    "hand": ("shoulder", "elbow", "wrist", "collar"),
    "arm": ("shoulder", "elbow", "wrist", "collar"),
    "fist": ("shoulder", "elbow", "wrist", "collar"),
    "foot": ("hip", "knee", "ankle", "foot"),
    "leg": ("hip", "knee", "ankle", "foot"),
}
"""Joints that a word about a part of the body names, by parts of their names."""


def payload(player: Player) -> str:
    """The data of a player as JSON that is safe inside a script element."""
    frames = player.heat.shape[1]
    skeleton = SKELETONS[player.tracks[0].joints.shape[1]]
    joints = range(len(skeleton.names))
    most = max(float(player.heat.max(initial=0)), 1e-6)
    data = {
        "prompt": player.prompt,
        "words": player.words,
        "fps": player.fps,
        "frames": frames,
        "starts": player.starts,
        "ends": player.ends,
        "timed": player.is_timed,
        "heat": _packed(np.round(player.heat / most * 255).astype(np.uint8)),
        "limbs": [limbs(player.words, place, skeleton) for place in range(len(player.words))],
        "parents": [max(parent, 0) for parent in skeleton.parents],
        "side": ["left" if j in skeleton.left else "right" if j in skeleton.right else "middle" for j in joints],
        "tracks": [{"name": track.name, "values": _packed(_millimetres(track.joints))} for track in player.tracks],
    }
    # no text of a record can close the element or open another
    return (
        json.dumps(data, ensure_ascii=True).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    )


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _millimetres(joints: Float[np.ndarray, "frames joints xyz"]) -> np.ndarray:
    """Positions as 16-bit millimetres, the lowest point on the floor."""
    joints = np.asarray(joints, dtype=np.float32)
    floor = np.array([0, joints[..., 1].min(), 0], dtype=np.float32)
    return np.clip(np.round((joints - floor) * 1000), -32_000, 32_000).astype("<i2")


def limbs(words: Sequence[str], place: int, skeleton: Skeleton) -> list[int]:
    """The joints that a word names: of a part of the body, on the side named just before it; of a side, its
    part."""
    near = words[max(place - 2, 0) : place + 3]
    part = next((LIMBS[w] for w in (words[place], *near) if w in LIMBS), None)
    sides = [w for w in near if w in ("left", "right")]
    if part is None or (words[place] not in LIMBS and words[place] not in ("left", "right")):
        return []
    of_side = {"left": set(skeleton.left), "right": set(skeleton.right)}
    wanted = of_side[sides[0]] if sides else of_side["left"] | of_side["right"]
    return [k for k, name in enumerate(skeleton.names) if k in wanted and name.lower().endswith(part)]
