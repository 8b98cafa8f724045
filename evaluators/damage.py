"""Known damage to clips and captions: metrics declare which of it makes them worse, and which changes nothing.

A metric that stays where it must fall has a bug, or does not measure what it says. Damage works on joints and
captions and is the same every time; random numbers depend on the clip's id alone. It drops what embedders and the
oracle saw, so look again at what it gives. `damaged` also writes the features of the damaged joints.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from casim.features import FeatureSpec, from_clips, normalise
from casim.mirror import mirror_joints
from casim.types import Alignment, MotionBatch, frame_mask
from evaluators.actions import other_side
from evaluators.corruption import wrong_caption
from evaluators.movement import Movement, held
from evaluators.phrases import opposite
from evaluators.protocol import EvalBatch

Damage = Callable[[EvalBatch], EvalBatch]
"""Changes joints, mask or captions of a batch, and leaves its features as they are (`damaged` writes them anew)."""


SLIDE = 0.6
"""Speed of a slid foot, m/s."""
NOISE = 0.01
"""Standard deviation of the noise, metres."""
FLOAT = 0.3
"""Height of a floating body above where it was, metres."""


@dataclass(frozen=True)
class Layout:
    """How the motion of a batch is written down."""

    spec: FeatureSpec
    mean: Float[Tensor, " feats"]
    std: Float[Tensor, " feats"]


def damaged(batch: EvalBatch, name: str, layout: Layout) -> EvalBatch:
    """The batch after the damage called `name`, features included.

    F frames of joints have F - 1 rows of features: as the batch has F, the last pose is added once more, carried on
    by the last step of its root in the plane, which changes neither floor nor facing direction.

    Raises:
        ValueError: unknown damage, no joints, or joints that features cannot be made of.
    """
    if name not in DAMAGES:
        raise ValueError(f"unknown damage {name!r}; there are {', '.join(DAMAGES)}")
    after = DAMAGES[name](batch)
    if after.joints is batch.joints:
        return after
    longer = []
    for joints, length in zip(after.positions, after.mask.sum(1).tolist(), strict=True):
        clip = joints[:length] / layout.spec.skeleton.metres
        step = (clip[-1:, :1] - clip[-2:-1, :1]) * clip.new_tensor([1, 0, 1])
        longer.append(torch.cat([clip, clip[-1:] + step]))
    motion = torch.zeros_like(batch.motion)
    for row, made in zip(motion, from_clips(longer, layout.spec, batch.reference.ids), strict=True):
        row[: len(made)] = normalise(made, layout.mean, layout.std)
    return replace(after, motion=motion)


def time_shuffle(batch: EvalBatch) -> EvalBatch:
    """The frames of every clip in random order."""
    order = torch.arange(batch.mask.shape[1]).repeat(len(batch), 1)
    for row, length, random in _each(batch):
        order[row, :length] = torch.randperm(length, generator=random)
    return _reordered(batch, order)


def reversed_time(batch: EvalBatch) -> EvalBatch:
    """Every clip backwards."""
    frame, lengths = torch.arange(batch.mask.shape[1]), batch.mask.sum(1, keepdim=True)
    return _reordered(batch, torch.where(frame < lengths, lengths - 1 - frame, frame))


def mirrored_side(batch: EvalBatch) -> EvalBatch:
    """Every clip in a mirror, beside the caption of the clip itself."""
    return _moving(batch, mirror_joints(batch.positions))


def noise_1cm(batch: EvalBatch) -> EvalBatch:
    """Gaussian noise of 1 cm on every coordinate."""
    joints = batch.positions.clone()
    for row, length, random in _each(batch):
        noise = torch.randn(length, *joints.shape[2:], generator=random)
        joints[row, :length] += NOISE * noise.to(joints)
    return _moving(batch, joints)


def frozen_frames(batch: EvalBatch) -> EvalBatch:
    """Every clip stands still from its middle on."""
    lengths = batch.mask.sum(1)
    return _moving(batch, held(batch.positions, frame_mask((lengths + 1) // 2, batch.mask.shape[1])))


def foot_slide(batch: EvalBatch) -> EvalBatch:
    """The whole body drifts along +x, which frame 0 has to its left, while a foot stands."""
    movement = Movement.of(batch)
    feet = [*movement.skeleton.feet_left, *movement.skeleton.feet_right]
    height = movement.joints[:, :, feet, 1].amin(-1)
    stands = height[:, 1:] < 0.05
    drift = torch.nn.functional.pad(stands.cumsum(1), (1, 0)) * SLIDE / batch.fps
    axis = batch.positions.new_tensor([1, 0, 0])
    return _moving(batch, batch.positions + drift.to(batch.positions)[..., None, None] * axis)


def floating(batch: EvalBatch) -> EvalBatch:
    """The body hangs 30 cm higher from a quarter of the clip on."""
    frame, lengths = torch.arange(batch.mask.shape[1]), batch.mask.sum(1, keepdim=True)
    lift = FLOAT * (4 * frame >= lengths).to(batch.positions)
    return _moving(batch, batch.positions + lift[..., None, None] * batch.positions.new_tensor([0, 1, 0]))


def truncated(batch: EvalBatch) -> EvalBatch:
    """The last 40 % of every clip are cut off."""
    lengths = (batch.mask.sum(1) * 3 + 4) // 5
    mask = frame_mask(lengths, batch.mask.shape[1])
    return _moving(replace(batch, mask=mask), batch.positions)


def wrong_text(batch: EvalBatch) -> EvalBatch:
    """Every clip has the caption of another one, of the same kind where kinds are known and the batch holds two."""
    return _asking(batch, wrong_caption(batch).reference)


def opposite_text(batch: EvalBatch) -> EvalBatch:
    """Captions ask for left instead of right, backward instead of forward, three times instead of twice.

    Which word speaks of which frames is not told of the new captions.
    """
    own = batch.reference
    texts = tuple(opposite(text) for text in own.texts)
    alignment = tuple(map(_opposite, own.alignment)) if own.alignment else None
    return _asking(batch, replace(own, texts=texts, alignment=alignment, keywords=None, tags=None))


DAMAGES: Mapping[str, Damage] = MappingProxyType({
    damage.__name__: damage
    for damage in (
        time_shuffle,
        reversed_time,
        mirrored_side,
        noise_1cm,
        frozen_frames,
        foot_slide,
        floating,
        truncated,
        wrong_text,
        opposite_text,
    )
})  # fmt: skip
"""All damage by name."""


def _each(batch: EvalBatch) -> Iterator[tuple[int, int, torch.Generator]]:
    """Row, length and random numbers of every clip."""
    lengths = batch.mask.sum(1).tolist()
    for row, (length, name) in enumerate(zip(lengths, batch.reference.ids, strict=True)):
        yield row, length, torch.Generator().manual_seed(zlib.crc32(name.encode()))


def _reordered(batch: EvalBatch, order: Int[Tensor, "batch frames"]) -> EvalBatch:
    return _moving(batch, batch.positions[torch.arange(len(batch))[:, None], order])


def _moving(batch: EvalBatch, joints: Float[Tensor, "batch frames joints xyz"]) -> EvalBatch:
    return replace(batch, joints=joints.masked_fill(~batch.mask[..., None, None], 0), actions=None, spaces={})


def _asking(batch: EvalBatch, reference: MotionBatch) -> EvalBatch:
    return replace(batch, reference=reference, actions=None, spaces={})


def _opposite(wanted: Alignment) -> Alignment:
    other = {"walk_forward": "walk_backward", "walk_backward": "walk_forward"}
    actions = [replace(a, action=other.get(a.action, other_side(a.action))) for a in wanted.actions]
    return replace(wanted, words=(), spans=(), actions=tuple(actions))
