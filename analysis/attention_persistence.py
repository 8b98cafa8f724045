"""Does attention persist: over noise, trainings, wordings, and over seed, guidance and steps of sampling?

One map per clip is taken under each condition and compared with the clip's own. Conditions on real clips: `noise`
(another draw), `training seed` (another run), `wording` (another caption of the same motion, told in the same
order). On motions that the model makes for the clips' captions, all of one length: `sampling seed`, `guidance`,
`steps`. Entries of the record:

- `persistence/CONDITION/jsd`: Jensen-Shannon divergence (bits) between the distributions over words (and sink) of
  both maps, mean over frames; not for `wording`, where the words differ.
- `persistence/CONDITION/top3`: share of the three most attended content words that both maps have in common.
- `persistence/CONDITION/icc`: intraclass correlation ICC(2,1) (Shrout and Fleiss 1979) of where in the clip the
  attention to an action's words is centred, less the mean of the first (second, third) actions of clips with as
  many: that the first comes before the second is no persistence. 1: every clip keeps its own, 0: nothing of it.
- `persistence/null prompt swap/jsd`, `.../top3`: two captions with equally many words compared in the same way:
  what no persistence looks like.
- `persistence/heads/matched`: correlation between the heads of two trainings, paired so that it is largest
  (Hungarian assignment on half of the clips, scored on the other half); `.../same number`: paired by their numbers;
  `.../untrained`: the same assignment between two untrained models.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from scipy.special import rel_entr

from analysis import stimuli
from analysis.alignment import resample
from analysis.attention_capture import Captured
from analysis.attention_designs import clause_centres
from analysis.attention_study import Entries, Study
from analysis.interventions import text_modules
from analysis.statistics import GRID, Spans, equally_long, estimate
from casim.data.choreography import ChoreographyClips
from casim.record import Measure
from casim.text_to_motion import TextToMotion
from casim.types import MotionBatch, frame_mask

TOP = 3
MADE = 40
"""Motions made for each sampling condition, at most."""
SAMPLING: Mapping[str, Sequence[dict[str, Any]]] = {
    "sampling seed": ({"seed": 1}, {"seed": 2}),
    "guidance": ({"guidance": 1.0}, {"guidance": 5.0}),
    "steps": ({"steps": 10}, {"steps": 50}),
}
"""What differs from the run's own sampling with seed 0."""
CONDITIONS = {
    "noise": "another draw of noise",
    "training seed": "another training",
    "wording": "another wording of the caption",
    "sampling seed": "motions sampled with other seeds",
    "guidance": "motions sampled with guidance 1 and 5 instead of the run's own",
    "steps": "motions sampled in 10 and 50 steps instead of the run's own",
}


def measures(study: Study) -> dict[str, Measure]:
    """Every entry `persistence/...`."""
    spans = Spans.of(study.clips.alignment or (), study.clips.lengths.numpy())
    own = [study.capture(model, study.clips) for model in study.models.values()]
    found = dict(_compared(study, "training seed", [own], spans)) if len(own) > 1 else {}
    noisy = [[study.capture(m, study.clips, noise) for noise in (1, 2)] for m in study.models.values()]
    found |= dict(_compared(study, "noise", [[a, *b] for a, b in zip(own, noisy, strict=True)], spans))
    found |= dict(_null(study, own, spans))
    if isinstance(study.split, ChoreographyClips):
        found |= dict(_wording(study, study.split, own, spans))
    found |= dict(_sampling(study))
    return found | dict(_heads(study, spans))


def captures(study: Study) -> int:
    """How often `measures` ticks."""
    made = 2 * (1 + sum(map(len, SAMPLING.values())))
    heads = max(text_modules(next(iter(study.models.values())).backbone).values())
    return len(study.models) * (3 + isinstance(study.split, ChoreographyClips) + made + heads) + 2 * heads


def _compared(study: Study, name: str, groups: Sequence[Sequence[Captured]], spans: Spans) -> Entries:
    """The entries of one condition: in each group the first is the reference, or all pairs if there is one
    group."""
    pairs = [pair for group in groups for pair in (combinations(group, 2) if len(groups) == 1 else _first(group))]
    words = CONDITIONS[name]
    jsd = np.stack([divergence(a, b, spans) for a, b in pairs])
    yield from study.mean(f"persistence/{name}/jsd", jsd, f"Jensen-Shannon divergence: {words}", False, "bits")
    top = np.stack([top_overlap(a.maps, b.maps, spans) for a, b in pairs])
    yield from study.mean(
        f"persistence/{name}/top3", top, f"overlap of the {TOP} most attended words: {words}", True
    )
    yield from _agreement(study, name, [[clause_centres(c.maps, spans) for c in group] for group in groups])


