"""python -m evaluators.corruptions: does every metric move as it says when real clips are damaged in known ways?

Real clips stand in place of generated ones; every damage of `evaluators.damage` is done to them, and every metric
that applies is measured before and after, with an interval of the difference. A metric declares which damage makes it
worse, and which leaves it as it is; what is not declared is shown all the same. A metric that breaks its word has a
bug, or does not measure what its name says: the command then ends with exit code 1.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from casim import cli, plugins, record
from casim.data.choreography import Choreography
from casim.record import Measure
from casim.types import MotionDataset
from evaluators import embedder as embedders
from evaluators import generation, scores, set_scores, variance
from evaluators.damage import DAMAGES, Layout, damaged
from evaluators.embed import oracle as oracles
from evaluators.generation import Asked, Observer
from evaluators.intervals import Estimate, Resampling, mean_interval, paired_interval
from evaluators.metric import Declared
from evaluators.protocol import EvalBatch, Protocol, Space
from evaluators.training._data import open_data

SAME = 1e-6
"""Relative change below which a metric stayed as it was."""
SYMBOLS = {"worse": "▼", "same": "=", "": " "}
COUNT = 10
"""Fewest clips to which a metric must apply before anything is said of it."""
