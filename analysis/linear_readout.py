"""Can a linear layer read a distinction off an encoder's vectors? Held-out templates, control task, chance, power.

A motion model begins with a linear layer, so that what a linear probe reads is there for the taking, however close
the vectors lie. Four numbers stand beside the accuracy:

- control: the accuracy on a task of equal form without meaning (Hewitt and Liang 2019, arXiv:1909.03368): every
  type, class x context, has an answer of its own drawn at random, half of them each way within a class. What the
  probe scores there it has learned by heart. Accuracy less control is its selectivity.
- chance: the accuracy where the two answers of half of the pairs, drawn at random, were exchanged before training.
- planted: the accuracy once a direction with one percent of the vectors' variance says the answer. Where the probe
  misses that, a low accuracy says nothing.

Every caption is judged by a probe that saw no caption of its template.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 6
CONTROLS = 10
FLIPS = 20
PLANTED = 0.1
"""Size of the planted direction: as a share of the vectors' root mean square distance from their mean."""
PENALTIES = tuple(10.0**k for k in range(-1, 5))

Vectors = Float[np.ndarray, "texts width"]
Answers = Float[np.ndarray, "texts tasks"]


@dataclass(frozen=True)
class Task:
    """Texts with a right answer; those of a pair follow each other."""

    answer: Int[np.ndarray, " texts"]
    """-1 or 1."""
    template: Int[np.ndarray, " texts"]
    """Which texts share a pattern."""
    context: Int[np.ndarray, " texts"]
    """What else varies."""

    @property
    def templates(self) -> int:
        """How many patterns there are."""
        return len(np.unique(self.template))

    @property
    def has_control(self) -> bool:
        """Whether there are contexts enough for a control task."""
        return len(np.unique(self.context)) >= 2


@dataclass(frozen=True)
class Probed:
    """Accuracy of every template: means over its texts, so that templates may be resampled."""

    accuracy: Float[np.ndarray, " templates"]
    control: Float[np.ndarray, " templates"]
    """Mean over control tasks; NaN where there is no context."""
    flipped: Float[np.ndarray, " flips"]
    """Mean accuracy of every probe that was trained on exchanged answers."""


def probe(vectors: Vectors, task: Task, seed: int = 0) -> Probed:
    """Trains and tests on held-out templates: the task, its controls and its null, all from the same folds."""
    generator = np.random.default_rng(seed)
    answer = task.answer[:, None].astype(float)
    controls = _controls(task, generator)
    half = np.resize((-1, 1), len(answer) // 2)  # as many exchanged as not: else the true direction is half learned
    flips = answer * np.repeat(np.stack([generator.permutation(half) for _ in range(FLIPS)], 1), 2, axis=0)
    learned = np.concatenate([answer, controls, flips], axis=1)
    right = _predicted(vectors, learned, task.template)
    own, known, swapped = np.split(right, [1, 1 + controls.shape[1]], axis=1)
    memorised = _scores(known, controls).mean(1) if task.has_control else np.full(len(answer), np.nan)
    by_template = _scores(own, answer)[:, 0]
    return Probed(
        _means(by_template, task.template), _means(memorised, task.template), _scores(swapped, answer).mean(0)
    )


def planted(vectors: Vectors, task: Task, seed: int = 0) -> Float[np.ndarray, " templates"]:
    """Accuracy of every template once a random direction says the answer."""
    direction = np.random.default_rng(seed).standard_normal(vectors.shape[1])
    direction /= np.linalg.norm(direction)
    spread = np.sqrt(((vectors - vectors.mean(0)) ** 2).sum(1).mean())
    told = vectors + PLANTED * spread * task.answer[:, None] * direction
    answer = task.answer[:, None].astype(float)
    return _means(_scores(_predicted(told, answer, task.template), answer)[:, 0], task.template)


def _controls(task: Task, generator: np.random.Generator) -> Answers:
    """An answer for every type, half of a class's types each way."""
    contexts = len(np.unique(task.context))
    drawn = np.resize((-1.0, 1.0), contexts)
    tables = np.stack([[generator.permuted(drawn) for _ in range(2)] for _ in range(CONTROLS)])
    return tables[:, (task.answer > 0).astype(int), np.unique(task.context, return_inverse=True)[1]].T


def _predicted(vectors: Vectors, learned: Answers, template: Int[np.ndarray, " texts"]) -> Answers:
    """What probes say that saw no text of the same template; a task of one answer in training gets that answer."""
    found = np.empty(learned.shape)
    folds = GroupKFold(min(FOLDS, len(np.unique(template))))
    for seen, tested in folds.split(vectors, groups=template):
        model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES, alpha_per_target=True))
        model.fit(vectors[seen], learned[seen])
        found[tested] = model.predict(vectors[tested]).reshape(len(tested), -1)
    return found


def _scores(said: Answers, wanted: Float[np.ndarray, "texts _"]) -> Answers:
    """1 for a right answer, one half for none."""
    return 0.5 + 0.5 * np.sign(np.where(np.abs(said) < 1e-9, 0, said)) * wanted


def _means(values: Float[np.ndarray, " texts"], group: Int[np.ndarray, " texts"]) -> Float[np.ndarray, " groups"]:
    belongs: Bool[np.ndarray, "groups texts"] = np.unique(group)[:, None] == group
    return belongs @ values / belongs.sum(1)
