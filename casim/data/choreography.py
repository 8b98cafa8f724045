"""Choreography: a procedural benchmark of captioned motion in which every word's frames are known.

A 22-joint body performs one to three of 19 actions, one after the other or two at once ("while"), slowly or fast,
once, twice or three times. Captions come from templates with synonyms; half of those about a sequence name the
actions in another order than they happen ("after", "before"), so that position in the text does not tell time.

Splits: `train`, `validation`, `test` (pairs of actions seen in training) and `held_out` (every clip holds a pair of
actions that never occurs together in the other splits, in any order or at once). `test` and `held_out` have equal
shares of each kind of caption; single actions cannot be held out as a pair, so neither has any.
No caption of validation, test or held_out occurs in train.

Source: this project's own; no recorded motion. The features are the first 67 of HumanML3D's 263: recovery reads no
others, and the rest repeats them. They are z-scored with a floor of 0.3 of the median deviation, so that columns
that hardly move are not blown up to unit noise. The converter is `fixed`: `legacy` takes the hips the wrong way
round, which tilts the facing direction of a turning body. Both are options.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from casim.data._actions import ACTIONS, COUNTABLE, LOWER, Motions, angle_table, joints_of
from casim.data._captions import NOBODY, Told, Word, caption, sequence_caption, tags, vocabulary
from casim.features import FeatureSpec, from_joints
from casim.types import ActionSpan, Alignment, Clips, MotionBatch, MotionDataset, WordSpan, frame_mask, words_of

VOCABULARY = vocabulary()
KINDS = ("single", "pair", "while", "triple")
SHARES = {"train": (0.15, 0.45, 0.2, 0.2), "validation": (0.0, 0.5, 0.25, 0.25)}
"""Share of each kind of caption; test and held_out have those of validation."""
SPLITS = ("train", "validation", "test", "held_out")
NATURAL_RANGE = (36, 96)
"""Frames of clips whose actions take their natural time; clips of another range are stretched to fill it."""
CHUNK = 256
"""Clips whose joints and features are made at a time."""


@dataclass(frozen=True)
class Plan:
    """What happens in a clip and how it is told."""

    id: str
    text: str
    kind: str
    is_reversed: bool
    words: tuple[Word, ...]
    told: tuple[Told, ...]
    spans: tuple[tuple[int, int], ...]
    """Frames of each action."""
    frames: int
    style: tuple[float, ...]
    """Amplitudes, gait phases, limb lengths and sway, as numbers from 0 to 1."""

    def alignment(self) -> Alignment:
        """The plan as ground truth."""
        actions = tuple(ActionSpan(ACTIONS[t.action], *s) for t, s in zip(self.told, self.spans, strict=True))
        spans = tuple(
            WordSpan(
                i, *(self.spans[w.segment] if w.segment != NOBODY else (0, self.frames)), w.segment, w.is_content
            )
            for i, w in enumerate(self.words)
        )
        return Alignment(tuple(w.text for w in self.words), spans, actions, self.kind, self.is_reversed)


class Choreography(MotionDataset):
    """The built-in benchmark; everything follows from the seed."""

    @dataclass(frozen=True)
    class Config:
        """Size and make-up."""

        seed: int = 0
        train: int = 8000
        """Clips of the train split; likewise below."""
        validation: int = 300
        test: int = 400
        held_out: int = 400
        held_out_pairs: int = 34
        """Of the 171 pairs of actions, how many never occur together in train, validation and test; 0: none, and
        `held_out` then draws from all pairs."""
        min_frames: int = NATURAL_RANGE[0]
        """Shortest clip, frames at 20 per second; from 20. In any range but the default, lengths are uniform."""
        max_frames: int = NATURAL_RANGE[1]
        """Longest clip; up to 196."""
        is_padded_full: bool = False
        """Pad every batch to `max_frames` instead of to its longest clip, for models that see padded frames."""
        spec: FeatureSpec = field(default_factory=lambda: FeatureSpec(converter="fixed", subset="essential"))

    def __init__(self, config: Config):
        if not 20 <= config.min_frames < config.max_frames <= 196:
            raise ValueError(
                f"clips of {config.min_frames} to {config.max_frames} frames; choose 20 <= min < max <= 196"
            )
        if config.spec.joints != 22 or config.spec.fps != 20:
            raise ValueError("choreography has 22 joints at 20 frames per second; use a FeatureSpec with these")
        self.config, self.spec = config, config.spec
        self._made: dict[str, ChoreographyClips] = {}
        self.mean, self.std = _statistics(self._clips("train"))

    @classmethod
    def vocabulary(cls, config: Any) -> frozenset[str]:
        """Words of the training captions."""
        return frozenset(word for text in _train_texts(config) for word in words_of(text))

    def split(self, name: str) -> "ChoreographyClips":
        """The split called `name`: train, validation, test or held_out."""
        clips = self._clips(name)
        clips.mean, clips.std = torch.from_numpy(self.mean), torch.from_numpy(self.std)
        return clips

    def sequences(self, actions: int, frames: int, number: int, seed: int = 0) -> "ChoreographyClips":
        """Clips of several actions, one after the other and told in that order, that fill `frames` frames each.

        No two actions of a clip are a held-out pair. Sentences of more than three actions go on in the way of
        shorter ones, which no training clip shows.

        Args:
            actions: of each clip, 2 or more.
            frames: of each clip; more than the longest clip of the splits is no error.
            number: of clips.
            seed: of the draw.

        Raises:
            ValueError: fewer than two actions.
        """
        if actions < 2:
            raise ValueError(f"a sequence has two or more actions, got {actions}")
        clips = ChoreographyClips(_sequences(self.config, actions, frames, number, seed), self.spec, frames)
        clips.mean, clips.std = torch.from_numpy(self.mean), torch.from_numpy(self.std)
        return clips

    def _clips(self, name: str) -> "ChoreographyClips":
        if name not in SPLITS:
            raise ValueError(f"unknown split {name!r}; choreography has {', '.join(SPLITS)}")
        if name not in self._made:
            frames = self.config.max_frames if self.config.is_padded_full else None
            self._made[name] = ChoreographyClips(plans(self.config, name), self.spec, frames)
        return self._made[name]


class ChoreographyClips(Clips):
    """Clips of one split; features are made at once when the split is first asked for."""

    def __init__(self, plans: tuple[Plan, ...], spec: FeatureSpec, frames: int | None = None):
        self.plans, self.spec, self.frames = plans, spec, frames
        self.ids = tuple(plan.id for plan in plans)
        self.lengths = np.array([plan.frames for plan in plans], dtype=np.int64)
        self.features = _features(plans, spec, frames or int(self.lengths.max()))
        self.mean, self.std = torch.zeros(spec.dims), torch.ones(spec.dims)

    def batch(self, items: Sequence[int], seed: int | None = None) -> MotionBatch:
        """The clips `items`, whole; each has one caption, so `seed` changes nothing."""
        plans = [self.plans[i] for i in items]
        mask = frame_mask([plan.frames for plan in plans], self.frames)
        rows = self.features[torch.as_tensor(list(items)), : mask.shape[1]]
        motion = (rows - self.mean) / self.std * mask[..., None]
        texts, ids = tuple(p.text for p in plans), tuple(p.id for p in plans)
        told = tuple(tags([word.text for word in p.words]) for p in plans)
        return MotionBatch(motion, mask, texts, ids, tuple(p.alignment() for p in plans), tags=told)

    def joints(self, items: Sequence[int]) -> Float[np.ndarray, "batch frames joints xyz"]:
        """Joint positions in metres of the clips `items`; one frame more than the longest has features."""
        return joints([self.plans[i] for i in items])


def joints(plans: Sequence[Plan]) -> Float[np.ndarray, "clips frames joints xyz"]:
    """Joint positions in metres; a clip of n frames of features has n + 1 frames here, then stands still."""
    frames = max(plan.frames for plan in plans) + 1
    style = np.array([plan.style for plan in plans])
    angles = angle_table(_motions(plans, style), len(plans), frames)
    time = np.arange(frames) / 20
    sway = np.sin(2 * np.pi * (0.4 * time + style[:, 9, None]))
    angles[..., 4] += 0.03 * style[:, 10, None] * sway
    angles[..., [11, 12]] += 0.05 * (sway * style[:, 11, None])[..., None]
    return joints_of(angles, 0.9 + 0.2 * style[:, 6:9])


def _motions(plans: Sequence[Plan], style: Float[np.ndarray, "clips numbers"]) -> Motions:
    rows = [
        (clip, told.action, start, end - start, told.count, told.speed, order)
        for clip, plan in enumerate(plans)
        for order, (told, (start, end)) in enumerate(zip(plan.told, plan.spans, strict=True))
    ]
    clip, action, start, length, count, speed, order = np.array(rows).T
    return Motions(
        clip=clip,
        action=action,
        start=start,
        length=length,
        count=count,
        speed=np.array([0.7, 1.0, 1.4])[speed + 1],
        size=0.85 + 0.3 * style[clip, order],
        phase=2 * np.pi * style[clip, 3 + order],
    )


def _features(
    plans: tuple[Plan, ...], spec: FeatureSpec, frames: int
) -> Float[torch.Tensor, "clips {frames} feats"]:
    """Features of all clips, zero-padded; the tail of a chunk's shorter clips stands still and is cut off."""
    out = torch.zeros(len(plans), frames, spec.dims)
    order = sorted(range(len(plans)), key=lambda i: plans[i].frames)
    for at in range(0, len(order), CHUNK):
        items = order[at : at + CHUNK]
        made = from_joints(torch.from_numpy(joints([plans[i] for i in items])).float(), spec)
        out[torch.tensor(items), : made.shape[1]] = made
    return out


