"""CoMo's motion representation: every four frames as 70 pose codes that a person can read, and a learned decoder.

Paper: Huang et al. 2024, "CoMo: Controllable Motion Generation through Language Guided Pose Code Editing". The
codes are measured on the body (`casim.codecs._poses`); only the way back to motion is learned, and, if asked for,
an encoder that tells the codes from features.

Where we differ from the authors' code: random offsets of the measures are seeded and belong to training alone,
KIT's bodies are measured in metres and without the joints that it lacks, and clips of any length are encoded.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from casim.codecs import _poses as poses
from casim.features import FeatureSpec, denormalise, to_joints
from casim.nn.temporal import TemporalConfig, TemporalDecoder, TemporalEncoder, at_stride
from casim.nn.windows import cut, starts
from casim.types import Codec, Condition, Losses, MotionBatch

NOTHING = -1


class PoseCodes(Codec):
    """Clips to pose codes and back."""

    @dataclass(frozen=True)
    class Config:
        """Sizes (the paper's) and weights of the loss."""

        width: int = 512
        """Width of a code's vector; a pose is the sum of its 70."""
        network: TemporalConfig = field(default_factory=TemporalConfig)
        """Of the decoder, and of the encoder."""
        has_offsets: bool = True
        """Measures get a random offset (5 degrees, 5 cm) before they are binned, in training."""
        has_encoder: bool = False
        """Learn an encoder too, and let it give the codes instead of the body."""
        window: int | None = 64
        """Consecutive frames of each clip that a training step sees; None: the whole clip."""
        position_weight: float = 0.5
        """Weight of the joint positions, which count once more."""

    def __init__(self, config: Config, spec: FeatureSpec, mean: np.ndarray, std: np.ndarray) -> None:
        super().__init__(spec, mean, std)
        self.config, self.space = config, poses.SIZES
        codes = sum(poses.SIZES)
        self.codebook = nn.Parameter(torch.empty(codes, config.width).uniform_(-1 / codes, 1 / codes))
        self.decoder = TemporalDecoder(config.network, config.width, spec.dims)
        self.encoder = TemporalEncoder(config.network, spec.dims, codes) if config.has_encoder else None

    def code_mask(self, frames: Bool[Tensor, "batch frames"]) -> Bool[Tensor, "batch codes"]:
        """One place for every four frames, begun ones included."""
        return at_stride(frames, self.config.network.stride)

    def frames_of(self, codes: Int[Tensor, "batch codes channels"]) -> Int[Tensor, " batch"]:
        """Four frames for every code."""
        return (codes[..., 0] >= 0).sum(1) * self.config.network.stride

    def encode(self, batch: MotionBatch, generator: torch.Generator | None = None) -> MotionBatch:
        """The clips as codes of frames 0, 4, 8 ...; `generator` draws the measures' offsets, None: none."""
        mask = self.code_mask(batch.mask)
        if self.encoder is None:
            codes = self.measured(batch, generator)[:, :: self.config.network.stride]
        else:
            codes = self.told(self.encoder(batch.motion, batch.mask))
        return replace(batch, motion=torch.where(mask[..., None], codes, NOTHING), mask=mask)

    def measured(
        self, batch: MotionBatch, generator: torch.Generator | None = None
    ) -> Int[Tensor, "batch frames groups"]:
        """The codes of every frame, measured on the body."""
        motion = denormalise(batch.motion, self.mean, self.std)
        joints = to_joints(motion, self.spec) * self.spec.skeleton.metres
        if self.spec.joints != len(poses.KIT_BODY):
            joints = joints[..., [KIT_NEAREST[i] for i in range(len(KIT_NEAREST))], :]
        values = poses.measures(poses.body(joints))
        uniform = None
        if generator is not None and self.config.has_offsets:
            first, total = batch.place or (0, len(batch))
            uniform = torch.rand(total, *values.shape[1:], generator=generator)
            uniform = uniform[first : first + len(batch)].to(values.device)
        return poses.binned(values, uniform)

    def told(self, scores: Float[Tensor, "batch places codes"]) -> Int[Tensor, "batch places groups"]:
        """The best code of every group."""
        return torch.stack([part.argmax(-1) for part in scores.split(poses.SIZES, -1)], -1)

    def decode(
        self, codes: Int[Tensor, "batch codes groups"], frames: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames feats"]:
        """Normalised motion, zero beyond `frames`; codes of -1 are nothing."""
        motion = self.decoder(self.vectors(codes), codes[..., 0] >= 0)[:, : frames.shape[1]]
        motion = F.pad(motion, (0, 0, 0, frames.shape[1] - motion.shape[1]))
        return motion * frames[..., None]

    def vectors(self, codes: Int[Tensor, "batch codes groups"]) -> Float[Tensor, "batch codes width"]:
        """The sum of the vectors of each place's codes."""
        return poses.many_hot(codes, poses.SIZES) @ self.codebook

    def loss(
        self, batch: MotionBatch, condition: Condition | None, generator: torch.Generator | None = None
    ) -> Losses:
        """Smooth L1 error of features, and of joint positions once more; `condition` is not used.

        Codes are measured on whole clips, so that their axes are those of the clip's first frame in every window.
        """
        codes, window = self.measured(batch, generator), self.config.window
        if window is not None:
            start = starts(batch, window, generator)
            codes, batch = cut(codes, start, window), cut(batch, start, window)
        mask = self.code_mask(batch.mask)
        codes = torch.where(mask[..., None], codes[:, :: self.config.network.stride], NOTHING)
        given = self.decode(codes, batch.mask)
        error = F.smooth_l1_loss(given.float(), batch.motion, reduction="none")
        last = 4 + 3 * (self.spec.joints - 1)
        real = batch.mask.sum()
        parts = {
            "features": (error.mean(-1) * batch.mask).sum() / real,
            "positions": (error[..., 4:last].mean(-1) * batch.mask).sum() / real,
        }
        total = parts["features"] + self.config.position_weight * parts["positions"]
        if self.encoder is not None:
            parts["codes"] = self.code_error(batch, codes, mask)
            total = total + parts["codes"]
        return Losses(total, parts)

    def code_error(
        self, batch: MotionBatch, codes: Int[Tensor, "batch codes groups"], mask: Bool[Tensor, "batch codes"]
    ) -> Float[Tensor, ""]:
        """Binary cross-entropy of the encoder's scores, mean over codes and real places."""
        assert self.encoder is not None
        scores = self.encoder(batch.motion, batch.mask).float()
        error = F.binary_cross_entropy_with_logits(scores, poses.many_hot(codes, poses.SIZES), reduction="none")
        return (error.mean(-1) * mask).sum() / mask.sum()


def _nearest() -> tuple[int, ...]:
    """KIT's joint for each of SMPL's, the neck in place of the collars and the head that it lacks."""
    neck = poses.KIT_BODY[poses.JOINTS.index("neck")]
    return tuple(neck if joint is None else joint for joint in poses.KIT_BODY) if neck is not None else ()


KIT_NEAREST = _nearest()
