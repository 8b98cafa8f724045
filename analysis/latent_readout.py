"""What a linear layer can read off a clip's latents: which side moves, which half of the body, what comes first.

A denoiser begins with a linear map, so that what is read here is there for the taking. Labels are true actions of
choreography; clips tell two actions one after the other:

- side: all sided actions are left, or all are right (one at least);
- part: both actions are of legs and root, or both of arms and spine;
- order: one is of the legs and one of the arms: do the legs come first?
- actions: which two are they, and in which order? Right if both are; this is what an exact motion needs.

A ridge classifier, both answers weighted equally, is trained on train clips and tested on `test` (pairs of actions
seen in training) and on `held_out` (pairs never seen). The control task (Hewitt and Liang 2019, arXiv:1909.03368)
gives every ordered pair of actions a random answer; accuracy on it, on seen pairs, is what is learned by heart.
Accuracy less control is selectivity. Accuracies are balanced: .5 for a probe that knows nothing, however unequal
the answers. Representations differ in their number of dimensions, which the control task meets with the same
probe. The same is read off an untrained codec: random layers keep much of a clip, so that an accuracy speaks for
what training kept only where it is above that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from analysis.capacity_grid import batches
from casim import plugins
from casim.data._actions import LOWER
from casim.record import Measure
from casim.types import Alignment, Clips, Codec, MotionDataset
from evaluators.intervals import Estimate, Resampling, contrast_interval, mean_interval

TASKS = ("side", "part", "order")
ACTIONS = "actions"
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
    """`TASK/accuracy`, `TASK/control`, `TASK/selectivity` (seen pairs) and `TASK/unseen` (pairs never seen); of the
    task `actions` the first and the last."""
    splits = {name: dataset.split(name) for name in ("train", "test", "held_out")}
    longest = max(int(clips.lengths.max()) for clips in splits.values())
    mask = torch.ones(1, longest, dtype=torch.bool)
    places = -(-longest // STRIDE) if codec is None else codec.code_mask(mask).shape[1]
    seen = {name: read(codec, clips, places, MOST if name == "train" else None) for name, clips in splits.items()}
    found: dict[str, Measure] = {}
    for task in TASKS:
        for name, (score, words) in _scores(seen, task, seed).items():
            if estimate := score.estimate(how):
                found[f"{task}/{name}"] = estimate.measure(words)
    for name, (right, words) in _named(seen).items():
        if estimate := mean_interval(right[None], how, is_share=True):
            found[f"{ACTIONS}/{name}"] = estimate.measure(words)
    return found


@dataclass(frozen=True)
class Balanced:
    """A weighted sum of balanced accuracies on the same clips."""

    right: Float[np.ndarray, "tasks clips"]
    """1 for a right answer, 0 for a wrong one."""
    truth: Float[np.ndarray, "tasks clips"]
    weights: Sequence[float]

    def estimate(self, how: Resampling) -> Estimate | None:
        """The sum, with clips resampled: each replicate has the classes that it drew, and weighs them equally."""
        arms, weights = [], []
        for right, truth, weight in zip(self.right, self.truth, self.weights, strict=True):
            for answer in np.unique(truth):
                arms.append(np.where(truth == answer, right, np.nan)[None])
                weights.append(weight / len(np.unique(truth)))
        found = contrast_interval(arms, weights, how)
        if found is None:
            return None
        if len(self.right) == 1 and found.value in (0.0, 1.0):  # no resample differs
            return mean_interval(self.right, how, is_share=True)
        return Estimate(found.value, found.interval, self.right.shape[1])


def _scores(seen: Mapping[str, Read], task: str, seed: int) -> dict[str, tuple[Balanced, str]]:
    """Balanced accuracies, and how they were measured."""
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
    truth = np.stack([test.answers[task][kept["test"]], *control[len(train.pairs) :][kept["test"]].T]).astype(float)
    right = (truth == said["test"].T).astype(float)
    new = unseen.answers[task][kept["held_out"]].astype(float)
    share = 1 / CONTROLS
    size = f"{len(own)} train clips of two actions, {train.vectors.shape[1]} dimensions"
    words = f"balanced accuracy of a ridge classifier on {size}; "
    return {
        "accuracy": (
            Balanced(right[:1], truth[:1], [1.0]),
            words + "test clips, pairs of actions seen in training",
        ),
        "control": (
            Balanced(right[1:], truth[1:], [share] * CONTROLS),
            words + f"random answer per ordered pair of actions, mean of {CONTROLS}",
        ),
        "selectivity": (Balanced(right, truth, [1.0] + [-share] * CONTROLS), words + "accuracy less control"),
        "unseen": (
            Balanced((said["held_out"][:, 0] == new)[None].astype(float), new[None], [1.0]),
            words + "held-out clips, pairs of actions never seen",
        ),
    }


def _named(seen: Mapping[str, Read]) -> dict[str, tuple[Float[np.ndarray, " clips"], str]]:
    """Per clip whether both actions are named in their order, and how it was measured."""
    train = seen["train"]
    names = np.unique(np.array(train.pairs))
    first, second = (np.array([pair[k] for pair in train.pairs])[:, None] == names for k in (0, 1))
    probe = make_pipeline(StandardScaler(), RidgeCV(PENALTIES, alpha_per_target=True))
    probe.fit(train.vectors, np.concatenate([first, second], 1).astype(float))
    size = f"{len(train.pairs)} train clips of two actions, {train.vectors.shape[1]} dimensions"
    words = f"both of {len(names)} actions named by a ridge classifier on {size}; "
    splits = {
        "accuracy": ("test", "test clips, pairs of actions seen in training"),
        "unseen": ("held_out", "held-out clips, pairs of actions never seen"),
    }
    found = {}
    for name, (split, told) in splits.items():
        said = probe.predict(seen[split].vectors).reshape(len(seen[split].pairs), 2, len(names)).argmax(2)
        right = (names[said] == np.array(seen[split].pairs)).all(1)
        found[name] = (right.astype(float), words + told)
    return found


def untrained(config: object, codec: Codec, seed: int = 0) -> Codec:
    """A codec of the same config and features with fresh random weights; its latents are not standardised, which a
    probe does by itself."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh: Codec = plugins.build(config, codec.spec, codec.mean.cpu().numpy(), codec.std.cpu().numpy())
    return fresh.eval()


def _weights(truth: Float[np.ndarray, " clips"] | Int[np.ndarray, " clips"]) -> Float[np.ndarray, " clips"]:
    """Both answers weigh the same, however often each is right; the mean weight is 1."""
    _, which, counts = np.unique(truth, return_inverse=True, return_counts=True)
    return (len(truth) / len(counts) / counts)[which]


def _control(pairs: tuple[tuple[str, str], ...], seed: int) -> Float[np.ndarray, "clips controls"]:
    """A random answer for every ordered pair of actions."""
    types, which = np.unique([" ".join(pair) for pair in pairs], return_inverse=True)
    return np.random.default_rng(seed).choice([-1.0, 1.0], (len(types), CONTROLS))[which]
