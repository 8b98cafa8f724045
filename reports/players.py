"""What the page's player is given: motions, attention and intervals as small numbers."""

import base64
import json
import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from casim.export.bvh import bvh_parts
from casim.skeleton import SKELETONS, Skeleton
from reports.pages import Player

SHADE = 32
"""Shares of 255 that are told apart in maps of single heads: colours show no more, and the page stays small."""
LIMBS = {
    "hand": ("shoulder", "elbow", "wrist", "collar"),
    "arm": ("shoulder", "elbow", "wrist", "collar"),
    "fist": ("shoulder", "elbow", "wrist", "collar"),
    "foot": ("hip", "knee", "ankle", "foot"),
    "leg": ("hip", "knee", "ankle", "foot"),
}
"""Joints that a word about a part of the body names, by parts of their names."""


def payload(player: Player) -> str:
    """The data of a player as base64 of zlib: length of a JSON head, the head, and the arrays that it lists."""
    frames = player.heat.shape[1]
    skeleton = SKELETONS[player.tracks[0].joints.shape[1]]
    joints = range(len(skeleton.names))
    arrays = {"heat": _shares(player.heat)}
    if player.heads is not None:
        arrays["heads"] = np.asarray(player.heads, dtype=np.uint8) // SHADE * SHADE
    tracks = []
    for place, track in enumerate(player.tracks):
        bvh = bvh_parts(_on_floor(track.joints), player.fps)
        turns = (bvh.rows[:, 3:] + 180) % 360 - 180
        arrays |= {
            f"joints{place}": _millimetres(track.joints),
            f"turns{place}": np.round(turns * 90).astype("<i2"),
        }
        misfit = round(bvh.misfit * 1000)
        tracks.append({"name": track.name, "arm": track.arm, "seed": track.seed, "bvh": bvh.head, "misfit": misfit})
    data = {
        "prompt": player.prompt,
        "words": player.words,
        "fps": player.fps,
        "frames": frames,
        "starts": player.starts,
        "ends": player.ends,
        "timed": player.is_timed,
        "seeds": player.seeds,
        "limbs": [limbs(player.words, place, skeleton) for place in range(len(player.words))],
        "parents": [max(parent, 0) for parent in skeleton.parents],
        "names": skeleton.names,
        "side": ["left" if j in skeleton.left else "right" if j in skeleton.right else "middle" for j in joints],
        "tracks": tracks,
        "arrays": [[name, a.dtype.str, list(a.shape)] for name, a in arrays.items()],
    }
    head = json.dumps(data, ensure_ascii=True).encode()
    head += b" " * (-len(head) % 4)  # arrays begin at a multiple of their size
    parts = [len(head).to_bytes(4, "little"), head, *(_padded(_bytes(a)) for a in arrays.values())]
    return base64.b64encode(zlib.compress(b"".join(parts), 9)).decode()


def _bytes(values: np.ndarray) -> bytes:
    """Of motion, what compresses best: steps from frame to frame (modulo 2^16), channel by channel, all low bytes
    before all high bytes. Other arrays as they are."""
    if values.dtype != np.dtype("<i2"):
        return values.tobytes()
    steps = np.diff(values, axis=0, prepend=np.zeros_like(values[:1])).astype("<i2")
    by_channel = np.ascontiguousarray(steps.reshape(len(steps), -1).T)
    return by_channel.view(np.uint8).reshape(-1, 2).T.tobytes()


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _shares(heat: Float[np.ndarray, "words frames"]) -> np.ndarray:
    return np.round(heat / max(float(heat.max(initial=0)), 1e-6) * 255).astype(np.uint8)


def _on_floor(joints: Float[np.ndarray, "frames joints xyz"]) -> Float[np.ndarray, "frames joints xyz"]:
    """In metres, the lowest point on the floor."""
    joints = np.asarray(joints, dtype=np.float32)
    return joints - np.array([0, joints[..., 1].min(), 0], dtype=np.float32)


def _millimetres(joints: Float[np.ndarray, "frames joints xyz"]) -> np.ndarray:
    """Positions as 16-bit millimetres, the lowest point on the floor."""
    return np.clip(np.round(_on_floor(joints) * 1000), -32_000, 32_000).astype("<i2")


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
