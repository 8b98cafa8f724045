"""Bodies that move, for tests of features and data: proper bones, gentle random motion, a walk along a curve."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from casim.kinematics import forward_kinematics, matrix_from_6d
from casim.skeleton import SKELETONS


def moving(frames: int, joints: int = 22, seed: int = 0, turning: float = 0.05) -> Tensor:
    """One clip [frames, joints, 3] in the skeleton's unit; `turning`: radians per frame of its heading."""
    random = torch.Generator().manual_seed(seed)
    skeleton = SKELETONS[joints]
    phases = torch.rand(joints, 6, generator=random) * 6.3
    time = torch.arange(frames)[:, None, None] / 20
    bend = 0.25 * torch.sin(4 * time + phases) * (torch.arange(joints) > 0)[:, None]
    rotations = matrix_from_6d(torch.tensor([1.0, 0, 0, 0, 1, 0]) + bend)
    heading = seed + turning * torch.arange(frames)
    cos, sin, zero, one = heading.cos(), heading.sin(), 0 * heading, 1 + 0 * heading
    # at rest the right side of KIT's skeleton points to +x, which is the left of one who faces +z
    rotations[:, 0] = torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], -1).view(-1, 3, 3)
    lengths = 0.1 + 0.4 * torch.rand(joints, 1, generator=random)
    offsets = torch.tensor(skeleton.rest_directions).float() * lengths / skeleton.metres
    step = torch.stack([sin, 0.1 * (time[:, 0, 0] * 5).sin(), cos], -1) * 0.03
    root = (torch.tensor([0.4, 1.1, -0.7]) + step.cumsum(0)) / skeleton.metres
    return forward_kinematics(rotations, root, offsets, skeleton)


CAPTIONS = {
    "000001": ["a person walks to the left.", "someone turns clockwise"],
    "000002": ["a man raises his right hand and stops"],
    "000003": [],
    "000004": ["a person jumps twice"],
}
SPLITS = {"000001": "train", "000002": "train", "000003": "train", "000004": "test"}


def write_joint_folder(folder: Path, frames: int = 61, joints: int = 22, **changes: object) -> Path:
    """A folder as `casim.prepare joints` reads it: four clips, one without captions."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: moving(frames + 7 * i, joints, seed=i).numpy().astype(np.float32) for i, name in enumerate(CAPTIONS)
    }
    np.savez(folder / "joints.npz", **arrays)
    clips = [{"id": name, "captions": texts, "split": SPLITS[name]} for name, texts in CAPTIONS.items()]
    (folder / "index.json").write_text(json.dumps({"clips": clips} | changes))
    return folder
