"""Does attention follow the words? Statistics of word x frame maps against true intervals, and their nulls.

All functions are pure numpy over a batch of clips; padded words and frames are excluded by `Spans`. A map that
knows nothing scores .5 in `clip_auc`. A map that only knows the order of words in the text scores well on
captions that name actions in the order they happen, and not on reversed ones: hence `position_maps`, and groups
by text order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from analysis.alignment import resample, stretch
from casim.types import Alignment
from evaluators.intervals import DEFAULT, Estimate, Resampling

GRID = 64
"""Points of relative time to which maps of clips of different lengths are brought."""

Maps = Float[np.ndarray, "clips words frames"]


@dataclass(frozen=True)
class Spans:
    """True intervals of the words of a batch of clips, padded to the longest caption."""

    starts: Int[np.ndarray, "clips words"]
    """First frame described."""
    ends: Int[np.ndarray, "clips words"]
    """One past the last."""
    segments: Int[np.ndarray, "clips words"]
    """The action described, in order of time; -1 for none."""
    is_content: Bool[np.ndarray, "clips words"]
    """Words that say something about an action; False for padding."""
    lengths: Int[np.ndarray, " clips"]
    """Frames of each clip."""
    boundary: Float[np.ndarray, " clips"]
    """Where the first of two actions ends and the second begins, as a share of the clip; NaN unless a pair."""
    words: Int[np.ndarray, " clips"]
    """Words of each caption."""
    texts: tuple[tuple[str, ...], ...]
    """The captions, as words."""

    @staticmethod
    def of(alignments: Sequence[Alignment], lengths: Sequence[int] | Int[np.ndarray, " clips"]) -> "Spans":
        """The spans of a dataset's alignments."""
        counts = np.array([len(a.words) for a in alignments])
        starts, ends, segments = (np.full((len(counts), counts.max()), fill) for fill in (0, 0, -1))
        is_content = np.zeros(starts.shape, bool)
        for clip, alignment in enumerate(alignments):
            for span in alignment.spans:
                at = clip, span.word
                starts[at], ends[at], segments[at] = span.start, span.end, span.segment
                is_content[at] = span.is_content
        frames = np.asarray(lengths)
        boundary = np.array([_boundary(a) for a in alignments]) / frames
        texts = tuple(a.words for a in alignments)
        return Spans(starts, ends, segments, is_content, frames, boundary, counts, texts)

    def first(self, clips: int) -> "Spans":
        """Those of the first clips."""
        return Spans(**{field.name: getattr(self, field.name)[:clips] for field in fields(self)})

    def only(self, words: Bool[np.ndarray, "clips words"]) -> "Spans":
        """The same, but only `words` count as content."""
        return replace(self, is_content=self.is_content & words)

    def inside(self, frames: int) -> Bool[np.ndarray, "clips words {frames}"]:
        """True where a word's interval covers a frame."""
        frame = np.arange(frames)
        return (frame >= self.starts[..., None]) & (frame < self.ends[..., None])

    @property
    def is_informative(self) -> Bool[np.ndarray, "clips words"]:
        """Content words whose interval is neither empty nor the whole clip: the others have no AUC."""
        covered = self.ends - self.starts
        return self.is_content & (covered > 0) & (covered < self.lengths[:, None])


def _boundary(alignment: Alignment) -> float:
    if alignment.kind != "pair":
        return np.nan
    first, second = alignment.actions
    return (first.end + second.start) / 2


def word_auc(maps: Maps, spans: Spans) -> Float[np.ndarray, "clips words"]:
    """Rank AUC of each word's attention over frames against its true interval; NaN for uninformative words.

    The probability that a random frame inside the interval gets more of the word's attention than a random frame
    outside; ties count half (Mann-Whitney). Only the order of frames matters, so that the level of a word's
    attention plays no part.
    """
    usable = spans.is_informative & ~np.isnan(maps).any(-1)
    clip = np.nonzero(usable)[0]
    is_real = np.arange(maps.shape[-1]) < spans.lengths[clip, None]
    ranks = rankdata(np.where(is_real, maps[usable], np.inf), axis=-1)  # padding ranks last: no effect
    inside = spans.inside(maps.shape[-1])[usable]
    count = inside.sum(-1)
    above = (ranks * inside).sum(-1) - count * (count + 1) / 2
    auc = np.full(usable.shape, np.nan)
    auc[usable] = above / (count * (spans.lengths[clip] - count))
    return auc


def clip_auc(maps: Maps, spans: Spans) -> Float[np.ndarray, " clips"]:
    """Mean of `word_auc` over the informative content words of each clip; NaN for clips without any."""
    return mean_over_words(word_auc(maps, spans))