def _first(group: Sequence[Captured]) -> list[tuple[Captured, Captured]]:
    return [(group[0], other) for other in group[1:]]


def _agreement(study: Study, name: str, groups: Sequence[Sequence[np.ndarray]]) -> Entries:
    """The intraclass correlation of one condition, mean over groups, clips resampled."""
    clips, actions = groups[0][0].shape
    tables = np.stack([_centred(np.stack(group, -1)).reshape(clips * actions, -1) for group in groups])
    random = np.random.default_rng(study.how.seed)
    rows = np.arange(clips * actions).reshape(clips, actions)
    draws = [
        np.mean([icc(table[rows[random.integers(clips, size=clips)].ravel()]) for table in tables])
        for _ in range(study.how.resamples)
    ]
    value = float(np.mean([icc(table) for table in tables]))
    words = f"ICC(2,1) of the centre of attention to each action's words: {CONDITIONS[name]}"
    one = estimate(value, np.array(draws), clips, study.how)
    yield f"persistence/{name}/icc", study.measure(one, words, True, "ICC")


def _centred(
    values: Float[np.ndarray, "clips actions conditions"],
) -> Float[np.ndarray, "clips actions conditions"]:
    """Less the mean of the same action of all clips with as many actions."""
    number = (~np.isnan(values[..., 0])).sum(1)
    found = values.copy()
    for count in np.unique(number[number > 0]):
        rows = number == count
        found[rows, :count] -= np.nanmean(values[rows, :count], axis=(0, 2), keepdims=True)
    return found


def icc(table: Float[np.ndarray, "targets conditions"]) -> float:
    """ICC(2,1): agreement of single measurements, conditions drawn at random; rows with NaN are left out."""
    table = table[~np.isnan(table).any(1)]
    n, k = table.shape
    if n < 2 or k < 2:
        return np.nan
    rows, columns, grand = table.mean(1), table.mean(0), table.mean()
    between = k * ((rows - grand) ** 2).sum() / (n - 1)
    conditions = n * ((columns - grand) ** 2).sum() / (k - 1)
    rest = ((table - rows[:, None] - columns + grand) ** 2).sum() / ((n - 1) * (k - 1))
    divisor = between + (k - 1) * rest + k * (conditions - rest) / n
    return float((between - rest) / divisor) if divisor > 0 else np.nan


def divergence(a: Captured, b: Captured, spans: Spans) -> Float[np.ndarray, " clips"]:
    """Jensen-Shannon divergence in bits between the distributions over words and sink, mean over real frames."""
    both = [np.concatenate([c.maps, c.sink[:, None]], 1) for c in (a, b)]
    frames = both[0].shape[-1]
    is_real = np.arange(frames) < spans.lengths[:, None]
    both = [np.where(is_real[:, None], rows, 1.0) for rows in both]
    return np.where(is_real, jensen_shannon(*both), 0).sum(1) / spans.lengths


def jensen_shannon(
    p: Float[np.ndarray, "clips words frames"], q: Float[np.ndarray, "clips words frames"]
) -> Float[np.ndarray, "clips frames"]:
    """Divergence in bits (0 to 1) between distributions over words, which need not be normalised."""
    p, q = (values / values.sum(1, keepdims=True) for values in (p, q))
    middle = (p + q) / 2
    return (rel_entr(p, middle) + rel_entr(q, middle)).sum(1) / (2 * np.log(2))


def top_overlap(a: np.ndarray, b: np.ndarray, spans: Spans, top: int = TOP) -> Float[np.ndarray, " clips"]:
    """Share of the `top` content words with the most attention that two maps have in common; NaN with fewer
    words."""
    usable = spans.is_content.sum(1) > top
    level = [np.where(spans.is_content, maps.sum(-1), -1) for maps in (a, b)]
    best = [np.argsort(-values, axis=1, kind="stable")[:, :top] for values in level]
    common = (best[0][:, :, None] == best[1][:, None]).any(-1).sum(1) / top
    return np.where(usable, common, np.nan)


def _null(study: Study, own: Sequence[Captured], spans: Spans) -> Entries:
    """Two different captions of equal length compared as if they were one."""
    partners = equally_long(spans)
    random = np.random.default_rng(study.seed)
    donor = np.where(partners, random.random(partners.shape), -1).argmax(1)
    has = partners.any(1)
    jsd, top = [], []
    for c in own:
        relative = resample(np.concatenate([c.maps, c.sink[:, None]], 1), spans.lengths, GRID)
        jsd.append(np.where(has, jensen_shannon(relative, relative[donor]).mean(1), np.nan))
        top.append(np.where(has, top_overlap(c.maps, c.maps[donor], spans), np.nan))
    words = "two captions with equally many words, compared place by place"
    yield from study.mean("persistence/null prompt swap/jsd", np.stack(jsd), words, None, "bits")
    yield from study.mean("persistence/null prompt swap/top3", np.stack(top), words)


