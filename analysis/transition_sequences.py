"""One prompt, no blending: more actions in a caption and more frames than training showed. Where does it stop?"""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from analysis.transition_seams import Eye
from casim.data.choreography import Choreography
from casim.record import Measure
from casim.text_to_motion import TextToMotion
from casim.types import MotionBatch
from evaluators.intervals import Resampling, difference_interval, mean_interval
from evaluators.protocol import EvalBatch
from evaluators.scores import metrics

ACTIONS = (2, 3, 4, 5, 6)
STRETCHES = (1.0, 1.5, 2.0)
"""Length of the clip in units of the longest one trained on."""
METRICS = ("exact_prompt", "order_accuracy", "action_recall")
LEAST = 0.05
"""An arm reaches a number of actions if so many of its motions are exact, at the lower end of the interval."""
REAL = "real"


def stimuli(
    dataset: Choreography, longest: int, number: int, seed: int
) -> Iterator[tuple[int, float, MotionBatch]]:
    """Actions, stretch and clips of every cell."""
    for actions in ACTIONS:
        for stretch in STRETCHES:
            clips = dataset.sequences(actions, round(longest * stretch), number, seed)
            yield actions, stretch, clips.batch(range(number))


def generated(model: TextToMotion, batch: MotionBatch, seed: int) -> Float[torch.Tensor, "batch frames feats"]:
    """Motions of the captions, as long as the clips."""
    return model.generate(batch.texts, batch.lengths.tolist(), seed=seed, extrapolate=True).motion.cpu()


def judge(
    motion: Float[torch.Tensor, "batch frames feats"], batch: MotionBatch, eye: Eye, arm: str, seed: int, place: str
) -> pd.DataFrame:
    """A row per motion."""
    seen = EvalBatch(motion, batch.mask, batch, actions=eye.recognise(motion, batch.mask))
    kinds = metrics()
    values = {name: kinds[name].per_item(seen).numpy() for name in METRICS}
    return pd.DataFrame({"arm": arm, "seed": seed, "place": place, "item": batch.ids, **values})


def place_of(actions: int, stretch: float) -> str:
    """As in the record: `4 actions/1.5x`."""
    return f"{actions} actions/{stretch:g}x"


def measures(rows: pd.DataFrame, how: Resampling, protocol: str) -> dict[str, Measure]:
    """`one prompt ARM/METRIC/N actions/Sx`, `one prompt gain/...` and `one prompt ARM/reach/Sx`."""
    found: dict[str, Measure] = {}
    arms = list(dict.fromkeys(rows["arm"]))
    for place in dict.fromkeys(rows["place"]):
        part = cast(pd.DataFrame, rows[rows["place"] == place])
        for metric in METRICS:
            tables = {arm: _crossed(part, arm, metric) for arm in arms}
            for arm, table in tables.items():
                if estimate := mean_interval(table, how, is_share=True):
                    found[f"one prompt {arm}/{metric}/{place}"] = estimate.measure(protocol)
            if {"casim", "fixed"} <= set(tables) and (
                estimate := difference_interval(tables["casim"], tables["fixed"], how)
            ):
                if estimate.interval == (estimate.value, estimate.value):  # no resample differs: nothing is known
                    estimate = replace(estimate, interval=None)
                found[f"one prompt gain/{metric}/{place}"] = estimate.measure(protocol)
    for arm in arms:
        for stretch in STRETCHES:
            number = int(rows.loc[rows["arm"] == arm, "seed"].nunique())
            reach = _reach(found, arm, stretch)
            rule = f"most actions, of {ACTIONS[0]} to {ACTIONS[-1]}, up to which exactness stays above {LEAST:g}"
            found[f"one prompt {arm}/reach/{stretch:g}x"] = Measure(
                value=float(reach), n=number, unit="actions", higher_is_better=True, protocol=f"{rule}; {protocol}"
            )
    return found


def _reach(found: dict[str, Measure], arm: str, stretch: float) -> int:
    reach = 0
    for actions in ACTIONS:
        measure = found.get(f"one prompt {arm}/exact_prompt/{place_of(actions, stretch)}")
        if measure is None or measure.interval is None or measure.interval[0] <= LEAST:
            break
        reach = actions
    return reach


def _crossed(part: pd.DataFrame, arm: str, metric: str) -> Float[np.ndarray, "seeds items"]:
    own = part[part["arm"] == arm]
    return own.pivot(index="seed", columns="item", values=metric).sort_index(axis=1).to_numpy(dtype=float)
