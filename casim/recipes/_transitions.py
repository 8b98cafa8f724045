"""The demo pair on clips long enough to be joined: 6 to 9.8 seconds each (`python -m analysis.transition_probe`).

A segment shares up to 40 frames with either neighbour and changes up to 15 more beside each, and at least 10 belong
to it alone: 2 * 40 + 2 * 15 + 10 = 120 frames.
"""

from casim.data.choreography import Choreography
from casim.injection import Casim, Fixed
from casim.recipes._choreography import DDIM, ONE_LAYER, QUICK, SMALL
from casim.recipes._core import Training, recipe
from casim.setups import Setup
from casim.text.hashed import Hashed

CLIPS = Choreography.Config(min_frames=120, max_frames=196)


@recipe
def transition_casim() -> tuple[Setup, Training]:
    """Long clips, token-level arm."""
    return Setup(CLIPS, Hashed.Config(), Casim.Config(context=ONE_LAYER), SMALL, DDIM), QUICK


@recipe
def transition_fixed() -> tuple[Setup, Training]:
    """Long clips, pooled arm: as many parameters."""
    return Setup(CLIPS, Hashed.Config(), Fixed.Config(pool="mean", context=ONE_LAYER), SMALL, DDIM), QUICK
