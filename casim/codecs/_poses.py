"""CoMo's pose codes: what they measure on a body, and in which bin it falls.

Paper: Huang et al. 2024, "CoMo: Controllable Motion Generation through Language Guided Pose Code Editing"; measures
after PoseScript (Delmas et al. 2022). 70 groups, of each exactly one code per frame, 392 codes in all. Positions
are in metres, +y up; as in the authors' extraction the body is first turned by half a turn, so that "right of" and
"behind" are those of an onlooker, in the axes of the clip's first frame.

Names say what is measured. The authors' table names groups 31 to 33 in another order than it computes them; ours
are those computed.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Kind = Literal["angle", "distance", "x", "y", "z", "vertical", "ground"]

JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_finger",
    "right_finger", "left_hand", "right_hand", "torso",
)  # fmt: skip
"""The 22 of SMPL, and five that are made from them."""
FINGER = 0.1367
"""Metres from the wrist to the middle finger, along the forearm."""
KIT_BODY = (0, 16, 11, 1, 17, 12, 2, 19, 14, 3, 20, 15, 4, None, None, None, 5, 8, 6, 9, 7, 10)
"""KIT's joint for each of SMPL's; it has no collars and no head."""

THRESHOLDS: dict[Kind, tuple[float, ...]] = {
    "angle": tuple(float(t) for t in range(10, 180, 10)),
    "distance": tuple(t / 10 for t in range(1, 10)),
    "x": (-0.15, 0.15),
    "y": (-0.15, 0.15),
    "z": (-0.15, 0.15),
    "vertical": (10.0, 80.0),
    "ground": (0.1,),
}
"""Upper ends of the bins but the last; degrees or metres."""
OFFSETS: dict[Kind, float] = {"angle": 5.0, "vertical": 5.0}
"""Largest random offset of a measure, in degrees; 0.05 m for the others."""

MEASURED: dict[Kind, str] = {
    "angle": "left_hip-left_knee-left_ankle right_hip-right_knee-right_ankle "
    "left_shoulder-left_elbow-left_wrist right_shoulder-right_elbow-right_wrist",
    "distance": "left_elbow-right_elbow left_hand-right_hand left_knee-right_knee left_foot-right_foot "
    "left_hand-left_shoulder left_hand-right_shoulder right_hand-right_shoulder right_hand-left_shoulder "
    "left_hand-right_elbow right_hand-left_elbow left_hand-left_knee left_hand-right_knee right_hand-right_knee "
    "right_hand-left_knee left_hand-left_foot left_hand-right_foot right_hand-right_foot right_hand-left_foot",
    "x": "left_hand-right_hand neck-pelvis left_hand-left_shoulder right_hand-right_shoulder left_foot-left_hip "
    "right_foot-right_hip",
    "y": "left_shoulder-right_shoulder left_elbow-right_elbow left_hand-right_hand left_knee-right_knee "
    "left_ankle-neck right_ankle-neck left_hip-left_knee right_hip-right_knee left_hand-left_shoulder "
    "right_hand-right_shoulder left_foot-left_hip right_foot-right_hip left_wrist-neck right_wrist-neck "
    "left_hand-left_hip right_hand-right_hip",
    "z": "left_shoulder-right_shoulder left_elbow-right_elbow left_hand-right_hand left_knee-right_knee "
    "neck-pelvis left_hand-torso right_hand-torso left_foot-torso right_foot-torso",
    "vertical": "left_hip-left_knee right_hip-right_knee left_knee-left_ankle right_knee-right_ankle "
    "left_shoulder-left_elbow right_shoulder-right_elbow left_elbow-left_wrist right_elbow-right_wrist "
    "pelvis-left_shoulder pelvis-right_shoulder pelvis-neck left_hand-right_hand left_foot-right_foot",
    "ground": "left_knee right_knee left_foot right_foot",
}
"""The joints of every group, in order."""


@dataclass(frozen=True)
class Group:
    """One measure and its codes."""

    kind: Kind
    joints: tuple[int, ...]
    bins: int
    offset: float
    """Largest random offset of the measure before it is binned."""
    name: str


def _groups() -> tuple[Group, ...]:
    found = []
    for kind, text in MEASURED.items():
        for part in text.split():
            joints = tuple(JOINTS.index(name) for name in part.split("-"))
            offset = OFFSETS.get(kind, 0.05)
            found.append(Group(kind, joints, len(THRESHOLDS[kind]) + 1, offset, f"{kind} {part}"))
    return tuple(found)


GROUPS = _groups()
SIZES = tuple(group.bins for group in GROUPS)


def body(joints: Float[Tensor, "*frames joints xyz"]) -> Float[Tensor, "*frames all xyz"]:
    """All 27 points of a body of 22 joints, turned by half a turn about the vertical."""
    joints = joints * joints.new_tensor([-1.0, 1.0, -1.0])
    wrist, elbow = (
        joints[..., [JOINTS.index(f"{s}_{part}") for s in ("left", "right")], :] for part in ("wrist", "elbow")
    )
    forearm = wrist - elbow
    finger = wrist + FINGER * forearm / forearm.norm(dim=-1, keepdim=True)
    torso = joints[..., [JOINTS.index(name) for name in ("pelvis", "neck", "spine3")], :].mean(-2, keepdim=True)
    return torch.cat([joints, finger, (wrist + finger) / 2, torso], -2)


def measures(points: Float[Tensor, "*frames all xyz"]) -> Float[Tensor, "*frames groups"]:
    """What every group measures: degrees or metres.

    An angle whose cosine rounding puts beyond 1 is not a number, and falls in the last bin: as in the authors'
    code.
    """

    def joints(kind: Kind, place: int) -> Tensor:
        return points[..., [group.joints[place] for group in GROUPS if group.kind == kind], :]

    def between(kind: Kind) -> Tensor:
        return joints(kind, 0) - joints(kind, 1)

    first, second = (joints("angle", end) - joints("angle", 1) for end in (0, 2))
    cosine = (_unit(first) * _unit(second)).sum(-1)
    height = _unit(between("vertical"))[..., 1]
    lowest = points[..., 1].amin(-1, keepdim=True)
    found = {
        "angle": torch.rad2deg(cosine.acos()),
        "distance": between("distance").norm(dim=-1),
        "x": between("x")[..., 0],
        "y": between("y")[..., 1],
        "z": between("z")[..., 2],
        "vertical": torch.rad2deg(height.abs().acos()),
        "ground": joints("ground", 0)[..., 1] - lowest,
    }
    return torch.cat([found[kind] for kind in MEASURED], -1)


def binned(
    values: Float[Tensor, "*frames groups"], uniform: Float[Tensor, "*frames groups"] | None = None
) -> Int[Tensor, "*frames groups"]:
    """The code of every group; `uniform` numbers from 0 to 1 move a measure by up to its offset either way."""
    if uniform is not None:
        offsets = values.new_tensor([group.offset for group in GROUPS])
        values = values + (2 * uniform - 1) * offsets
    found, at = [], 0
    for kind, text in MEASURED.items():
        part = values[..., at : at + len(text.split())]
        at += part.shape[-1]
        limits = part.new_tensor(THRESHOLDS[kind])
        code = torch.bucketize(part.contiguous(), limits)  # a measure on a threshold belongs to the lower bin
        found.append(torch.where(part.isnan(), len(limits), code))
    return torch.cat(found, -1)


def many_hot(codes: Int[Tensor, "*places groups"], sizes: tuple[int, ...]) -> Float[Tensor, "*places codes"]:
    """Each code as a one among zeros, group after group; nothing where a code is negative."""
    starts = torch.tensor([sum(sizes[:i]) for i in range(len(sizes))], device=codes.device)
    rows = torch.zeros(*codes.shape[:-1], sum(sizes), device=codes.device)
    return rows.scatter(-1, codes.clamp_min(0) + starts, (codes >= 0).float())


def _unit(vectors: Float[Tensor, "*shape xyz"]) -> Float[Tensor, "*shape xyz"]:
    return vectors / vectors.norm(dim=-1, keepdim=True)
