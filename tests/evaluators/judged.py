"""Batches to judge: real choreography, and bodies whose movement is known exactly."""

from collections.abc import Sequence
from functools import cache

import torch
from bodies import moving
from torch import Tensor

from casim.data.choreography import Choreography
from casim.skeleton import HUMANML3D
from casim.types import MotionBatch, frame_mask
from evaluators.calibration import real
from evaluators.damage import Layout
from evaluators.protocol import EvalBatch

FRAMES = 61


@cache
def dataset() -> Choreography:
    return Choreography(Choreography.Config(train=211, test=151))


@cache
def choreography() -> EvalBatch:
    """The real clips of the test split."""
    return real(dataset(), "test")


def layout() -> Layout:
    data = dataset()
    return Layout(data.spec, torch.from_numpy(data.mean), torch.from_numpy(data.std))


def batch_of(joints: Tensor, texts: Sequence[str] = (), lengths: Sequence[int] | None = None) -> EvalBatch:
    """Clips in metres, beside themselves as real clips."""
    count, frames = joints.shape[:2]
    mask = frame_mask([frames] * count if lengths is None else lengths, frames)
    motion, texts = torch.zeros(count, frames, 1), tuple(texts) or ("",) * count
    reference = MotionBatch(motion, mask, texts, tuple(f"clip {i}" for i in range(count)))
    return EvalBatch(motion, mask, reference, joints=joints, real_joints=joints)


def standing(frames: int = FRAMES, count: int = 1) -> Tensor:
    """A body that stands still at the origin, faces +z, and has its toes on the floor."""
    pose = torch.zeros(22, 3, dtype=torch.float64)
    for joint, parent in enumerate(HUMANML3D.parents[1:], 1):
        pose[joint] = pose[parent] + torch.tensor(HUMANML3D.rest_offsets[joint])
    pose[:, 1] -= pose[:, 1].min()
    return pose.repeat(count, frames, 1, 1)


def walkers(count: int = 5, frames: int = FRAMES, joints: int = 22) -> Tensor:
    """Bodies that walk along curves and move all their limbs, metres."""
    metres = 0.001 if joints == 21 else 1.0
    return torch.stack([moving(frames, joints, seed) for seed in range(count)]) * metres
