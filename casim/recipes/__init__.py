"""Named training configurations: one function per demo model, control and paper row.

`choreography_*` run on a laptop with the built-in benchmark; their settings were chosen on its validation split.
`mocap_*` show the path on real motion. `confound_*` take apart what CASIM's released code changes at once
(`python -m casim.suite confounds` trains them), `capacity_*` put one denoiser behind representations of different
size, `transition_*` are for motions joined from segments. The paper rows follow the released code of MDM (Tevet et
al. 2023) and of CASIM (arXiv 2502.02063): see `casim/official/`.
"""

from casim.recipes import _papers as _papers
from casim.recipes import _transitions as _transitions
from casim.recipes._backbones import BACKBONES, FIRST_STAGES
from casim.recipes._capacity import REPRESENTATIONS, SMALL, VAES
from casim.recipes._confounds import CONFOUNDS, FACTORS, HALF, WINDOWS, Factors, confound
from casim.recipes._core import PRECISIONS, RECIPES, Recipe, Training, named, recipe

__all__ = [
    "BACKBONES",
    "CONFOUNDS",
    "FACTORS",
    "FIRST_STAGES",
    "HALF",
    "PRECISIONS",
    "RECIPES",
    "REPRESENTATIONS",
    "SMALL",
    "VAES",
    "WINDOWS",
    "Factors",
    "Recipe",
    "Training",
    "confound",
    "named",
    "recipe",
]
