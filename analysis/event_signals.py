"""Does attention to a word rise when the movement that it names happens? For real clips, where no intervals are
known.

Words about a part of the body or a way of moving get a signal over time from the motion itself: the speed of the
hands or feet (of one side after "left" or "right"), of the pelvis over the floor, its vertical speed, the turning
speed of the hips, how low the pelvis or the head is. The statistic is Spearman's correlation over the frames of a
clip between a word's attention and its signal, mean over the clip's words with a signal. Nothing here comes from
attention.

Entries of the record, with the nulls of the probe (`null untrained`, `null position`, `null prompt swap`):

- `ARM/event_rho`, `null NAME/event_rho`, `ARM - null NAME/event_rho` (paired by clip and training seed).
- `ARM/event_rho/{signal}`: words with this signal alone.
- `ARM/event_rho/swap_p`: one-sided p of the mean against swaps of prompts of equal length.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import uniform_filter1d
from scipy.stats import rankdata

from analysis.attention_inference import swap_p
from analysis.attention_study import Entries, Study
from analysis.statistics import Maps, Spans, equally_long, mean_over_words, position_maps, swap_prompts
from casim.record import Measure
from casim.types import ActionSpan, Alignment, MotionBatch, WordSpan, words_of

SMOOTH = 5
"""Frames over which signals are averaged."""
SWAPS = 99
STEMS: Mapping[str, tuple[str, ...]] = {
    "hands": (
        "hand",
        "arm",
        "wav",
        "punch",
        "clap",
        "rais",
        "lift",
        "throw",
        "reach",
        "wip",
        "wash",
        "box",
        "grab",
    ),
    "feet": ("foot", "feet", "leg", "kick", "stomp", "step"),
    "travel": ("walk", "run", "jog", "forward", "backward", "sidestep", "stride", "march", "dash"),
    "vertical": ("jump", "hop", "leap"),
    "turning": ("turn", "rotat", "spin", "twirl", "circle"),
    "low pelvis": ("sit", "squat", "crouch", "kneel", "duck"),
    "low head": ("bow", "bend", "lean", "stoop"),
}
"""Beginnings of the words that each signal belongs to."""
SIDES = ("left", "right")
SIGNALS = (*STEMS, *(f"{side} {part}" for side in SIDES for part in ("hands", "feet")))
WRISTS, ANKLES, PELVIS, HIPS, HEAD = (20, 21), (7, 8), 0, (1, 2), 15
STOP = frozenset(
    [
        "a",
        "an",
        "the",
        "is",
        "are",
        "to",
        "of",
        "in",
        "on",
        "at",
        "and",
        "then",
        "with",
        "his",
        "her",
        "their",
        "its",
        "it",
        "they",
        "he",
        "she",
        "as",
        "by",
        "for",
        "from",
        "up",
    ]
)


def signals(
    joints: Float[np.ndarray, "clips frames joints xyz"], lengths: Int[np.ndarray, " clips"]
) -> Float[np.ndarray, "clips signals frames"]:
    """Every signal of `SIGNALS` per frame, smoothed; frames beyond a clip's length repeat its last."""
    frame = np.minimum(np.arange(joints.shape[1]), lengths[:, None] - 1)
    joints = np.take_along_axis(joints, frame[:, :, None, None], axis=1)
    velocity = np.gradient(joints, axis=1)
    speed = np.linalg.norm(velocity, axis=-1)
    across = joints[:, :, HIPS[0]] - joints[:, :, HIPS[1]]
    heading = np.unwrap(np.arctan2(across[..., 2], across[..., 0]), axis=1)
    made = {
        "hands": speed[:, :, WRISTS].max(-1),
        "feet": speed[:, :, ANKLES].max(-1),
        "travel": np.linalg.norm(velocity[:, :, PELVIS][..., [0, 2]], axis=-1),
        "vertical": np.abs(velocity[:, :, PELVIS, 1]),
        "turning": np.abs(np.gradient(heading, axis=1)),
        "low pelvis": -joints[:, :, PELVIS, 1],
        "low head": -joints[:, :, HEAD, 1],
    }
    for part, (left, right) in (("hands", WRISTS), ("feet", ANKLES)):
        made |= {f"left {part}": speed[:, :, left], f"right {part}": speed[:, :, right]}
    return uniform_filter1d(np.stack([made[name] for name in SIGNALS], 1), SMOOTH, axis=-1)


def signal_of(words: Sequence[str]) -> list[int]:
    """For each word of a caption the number of its signal in `SIGNALS`, -1 for none.

    "left" and "right" belong to the hand or foot named next or before, and the part takes the side over.
    """
    found = [next((name for name, stems in STEMS.items() if word.startswith(stems)), "") for word in words]
    for place, word in enumerate(words):
        if word in SIDES:
            near = sorted(range(len(words)), key=lambda i: abs(i - place - 0.4))
            part = next((i for i in near if found[i] in ("hands", "feet") and abs(i - place) <= 3), None)
            if part is not None:
                found[part] = found[place] = f"{word} {found[part]}"
    return [SIGNALS.index(name) if name else -1 for name in found]


