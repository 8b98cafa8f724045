"""What is evaluated and how: the batch a metric sees, and the protocol that stands beside every number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from casim.types import ActionSpan, Alignment, MotionBatch
from evaluators.intervals import Resampling


@dataclass(frozen=True)
class Space:
    """Generated clips, the real clips of the same captions, and the captions, as vectors of one embedder."""

    motion: Float[Tensor, "batch width"]
    real: Float[Tensor, "batch width"]
    prompt: Int[Tensor, " batch"]
    """Number of each row's caption: equal for motions generated for the same one."""
    text: Float[Tensor, "batch width"] | None = None
    """None if the embedder reads no captions."""

    def __len__(self) -> int:
        return len(self.motion)

    @property
    def captions(self) -> Float[Tensor, "batch width"]:
        """Vectors of the captions.

        Raises:
            ValueError: the embedder reads none.
        """
        if self.text is None:
            raise ValueError("this space has no vectors of captions; take an embedder that reads them, e.g. guo")
        return self.text

    def __getitem__(self, items: Sequence[int] | Tensor) -> "Space":
        """The rows `items`, in that order."""
        index = torch.as_tensor(items)
        text = None if self.text is None else self.text[index]
        return Space(self.motion[index], self.real[index], self.prompt[index], text)


@dataclass(frozen=True)
class EvalBatch:
    """Generated clips beside the real clips whose captions they were made from."""

    motion: Float[Tensor, "batch frames feats"]
    """Generated features, normalised with the statistics of `reference`, padded."""
    mask: Bool[Tensor, "batch frames"]
    """True = generated frame."""
    reference: MotionBatch
    """The real clips, in the same order: captions, ids, alignment."""
    actions: tuple[tuple[ActionSpan, ...], ...] | None = None
    """What a recogniser found in each generated clip; None if none looked."""
    joints: Float[Tensor, "batch frames joints xyz"] | None = None
    """Generated joints in metres, for metrics that read them."""
    real_joints: Float[Tensor, "batch frames joints xyz"] | None = None
    """Joints of the real clips in metres."""
    fps: float = 20.0
    """Frames per second of the joints."""
    is_reconstruction: bool = False
    """The motions are the real clips themselves, through a codec and back."""
    spaces: Mapping[str, Space] = field(default_factory=dict)
    """Vectors of the clips by name of the embedder, in the order of the clips."""

    def __len__(self) -> int:
        return len(self.reference)

    @property
    def wanted(self) -> tuple[Alignment, ...]:
        """What each caption asks for.

        Raises:
            ValueError: the dataset does not know; only choreography does.
        """
        if self.reference.alignment is None:
            raise ValueError(
                "the clips have no alignment, so what their captions ask for is not known; evaluate on choreography"
            )
        return self.reference.alignment

    @property
    def found(self) -> tuple[tuple[ActionSpan, ...], ...]:
        """What the recogniser found.

        Raises:
            ValueError: no recogniser looked at the clips.
        """
        if self.actions is None:
            raise ValueError("no recogniser looked at these clips; set EvalBatch.actions (evaluators.embed.oracle)")
        return self.actions

    @property
    def positions(self) -> Float[Tensor, "batch frames joints xyz"]:
        """Generated joints.

        Raises:
            ValueError: the batch has none.
        """
        if self.joints is None:
            raise ValueError(
                "no joints were recovered for these clips; set EvalBatch.joints (casim.features.to_joints)"
            )
        return self.joints

    def space(self, name: str) -> Space:
        """The vectors of one embedder.

        Raises:
            ValueError: that embedder did not look at the clips.
        """
        if name not in self.spaces:
            known = ", ".join(self.spaces) or "none"
            raise ValueError(
                f"no {name} vectors of these clips (there are: {known}); name the embedder: --embedder"
            )
        return self.spaces[name]


LENGTHS = {
    "true": "lengths of the real clips",
    "own": "autoregressive models end by themselves, at most as late as the longest clip of the batch",
}


@dataclass(frozen=True)
class Protocol:
    """A fixed way to measure; two numbers are comparable if `in_words` says the same of them."""

    name: str = "standard"
    """Name of the preset."""
    splits: tuple[str, ...] | None = None
    """Dataset splits, each scored by itself; None takes the dataset's test splits. "validation" is for choosing
    settings only."""
    samples: int | None = None
    """Captions per split, drawn without replacement with `seed`; None takes all."""
    repeats: int = 1
    """Motions generated per caption, each from other noise; an item's score is their mean."""
    guidance: float | None = None
    """Classifier-free guidance scale; None takes each run's own."""
    sampler: str | None = None
    """Sampler of the diffusion; None takes each run's own."""
    steps: int | None = None
    """Sampling steps; None takes each run's own."""
    length_source: Literal["true", "own"] = "true"
    """Where the number of frames comes from: the real clip of the caption, or, for autoregressive models, their own
    end (in batches of clips of like length, which is the longest that each may be)."""
    counterfactuals: bool = False
    """Also score mirror consistency and paraphrase stability, for which four more motions are made of each
    caption."""
    batch_size: int = 100
    """Motions per sampling batch; it decides which noise a caption gets, so it belongs to the protocol."""
    seed: int = 0
    """Seed of the noise and of the choice of captions: the same for all runs."""
    resampling: Resampling = field(default_factory=Resampling)
    """How intervals are drawn."""

    def __post_init__(self) -> None:
        if self.splits == ():
            raise ValueError("a protocol needs at least one split, e.g. --splits test held_out")
        for name in ("samples", "repeats", "steps", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    def in_words(self) -> str:
        """The protocol as one sentence."""
        captions = "all captions" if self.samples is None else f"{self.samples} captions drawn"
        motions = "one motion each" if self.repeats == 1 else f"{self.repeats} motions each"
        splits = " and ".join(name.replace("_", "-") for name in self.splits or ("the dataset's test splits",))
        r = self.resampling
        return (
            f"protocol {self.name}: {captions} per split ({splits}), {motions}, {LENGTHS[self.length_source]}, "
            f"{self._sampling()}, the same captions and noise for every run "
            f"(seed {self.seed}, batches of {self.batch_size}); "
            f"{r.confidence:.0%} intervals from {r.resamples} two-way bootstrap replicates over "
            "captions x training seeds"
        )

    def _sampling(self) -> str:
        own = {"guidance": self.guidance, "sampler": self.sampler, "steps": self.steps}
        named = [f"{name} {value}" for name, value in own.items() if value is not None]
        rest = [name for name, value in own.items() if value is None]
        if rest:
            named.append(f"{' and '.join(rest)} as each run's own settings")
        return ", ".join(named)


PRESETS = {
    "quick": Protocol("quick", samples=60, resampling=Resampling(resamples=1000)),
    "standard": Protocol("standard"),
    "mdm": Protocol("mdm", samples=1000, repeats=20, guidance=2.5),
    "paper": Protocol("paper", repeats=20, guidance=2.5),
}
"""`mdm` takes as many captions and repeats as MDM's authors, `paper` as those of T2M-GPT and CASIM. Two things
differ on purpose: no caption is dropped to fill batches, and MultiModality is taken over the repeats of all
captions instead of 30 motions of 100 of them."""
