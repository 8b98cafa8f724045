"""The built-in benchmark: the demo pair, its controls, and every backbone with both injections."""

from dataclasses import replace
from typing import Any

from casim.backbones.mdm_decoder import MdmDecoder
from casim.data.choreography import Choreography
from casim.diffusion import DiffusionConfig
from casim.injection import Casim, ContextConfig, Fixed
from casim.recipes._core import Training, recipe
from casim.setups import SamplingConfig, Setup
from casim.text.hashed import Hashed

SMALL = MdmDecoder.Config(
    width=96,
    layers=3,
    heads=4,
    ff=192,
    dropout=0.0,
    patch=2,
    is_pre_norm=True,
    diffusion=DiffusionConfig(snr_shift=0.2),
)
"""Small enough for a laptop. The noise is 5 times stronger than MDM's at equal steps: with 60 to 100 frames the
text matters only where the motion is hidden almost completely, and the plain schedule hardly ever gets there."""
QUICK = Training(
    steps=3200,
    learning_rate=2e-3,
    weight_decay=0.01,
    beta2=0.98,
    warmup=100,
    decay=True,
    clip_norm=1.0,
    ema=0.998,
    seed=0,
    checkpoint_every=800,
)
DDIM = SamplingConfig(sampler="ddim", steps=20)
ONE_LAYER = ContextConfig(layers=1, dropout=0.0)


def of_choreography(injection: Any, **training: Any) -> tuple[Setup, Training]:
    setup = Setup(Choreography.Config(), Hashed.Config(), injection, SMALL, DDIM)
    return setup, replace(QUICK, **training)


@recipe
def choreography_casim() -> tuple[Setup, Training]:
    """Demo pair, token-level arm: every token, after one trainable text layer."""
    return of_choreography(Casim.Config(context=ONE_LAYER))


@recipe
def choreography_fixed() -> tuple[Setup, Training]:
    """Demo pair, pooled arm: the same text layer and as many parameters, its tokens averaged to one."""
    return of_choreography(Fixed.Config(pool="mean", context=ONE_LAYER))


@recipe
def choreography_fixed_strong() -> tuple[Setup, Training]:
    """Control: first token of two text layers, as the one memory token and added to every frame."""
    return of_choreography(Fixed.Config(pool="cls", to_frames=True, context=replace(ONE_LAYER, layers=2)))


@recipe
def choreography_fixed_long() -> tuple[Setup, Training]:
    """Control: the pooled arm trained three times as long."""
    return of_choreography(Fixed.Config(pool="mean", context=ONE_LAYER), steps=3 * QUICK.steps)