def plain_alignment(text: str, frames: int) -> Alignment:
    """What is known of a real clip: its words, all about one action that fills it; function words are no
    content."""
    words = words_of(text)
    spans = tuple(WordSpan(i, 0, frames, 0, word not in STOP) for i, word in enumerate(words))
    return Alignment(tuple(words), spans, (ActionSpan("", 0, frames),), "single", False)


def word_rho(
    maps: Maps, spans: Spans, made: Float[np.ndarray, "clips signals frames"], which: Int[np.ndarray, "clips words"]
) -> Float[np.ndarray, "clips words"]:
    """Spearman's correlation over frames of each word's attention with its signal; NaN for words without one."""
    usable = (which >= 0) & ~np.isnan(maps).any(-1)
    clip, word = np.nonzero(usable)
    is_real = np.arange(maps.shape[-1]) < spans.lengths[clip, None]
    pair = maps[clip, word], made[clip, which[clip, word]]
    x, y = (_centred_ranks(values, is_real) for values in pair)
    spread = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    found = np.full(usable.shape, np.nan)
    found[clip, word] = np.divide((x * y).sum(-1), spread, out=np.zeros(len(clip)), where=spread > 0)
    return found


def _centred_ranks(values: np.ndarray, is_real: np.ndarray) -> np.ndarray:
    ranks = rankdata(np.where(is_real, values, np.inf), axis=-1)  # padding ranks last: no effect
    mean = (ranks * is_real).sum(-1, keepdims=True) / is_real.sum(-1, keepdims=True)
    return (ranks - mean) * is_real


def measures(study: Study, arm: str) -> dict[str, Measure]:
    """Every entry of this module.

    Raises:
        ValueError: fewer than two clips have a word with a signal.
    """
    event = _Events(study)
    own = {name: event.rho(study.capture(model, study.clips).maps) for name, model in study.models.items()}
    if (~np.isnan(np.stack(list(own.values()))).all((0, 2))).sum() < 2:
        raise ValueError("fewer than two captions name a limb or a movement that has a signal; take more --samples")
    return dict(_entries(study, arm, event, own))


class _Events:
    """The clips with the signals of their words."""

    def __init__(self, study: Study) -> None:
        clips: MotionBatch = study.clips
        first: Any = next(iter(study.models.values()))
        lengths = clips.lengths.numpy()
        joints = first.joints(clips.motion.to(first.device)).cpu().numpy()[:, : clips.mask.shape[1]]
        self.spans = Spans.of(clips.alignment or (), lengths)
        self.made = signals(joints, lengths)
        self.which = np.full(self.spans.starts.shape, -1)
        for clip, words in enumerate(self.spans.texts):
            self.which[clip, : len(words)] = signal_of(words)

    def rho(self, maps: Maps, signal: str | None = None) -> Float[np.ndarray, "clips words"]:
        which = self.which
        if signal is not None:
            which = np.where(which == SIGNALS.index(signal), which, -1)
        return word_rho(maps, self.spans, self.made, which)


def _entries(study: Study, arm: str, event: _Events, own: Mapping[str, np.ndarray]) -> Entries:
    random = np.random.default_rng(study.seed)
    about = "correlation over frames of words' attention with the movement that they name"
    rho = np.stack([mean_over_words(value) for value in own.values()])
    maps = [study.capture(model, study.clips).maps for model in study.models.values()]
    draws = np.stack(
        [
            np.stack([mean_over_words(event.rho(swap_prompts(m, event.spans, random))) for _ in range(SWAPS)])
            for m in maps
        ]
    )
    untrained = [m.untrained(study.seed + k) for k, m in enumerate(study.models.values())]
    nulls = {
        "untrained": np.stack([mean_over_words(event.rho(study.capture(m, study.clips).maps)) for m in untrained]),
        "position": np.stack([mean_over_words(event.rho(position_maps(m, event.spans))) for m in maps]),
        "prompt swap": draws.mean(1),
    }
    yield from study.mean(f"{arm}/event_rho", rho, f"{about}, mean over training seeds", True, "correlation")
    for name, value in zip(own, rho, strict=True):
        yield from study.mean(f"{name}/event_rho", value[None], f"{about}, this run alone", True, "correlation")
    for name, values in nulls.items():
        yield from study.mean(f"null {name}/event_rho", values, f"{about}, null: {name}", None, "correlation")
        words = f"{about}: trained less {name} null, paired by clip and run"
        yield from study.mean(f"{arm} - null {name}/event_rho", rho - values, words, True, "correlation")
    p = swap_p(rho, np.where(equally_long(event.spans).any(1), draws, np.nan))
    words = f"one-sided p of the mean against {SWAPS} swaps of prompts of equal length; {study.protocol}"
    yield f"{arm}/event_rho/swap_p", Measure(value=p, n=SWAPS, unit="p", higher_is_better=False, protocol=words)
    for signal in SIGNALS:
        values = np.stack([mean_over_words(event.rho(m, signal)) for m in maps])
        yield from study.mean(f"{arm}/event_rho/{signal}", values, f"{about}: {signal}", True, "correlation")


def captures(study: Study) -> int:
    """How often `measures` ticks."""
    return 3 * len(study.models)
