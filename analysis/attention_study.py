"""What every part of the attention probe works on: the models of one arm, the clips, and how intervals are
drawn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from analysis.attention_capture import Captured, Choice, capture
from casim.record import Measure
from casim.text_to_motion import TextToMotion
from casim.types import Clips, MotionBatch
from evaluators.intervals import Estimate, Resampling, mean_interval

Entries = Iterator[tuple[str, Measure]]


@dataclass(frozen=True)
class Study:
    """Training seeds of one arm and clips of one split."""

    models: Mapping[str, TextToMotion]
    split: Clips
    items: Sequence[int]
    """Of the split, those that are used."""
    clips: MotionBatch
    """The clips `items`."""
    choice: Choice
    protocol: str
    """What holds for every number."""
    how: Resampling = field(default_factory=Resampling)
    seed: int = 0
    tick: Callable[[], Any] = lambda: None
    """Called after every capture or sampling (progress)."""

    def capture(self, model: TextToMotion, clips: MotionBatch, noise: int = 0, **choice: Any) -> Captured:
        """Attention of a model on clips; `noise` counts other draws of noise than the study's."""
        found = capture(model, clips, Choice(self.choice.steps, **choice), self.seed + noise)
        self.tick()
        return found

    def measure(self, estimate: Estimate, words: str, better: bool | None = None, unit: str = "share") -> Measure:
        """An estimate as an entry, the study's protocol behind its own words."""
        return estimate.measure(f"{words}; {self.protocol}", higher_is_better=better, unit=unit)

    def mean(
        self,
        key: str,
        values: Float[np.ndarray, "runs clips"],
        words: str,
        better: bool | None = None,
        unit: str = "share",
    ) -> Entries:
        """The entry of a mean over runs and clips; none where no clip has a value."""
        if (estimate := mean_interval(values, self.how)) is not None:
            yield key, self.measure(estimate, words, better, unit)