def _statistics(clips: ChoreographyClips) -> tuple[Float[np.ndarray, " feats"], Float[np.ndarray, " feats"]]:
    mask = frame_mask(clips.lengths.tolist(), clips.features.shape[1])
    rows = clips.features[mask].double()
    std = rows.std(0)
    return rows.mean(0).float().numpy(), std.clamp(min=0.3 * float(std.median())).float().numpy()


def held_out_pairs(config: Any) -> frozenset[tuple[int, int]]:
    """The pairs of actions (indices, smaller first) that train never shows together."""
    every = [(a, b) for a in range(len(ACTIONS)) for b in range(a + 1, len(ACTIONS))]
    draw = _Draw((config.seed, 99))
    return frozenset(every.pop(draw.below(len(every))) for _ in range(config.held_out_pairs))


@cache
def _train_texts(config: Any) -> frozenset[str]:
    return frozenset(plan.text for plan in plans(config, "train"))


@cache
def plans(config: Any, split: str) -> tuple[Plan, ...]:
    """The plans of a split of a `Choreography.Config`, the same on every machine."""
    draw = _Draw((config.seed, SPLITS.index(split)))
    kept_out = held_out_pairs(config)
    number = getattr(config, split)
    shares = SHARES.get(split, SHARES["validation"])
    edges = np.round(np.cumsum(shares) * number).astype(int)
    known = frozenset() if split == "train" else _train_texts(config)
    made: list[Plan] = []
    while len(made) < number:
        kind = KINDS[int(np.searchsorted(edges, len(made), side="right"))]
        actions = _draw_actions(kind, draw)
        pairs = {(min(a, b), max(a, b)) for i, a in enumerate(actions) for b in actions[i + 1 :]}
        wants_held_out = split == "held_out" and bool(kept_out)
        if bool(pairs & kept_out) != wants_held_out:
            continue
        plan = _plan(f"{split}_{len(made):05d}", kind, actions, config, draw)
        if plan.text not in known:
            made.append(plan)
    return tuple(made)


