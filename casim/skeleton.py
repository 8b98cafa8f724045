"""The two skeletons that motion features know: 22 joints (HumanML3D, SMPL order) and 21 joints (KIT). Numpy only.

Axes everywhere: y up, frame 0 of a clip faces +z, +x is the person's left. Joint orders, chains, rest directions
and contact joints are those of HumanML3D (Guo et al., CVPR 2022) for both data sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Names, tree and conventions of one skeleton."""

    names: tuple[str, ...]
    """Joint names in order; sides are marked `l_` and `r_`."""
    chains: tuple[tuple[int, ...], ...]
    """Kinematic chains from the trunk outwards. A chain may start at an inner joint (the arms do); the rotations of
    motion features restart from the root's in every chain."""
    rest: str
    """Rest direction of the bone that ends at each joint: an axis with its sign; 0 for the root."""
    face_joints: tuple[int, int, int, int]
    """Right hip, left hip, right shoulder, left shoulder: they span the direction a person faces."""
    feet_left: tuple[int, int]
    """Ankle and toe of the left foot."""
    feet_right: tuple[int, int]
    """Ankle and toe of the right foot."""
    leg_bones: tuple[int, int]
    """Joints whose bones measure a body's size when a motion moves to another skeleton."""
    fps: float
    """Frames per second of the data set."""
    length_unit: str
    """Unit of joint positions."""
    metres: float
    """One unit in metres."""
    contact_threshold: float
    """Squared displacement per frame, in units squared, below which a foot counts as standing."""
    bone_lengths: tuple[float, ...] | None
    """Length of the bone that ends at each joint from 1 on, of the body that the data set puts all motion on."""
    body_words: Mapping[str, tuple[int, ...]]
    """Caption words for body parts, singular and plural, and the joints they speak of (both sides)."""

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Index of the joint called `name`.

        Raises:
            ValueError: no such joint; the message lists the names.
        """
        if name not in self.names:
            raise ValueError(f"no joint {name!r} among the {len(self)}: {', '.join(self.names)}")
        return self.names.index(name)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Parent of each joint; -1 for the root."""
        above = dict(pair for chain in self.chains for pair in zip(chain[1:], chain[:-1], strict=True))
        return tuple(above.get(joint, -1) for joint in range(len(self)))

    @cached_property
    def previous(self) -> tuple[int, ...]:
        """The joint whose rotation precedes each joint's in its chain; the root for the first of a chain."""
        first = {chain[1] for chain in self.chains}
        return tuple(0 if joint in first else max(parent, 0) for joint, parent in enumerate(self.parents))

    @cached_property
    def left(self) -> tuple[int, ...]:
        """Joints of the left side, in order."""
        return tuple(i for i, name in enumerate(self.names) if name.startswith("l_"))

    @cached_property
    def right(self) -> tuple[int, ...]:
        """Joints of the right side: `right[k]` mirrors `left[k]`."""
        return tuple(self.names.index("r_" + self.names[i][2:]) for i in self.left)

    @cached_property
    def mirrored(self) -> Int[np.ndarray, " joints"]:
        """For each joint the joint it becomes in a mirror."""
        order = np.arange(len(self))
        order[list(self.left)], order[list(self.right)] = self.right, self.left
        order.setflags(write=False)
        return order

    @cached_property
    def rest_directions(self) -> Float[np.ndarray, "joints xyz"]:
        """Unit vector of each bone in the rest pose; zero for the root."""
        axes = {
            "+x": (1, 0, 0),
            "-x": (-1, 0, 0),
            "+y": (0, 1, 0),
            "-y": (0, -1, 0),
            "+z": (0, 0, 1),
            "0": (0, 0, 0),
        }
        found = np.array([axes[direction] for direction in self.rest.split()], dtype=np.float64)
        found.setflags(write=False)
        return found

    @property
    def rest_offsets(self) -> Float[np.ndarray, "joints xyz"]:
        """Bone vectors in the rest pose of the data set's own body.

        Raises:
            ValueError: its bone lengths are not known here.
        """
        if self.bone_lengths is None:
            raise ValueError(
                f"no bone lengths are known for the skeleton of {len(self)} joints; name a clip instead"
            )
        return self.rest_directions * np.array([[0.0], *([length] for length in self.bone_lengths)])