def _wording(study: Study, split: ChoreographyClips, own: Sequence[Captured], spans: Spans) -> Entries:
    other = stimuli.retold(split, study.items, study.seed, is_reordered=False).clips
    new = Spans.of(other.alignment or (), other.lengths.numpy())
    centres = [
        [clause_centres(c.maps, spans), clause_centres(study.capture(model, other).maps, new)]
        for c, model in zip(own, study.models.values(), strict=True)
    ]
    return _agreement(study, "wording", centres)


def _sampling(study: Study) -> Entries:
    part = study.clips.rows(0, MADE)
    frames = int(np.median(part.lengths.numpy()))
    alignment = part.alignment or ()
    spans = Spans.of(alignment, [frames] * len(part))
    writes = any(model.is_autoregressive for model in study.models.values())
    changed = {name: changes for name, changes in SAMPLING.items() if not (writes and name == "steps")}
    groups: dict[str, list[list[Captured]]] = {name: [] for name in changed}
    for model in study.models.values():
        own = _made(study, model, part, frames, {})
        for name, changes in changed.items():
            groups[name].append([own, *(_made(study, model, part, frames, change) for change in changes)])
    for name, group in groups.items():
        if len(group) == 1:  # one run: the reference against each, not all pairs
            group = [[group[0][0], other] for other in group[0][1:]]
        yield from _compared(study, name, group, spans)


def _made(
    study: Study, model: TextToMotion, clips: MotionBatch, frames: int, options: Mapping[str, Any]
) -> Captured:
    """Attention on motions made for the captions, noised like real clips."""
    options = {"seed": study.seed, **options}
    motion = model.sample(clips.texts, [frames] * len(clips), **options).cpu()
    study.tick()
    return study.capture(model, MotionBatch(motion, frame_mask([frames] * len(clips)), clips.texts, clips.ids))


def _heads(study: Study, spans: Spans) -> Entries:
    """Correlation of the heads of different trainings."""
    first = next(iter(study.models.values()))
    trained = [_signatures(study, model, spans) for model in study.models.values()]
    untrained = [_signatures(study, first.untrained(study.seed + k), spans) for k in (1, 2)]
    half = np.arange(len(study.clips)) % 2 == 0
    if len(trained) > 1:
        pairs = list(combinations(trained, 2))
        about = "correlation of maps between heads of two trainings, mean over pairs of trainings"
        matched = fmean([matched_correlation(a, b, half) for a, b in pairs])
        plain = fmean([float(np.diag(_correlation(a[:, ~half], b[:, ~half])).mean()) for a, b in pairs])
        words = f"{about}; Hungarian assignment on half of the clips, scored on the other half"
        yield "persistence/heads/matched", _flat(study, matched, words)
        yield "persistence/heads/same number", _flat(study, plain, f"{about}; heads of the same number")
    null = matched_correlation(untrained[0], untrained[1], half)
    yield "persistence/heads/untrained", _flat(study, null, "the same assignment between two untrained models")


def _flat(study: Study, value: float, words: str) -> Measure:
    protocol = f"{words}; {study.protocol}"
    return Measure(value=float(value), n=len(study.clips), unit="correlation", protocol=protocol)


def _signatures(study: Study, model: TextToMotion, spans: Spans) -> Float[np.ndarray, "heads clips cells"]:
    """For every layer and head the maps of the clips over relative time, each word's mean taken off."""
    heads = max(text_modules(model.backbone).values())
    found = []
    for head in range(heads):
        by_layer = study.capture(model, study.clips, head=head).by_layer
        for layer in range(by_layer.shape[1]):
            relative = resample(by_layer[:, layer], spans.lengths, GRID // 4)
            relative = relative - relative.mean(-1, keepdims=True)
            found.append(relative.reshape(len(relative), -1))
    return np.stack(found)


def _correlation(a: np.ndarray, b: np.ndarray) -> Float[np.ndarray, "heads heads"]:
    flat = [(x - x.mean()) / max(float(x.std()), 1e-12) for x in (*a, *b)]
    rows = np.stack([x.ravel() for x in flat])
    return rows[: len(a)] @ rows[len(a) :].T / rows.shape[1]


def matched_correlation(a: np.ndarray, b: np.ndarray, half: np.ndarray) -> float:
    """Mean correlation of heads assigned on the clips `half`, over the other clips."""
    rows, columns = linear_sum_assignment(-_correlation(a[:, half], b[:, half]))
    return float(_correlation(a[:, ~half], b[:, ~half])[rows, columns].mean())
