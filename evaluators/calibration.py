"""How well real clips do by the metrics that compare captions with joints: the most to be asked of a generator.

Rules about captions and joints err, and so do captions. Such a metric says something on a dataset if its real clips
score far above the same clips with wrong captions, on enough of them; both belong beside every score.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torchmetrics import Metric

from casim import plugins
from casim.features import denormalise, to_joints
from casim.types import MotionDataset
from evaluators.damage import wrong_text
from evaluators.metric import ItemMetric
from evaluators.protocol import EvalBatch


@dataclass(frozen=True)
class Ceiling:
    """What a metric gives for real clips."""

    value: float
    """Mean over the clips to which the metric applies; NaN if it applies to none."""
    floor: float
    """The same clips with captions of others (`damage.wrong_text`)."""
    n: int
    """Clips to which it applies."""


def real(dataset: MotionDataset, split: str, seed: int | None = None) -> EvalBatch:
    """The real clips of a split in place of generated ones, with their joints.

    Args:
        dataset: where the clips are.
        split: name of the split.
        seed: draws a caption and a crop of each clip; None takes the first caption and the whole clip.
    """
    clips = dataset.split(split)
    batch = clips.batch(range(len(clips)), seed)
    mean, std = torch.as_tensor(dataset.mean), torch.as_tensor(dataset.std)
    joints = to_joints(denormalise(batch.motion, mean, std), dataset.spec) * dataset.spec.skeleton.metres
    return EvalBatch(batch.motion, batch.mask, batch, joints=joints, real_joints=joints, fps=dataset.spec.fps)


def ceilings(batch: EvalBatch) -> Mapping[str, Ceiling]:
    """What every metric that compares captions with joints gives for a batch of real clips, by name."""
    found, wrong = {}, wrong_text(batch)
    for name in plugins.names("evaluators.metrics"):
        metric: Any = plugins.load(Metric, "evaluators.metrics", name)
        if not issubclass(metric, ItemMetric) or metric.reads != "joints":
            continue
        if metric.declared.get("wrong_text") == "worse":
            values, floor = metric().per_item(batch), metric().per_item(wrong)
            found[name] = Ceiling(float(values.nanmean()), float(floor.nanmean()), int((~values.isnan()).sum()))
    return found
