"""Is the alignment a matter of which attention is taken? Raw weights beside two corrections of them.

A weight on a token whose value vector is short moves nothing (Kobayashi et al. 2020), and a weight in one layer
says nothing of what earlier layers mixed into its key (Abnar and Zuidema 2020). The same statistic is therefore
taken of weights times value norms, and of the weights rolled out over all layers. Entries of the record, NAME one
of `raw`, `value norm`, `rollout`:

- `weighting/NAME/auc`: word-to-frame AUC of the maps taken so.
- `weighting/NAME/untrained`: the same of untrained models; a weighting that gives these an AUC above .5 finds
  alignment that nobody has learned.
- `weighting/NAME less raw/auc`: paired by clip and training seed.
"""

from typing import get_args

import numpy as np
from jaxtyping import Float

from analysis.attention_capture import Weighting
from analysis.attention_study import Entries, Study
from analysis.statistics import Spans, clip_auc
from casim.record import Measure

WORDS: dict[Weighting, str] = {
    "raw": "attention weights as they are",
    "value norm": "attention weights times the norm of what each token contributes",
    "rollout": "attention weights rolled out over all layers",
}


def measures(study: Study) -> dict[str, Measure]:
    """Every entry `weighting/...`."""
    return dict(_entries(study))


def captures(study: Study) -> int:
    """How often `measures` ticks."""
    return 2 * len(WORDS) * len(study.models)


def _entries(study: Study) -> Entries:
    plain = None
    for name in get_args(Weighting):
        words = f"word-to-frame AUC of {WORDS[name]}"
        trained, untrained = (_auc(study, name, is_trained=flag) for flag in (True, False))
        yield from study.mean(f"weighting/{name}/auc", trained, words, True)
        yield from study.mean(f"weighting/{name}/untrained", untrained, f"{words}, untrained models")
        if plain is None:
            plain = trained
        else:
            said = f"{words} less that of {WORDS['raw']}"
            yield from study.mean(f"weighting/{name} less raw/auc", trained - plain, said)


def _auc(study: Study, weighting: Weighting, *, is_trained: bool) -> Float[np.ndarray, "runs clips"]:
    spans = Spans.of(study.clips.alignment or (), study.clips.lengths.numpy())
    models = study.models.values()
    twins = models if is_trained else [model.untrained(study.seed + i) for i, model in enumerate(models)]
    return np.stack([clip_auc(study.capture(m, study.clips, weighting=weighting).maps, spans) for m in twins])
