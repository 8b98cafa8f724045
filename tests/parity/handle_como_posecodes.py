"""CoMo's pose codes, measured on HumanML3D's and KIT's bodies (yh2371/CoMo)."""

import torch
from golden import Case, Golden, close, unknown
from torch import Tensor

from casim.codecs import _poses as poses

ATOL = 1e-4
NEAR = 1e-5
THEIRS = {
    "angle": "angle",
    "distance": "distance",
    "x": "relativePosX",
    "y": "relativePosY",
    "z": "relativePosZ",
    "vertical": "relativeVAxis",
    "ground": "onGround",
}
"""Their names of our kinds."""


def check(golden: Golden) -> None:
    config = golden.config
    for kind, name in THEIRS.items():
        assert list(poses.THRESHOLDS[kind]) == config["thresholds"][name]
        offsets = {group.offset for group in poses.GROUPS if group.kind == kind}
        assert offsets == {config["random_max_offset"][name]}
    assert [config["smpl2kit"][str(i)] for i in range(22)] == list(poses.KIT_BODY)
    rename = {"left_middle2": "left_finger", "right_middle2": "right_finger"}
    assert [rename.get(name, name) for name in config["joint_names"]] == list(poses.JOINTS)
    assert len(config["code_names"]) == sum(poses.SIZES)
    for case in golden.cases.values():
        if case.name == "queries":
            check_groups(case)
        elif set(case.inputs) == {"joints", *(f"uniform_{name}" for name in THEIRS.values())}:
            check_case(case, config["kind"])
        else:
            unknown(case.name)


def check_groups(case: Case) -> None:
    known = {f"joint_ids_{THEIRS[kind]}": torch.tensor(
        [group.joints for group in poses.GROUPS if group.kind == kind]) for kind in poses.MEASURED}  # fmt: skip
    assert set(case.outputs) == set(known)
    for name, expected in case.outputs.items():
        assert torch.equal(known[name], expected), name


def check_case(case: Case, kind: str) -> None:
    joints = case.inputs["joints"]
    if kind == "kit":
        joints = as_smpl(joints)
    points = poses.body(joints)
    values = poses.measures(points)
    uniform = torch.cat([case.inputs[f"uniform_{THEIRS[kind]}"] for kind in poses.MEASURED], -1)
    codes = poses.binned(values, uniform)
    known: dict[str, Tensor] = {"coords27": points}
    at = 0
    for kind_, text in poses.MEASURED.items():
        count = len(text.split())
        known[f"value_{THEIRS[kind_]}"] = values[:, at : at + count]
        at += count
    for name, expected in case.outputs.items():
        if name == "codes":
            continue
        assert name in known, f"unknown output {name!r} of case {case.name}"
        close(known[name], expected, ATOL, f"{case.name}/{name}", rtol=1e-5)
    expected = torch.stack([part.argmax(-1) for part in case.outputs["codes"].split(poses.SIZES, -1)], -1)
    offsets = values.new_tensor([group.offset for group in poses.GROUPS])
    moved = values + (2 * uniform - 1) * offsets
    differs = codes != expected
    assert (distance_to_threshold(moved)[differs] < NEAR).all(), f"{case.name}: codes differ off the thresholds"
    exact = torch.where(differs, expected, codes)
    assert torch.equal(poses.many_hot(exact, poses.SIZES).to(case.outputs["codes"].dtype), case.outputs["codes"])


def as_smpl(joints: Tensor) -> Tensor:
    """KIT's joints in SMPL's order, zeros for those that it lacks (as there)."""
    zeros = torch.zeros_like(joints[:, 0])
    return torch.stack([zeros if joint is None else joints[:, joint] for joint in poses.KIT_BODY], 1)


def distance_to_threshold(values: Tensor) -> Tensor:
    found = []
    for column, group in enumerate(poses.GROUPS):
        limits = values.new_tensor(poses.THRESHOLDS[group.kind])
        found.append((values[:, column, None] - limits).abs().amin(-1))
    return torch.stack(found, -1)
