"""Random weights for models small enough for tests, in the layout of the hub."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def save_random(build: Callable[[], Any], folder: Path) -> None:
    """Writes the model that `build` gives, every parameter drawn anew: no zero bias, no unit norm."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
