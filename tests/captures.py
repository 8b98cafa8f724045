"""Motion capture files for tests: a small body with CMU's bones as ASF and AMC, and BVH files of moving bodies."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from bodies import moving
from pybvh import read_bvh_file

from casim.export.bvh import write_bvh
from casim.skeleton import HUMANML3D

# name, direction, length, axis, degrees of freedom, parent: the proportions of a person in CMU's units
_SIDE = """
{s}hipjoint {x}.6 -.7 .3 2.5 0 0 0 - root
{s}femur {x}.34 -.94 0 7.3 0 0 {x}20 rx,ry,rz {s}hipjoint
{s}tibia {x}.34 -.94 0 7.8 0 0 {x}20 rx {s}femur
{s}foot {x}.09 -.24 .97 2.0 -90 0 {x}20 rx,rz {s}tibia
{s}toes 0 0 1 1.0 -90 0 {x}20 rx {s}foot
{s}clavicle {x}.94 .33 -.1 3.5 0 0 0 ry,rz thorax
{s}humerus {x}1 0 0 5.7 180 {y}30 {x}-90 rx,ry,rz {s}clavicle
{s}radius {x}1 0 0 3.5 180 {y}30 {x}-90 rx {s}humerus
{s}wrist {x}1 0 0 1.75 0 {x}90 {x}90 ry {s}radius
{s}hand {x}1 0 0 .7 0 {x}90 {x}90 rx,rz {s}wrist
"""
_TRUNK = """
lowerback 0 .98 -.2 2.1 0 0 0 rx,ry,rz root
upperback 0 1 0 2.1 0 0 0 rx,ry,rz lowerback
thorax 0 1 .08 2.2 0 0 0 rx,ry,rz upperback
lowerneck -.06 .98 .16 1.8 0 0 0 rx,ry,rz thorax
upperneck .05 .98 -.18 1.8 0 0 0 rx,ry,rz lowerneck
head .02 1 -.08 1.8 0 0 0 rx,ry,rz upperneck
"""
BONES = [
    line.replace("--", "").split()
    for block in (_TRUNK, _SIDE.format(s="l", x="", y="-"), _SIDE.format(s="r", x="-", y=""))
    for line in block.split("\n")
    if line
]


def asf_text(angle: str = "deg") -> str:
    unit = np.pi / 180 if angle == "rad" else 1.0
    lines = [":version 1.10", "# a comment", ":units", " mass 1.0", " length 0.45", f" angle {angle}", ":root"]
    lines += [" order TX TY TZ RX RY RZ", " axis XYZ", " position 0 0 0", " orientation 0 0 0", ":bonedata"]
    for number, (name, x, y, z, length, a, b, c, channels, _) in enumerate(BONES):
        turn = " ".join(str(float(word) * unit) for word in (a, b, c))
        lines += [" begin", f"  id {number}", f"  name {name}", f"  direction {x} {y} {z}", f"  length {length}"]
        lines += [f"  axis {turn} XYZ"]
        if channels != "-":
            lines += [f"  dof {channels.replace(',', ' ')}", "  limits (-160.0 20.0)", "         (-70.0 70.0)"]
        lines += [" end"]
    tree = [f"  {bone[-1]} {bone[0]}" for bone in BONES]
    return "\n".join([*lines, ":hierarchy", " begin", *tree, " end", ""])


def amc_values(frames: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Channels of every bone [frames, channels]: degrees that change gently, and the root's place."""
    random = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / 120

    def gentle(channels: int, size: float) -> np.ndarray:
        return size * np.sin(3 * time + 6 * random.random(channels)) * random.random(channels)

    place = np.concatenate([12 * time, 17 + gentle(1, 1.0), 4 * time], 1)
    values = {"root": np.concatenate([place, gentle(3, 30)], 1)}
    return values | {bone[0]: gentle(len(bone[8].split(",")), 25) for bone in BONES if bone[8] != "-"}


def amc_text(values: dict[str, np.ndarray], angle: str = "DEGREES") -> str:
    lines = ["#!OML:ASF", ":FULLY-SPECIFIED", f":{angle}"]
    for frame in range(len(values["root"])):
        lines += [str(frame + 1)]
        lines += [f"{name} " + " ".join(f"{v:.9g}" for v in rows[frame]) for name, rows in values.items()]
    return "\n".join(lines) + "\n"


def write_bvh_files(folder: Path, frames: dict[str, int], fps: float = 20.0) -> dict[str, np.ndarray]:
    """BVH files with our own joint names, in centimetres; gives the joints in them, in metres.

    The joints that hang on one joint move as one in BVH, which those of the moving bodies do not, so what a file
    holds is read back from it.
    """
    found = {}
    for seed, (name, count) in enumerate(frames.items()):
        points = moving(count, seed=seed).double().numpy()
        legs = sum(np.linalg.norm(points[0, a] - points[0, b]) for a, b in pairwise((1, 4, 7)))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_bvh(folder / f"{name}.bvh", points * 0.85 / legs, fps)
        held = read_bvh_file(folder / f"{name}.bvh", world_up="+y")
        found[name] = held.node_positions()[:, [held.node_index[joint] for joint in HUMANML3D.names]] / 100
    return found
