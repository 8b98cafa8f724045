"""Scores of a generator that need prompts of their own: mirror consistency and paraphrase stability.

For each batch of captions three more are generated: with left and right exchanged and in other words (both from the
captions' own noise), and from other noise. What is compared: `evaluators.counterfactuals`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from casim.data.choreography import Choreography
from casim.mirror import mirror_text
from casim.record import Measure
from casim.text_to_motion import TextToMotion
from evaluators import generation, scores
from evaluators.counterfactuals import (
    CHOREOGRAPHY,
    GENERAL,
    mirror_consistency,
    paraphrase_stability,
    paraphrased_prompts,
)
from evaluators.generation import Asked, Observer
from evaluators.intervals import Resampling, mean_interval
from evaluators.protocol import EvalBatch, Protocol

NAMES = ("mirror_consistency", "paraphrase_stability")
UNITS = {"mirror_consistency": "share", "paraphrase_stability": "of the spread of seeds"}
OTHER_NOISE = 7_919
"""Added to a batch's seed for motions of the same captions from other noise."""


def judged(
    model: TextToMotion, batch: Asked, protocol: Protocol, observer: Observer
) -> dict[str, Float[np.ndarray, " batch"]]:
    """Both scores of every caption of a batch; NaN where one does not apply."""

    def made(texts: Sequence[str], seed: int) -> EvalBatch:
        asked = replace(batch, real=replace(batch.real, texts=tuple(texts)), seed=seed)
        return observer.with_joints(generation.generate(model, asked, protocol))

    texts = batch.real.texts
    groups = CHOREOGRAPHY if isinstance(observer.dataset, Choreography) else GENERAL
    reworded = paraphrased_prompts(texts, groups)
    others = dict(zip(reworded.rows, reworded.texts, strict=True))
    own = made(texts, batch.seed)
    mirrored = made([mirror_text(text) for text in texts], batch.seed)
    stability = paraphrase_stability(
        own,
        made([others.get(row, text) for row, text in enumerate(texts)], batch.seed),
        made(texts, batch.seed + OTHER_NOISE),
    )
    is_reworded = torch.tensor([row in others for row in range(len(texts))])
    values = mirror_consistency(own, mirrored), torch.where(is_reworded, stability, torch.nan)
    return {name: value.numpy() for name, value in zip(NAMES, values, strict=True)}


def measures(rows: pd.DataFrame, how: Resampling, protocol: str) -> dict[str, Measure]:
    """Entries `ARM/NAME/SPLIT/all` from rows that have columns of these names."""
    found: dict[str, Measure] = {}
    for name in (name for name in NAMES if name in rows):
        for split in dict.fromkeys(rows["split"]):
            for arm in dict.fromkeys(rows["arm"][rows["seed"] != scores.UNSEEDED]):
                part = rows[(rows["split"] == split) & (rows["arm"] == arm)]
                table = part.pivot_table(index="seed", columns="item", values=name, dropna=False).to_numpy(float)
                if (estimate := mean_interval(table, how, is_share=UNITS[name] == "share")) is not None:
                    better = name == "mirror_consistency"
                    found[f"{arm}/{name}/{split}/all"] = estimate.measure(
                        protocol, higher_is_better=better, unit=UNITS[name]
                    )
    return found