def _words(parts: Mapping[str, str], names: tuple[str, ...]) -> Mapping[str, tuple[int, ...]]:
    """Joints of each word; `parts` maps space-separated words to space-separated joints without side marks."""
    found = {}
    for words, joints in parts.items():
        wanted = joints.split()
        indices = tuple(i for i, name in enumerate(names) if name.removeprefix("l_").removeprefix("r_") in wanted)
        found |= dict.fromkeys(words.split(), indices)
    return MappingProxyType(found)


_NAMES_22 = (
    "pelvis l_hip r_hip spine1 l_knee r_knee spine2 l_ankle r_ankle spine3 l_foot r_foot neck l_collar r_collar "
    "head l_shoulder r_shoulder l_elbow r_elbow l_wrist r_wrist"
)
_NAMES_21 = (
    "root spine1 spine2 neck head r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist "
    "r_hip r_knee r_ankle r_heel r_toe l_hip l_knee l_ankle l_heel l_toe"
)
_PARTS_22 = {
    "hand hands wrist wrists fist fists palm palms": "wrist",
    "arm arms": "shoulder elbow wrist",
    "forearm forearms": "elbow wrist",
    "elbow elbows": "elbow",
    "shoulder shoulders": "collar shoulder",
    "foot feet toe toes heel heels": "ankle foot",
    "ankle ankles": "ankle",
    "leg legs": "hip knee ankle foot",
    "knee knees": "knee",
    "thigh thighs": "hip knee",
    "hip hips waist": "pelvis hip",
    "head face": "head",
    "neck": "neck",
    "torso body back chest spine": "spine1 spine2 spine3 neck",
}
_PARTS_21 = {
    words: joints.replace("foot", "heel toe")
    .replace("collar ", "")
    .replace("pelvis", "root")
    .replace("spine3 ", "")
    for words, joints in _PARTS_22.items()
}

HUMANML3D = Skeleton(
    names=tuple(_NAMES_22.split()),
    chains=((0, 2, 5, 8, 11), (0, 1, 4, 7, 10), (0, 3, 6, 9, 12, 15), (9, 14, 17, 19, 21), (9, 13, 16, 18, 20)),
    rest="0 +x -x +y -y -y +y -y -y +y +z +z +y +x -x +z -y -y -y -y -y -y",
    face_joints=(2, 1, 17, 16),
    feet_left=(7, 10),
    feet_right=(8, 11),
    leg_bones=(5, 8),
    fps=20.0,
    length_unit="metre",
    metres=1.0,
    contact_threshold=0.002,
    bone_lengths=(
        *(
            0.103074,
            0.109883,
            0.131568,
            0.393623,
            0.390188,
            0.143190,
            0.432433,
            0.425643,
            0.057365,
            0.143382,
            0.149419,
        ),
        *(0.219360, 0.137487, 0.143383, 0.103039, 0.131614, 0.122984, 0.256840, 0.263092, 0.266012, 0.269876),
    ),
    body_words=_words(_PARTS_22, tuple(_NAMES_22.split())),
)
"""HumanML3D and everything converted to it."""

KIT = Skeleton(
    names=tuple(_NAMES_21.split()),
    chains=((0, 11, 12, 13, 14, 15), (0, 16, 17, 18, 19, 20), (0, 1, 2, 3, 4), (3, 5, 6, 7), (3, 8, 9, 10)),
    rest="0 +y +y +y +y +x -y -y -x -y -y +x -y -y +z +z -x -y -y +z +z",
    face_joints=(11, 16, 5, 8),
    feet_left=(19, 20),
    feet_right=(14, 15),
    leg_bones=(17, 18),
    fps=12.5,
    length_unit="millimetre",
    metres=0.001,
    contact_threshold=0.05,
    bone_lengths=None,
    body_words=_words(_PARTS_21, tuple(_NAMES_21.split())),
)
"""KIT-ML as HumanML3D's authors converted it. Sides follow their facing and contact joints; their rest directions
put the right side at +x, which only turns the bone rotations, not the positions."""

SKELETONS: Mapping[int, Skeleton] = MappingProxyType({22: HUMANML3D, 21: KIT})
"""The skeletons by their number of joints."""
