"""Mirror images of motions and captions: x negated, left and right exchanged."""

import re
from functools import cache

import numpy as np
from jaxtyping import Float
from torch import Tensor

from casim.features import FeatureSpec, check_width


def mirror_joints(joints: Float[Tensor, "*batch joints xyz"]) -> Float[Tensor, "*batch joints xyz"]:
    """The motion in a mirror: x negated, left and right joints exchanged. Twice gives the motion back.

    Raises:
        ValueError: neither 22 nor 21 joints.
    """
    skeleton = FeatureSpec(joints=joints.shape[-2]).skeleton
    return joints[..., skeleton.mirrored.tolist(), :] * joints.new_tensor([-1, 1, 1])


def mirror_features(features: Float[Tensor, "*batch feats"], spec: FeatureSpec) -> Float[Tensor, "*batch feats"]:
    """Denormalised features of the mirrored motion: what converting the mirrored joints gives.

    Raises:
        ValueError: the width is not `spec.dims`.
    """
    check_width(features, spec)
    order, sign = _mirror_columns(spec)
    return features[..., order] * features.new_tensor(sign)


def mirror_text(text: str) -> str:
    """The caption of the mirrored motion: left and right exchanged, clockwise and counterclockwise too.

    Whole words only ("upright" stays), capitals kept; also works on word/POS strings. Every "right" becomes "left",
    even in "right away", as in HumanML3D.
    """
    return _SIDED.sub(lambda found: _other_side(found.group()), text)


_SIDED = re.compile(
    r"\b(?:(?:counter|anti)[- ]?clockwise|clockwise"
    r"|(?:left|right)(?=(?:wards?|most|handed|hand|side|foot|leg|arm)?\b))",
    re.IGNORECASE,
)


def _other_side(word: str) -> str:
    lower = word.lower()
    other = {"left": "right", "right": "left", "clockwise": "counterclockwise"}.get(lower, "clockwise")
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other


@cache
def _mirror_columns(spec: FeatureSpec) -> tuple[list[int], list[int]]:
    """Which column each mirrored column comes from, and its sign."""
    joints = spec.skeleton.mirrored
    order, sign = np.arange(spec.dims), np.ones(spec.dims, dtype=np.int64)
    sign[[0, 1]] = -1
    for group, width, first in (("positions", 3, 1), ("rotations", 6, 1), ("velocities", 3, 0)):
        if group in spec.groups:
            columns = order[spec.groups[group]].reshape(-1, width)
            order[spec.groups[group]] = columns[joints[first:] - first].ravel()
            # a mirrored matrix changes sign where exactly one index is x; six numbers are its columns 0 and 1
            sign[spec.groups[group]] = np.tile([-1, 1, 1] if width == 3 else [1, -1, -1, -1, 1, 1], len(columns))
    if "contacts" in spec.groups:
        order[-4:] = order[[-2, -1, -4, -3]]
    return order.tolist(), sign.tolist()
