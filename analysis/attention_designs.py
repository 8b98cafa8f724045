"""Attention under designed prompts: what it follows when place in the text and meaning are pulled apart.

The sets are those of `analysis.stimuli`. Entries of the record:

- `design/plain/auc`, `design/NAME/auc`: word-to-frame AUC over the clips, for the clips' own captions and for each
  set; `design/NAME less plain/auc`: paired by clip and training seed.
- `design/content`: AUC of the clips' own captions less that with made-up words in the same places: what the words
  themselves add to what their places and the connectives tell.
- `design/retold less plain/equivalence_p`: two one-sided t-tests over clips that the difference lies within
  +-`MARGIN` (below .05: equivalent); likewise `reordered`.
- `design/square/time` and `/place`: how far the centre of the attention to an action's words moves when the action
  happens second instead of first, and when it is told second instead of first, in units of the true distance of the
  two actions, over pairs of actions in all four combinations. Attention that follows meaning has 1 for time and 0
  for place; attention that follows position in the text the reverse.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from statsmodels.stats.weightstats import ttost_paired

from analysis import stimuli
from analysis.attention_study import Entries, Study
from analysis.statistics import Maps, Spans, clip_auc
from casim.data.choreography import ChoreographyClips
from casim.record import Measure
from casim.types import MotionBatch

MARGIN = 0.05
"""A difference in AUC below this is none that matters."""
PAIRS = 40
WORDS = {
    "retold": "another wording, the same order of telling",
    "reordered": "the order of telling turned round",
    "nonsense": "every content word replaced by a made-up one",
    "function words": "every content word replaced by `the`",
    "shuffled": "the words in random order, each with its own interval",
    "sides exchanged": "left and right exchanged, side words alone",
}


def measures(study: Study) -> dict[str, Measure]:
    """Every entry `design/...`; empty for data without exact intervals."""
    if not isinstance(study.split, ChoreographyClips):
        return {}
    return dict(_aucs(study, study.split)) | dict(_squares(study, study.split))


def captures(study: Study) -> int:
    """How often `measures` ticks."""
    return (3 + len(WORDS)) * len(study.models)


def _aucs(study: Study, split: ChoreographyClips) -> Entries:
    sets = [stimuli.retold(split, study.items, study.seed, is_reordered=flag) for flag in (False, True)]
    sets += [stimuli.control(name, study.clips, study.seed) for name in stimuli.CONTROLS]
    plain = _auc(study, study.clips)
    yield from study.mean("design/plain/auc", plain, "word-to-frame AUC, the clips' own captions", True)
    for made in sets:
        words = f"word-to-frame AUC: {WORDS[made.name]}"
        is_side = made.name == "sides exchanged"
        auc = _auc(study, made.clips, is_side=is_side)
        own = _auc(study, study.clips, is_side=True) if is_side else plain
        difference = auc - own
        yield from study.mean(f"design/{made.name}/auc", auc, words)
        yield from study.mean(
            f"design/{made.name} less plain/auc", difference, f"{words}; less the clips' own captions"
        )
        if made.name == "nonsense":
            said = "word-to-frame AUC of the clips' own captions less that of made-up words in the same places"
            yield from study.mean("design/content", -difference, said, True)
        if made.name in ("retold", "reordered"):
            yield f"design/{made.name} less plain/equivalence_p", equivalence(auc, own)


def _auc(study: Study, clips: MotionBatch, *, is_side: bool = False) -> Float[np.ndarray, "runs clips"]:
    spans = Spans.of(clips.alignment or (), clips.lengths.numpy())
    if is_side:
        sides = np.zeros_like(spans.is_content)
        for clip, words in enumerate(spans.texts):
            sides[clip, : len(words)] = [word in ("left", "right") for word in words]
        spans = spans.only(sides)
    return np.stack([clip_auc(study.capture(model, clips).maps, spans) for model in study.models.values()])


def equivalence(
    changed: Float[np.ndarray, "runs clips"], plain: Float[np.ndarray, "runs clips"], margin: float = MARGIN
) -> Measure:
    """p of two one-sided paired t-tests (Schuirmann 1987) over clips, means over runs: is the difference within
    margin?"""
    known = ~np.isnan(changed + plain).any(0)
    p = ttost_paired(changed[:, known].mean(0), plain[:, known].mean(0), -margin, margin)[0]
    words = f"two one-sided paired t-tests over clips (means over training seeds): within +-{margin}"
    return Measure(value=float(p), n=int(known.sum()), unit="p", higher_is_better=False, protocol=words)


def _squares(study: Study, split: ChoreographyClips) -> Entries:
    clips = stimuli.squares(split, PAIRS, study.seed).clips
    spans = Spans.of(clips.alignment or (), clips.lengths.numpy())
    centres = np.stack([clause_centres(study.capture(m, clips).maps, spans) for m in study.models.values()])
    for name, values in contrasts(centres, spans, [a.is_reversed for a in clips.alignment or ()]).items():
        words = f"how far the attention's centre moves with {name}, as a share of how far the actions are apart"
        yield from study.mean(f"design/square/{name}", values, words, name == "time", "of the distance")


def contrasts(
    centres: Float[np.ndarray, "runs clips actions"], spans: Spans, is_reversed: Sequence[bool]
) -> dict[str, Float[np.ndarray, "runs squares"]]:
    """For each square of four clips how far the centre of attention moves with time and with place in the text.

    Both in units of the true distance between the centres of the two actions.
    """
    gap = (_truth(spans, 1) - _truth(spans, 0)).reshape(-1, 4).mean(1)
    later = centres[..., 1] - centres[..., 0]  # second in time less first in time
    sign = np.where(is_reversed, -1.0, 1.0)  # told second less told first
    squares = len(centres), -1, 4
    time, place = (values.reshape(squares).mean(-1) / gap for values in (later, later * sign))
    return {"time": time, "place": place}


def _truth(spans: Spans, action: int) -> Float[np.ndarray, " clips"]:
    """When an action happens: its centre as a share of the clip."""
    about = spans.segments == action
    centre = (spans.starts + spans.ends) / 2 / spans.lengths[:, None]
    return np.where(about, centre, 0).sum(1) / np.maximum(about.sum(1), 1)


def clause_centres(maps: Maps, spans: Spans) -> Float[np.ndarray, "clips actions"]:
    """Where in the clip (0 to 1) the attention to each action's content words has its centre of mass.

    The mean over frames of their attention is taken off first and what lies below it is left out, so that a
    constant level does not draw the centre to the middle.
    """
    actions = np.arange(spans.segments.max() + 1)[:, None]
    belongs = (spans.segments[:, None] == actions) & spans.is_content[:, None]  # clips actions words
    clause = np.einsum("caw,cwf->caf", belongs.astype(maps.dtype), maps)
    frame = np.arange(maps.shape[-1])
    is_real = (frame < spans.lengths[:, None])[:, None]
    level = clause.sum(-1, keepdims=True) / spans.lengths[:, None, None]
    above = np.where(is_real, np.maximum(clause - level, 0), 0)
    total = above.sum(-1)
    centre = (above * (frame + 0.5)).sum(-1) / np.where(total > 0, total, 1) / spans.lengths[:, None]
    return np.where((total > 0) & belongs.any(-1), centre, np.nan)
