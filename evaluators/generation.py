"""From captions to motions that metrics can judge: which captions, from which noise, seen by which embedders."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from casim.features import to_joints
from casim.motion_codec import MotionCodec
from casim.text_to_motion import TextToMotion
from casim.types import Clips, MotionBatch, MotionDataset
from evaluators.embed.oracle import Oracle
from evaluators.embedder import Embedder
from evaluators.protocol import EvalBatch, Protocol, Space
from evaluators.spaces import essential, joints


@dataclass(frozen=True)
class Asked:
    """A batch of captions to generate for, and the noise to generate from."""

    split: str
    repeat: int
    """Which of the motions of each caption."""
    prompt: Int[Tensor, " batch"]
    """Number of each caption in its split."""
    real: MotionBatch
    seed: int


def choose(clips: int, protocol: Protocol) -> list[int]:
    """The clips of a split that a protocol takes.

    Raises:
        ValueError: there are fewer.
    """
    count = clips if protocol.samples is None else protocol.samples
    if count > clips:
        raise ValueError(
            f"protocol {protocol.name} takes {count} captions, but a split has {clips}; "
            f"choose fewer: --samples {clips}"
        )
    return sorted(np.random.default_rng(protocol.seed).permutation(clips)[:count].tolist())


def asked(split: str, clips: Clips, protocol: Protocol) -> list[Asked]:
    """The captions in order of length, so that little is padded; each batch and repeat from its own noise."""
    items = sorted(choose(len(clips), protocol), key=lambda item: (int(clips.lengths[item]), item))
    parts = [items[i : i + protocol.batch_size] for i in range(0, len(items), protocol.batch_size)]
    return [
        Asked(
            split, repeat, torch.tensor(part), clips.batch(part), _noise_seed(protocol.seed, split, repeat, number)
        )
        for number, part in enumerate(parts)
        for repeat in range(protocol.repeats)
    ]


def other_clips(dataset: MotionDataset, split: str, batches: Sequence[Asked], protocol: Protocol) -> list[Asked]:
    """As many other real clips, from the split that is trained on, or from "test" if that is the one scored."""
    other = "test" if split == "train" else "train"
    clips, count = dataset.split(other), sum(len(batch.real) for batch in batches)
    if len(clips) < count:
        raise ValueError(
            f"{other} has {len(clips)} clips, {split} has {count}: too few to compare with; use --samples"
        )
    return asked(other, clips, replace(protocol, samples=count, repeats=1))


def generate(model: TextToMotion | MotionCodec, batch: Asked, protocol: Protocol) -> EvalBatch:
    """Motions of the captions' real lengths, or of the model's own (`Protocol.length_source`); a codec's clips come
    back through it."""
    if isinstance(model, MotionCodec):
        given = model.reconstruct(batch.real.to(model.device)).cpu()
        return EvalBatch(given, batch.real.mask, batch.real, is_reconstruction=True)
    is_own = protocol.length_source == "own" and model.is_autoregressive
    longest = batch.real.mask.shape[1]
    lengths = [min(longest, model.max_frames)] * len(batch.real) if is_own else batch.real.lengths.tolist()
    motion, mask = model.generate(
        batch.real.texts,
        lengths,
        seed=batch.seed,
        guidance=protocol.guidance,
        keywords=batch.real.keywords,
        sampler=protocol.sampler,
        steps=protocol.steps,
        length="own" if is_own else None,
    )
    missing = longest - motion.shape[1]  # padded as the clips are
    return EvalBatch(F.pad(motion, (0, 0, 0, missing)).cpu(), F.pad(mask, (0, missing)).cpu(), batch.real)


class Observer:
    """What looks at motions before metrics do: recovery of joints, the recogniser of actions, the embedders."""

    def __init__(self, dataset: MotionDataset, embedders: Mapping[str, Embedder]) -> None:
        self.dataset, self.embedders = dataset, dict(embedders)
        self.recogniser = next((e for e in embedders.values() if isinstance(e, Oracle)), None)
        self._mean, self._std = torch.as_tensor(dataset.mean), torch.as_tensor(dataset.std)
        self._references: dict[tuple[tuple[str, ...], ...], Reference] = {}

    def look(self, batch: EvalBatch, prompt: Int[Tensor, " batch"]) -> EvalBatch:
        """The batch with its joints, the actions found in it, and all vectors.

        Args:
            batch: motions and the real clips of their captions.
            prompt: number of each caption in its split.
        """
        features, reference = self._features(batch.motion), self._reference(batch.reference)
        seen = replace(
            batch,
            joints=self._metres(features),
            real_joints=reference.joints,
            fps=self.dataset.spec.fps,
            actions=self.recogniser.recognise(features, batch.mask) if self.recogniser else None,
        )
        found = {
            name: Space(embedder.motion(features, batch.mask), reference.real[name], prompt, reference.text[name])
            for name, embedder in self.embedders.items()
        }
        plain = {"essential": essential(seen, self.dataset.spec, prompt), "joints": joints(seen, prompt)}
        return replace(seen, spaces=found | plain)

    def with_joints(self, batch: EvalBatch) -> EvalBatch:
        """The batch with its joints alone: captions that no real clip has need no more."""
        return replace(batch, joints=self._metres(self._features(batch.motion)), fps=self.dataset.spec.fps)

    def real(self, batch: Asked) -> EvalBatch:
        """The real clips of the captions in place of generated ones, looked at in the same way."""
        return self.look(EvalBatch(batch.real.motion, batch.real.mask, batch.real), batch.prompt)

    def _reference(self, clips: MotionBatch) -> "Reference":
        """What is seen in real clips; every batch of them is asked for by all runs and repeats."""
        key = clips.ids, clips.texts
        if key not in self._references:
            features = self._features(clips.motion)
            self._references[key] = Reference(
                self._metres(features),
                {name: e.motion(features, clips.mask) for name, e in self.embedders.items()},
                {
                    name: e.text(clips.texts, clips.tags) if e.has_text else None
                    for name, e in self.embedders.items()
                },
            )
        return self._references[key]

    def _metres(self, features: Float[Tensor, "batch frames feats"]) -> Float[Tensor, "batch frames joints xyz"]:
        return to_joints(features, self.dataset.spec) * self.dataset.spec.skeleton.metres

    def _features(self, motion: Float[Tensor, "batch frames feats"]) -> Float[Tensor, "batch frames feats"]:
        return motion * self._std + self._mean


@dataclass(frozen=True)
class Reference:
    """What is seen in a batch of real clips and their captions: joints, and vectors by name of the embedder."""

    joints: Float[Tensor, "batch frames joints xyz"]
    real: Mapping[str, Float[Tensor, "batch width"]]
    text: Mapping[str, Float[Tensor, "batch width"] | None]


def _noise_seed(seed: int, split: str, repeat: int, number: int) -> int:
    words = np.random.SeedSequence([seed, zlib.crc32(split.encode()), repeat, number])
    return int(words.generate_state(1)[0])