def mean_over_words(values: Float[np.ndarray, "clips words"]) -> Float[np.ndarray, " clips"]:
    """Mean of the values that are not NaN; NaN for clips without any."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(-1)
    return np.divide(total, known.sum(-1), out=np.full(len(values), np.nan), where=known.any(-1))


def share(maps: Maps, spans: Spans) -> Float[np.ndarray, " clips"]:
    """Attention to the words of the action under way, as a share of attention to all informative words.

    Mean over the frames that some but not all informative words describe; NaN for clips without such frames.
    Compare with the same of a uniform map: `share(np.ones_like(maps), spans)`.
    """
    content = spans.is_informative[..., None]
    inside = spans.inside(maps.shape[-1]) & content
    on_all = (maps * content).sum(1)
    right = (maps * inside).sum(1)
    counts = inside.sum(1)
    decided = (counts > 0) & (counts < content.sum(1)) & (on_all > 0)
    ratio = np.divide(right, on_all, out=np.full(right.shape, np.nan), where=decided)
    return mean_over_words(ratio)


def found_boundary(maps: Maps, spans: Spans) -> Float[np.ndarray, " clips"]:
    """Where attention switches from the words of the first action to those of the second, as a share of the clip.

    The step that fits best (least squares, downwards) the first action's part of the attention to the content
    words of both, over the frames of the clip. A map that never changes gives .5; clips that are no pair give
    NaN.
    """
    first, second = ((maps * (spans.is_content & (spans.segments == k))[..., None]).sum(1) for k in (0, 1))
    both, frames = first + second, maps.shape[-1]
    is_real = np.arange(frames) < spans.lengths[:, None]
    part = np.divide(first, both, out=np.zeros_like(both), where=is_real & (both > 0))
    total, before = part.sum(-1, keepdims=True), np.cumsum(part, -1)[:, :-1]
    left, length = np.arange(1, frames), spans.lengths[:, None]
    right = np.maximum(length - left, 1)
    drop = before / left - (total - before) / right
    score = np.where(left < length, left * right / length * drop * np.abs(drop), -np.inf)
    best = score.argmax(-1)
    flat = np.ptp(np.where(np.isfinite(score), score, 0), axis=-1) < 1e-12
    found = np.where(flat, 0.5, (best + 1) / spans.lengths)
    return np.where(np.isnan(spans.boundary), np.nan, found)


def reverse_time(maps: Maps, spans: Spans) -> Maps:
    """The maps with the real frames of each clip in reverse order: the time reversal null."""
    frame = np.arange(maps.shape[-1])
    source = np.where(frame < spans.lengths[:, None], spans.lengths[:, None] - 1 - frame, frame)
    return np.take_along_axis(maps, source[:, None], axis=-1)


def position_maps(maps: Maps, spans: Spans) -> Maps:
    """The position-only null: what the position of words in the prompt predicts, without their meaning.

    For each clip the mean, over relative time, of the maps of all other clips whose captions have equally many
    words and are not the same; NaN where there is none. The clip's own map takes no part.
    """
    relative = resample(maps, spans.lengths, GRID)
    weights = equally_long(spans).astype(maps.dtype)
    partners = weights.sum(1)
    mean = np.einsum("ij,jwg->iwg", weights, relative) / np.maximum(partners, 1)[:, None, None]
    predicted = stretch(mean, spans.lengths, maps.shape[-1])
    return np.where(partners[:, None, None] > 0, predicted, np.nan)


def template_maps(maps: Maps, spans: Spans) -> Maps:
    """The template null: what the order of telling predicts, whatever is told and whenever it happens in this clip.

    For each clip and each of its actions the mean, over relative time, of the attention to the content words of
    that action in all other clips whose captions name as many actions in the same order; NaN where there is none,
    and for words about no action. The clip's own map, words and intervals take no part.
    """
    told, clause = _clauses(resample(maps, spans.lengths, GRID), spans)
    weights = (_alike(told) & _is_other_text(spans)).astype(maps.dtype)
    partners = weights.sum(1)
    mean = np.einsum("ij,jag->iag", weights, clause) / np.maximum(partners, 1)[:, None, None]
    by_word = np.take_along_axis(mean, np.maximum(told, 0)[..., None], axis=1)  # clips words grid
    predicted = stretch(by_word, spans.lengths, maps.shape[-1])
    return np.where((partners[:, None] > 0)[..., None] & (told >= 0)[..., None], predicted, np.nan)


def clause_means(
    relative: Float[np.ndarray, "clips words points"], spans: Spans
) -> Float[np.ndarray, "clips words points"]:
    """For each word the mean map of its clause over all clips told alike, the clip itself included.

    Words about no action keep their own mean level.
    """
    told, clause = _clauses(relative, spans)
    weights = _alike(told).astype(relative.dtype)
    mean = np.einsum("ij,jag->iag", weights / weights.sum(1, keepdims=True), clause)
    by_word = np.take_along_axis(mean, np.maximum(told, 0)[..., None], axis=1)
    return np.where(told[..., None] >= 0, by_word, relative.mean(-1, keepdims=True))


def _clauses(
    relative: Float[np.ndarray, "clips words points"], spans: Spans
) -> tuple[Int[np.ndarray, "clips words"], Float[np.ndarray, "clips actions points"]]:
    """The action that each content word is about (-1: none), and the mean map of the words about each action."""
    told = np.where(spans.is_content, spans.segments, -1)
    belongs = told[:, None] == np.arange(told.max() + 1)[:, None]  # clips actions words
    clause = np.einsum("caw,cwg->cag", belongs.astype(relative.dtype), relative)
    return told, clause / np.maximum(belongs.sum(-1), 1)[..., None]


def _alike(told: Int[np.ndarray, "clips words"]) -> Bool[np.ndarray, "clips clips"]:
    """True where another clip's caption names as many actions in the same order."""
    orders = [" ".join(map(str, dict.fromkeys(row[row >= 0].tolist()))) for row in told]
    order = np.unique(orders, return_inverse=True)[1]
    return order[:, None] == order[None]


