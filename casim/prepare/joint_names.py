"""What the joints of the 22-joint skeleton are called in the files that free motion capture comes in. Plain data.

A value is a joint's name, or several of which the first that a file has counts, or a point between two joints:
(from, to, share of the way). A name is that of the place where a bone begins; `end of NAME` is where it ends. Case,
`_`, `-`, blanks and a prefix up to `:` do not matter. Tables are tried in order, so the more special stand first.

Collar bones are where names and skeletons differ most: where a table has none, they lie `COLLAR` of the way from
the upper spine to the shoulder, about where the SMPL body has them.
"""

from typing import Any

COLLAR = 0.45

Names = dict[str, Any]


def _sides(left: str, right: str, names: dict[str, str]) -> Names:
    """Both sides of joints; `*` stands for the word for the side."""
    sides = (("l", left), ("r", right))
    return {f"{s}_{joint}": name.replace("*", word) for s, word in sides for joint, name in names.items()}


_MOTION_BUILDER = {
    "hip": "*UpLeg",
    "knee": "*Leg",
    "ankle": "*Foot",
    "foot": "*ToeBase|*Toe|end of *Foot",
    "shoulder": "*Arm",
    "elbow": "*ForeArm",
    "wrist": "*Hand",
}
_HIP_KNEE = {
    "hip": "*Hip",
    "knee": "*Knee",
    "ankle": "*Ankle",
    "foot": "*Toe|*ToeBase|end of *Ankle",
    "shoulder": "*Shoulder",
    "elbow": "*Elbow",
    "wrist": "*Wrist",
}
_HEAD = {"neck": "Neck", "head": "Head"}

TABLES: dict[str, Names] = {
    "Acclaim, as CMU names bones": {
        "pelvis": "root",
        "spine1": "upperback",
        "spine2": "thorax",
        "spine3": "lowerneck",
        "neck": "upperneck",
        "head": "head",
        **_sides(
            "l",
            "r",
            {
                "hip": "*femur",
                "knee": "*tibia",
                "ankle": "*foot",
                "foot": "*toes",
                "shoulder": "*humerus",
                "elbow": "*radius",
                "wrist": "*hand",  # `wrist` is the lower half of the forearm
            },
        ),
    },
    "CMU for MotionBuilder (cgspeed)": {
        "pelvis": "Hips",
        "spine1": "Spine",
        "spine2": "Spine1",
        "spine3": "Neck",
        "neck": "Neck1",
        "head": "Head",
        **_sides("Left", "Right", _MOTION_BUILDER),
        "l_wrist": ("LeftForeArm", "LeftHand", 1.5),  # the lower half of CMU's forearms is lost
        "r_wrist": ("RightForeArm", "RightHand", 1.5),
    },
    "CMU for 3ds Max (cgspeed)": {
        "pelvis": "Hips",
        "spine1": "Chest",
        "spine2": "Chest2",
        "spine3": "lowerneck",
        **_HEAD,
        **_sides("Left", "Right", _HIP_KNEE),
        "l_wrist": ("LeftElbow", "LeftWrist", 1.5),
        "r_wrist": ("RightElbow", "RightWrist", 1.5),
    },
    "CMU for Daz (cgspeed)": {
        "pelvis": ("hip", "abdomen", 0.5),  # the file's hip lies as low as the thighs
        "spine1": "abdomen",
        "spine2": "chest",
        "spine3": ("chest", "neck", 0.3),
        **_HEAD,
        **_sides(
            "l",
            "r",
            {
                "hip": "*Thigh",
                "knee": "*Shin",
                "ankle": "*Foot",
                "foot": "*Toe|end of *Foot",
                "shoulder": "*Shldr",
                "elbow": "*ForeArm",
                "wrist": "*Hand",
            },
        ),
    },
    "MotionBuilder, three spine joints (Mixamo, LaFAN1)": {
        "pelvis": "Hips",
        "spine1": "Spine",
        "spine2": "Spine1",
        "spine3": "Spine2",
        **_HEAD,
        **_sides("Left", "Right", _MOTION_BUILDER),
    },
    "MotionBuilder, two spine joints (SFU)": {
        "pelvis": "Hips",
        "spine1": "Spine",
        "spine2": "Spine1",
        "spine3": ("Spine1", "Neck", 0.25),
        **_HEAD,
        **_sides("Left", "Right", _MOTION_BUILDER),
    },
    "Xsens (100STYLE)": {
        "pelvis": "Hips",
        "spine1": "Chest",
        "spine2": "Chest2",
        "spine3": "Chest4|Chest3",
        **_HEAD,
        **_sides("Left", "Right", _HIP_KNEE),
    },
    "Bandai-Namco": {
        "pelvis": "Hips",
        "spine1": "Spine",
        "spine2": "Chest",
        "spine3": ("Chest", "Neck", 0.3),
        **_HEAD,
        **_sides(
            "L",
            "R",
            {
                "hip": "UpperLeg_*",
                "knee": "LowerLeg_*",
                "ankle": "Foot_*",
                "foot": "Toes_*|end of Foot_*",
                "shoulder": "UpperArm_*",
                "elbow": "LowerArm_*",
                "wrist": "Hand_*",
            },
        ),
    },
    "SMPL": {
        "pelvis": "pelvis",
        "spine1": "spine1",
        "spine2": "spine2",
        "spine3": "spine3",
        **_HEAD,
        **{
            f"{s}_{joint}": f"{s}_{joint}|{word}_{joint}"
            for s, word in (("l", "left"), ("r", "right"))
            for joint in ["hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist"]
        },
    },
}
"""The tables by what they are for."""


def plain(name: str) -> str:
    """A name as names are compared."""
    return name.rpartition(":")[2].lower().translate(str.maketrans("", "", "_- "))