def _sequences(config: Any, actions: int, frames: int, number: int, seed: int) -> tuple[Plan, ...]:
    draw, kept_out = _Draw((config.seed, len(SPLITS), seed, actions, frames)), held_out_pairs(config)
    exact = replace(config, min_frames=frames, max_frames=frames)
    made: list[Plan] = []
    while len(made) < number:
        left, chosen = list(range(len(ACTIONS))), []
        while left and len(chosen) < actions:
            last = left.pop(draw.below(len(left)))
            chosen.append(last)
            left = [a for a in left if (min(a, last), max(a, last)) not in kept_out]
        if len(chosen) < actions:
            continue
        told = tuple(_told(action, draw) for action in chosen)
        text, words = sequence_caption(told, draw.below)
        spans, length = _timing("sequence", told, exact, draw)
        name = f"sequence_{actions}_{frames}_{len(made):05d}"
        made.append(Plan(name, text, "sequence", False, words, told, spans, length, draw.numbers(12)))
    return tuple(made)


class _Draw:
    """Draws that every version of numpy makes alike: only uniform doubles of PCG64 are used."""

    def __init__(self, key: tuple[int, ...]):
        self.random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def below(self, number: int) -> int:
        return int(self.random.random() * number)

    def numbers(self, size: int) -> tuple[float, ...]:
        return tuple(self.random.random(size).tolist())


