"""Runs of the capacity grid by motion representation: what each holds, and whether they may be compared."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from casim import plugins
from casim.backbones.mld import Mld
from casim.codecs.motion_vae import MotionVae
from casim.codecs.vqvae import Vqvae
from casim.motion_codec import Standardised
from casim.setups import Setup
from casim.text_to_motion import TextToMotion
from casim.types import Clips, Codec, MotionBatch
from evaluators.arms import Run, check_finished, expanded, find_runs

ARMS = ("casim", "fixed")
CHUNK = 128
"""Clips encoded at a time."""


@dataclass(frozen=True)
class Member:
    """A run of the grid."""

    run: Run
    setup: Setup
    representation: str
    """vaeN, vq, frames; or the name of another backbone, which stands beside the curve."""
    arm: str
    """casim or fixed."""

    @property
    def is_beside(self) -> bool:
        """Whether it is no denoiser of the curve."""
        return not isinstance(self.setup.backbone, Mld.Config)

    @property
    def who(self) -> str:
        """Representation and arm, as keys of the record name them."""
        return f"{self.representation} {self.arm}"


def members(names: Sequence[str]) -> list[Member]:
    """The runs of these names, and those inside folders of these names.

    Raises:
        ValueError: no runs, unfinished ones, two of one cell, or runs that differ in more than representation,
            injection and seed.
    """
    found = [_member(run) for run in find_runs(expanded(names, "capacity_small"))]
    seen: dict[tuple[str, int], Member] = {}
    for member in found:
        twin = seen.setdefault((member.who, member.run.seed), member)
        if twin is not member:
            raise ValueError(
                f"{twin.run.name} and {member.run.name} are both {member.who} with training seed "
                f"{member.run.seed}; name one of them"
            )
    _check_equal([member for member in found if not member.is_beside])
    _check_codecs(found)
    return sorted(found, key=lambda m: (m.is_beside, _size(m), m.arm, m.run.seed))


def _member(run: Run) -> Member:
    if run.is_codec:
        raise ValueError(f"{run.name} is a first stage; name runs of denoisers, which hold their codecs")
    check_finished(run)
    setup = Setup.from_json(dict(run.config))
    return Member(run, setup, _representation(setup), run.config["injection"]["plugin"])


def _representation(setup: Setup) -> str:
    codec = setup.first_stage.codec
    if not isinstance(setup.backbone, Mld.Config):
        return str(plugins.describe(setup.backbone)["plugin"])
    if codec is None:
        return "frames"
    if isinstance(codec, MotionVae.Config):
        return f"vae{codec.latents}"
    if isinstance(codec, Vqvae.Config):
        return "vq"
    raise ValueError(f"a denoiser behind {type(codec).__qualname__} has no place on the curve of capacity")


def latents_of(representation: str) -> int | None:
    """How many latents a VAE's representation has, whatever the clip's length; None: another representation."""
    number = representation.removeprefix("vae")
    return int(number) if number != representation and number.isdigit() else None


def _size(member: Member) -> float:
    return float(latents_of(member.representation) or math.inf)


def _check_equal(curve: Sequence[Member]) -> None:
    """Refuses denoisers that differ in more than what the representation asks for."""
    for other in curve[1:]:
        first = curve[0]
        for part, (a, b) in {name: (_equal(first, name), _equal(other, name)) for name in PARTS}.items():
            if a != b:
                raise ValueError(
                    f"{first.run.name} and {other.run.name} differ in their {part}: the curve would show that too; "
                    "measure the runs of one grid"
                )


PARTS = ("data", "text", "context", "backbone", "sampling", "training", "scale of latents")


def _equal(member: Member, part: str) -> Any:
    """A part of a member without what may differ between cells."""
    if part == "backbone":
        return replace(member.setup.backbone, max_frames=1, patch=1)
    if part == "training":
        return {**member.run.config["training"], "seed": None}
    if part == "context":
        return member.setup.injection.context
    if part == "scale of latents":
        return member.setup.first_stage.is_standardised or not member.setup.first_stage.run
    return getattr(member.setup, part)


def _check_codecs(found: Sequence[Member]) -> None:
    """Refuses denoisers of one representation behind different codecs."""
    hashes: dict[str, Member] = {}
    for member in found:
        first = hashes.setdefault(member.representation, member)
        if first.setup.first_stage.sha256 != member.setup.first_stage.sha256:
            raise ValueError(
                f"{first.run.name} and {member.run.name} work behind different codecs of one kind; train "
                "them behind the same one"
            )


def parameters(model: TextToMotion) -> int:
    """Trained numbers of the second stage: injection and backbone."""
    return sum(p.numel() for part in (model.injection, model.backbone) for p in part.parameters())


@dataclass(frozen=True)
class Budget:
    """How much a representation says of a clip, means over clips."""

    numbers: float
    """Real numbers that the denoiser has to get right."""
    bits: float | None
    """VAE: information in a draw, divergence of the posterior from the prior; VQ: places times bits of a code;
    None: unbounded (frames)."""


def budget(codec: Codec | None, clips: Clips) -> Budget:
    """What the representation of `clips` holds."""
    lengths = torch.as_tensor(clips.lengths).double()
    if codec is None:
        return Budget(float(lengths.mean()) * clips.batch([0]).motion.shape[-1], None)
    plain = codec.codec if isinstance(codec, Standardised) else codec
    places, divergences = [], []
    for batch in batches(clips):
        mask = plain.code_mask(batch.mask)
        places.append(mask.sum(1).double())
        if isinstance(plain, MotionVae):
            found = plain.posterior(batch.motion, batch.mask)
            per_number = 0.5 * (found.log_variance.exp() + found.mean.square() - 1 - found.log_variance)
            divergences.append(per_number.sum((1, 2)).double() / math.log(2))
    mean = float(torch.cat(places).mean())
    width = plain.space if isinstance(plain.space, int) else len(plain.space)
    if divergences:
        return Budget(mean * width, float(torch.cat(divergences).mean()))
    return Budget(mean * width, mean * _code_bits(plain))


def _code_bits(codec: Codec) -> float:
    """Bits of what stands at one place after quantisation."""
    if isinstance(codec, Vqvae):
        return math.log2(codec.config.codes)
    kinds: Mapping[int, int] | Sequence[int] = codec.space if isinstance(codec.space, tuple) else ()
    return sum(math.log2(number) for number in kinds)


@torch.no_grad()
def batches(clips: Clips) -> Iterator[MotionBatch]:
    """All clips, a few at a time, in order."""
    for at in range(0, len(clips), CHUNK):
        yield clips.batch(range(at, min(at + CHUNK, len(clips))))
