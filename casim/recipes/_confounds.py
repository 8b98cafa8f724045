"""What CASIM's released MDM changes at once, factor by factor."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from casim.injection import Casim, Fixed
from casim.recipes._choreography import ONE_LAYER, of_choreography
from casim.recipes._core import RECIPES, Recipe, Training
from casim.recipes._mocap import of_mocap
from casim.setups import Setup

WINDOWS = (22, 77)
"""Most text tokens of a caption, markers included: MDM's and CASIM's."""


@dataclass(frozen=True)
class Factors:
    """The four things in which CASIM's released decoder differs from MDM's; all off is MDM, all on is CASIM."""

    tokens: bool
    """Every token instead of one pooled vector: the only one that is CASIM's idea."""
    window: bool
    """Captions are cut to 77 text tokens instead of 22."""
    mask: bool
    """Padded frames are hidden from attention instead of shown."""
    norm: bool
    """A LayerNorm closes the decoder."""

    @property
    def name(self) -> str:
        """The levels in words, like tokens_77_mask_norm or pooled_22_nomask_nonorm."""
        parts = ("tokens" if self.tokens else "pooled", str(WINDOWS[self.window]))
        return "_".join((*parts, "mask" if self.mask else "nomask", "norm" if self.norm else "nonorm"))

    @staticmethod
    def of(setup: Setup) -> "Factors":
        """The levels of a setup with the decoder."""
        return Factors(
            tokens=isinstance(setup.injection, Casim.Config),
            window=setup.text.max_words > WINDOWS[0],
            mask=setup.backbone.use_frame_mask,
            norm=setup.backbone.has_final_norm,
        )

    def apply(self, setup: Setup) -> Setup:
        """The setup at these levels.

        Both injections run the same trainable text layer over all tokens that the window leaves; the pooled arm
        averages its output. So neither has more parameters, and the pooled arm, too, reads words in their context,
        as CLIP's pooled vector does in the papers. A model that sees padded frames must see as many in every batch.
        """
        injection = Casim.Config(ONE_LAYER) if self.tokens else Fixed.Config("mean", context=ONE_LAYER)
        return replace(
            setup,
            injection=injection,
            text=replace(setup.text, max_words=WINDOWS[self.window], truncate=True),
            backbone=replace(setup.backbone, use_frame_mask=self.mask, has_final_norm=self.norm),
            data=replace(setup.data, is_padded_full=not self.mask),
        )


FACTORS = tuple(Factors(*levels) for levels in product((False, True), repeat=4))
"""All 16 cells, from MDM to CASIM."""
HALF = tuple(factors for factors in FACTORS if sum(vars(factors).values()) % 2 == 0)
"""The half with an even number of factors on; what it can tell apart: `casim.suites.confounds`."""


CONFOUNDS: dict[str, Callable[[], tuple[Setup, Training]]] = {
    "confound": lambda: of_choreography(Casim.Config(), steps=1600, checkpoint_every=200),
    "mocap_confound": lambda: of_mocap(Casim.Config()),
}
"""What the factors are applied to, by the prefix of the recipes' names."""


def confound(prefix: str, factors: Factors) -> Recipe:
    """A cell of the four-factor ablation, on the post-norm decoder of the authors at laptop size."""
    setup, training = CONFOUNDS[prefix]()
    setup = factors.apply(replace(setup, backbone=replace(setup.backbone, is_pre_norm=False)))
    return Recipe(f"{prefix}_{factors.name}", f"Four-factor ablation, cell {factors.name}.", setup, training)


RECIPES |= {f"{prefix}_{f.name}": partial(confound, prefix, f) for prefix in CONFOUNDS for f in FACTORS}
