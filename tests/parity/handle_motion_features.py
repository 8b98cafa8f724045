"""HumanML3D's conversion between joints and features, and the quaternion functions under it.

Quaternions of the golden files are (w, x, y, z). The library itself converts without quaternions; those cases pin down
the conventions (roma and our matrices against the authors' functions).
"""

import torch
from golden import Case, Golden, close, unknown
from jaxtyping import Float
from torch import Tensor

import roma
from casim.features import FeatureSpec, from_joints, place, to_joints, to_joints_from_rotations
from casim.features import root_path
from casim.kinematics import (
    bone_halves,
    bone_offsets,
    bone_rotations,
    facing,
    forward_kinematics,
    half_turn,
    matrix_from_6d,
    smooth,
    uniform_skeleton,
)
from casim.skeleton import SKELETONS, Skeleton