def _draw_actions(kind: str, draw: _Draw) -> list[int]:
    if kind == "while":
        lower = draw.below(len(LOWER))
        return [lower, len(LOWER) + draw.below(len(ACTIONS) - len(LOWER))]
    number = {"single": 1, "pair": 2, "triple": 3}[kind]
    left = list(range(len(ACTIONS)))
    return [left.pop(draw.below(len(left))) for _ in range(number)]


def _plan(name: str, kind: str, actions: list[int], config: Any, draw: _Draw) -> Plan:
    told = tuple(_told(action, draw) for action in actions)
    is_reversed = kind in ("pair", "triple") and draw.below(2) == 1
    text, words = caption(kind, told, is_reversed, draw.below)
    spans, frames = _timing(kind, told, config, draw)
    return Plan(name, text, kind, is_reversed, words, told, spans, frames, draw.numbers(12))


def _told(action: int, draw: _Draw) -> Told:
    speed = (-1, 0, 0, 0, 1)[draw.below(5)]
    count = (0, 0, 0, 2, 3)[draw.below(5)] if ACTIONS[action] in COUNTABLE else 0
    return Told(action, speed, count)


def _timing(kind: str, told: Sequence[Told], config: Any, draw: _Draw) -> tuple[tuple[tuple[int, int], ...], int]:
    """Frames of each action and of the clip: a still moment, the actions with short gaps, a still moment."""
    sizes = [
        (18 + 14 * draw.numbers(1)[0]) * (1.35, 1.0, 0.75)[t.speed + 1] * {0: 1.0, 2: 1.3, 3: 1.6}[t.count]
        for t in told
    ]
    if kind == "while":
        sizes = [max(sizes)]
    gaps = [2 + 4 * g for g in draw.numbers(len(sizes) + 1)]
    total = sum(sizes) + sum(gaps)
    low, high = config.min_frames, config.max_frames
    wanted = total if (low, high) == NATURAL_RANGE else low + (high - low) * draw.numbers(1)[0]
    scale = min(max(wanted, low), high) / total
    edges, at = [], 0.0
    for gap, size in zip(gaps, sizes, strict=False):
        edges.append((round((at + gap) * scale), round((at + gap + size) * scale)))
        at += gap + size
    frames = min(max(round(total * scale), low), high)
    spans = tuple((start, min(end, frames)) for start, end in edges)
    return (spans * 2 if kind == "while" else spans), frames
