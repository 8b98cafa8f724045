"""The four-factor ablation as an experimental design: which cells there are, and what contrasts of them mean.

Notation: a factor's level is +1 (CASIM's way) or -1 (MDM's). The effect of a factor, or of an interaction of
factors, is the mean score of the cells where the product of their levels is +1, less that where it is -1 (Box,
Hunter and Hunter, "Statistics for Experimenters", 2nd ed., ch. 5 and 6).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from casim.recipes import FACTORS, HALF, Factors
from casim.setups import Setup

NAMES = tuple(field.name for field in fields(Factors))
PAIRS = tuple(combinations(NAMES, 2))
GOVERNED: dict[str, tuple[str, ...]] = {
    "injection": ("tokens",),
    "text": ("window",),
    "data": ("mask",),
    "backbone": ("mask", "norm"),
    "sampling": (),
}
"""Which factors may change which part of a setup."""


@dataclass(frozen=True)
class Design:
    """The cells that were trained."""

    cells: tuple[Factors, ...]

    @property
    def missing(self) -> tuple[Factors, ...]:
        """Cells without which no effect can be told: of the half fraction, or of all 16 where others are there."""
        wanted = HALF if set(self.cells) <= set(HALF) else FACTORS
        return tuple(cell for cell in wanted if cell not in self.cells)

    def weights(self, *factors: str) -> Float[np.ndarray, " cells"]:
        """Weights of the cells' means in the effect of a factor, or in the interaction of several."""
        levels = [[1.0 if getattr(cell, name) else -1.0 for name in factors] for cell in self.cells]
        return np.prod(levels, axis=1) * 2 / len(self.cells)

    def gain(self) -> Float[np.ndarray, " cells"]:
        """Weights of the difference of the cell with all factors on and the one with all off."""
        whole, bare = FACTORS[-1], FACTORS[0]
        return np.array([float(cell == whole) - float(cell == bare) for cell in self.cells])

    def interactions(self) -> dict[tuple[tuple[str, str], ...], Float[np.ndarray, " cells"]]:
        """Weights of the two-factor interactions; those that the cells cannot tell apart stand in one key."""
        groups: list[list[tuple[str, str]]] = []
        for pair in PAIRS:
            same = [g for g in groups if np.array_equal(self.weights(*g[0]), self.weights(*pair))]
            same[0].append(pair) if same else groups.append([pair])
        return {tuple(group): self.weights(*group[0]) for group in groups}


def interaction_name(pairs: Sequence[tuple[str, str]]) -> str:
    """An interaction and its aliases in words: `tokens:window + mask:norm`."""
    return " + ".join(":".join(pair) for pair in pairs)


def check_clean(configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuses runs that differ in more than the four factors and the seed.

    Within one level of its factors a part of the setup must be one and the same; between levels it may differ in
    what the factors set and in nothing else.

    Raises:
        ValueError: names two runs and the part in which they differ.
    """
    setups = {name: Setup.from_json(dict(config)) for name, config in configs.items()}
    first = next(iter(setups))
    for part, governing in GOVERNED.items():
        twins: dict[tuple[bool, ...], str] = {}
        for name, setup in setups.items():
            levels = Factors.of(setup)
            twin = twins.setdefault(tuple(getattr(levels, factor) for factor in governing), name)
            if getattr(setup, part) != getattr(setups[twin], part):
                raise _unclean(name, twin, part)
            if _without_factors(setup, part) != _without_factors(setups[first], part):
                raise _unclean(name, first, part)
    for name, config in configs.items():
        if {**config["training"], "seed": None} != {**configs[first]["training"], "seed": None}:
            raise _unclean(name, first, "training")


def _without_factors(setup: Setup, part: str) -> Any:
    """A part of the setup as it is with all factors on; of the injection what both kinds have."""
    return setup.injection.context if part == "injection" else getattr(FACTORS[-1].apply(setup), part)


def _unclean(a: str, b: str, part: str) -> ValueError:
    return ValueError(f"{a} and {b} differ in their {part} beyond the four factors; measure the runs of one suite")
