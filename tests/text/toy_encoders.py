"""Encoders whose weights are too large for tests, and what writes a folder of random ones for each."""

from collections.abc import Callable
from pathlib import Path

from toy_bert import write_toy_bert
from toy_clip import write_toy_clip
from toy_t5 import write_toy_t5

TOYS: dict[str, Callable[[Path], Path]] = {"bert": write_toy_bert, "clip": write_toy_clip, "t5": write_toy_t5}
