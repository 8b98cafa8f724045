"""What a linear layer can read off a clip's latents: which side moves, which half of the body, what comes first.

A denoiser begins with a linear map, so that what is read here is there for the taking. Labels are true actions of
choreography; clips tell two actions one after the other:

- side: all sided actions are left, or all are right (one at least);
- part: both actions are of legs and root, or both of arms and spine;
- order: one is of the legs and one of the arms: do the legs come first?

A ridge classifier, both answers weighted equally, is trained on train clips and tested on `test` (pairs of actions
seen in training) and on `held_out` (pairs never seen). The control task (Hewitt and Liang 2019, arXiv:1909.03368)
gives every ordered pair of actions a random answer; accuracy on it, on seen pairs, is what is learned by heart.
Accuracy less control is selectivity. Accuracies are balanced: .5 for a probe that knows nothing, however unequal
the answers. Representations differ in their number of dimensions, which the control task meets with the same
probe.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from analysis.capacity_grid import batches
from casim.data._actions import LOWER
from casim.record import Measure
from casim.types import Alignment, Clips, Codec, MotionDataset
from evaluators.intervals import Resampling, mean_interval

TASKS = ("side", "part", "order")
CONTROLS = 10
MOST = 2400
"""Training clips read."""
PENALTIES = tuple(10.0**k for k in range(-1, 6))
STRIDE = 4
"""Frames that are averaged where there is no codec."""


@dataclass(frozen=True)
class Read:
    """Clips of two successive actions as vectors, with what may be asked of them."""

    vectors: Float[np.ndarray, "clips width"]
    answers: Mapping[str, Int[np.ndarray, " clips"]]
    """-1 or 1; 0 where a clip has no answer."""
    pairs: tuple[tuple[str, str], ...]


def answers(alignment: Alignment) -> dict[str, int]:
    """The answers of a clip."""
    names = [action.action for action in alignment.actions]
    sides = {name.rpartition("_")[2] for name in names} & {"left", "right"}
    is_lower = [name in LOWER for name in names]
    side = {frozenset({"left"}): -1, frozenset({"right"}): 1}.get(frozenset(sides), 0)
    part = (1 if is_lower[0] else -1) if is_lower[0] == is_lower[1] else 0
    order = 0 if is_lower[0] == is_lower[1] else (1 if is_lower[0] else -1)
    return {"side": side, "part": part, "order": order}


@torch.no_grad()
def read(codec: Codec | None, clips: Clips, places: int, most: int | None = None) -> Read:
    """The clips of two successive actions as vectors of `places` places, zero where a clip has fewer."""
    rows, told, pairs = [], [], []
    for batch in batches(clips):
        kept = [i for i, truth in enumerate(batch.alignment or ()) if truth.kind == "pair"]
        if not kept:
            continue
        latents = _averaged(batch.motion) if codec is None else codec.encode(batch).motion.float()
        latents = F.pad(latents, (0, 0, 0, places - latents.shape[1]))
        rows.append(latents[kept].flatten(1).numpy())
        truths = [(batch.alignment or ())[i] for i in kept]
        told += [answers(truth) for truth in truths]
        pairs += [(truth.actions[0].action, truth.actions[1].action) for truth in truths]
        if most is not None and len(pairs) >= most:
            break
    vectors = np.concatenate(rows)[:most].astype(np.float64)
    return Read(vectors, {task: np.array([t[task] for t in told])[:most] for task in TASKS}, tuple(pairs[:most]))


def _averaged(motion: Float[torch.Tensor, "batch frames feats"]) -> Float[torch.Tensor, "batch places feats"]:
    return F.avg_pool1d(motion.transpose(1, 2), STRIDE, ceil_mode=True).transpose(1, 2)


def measures(codec: Codec | None, dataset: MotionDataset, how: Resampling, seed: int = 0) -> dict[str, Measure]:
    """`TASK/accuracy`, `TASK/control`, `TASK/selectivity` (seen pairs) and `TASK/unseen` (pairs never seen)."""
    splits = {name: dataset.split(name) for name in ("train", "test", "held_out")}
    longest = max(int(clips.lengths.max()) for clips in splits.values())
    mask = torch.ones(1, longest, dtype=torch.bool)
    places = -(-longest // STRIDE) if codec is None else codec.code_mask(mask).shape[1]
    seen = {name: read(codec, clips, places, MOST if name == "train" else None) for name, clips in splits.items()}
    found: dict[str, Measure] = {}
    for task in TASKS:
        for name, (right, words) in _scores(seen, task, seed).items():
            if estimate := mean_interval(right[None], how):
                found[f"{task}/{name}"] = estimate.measure(words)
    return found


def _scores(seen: Mapping[str, Read], task: str, seed: int) -> dict[str, tuple[Float[np.ndarray, " clips"], str]]:
    """Per clip its share of the balanced accuracy, and how it was measured."""
    train, test, unseen = (seen[name] for name in ("train", "test", "held_out"))
    control = _control(train.pairs + test.pairs, seed)
    kept = {name: part.answers[task] != 0 for name, part in seen.items()}
    if any(len(np.unique(part.answers[task][kept[name]])) < 2 for name, part in seen.items()):
        return {}
    own = train.answers[task][kept["train"], None].astype(float)
    made_up = control[: len(train.pairs)][kept["train"]]
    probe = make_pipeline(StandardScaler(), RidgeCV(PENALTIES, alpha_per_target=True))
    shares = {"ridgecv__sample_weight": _weights(own[:, 0])}
    probe.fit(train.vectors[kept["train"]], np.concatenate([own, made_up], 1), **shares)
    said = {n: np.sign(probe.predict(seen[n].vectors[kept[n]])) for n in ("test", "held_out")}
    right = _right(said["test"][:, 0], test.answers[task][kept["test"]])
    truth = control[len(train.pairs) :][kept["test"]].T
    by_heart = np.mean([_right(s, t) for s, t in zip(said["test"][:, 1:].T, truth, strict=True)], 0)
    new = _right(said["held_out"][:, 0], unseen.answers[task][kept["held_out"]])
    size = f"{len(own)} train clips of two actions, {train.vectors.shape[1]} dimensions"
    words = f"balanced accuracy of a ridge classifier on {size}; "
    return {
        "accuracy": (right, words + "test clips, pairs of actions seen in training"),
        "control": (by_heart, words + f"random answer per ordered pair of actions, mean of {CONTROLS}"),
        "selectivity": (right - by_heart, words + "accuracy less control"),
        "unseen": (new, words + "held-out clips, pairs of actions never seen"),
    }


def _weights(truth: Float[np.ndarray, " clips"] | Int[np.ndarray, " clips"]) -> Float[np.ndarray, " clips"]:
    """Both answers weigh the same, however often each is right; the mean weight is 1."""
    _, which, counts = np.unique(truth, return_inverse=True, return_counts=True)
    return (len(truth) / len(counts) / counts)[which]


def _right(
    said: Float[np.ndarray, " clips"], truth: Float[np.ndarray, " clips"] | Int[np.ndarray, " clips"]
) -> Float[np.ndarray, " clips"]:
    """Weighted 1 for right, 0 for wrong: the mean is balanced accuracy, .5 for a probe that knows nothing."""
    return (said == truth) * _weights(truth)


def _control(pairs: tuple[tuple[str, str], ...], seed: int) -> Float[np.ndarray, "clips controls"]:
    """A random answer for every ordered pair of actions."""
    types, which = np.unique([" ".join(pair) for pair in pairs], return_inverse=True)
    return np.random.default_rng(seed).choice([-1.0, 1.0], (len(types), CONTROLS))[which]
