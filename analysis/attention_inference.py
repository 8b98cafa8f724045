"""Tests of the attention maps: a mixed model with its covariates, and every layer and head with corrected p.

Entries of the record:

- `mixed/trained`, `mixed/p`: how much higher the AUC of a word is under the clip's own map than under the map of
  another caption with equally many words, from a linear mixed model with the place of the word, its kind, the
  length of the caption and the order of telling as fixed effects and prompts and training seeds as crossed random
  effects (Baayen et al. 2008): what is left when place and part of speech are taken out.
- `mixed/place`, `mixed/reversed`: the slopes of the covariates.
- `head/layer{k}/head{h}/auc`: AUC of one head, mean over trainings of heads with that number (numbers mean nothing
  across trainings: see `persistence/heads`); `.../q`: p of its mean against swapped prompts, Benjamini-Hochberg
  over the family of all layers x heads.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import statsmodels.formula.api as formulas
from jaxtyping import Float
from scipy.stats import false_discovery_control

from analysis.attention_results import word_kinds
from analysis.attention_study import Entries, Study
from analysis.interventions import text_modules
from analysis.statistics import Spans, clip_auc, permutation_p, swap_prompts, word_auc
from casim.record import Measure

SWAPS = 199
"""Swaps of prompts for every head: the smallest p is 1 / 200."""
FORMULA = "auc ~ is_own + place + C(kind) + length + is_reversed"


def measures(study: Study) -> dict[str, Measure]:
    """Every entry `mixed/...` and `head/...`."""
    spans = Spans.of(study.clips.alignment or (), study.clips.lengths.numpy())
    maps = [study.capture(model, study.clips).maps for model in study.models.values()]
    table = word_table(maps, spans, [a.is_reversed for a in study.clips.alignment or ()], study.seed)
    return dict(_mixed(study, table)) | dict(_heads(study, spans))


def captures(study: Study) -> int:
    """How often `measures` ticks."""
    first = next(iter(study.models.values()))
    return len(study.models) * (1 + max(text_modules(first.backbone).values()))


def word_table(maps: Sequence[np.ndarray], spans: Spans, is_reversed: Sequence[bool], seed: int) -> pd.DataFrame:
    """One row per clip, informative word, run, and own or swapped map; words without a partner are left out."""
    random = np.random.default_rng(seed)
    kinds = word_kinds(spans)
    rows = []
    for run, own in enumerate(maps):
        pair = word_auc(own, spans), word_auc(swap_prompts(own, spans, random), spans)
        clip, word = np.nonzero(~np.isnan(pair[0]) & ~np.isnan(pair[1]))
        for is_own, auc in zip((1, 0), pair, strict=True):
            values = {"auc": auc[clip, word], "is_own": is_own, "run": run, "clip": clip}
            values["place"] = (word + 0.5) / spans.words[clip] - 0.5
            values["kind"] = [
                next(name for name, rows in kinds.items() if rows[c, w]) for c, w in zip(clip, word, strict=True)
            ]
            values["length"] = (spans.words[clip] - spans.words.mean()) / max(float(spans.words.std()), 1e-12)
            values["is_reversed"] = np.asarray(is_reversed, int)[clip]
            rows.append(pd.DataFrame(values))
    return pd.concat(rows, ignore_index=True)


def fitted(table: pd.DataFrame) -> pd.DataFrame:
    """Estimate, low, high and p of every fixed effect."""
    groups = {"clip": "0 + C(clip)"} | ({"run": "0 + C(run)"} if len(set(table["run"])) > 1 else {})
    formula = FORMULA if len(set(table["kind"])) > 1 else FORMULA.replace(" + C(kind)", "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a random effect whose variance is at its bound leaves the slopes sound
        model = formulas.mixedlm(formula, table, groups=np.ones(len(table)), vc_formula=groups, re_formula="0")
        result = model.fit(reml=True, method="lbfgs")
    interval = result.conf_int()
    frame = pd.DataFrame({"value": result.params, "low": interval[0], "high": interval[1], "p": result.pvalues})
    return frame.drop(index=[name for name in frame.index if name.endswith(" Var")])


def _mixed(study: Study, table: pd.DataFrame) -> Entries:
    if (n := len(set(table["clip"]))) < 3:
        return
    effects = fitted(table)
    words = f"linear mixed model {FORMULA}, prompts and training seeds crossed random effects; {study.protocol}"
    for name, effect in (("trained", "is_own"), ("place", "place"), ("reversed", "is_reversed")):
        row = effects.loc[effect]
        interval = (float(row["low"]), float(row["high"]))
        better = True if name == "trained" else None
        yield (
            f"mixed/{name}",
            Measure(
                value=float(row["value"]),
                interval=interval,
                n=n,
                unit="AUC",
                higher_is_better=better,
                protocol=words,
            ),
        )
    p = float(effects.loc["is_own", "p"])
    yield "mixed/p", Measure(value=p, n=n, unit="p", higher_is_better=False, protocol=f"Wald test; {words}")


def _heads(study: Study, spans: Spans) -> Entries:
    random = np.random.default_rng(study.seed)
    heads = max(text_modules(next(iter(study.models.values())).backbone).values())
    found: dict[str, tuple[np.ndarray, float]] = {}
    for head in range(heads):
        by_run = [study.capture(model, study.clips, head=head).by_layer for model in study.models.values()]
        for layer in range(by_run[0].shape[1]):
            maps = [layers[:, layer] for layers in by_run]
            auc = np.stack([clip_auc(m, spans) for m in maps])
            null = [[clip_auc(swap_prompts(m, spans, random), spans) for _ in range(SWAPS)] for m in maps]
            found[f"head/layer{layer}/head{head}"] = auc, swap_p(auc, np.array(null))
    q = false_discovery_control([p for _, p in found.values()])
    for (name, (auc, _)), one in zip(found.items(), q, strict=True):
        yield from study.mean(f"{name}/auc", auc, "word-to-frame AUC of one head, mean over training seeds", True)
        words = f"p against {SWAPS} swaps of prompts of equal length (at least 1/{SWAPS + 1}), "
        words += f"Benjamini-Hochberg over {len(q)} heads; {study.protocol}"
        n = int((~np.isnan(auc)).any(0).sum())
        yield f"{name}/q", Measure(value=float(one), n=n, unit="p", higher_is_better=False, protocol=words)


def swap_p(auc: Float[np.ndarray, "runs clips"], null: Float[np.ndarray, "runs draws clips"]) -> float:
    """One-sided p of the mean AUC over the clips that have partners; 1 where none has."""
    has = ~np.isnan(null).any((0, 1)) & ~np.isnan(auc).any(0)
    if not has.any():
        return 1.0
    return permutation_p(float(auc[:, has].mean()), null[:, :, has].mean((0, 2)))
