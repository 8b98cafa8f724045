"""Repetition count: does the clip show something as often as the caption says?

What: captions that name one number of times, of a limb with a side, a jump or a squat, told of once (rules:
`evaluators.phrases.count`). The activity is how far the limb is from where the clip begins, less the same of the
other side's; for a jump the height of the hips above the first frame, for a squat the depth of the head below. The
clip repeats once for every run of frames in which the activity is above half its largest; a run in which the limb
goes to and fro counts its turns. 1 if the number is right, else 0. Source: our own, after the count predicates of
Kinematic Phrases (arXiv 2310.04189). Limit: calibrated on choreography alone. Few real captions name a number, and
those seldom say all that is repeated in the clip: of 601 captions of free motion capture the rules accept two.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.signal import find_peaks
from torch import Tensor

from evaluators import phrases
from evaluators.damage import opposite_text
from evaluators.metric import ItemMetric, declare, per_clip
from evaluators.movement import Movement
from evaluators.phrases import Count
from evaluators.protocol import EvalBatch

SHORTEST = 2
"""Frames of a run."""
LEAST = 0.05
"""A limb that goes to and fro does so over more than this, metres ..."""
PROMINENCE = 0.2
"""... and each time by at least this part of its whole way."""


class RepetitionCount(ItemMetric):
    """1 for a clip that repeats what is counted as often as asked, else 0."""

    ideal = None
    higher_is_better = True
    reads_joints = True
    corruption = staticmethod(opposite_text)
    declared = declare(worse=("opposite_text", "wrong_text", "frozen_frames", "truncated"))

    def per_item(self, batch: EvalBatch) -> Float[Tensor, " batch"]:
        """0 or 1 for every clip; NaN if its caption counts nothing."""
        movement = Movement.of(batch)
        asked = [phrases.count(text) for text in batch.reference.texts]
        return per_clip([
            float(repetitions(movement, row, own) == own.number) if own else float("nan")
            for row, own in enumerate(asked)
        ])  # fmt: skip


def repetitions(movement: Movement, row: int, asked: Count) -> int:
    """How often clip `row` shows what is counted."""
    frames = int(movement.mask[row].sum())
    if asked.kind == "limb":
        activity, path = _limb(movement.local[row, :frames], movement, asked)
    else:
        joint, sign = (0, 1) if asked.kind == "leap" else (movement.skeleton.index("head"), -1)
        height = sign * movement.joints[row, :frames, joint, 1]
        activity, path = height - height[0], height[:, None]
    runs = _runs((activity > 0.5 * activity.max()).numpy() & bool(activity.max() > LEAST))
    return sum(max(1, _turns(path[start:end].numpy())) for start, end in runs)


def _limb(
    local: Float[Tensor, "frames joints xyz"], movement: Movement, asked: Count
) -> tuple[Float[Tensor, " frames"], Float[Tensor, "frames xyz"]]:
    """Activity and path of the outermost joint of a limb."""
    named = movement.skeleton.body_words[asked.limb]
    left, right = (max(set(named) & set(side)) for side in (movement.skeleton.left, movement.skeleton.right))
    own, other = (left, right) if asked.sign > 0 else (right, left)
    away = (local - local[0]).norm(dim=-1)
    return away[:, own] - away[:, other], local[:, own]


def _runs(is_on: Bool[np.ndarray, " frames"]) -> list[tuple[int, int]]:
    edges = np.diff(np.pad(is_on.astype(np.int8), 1))
    both = zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True)
    return [(start, end) for start, end in both if end - start >= SHORTEST]


def _turns(path: Float[np.ndarray, "frames xyz"]) -> int:
    """How often a path goes to and fro along its main direction."""
    centred = path - path.mean(0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    size = np.ptp(along)
    if size < LEAST:
        return 0
    return max(len(find_peaks(sign * along, prominence=PROMINENCE * size)[0]) for sign in (1, -1))