def swap_prompts(maps: Maps, spans: Spans, generator: np.random.Generator) -> Maps:
    """The prompt-swap null: each clip gets the map of one other clip with equally many words, drawn at random.

    Brought to the clip's length; NaN where no other caption has as many words.
    """
    partners = equally_long(spans)
    keys = np.where(partners, generator.random(partners.shape), -1)
    donor = keys.argmax(1)
    swapped = stretch(resample(maps, spans.lengths, GRID)[donor], spans.lengths, maps.shape[-1])
    return np.where((partners.sum(1) > 0)[:, None, None], swapped, np.nan)


def equally_long(spans: Spans) -> Bool[np.ndarray, "clips clips"]:
    """True where another clip's caption has as many words and is another text."""
    return (spans.words[:, None] == spans.words[None]) & _is_other_text(spans)


def _is_other_text(spans: Spans) -> Bool[np.ndarray, "clips clips"]:
    text = np.unique([" ".join(words) for words in spans.texts], return_inverse=True)[1]
    return text[:, None] != text[None]


def permutation_p(observed: float, null: Float[np.ndarray, " draws"]) -> float:
    """One-sided p: how often the null reaches the observed value, itself counted; at least 1 / (draws + 1)."""
    return float((1 + (null >= observed).sum()) / (1 + len(null)))


def rank_correlation(
    a: Float[np.ndarray, "*draws clips"], b: Float[np.ndarray, "*draws clips"]
) -> Float[np.ndarray, "*draws"]:
    """Spearman's correlation along the last axis, ties averaged; 0 where either side is constant."""
    x, y = (rankdata(v, axis=-1) for v in (a, b))
    x, y = (v - v.mean(-1, keepdims=True) for v in (x, y))
    spread = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return np.divide((x * y).sum(-1), spread, out=np.zeros_like(spread), where=spread > 0)


def rank_correlation_replicates(
    true: Float[np.ndarray, " clips"], found: Float[np.ndarray, "runs clips"], how: Resampling = DEFAULT
) -> Float[np.ndarray, " resamples"]:
    """Two-way bootstrap replicates (clips x runs) of the mean of the runs' correlations with `true`.

    Equal settings draw equal clips and runs, so that replicates of two maps may be subtracted: a paired
    difference. One run less than there are is drawn, as in `evaluators.intervals`.
    """
    generator = np.random.default_rng(how.seed)
    runs, clips = found.shape
    items = generator.integers(clips, size=(how.resamples, clips))
    counts = generator.multinomial(max(runs - 1, 1), np.full(runs, 1 / runs), size=how.resamples)
    each = np.stack([rank_correlation(true[items], run[items]) for run in found], axis=1)
    return (each * counts).sum(1) / counts.sum(1)


def estimate(
    value: float, replicates: Float[np.ndarray, " resamples"], n: int, how: Resampling = DEFAULT
) -> Estimate:
    """A value with the percentile interval of its replicates."""
    tail = 50 * (1 - how.confidence)
    low, high = np.percentile(replicates, [tail, 100 - tail])
    return Estimate(float(value), (float(low), float(high)), n)
