"""Causal tests of attention: what a motion loses when its attention to some words is changed while it is sampled.

Pair clips ("A, then B") of one length; the same noise for every intervention, so that each motion is compared with
its own unchanged twin. The oracle says which actions a motion shows. Each clip has a target, the action told first
or second in turn, and the other action. Weights alone prove nothing (Jain and Wallace 2019): if attention to words
carries their content, blocking the target's words costs the target and not the other, moving as much attention
between the other words does not, and rows taken from captions that tell in the same order cost nothing although
these tell of other actions.

Interventions: see `INTERVENTIONS`. Entries of the record, with `drop` = unchanged less changed, paired:

- `cause/unchanged/{target|other|order}`: share of motions that show it; order: both, in the order told of.
- `cause/NAME/{target|other|order}`: the drop under intervention NAME, two-way bootstrap over clips x seeds.
- `cause/NAME/specificity`: drop of the target less drop of the other; `.../p`: sign-flip permutation over clips,
  Benjamini-Hochberg over the interventions.
- `cause/NAME/moved`: how much attention was moved (total variation distance, mean over rows).
- `cause/words replaced/new`: how often the action that was written in place of the target is shown, less how
  often it is shown anyway.
- `cause/heads {best|worst|random} {share}/{target|other|order}`: the drop when that share of the heads, by their
  word-to-frame AUC, looks at all words alike.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import false_discovery_control

from analysis.attention_study import Entries, Study
from analysis.attention_trial import OUTCOMES, RANDOM_DRAWS, SHARES, Experiment, Trial, head_sets
from analysis.interventions import text_modules
from analysis.statistics import mean_over_words
from casim.record import Measure
from evaluators.embed.oracle import Oracle

INTERVENTIONS = {
    "words deleted": "the words about the target are left out of the caption",
    "words replaced": "the words about the target are replaced by those of another caption about another action",
    "keys blocked": "no attention to the words about the target",
    "others shuffled": "as much attention moved, between the other words",
    "uniform": "every word gets the same attention",
    "rows exchanged, same order": "attention of a caption with as many words that tells in the same order",
    "rows exchanged, other order": "attention of a caption with as many words that tells in the other order",
}
FLIPS = 9_999


def measures(study: Study, oracle: Oracle, clips: int, *, with_heads: bool = True) -> dict[str, Measure]:
    """Every entry `cause/...`, over at most `clips` pair clips; without heads the three shares are left out.

    Raises:
        ValueError: fewer than four pair clips.
    """
    trial = Trial.of(study.clips, study.seed, clips)
    outcomes, moved = [], []
    for model in study.models.values():
        heads = head_sets(study, model, trial) if with_heads else {}
        experiment = Experiment(model, oracle, trial, study.tick)
        outcomes.append(experiment.run(heads))
        moved.append(experiment.moved)
    found = {name: np.stack([run[name] for run in outcomes]) for name in outcomes[0]}
    entries = dict(_drops(study, found)) | dict(_specific(study, found))
    return entries | dict(_moved(study, moved))


def captures(study: Study, *, with_heads: bool = True) -> int:
    """How often `measures` ticks."""
    heads = max(text_modules(next(iter(study.models.values())).backbone).values())
    blinded = len(SHARES) * (2 + RANDOM_DRAWS) + heads
    return len(study.models) * (len(INTERVENTIONS) + 1 + with_heads * blinded)


def _drops(study: Study, found: Mapping[str, np.ndarray]) -> Entries:
    """What is shown unchanged, and how much less of it under every intervention."""
    base = found["unchanged"]  # seeds outcomes clips
    for i, outcome in enumerate(OUTCOMES):
        yield from study.mean(f"cause/unchanged/{outcome}", base[:, i], f"share that shows it: {outcome}", True)
    for name in (n for n in found if n in INTERVENTIONS or n.startswith("heads ")):
        words = INTERVENTIONS.get(name, "these heads look at all words alike")
        for i, outcome in enumerate(OUTCOMES):
            drop = base[:, i] - found[name][:, i]
            yield from study.mean(f"cause/{name}/{outcome}", drop, f"drop of {outcome}: {words}")
    shown = (found["new"] - found["new anyway"])[:, 0]
    words = "how often the action written in place of the target is shown, less how often it is anyway"
    yield from study.mean("cause/words replaced/new", shown, words, True)


def _specific(study: Study, found: Mapping[str, np.ndarray]) -> Entries:
    """Drop of the target less drop of the other, with corrected p."""
    base = found["unchanged"]
    specific = {name: (base - found[name])[:, 0] - (base - found[name])[:, 1] for name in INTERVENTIONS}
    p = [sign_flip_p(mean_over_words(values.T), study.how.seed) for values in specific.values()]
    corrected = false_discovery_control(p)
    for (name, values), one in zip(specific.items(), corrected, strict=True):
        words = f"drop of target less drop of other: {INTERVENTIONS[name]}"
        yield from study.mean(f"cause/{name}/specificity", values, words)
        words = f"two-sided sign flips over clips, at least 1/{FLIPS + 1}; Benjamini-Hochberg over {len(p)} tests"
        n = int((~np.isnan(values)).any(0).sum())
        yield f"cause/{name}/p", Measure(value=float(one), n=n, unit="p", protocol=f"{words}; {study.protocol}")


def _moved(study: Study, moved: Sequence[Mapping[str, float]]) -> Entries:
    words = "attention moved: total variation distance, mean over rows, steps and heads acted on"
    for name in moved[0]:
        value = float(np.mean([run[name] for run in moved]))
        yield f"cause/{name}/moved", Measure(value=value, unit="share", protocol=f"{words}; {study.protocol}")


def sign_flip_p(values: Float[np.ndarray, " clips"], seed: int) -> float:
    """Two-sided p of a mean of paired differences, NaN left out; at least 1 / (FLIPS + 1)."""
    known = values[~np.isnan(values)]
    if not len(known):
        return 1.0
    signs = np.random.default_rng(seed).integers(0, 2, (FLIPS, len(known)), dtype=np.int8) * 2 - 1
    null = np.abs(signs @ known)
    return float((1 + (null >= abs(known.sum()) - 1e-9).sum()) / (1 + FLIPS))
