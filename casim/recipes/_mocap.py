"""Real motion on a laptop: proves the path, not the paper."""

from dataclasses import replace
from typing import Any

from casim.injection import Casim, Fixed
from casim.recipes._choreography import DDIM, ONE_LAYER, QUICK, SMALL
from casim.recipes._core import Training, recipe
from casim.setups import Setup
from casim.text.minilm import MiniLM


def of_mocap(injection: Any) -> tuple[Setup, Training]:
    from casim.data.humanml3d import HumanML3D

    data = HumanML3D.Config(folder="data/mocap")
    backbone = replace(SMALL, patch=4, width=128)
    return Setup(data, MiniLM.Config(), injection, backbone, DDIM), replace(QUICK, batch_size=32, steps=1000)


@recipe
def mocap_casim() -> tuple[Setup, Training]:
    """Token-level arm on a folder of free mocap made by `casim.prepare joints`, with MiniLM."""
    return of_mocap(Casim.Config(context=ONE_LAYER))


@recipe
def mocap_fixed() -> tuple[Setup, Training]:
    """Pooled arm on the same folder: MiniLM's own sentence vector."""
    return of_mocap(Fixed.Config(pool="mean", context=ONE_LAYER))
