"""Named suites of trainings: a suite is a tuple of cells, a cell a recipe with a seed and changed fields."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from inspect import cleandoc
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from casim import plugins, record
from casim.checkpoint import STATE, WEIGHTS
from casim.motion_codec import with_first_stage
from casim.recipes import BACKBONES, FACTORS, FIRST_STAGES, HALF, REPRESENTATIONS, SMALL, Factors, Recipe
from casim.setups import Setup
from casim.train import differences, parse

Standing = Literal["absent", "broken off", "done"]
"""absent: nothing to continue; broken off: a checkpoint to resume from; done: finished with this very config."""


@dataclass(frozen=True)
class Cell:
    """One training of a suite."""

    recipe: str
    """Name of the recipe."""
    seed: int
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the recipe that differ, by dotted name: {"training.steps": 100}."""
    label: str = ""
    """Name of the cell where the recipe's does not tell it from others."""
    first_stage: str = ""
    """Name of the cell of the same suite whose codec this one works behind."""

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return f"{self.label or self.recipe}_seed{self.seed}"

    @property
    def words(self) -> list[str]:
        """The cell as the first words of a `casim.train` command line."""
        settings = {"training.seed": self.seed, **self.overrides}
        return [self.recipe, *(word for item in settings.items() for word in _flag(*item))]

    @cached_property
    def config(self) -> Recipe:
        """The recipe with the cell's changes, read as `casim.train` reads it.

        Raises:
            ValueError: no such recipe.
        """
        return parse(self.words)[0]

    def behind(self, out: Path) -> Recipe:
        """The same, with what the first stage below `out` is now; without, if it has not been trained."""
        setup = self.config.setup
        if not isinstance(setup, Setup) or not (out / self.first_stage / WEIGHTS).is_file():
            return self.config
        setup = replace(setup, first_stage=replace(setup.first_stage, run=str(out / self.first_stage)))
        return replace(self.config, setup=with_first_stage(setup))

    def argv(self, out: Path, threads: int = 1) -> list[str]:
        """The command line that starts the cell below `out`, or continues it."""
        how = "--resume" if self.standing(out) == "broken off" else "--overwrite"
        stage = ["--first-stage", str(out / self.first_stage)] if self.first_stage else []
        return [*self.words, *stage, "--threads", str(threads), "--out", str(out / self.name), how]

    def standing(self, out: Path) -> Standing:
        """How far the cell has come below `out`.

        Raises:
            ValueError: the folder holds something else, or a run with another config.
        """
        folder = out / self.name
        # a process killed while it wrote its first file leaves a hidden one
        if not folder.exists() or all(path.name.startswith(".") for path in folder.iterdir()):
            return "absent"
        if not (folder / record.FILE).exists():
            raise ValueError(f"{folder} holds something that is no run; move it away, or give another --out")
        entry = record.load(folder)
        if changed := differences(entry.config, record.without_host(self.behind(out).to_json())):
            raise ValueError(f"{folder} holds a run with another config: {changed}; move it, or give another --out")
        if entry.status == "done":
            return "done"
        return "broken off" if (folder / STATE).exists() else "absent"


def _flag(name: str, value: Any) -> list[str]:
    path, _, leaf = name.replace("_", "-").rpartition(".")
    if isinstance(value, bool):
        return [f"--{path}.{leaf if value else f'no-{leaf}'}"]
    return [f"--{path}.{leaf}", *map(str, value if isinstance(value, tuple) else (value,))]


@dataclass(frozen=True)
class Suite:
    """Cells that belong together; their runs lie in one folder."""

    name: str
    about: str
    cells: tuple[Cell, ...]


SUITES: dict[str, Callable[[], Suite]] = {}
"""Suite functions by name."""


def named(name: str) -> Suite:
    """The suite called `name`.

    Raises:
        ValueError: no such suite; the message suggests the nearest names.
    """
    if name not in SUITES:
        raise ValueError(plugins.closest("suite", name, SUITES))
    return SUITES[name]()


def suite(function: Callable[[], tuple[Cell, ...]]) -> Callable[[], Suite]:
    """Lists a function as a suite under its own name; its docstring says what it is for."""

    def build() -> Suite:
        cells = function()
        if len({cell.name for cell in cells}) < len(cells):
            raise ValueError(f"suite {function.__name__} has two cells of one name; give them labels")
        about, rest, more = cleandoc(function.__doc__ or "").partition("\n")
        if stages := {cell.first_stage for cell in cells} - {""}:
            about += f" {len(stages)} of {len(cells)} cells are codecs, trained first."
        return Suite(function.__name__, about + rest + more, cells)

    SUITES[function.__name__] = build
    return build


def crossed(recipes: Sequence[str], seeds: Sequence[int]) -> tuple[Cell, ...]:
    """Every recipe with every seed; all recipes of a seed before the next, so that a part can be compared early."""
    return tuple(Cell(recipe, seed) for seed in seeds for recipe in recipes)


SEEDS = (0, 1, 2)


def _confounds(prefix: str, cells: Sequence[Factors], seeds: Sequence[int]) -> tuple[Cell, ...]:
    return crossed([f"{prefix}_{factors.name}" for factors in cells], seeds)


@suite
def choreography() -> tuple[Cell, ...]:
    """The demo pair and its two controls, three training seeds each."""
    arms = ("casim", "fixed", "fixed_strong", "fixed_long")
    return crossed([f"choreography_{arm}" for arm in arms], SEEDS)


@suite
def confounds() -> tuple[Cell, ...]:
    """Which of CASIM's four changes brings the gain: half of the 16 combinations, three training seeds each.

    A 2^(4-1) fraction of resolution IV (Box and Hunter 1961): A = tokens, B = window, C = mask, D = norm, defining
    relation I = ABCD. MDM (all off) and CASIM (all on) are among its cells. What it cannot tell apart:

    - A = BCD, B = ACD, C = ABD, D = ABC: a main effect is clear of all two-factor interactions, and stands for the
      sum of itself and one interaction of three factors;
    - AB = CD, AC = BD, AD = BC: two-factor interactions come as the sums of these pairs.

    The four main effects add up to the difference of CASIM and MDM exactly, whatever the scores are.
    """
    return _confounds("confound", HALF, SEEDS)


@suite
def confounds_full() -> tuple[Cell, ...]:
    """The same question with all 16 combinations, three training seeds each: nothing is aliased."""
    return _confounds("confound", FACTORS, SEEDS)


@suite
def confounds_mocap() -> tuple[Cell, ...]:
    """The half fraction on a folder of real motion (data/mocap) with MiniLM, one training seed."""
    return _confounds("mocap_confound", HALF, SEEDS[:1])


def _matrix(prefix: str, seeds: Sequence[int]) -> tuple[Cell, ...]:
    """Every backbone with both injections, behind shared codecs that stand first."""
    stages = {name: Cell(f"{prefix}_{codec}", 0) for name, codec in FIRST_STAGES.items()}
    names = {"mdm_decoder": prefix} | {name: f"{prefix}_{name}" for name in BACKBONES}
    cells = [
        Cell(f"{recipe}_{injection}", seed, first_stage=stages[name].name if name in stages else "")
        for seed in seeds
        for name, recipe in names.items()
        for injection in ("casim", "fixed")
    ]
    return (*stages.values(), *cells)


@suite
def backbones() -> tuple[Cell, ...]:
    """Every backbone with both injections, three training seeds each, behind the same codecs."""
    return _matrix("choreography", SEEDS)


@suite
def backbones_mocap() -> tuple[Cell, ...]:
    """The same on a folder of real motion (data/mocap) with MiniLM, one training seed: proves the path."""
    return _matrix("mocap", SEEDS[:1])


def _capacity(
    representations: Sequence[str], seeds: Sequence[int], overrides: Mapping[str, Any] = MappingProxyType({})
) -> tuple[Cell, ...]:
    """One denoiser with both injections on each representation; the codecs stand first."""
    codecs = {name: Cell(f"capacity_{name}", 0, overrides) for name in representations if name != "frames"}
    stages = {name: codec.name for name, codec in codecs.items()}
    cells = [
        Cell(f"capacity_{name}_{injection}", seed, overrides, first_stage=stages.get(name, ""))
        for seed in seeds
        for name in representations
        for injection in ("casim", "fixed")
    ]
    return (*codecs.values(), *cells)


@suite
def capacity_quick() -> tuple[Cell, ...]:
    """Shows the path of the capacity grid in minutes: 1 latent and VQ latents, one seed, 150 steps each."""
    return _capacity(("vae1", "vq"), SEEDS[:1], {"training.steps": 150, "data.train": 1500})


@suite
def capacity_small() -> tuple[Cell, ...]:
    """One denoiser with both injections on 1, 4 and 16 latents a clip and on VQ latents, three training seeds."""
    return _capacity(SMALL, SEEDS)


@suite
def capacity_medium() -> tuple[Cell, ...]:
    """The same on 1, 2, 4, 7, 16 and 24 latents, on VQ latents and on frames, three training seeds."""
    return _capacity(REPRESENTATIONS, SEEDS)


@suite
def capacity_full() -> tuple[Cell, ...]:
    """The grid of capacity_medium with five training seeds."""
    return _capacity(REPRESENTATIONS, range(5))


@suite
def transitions() -> tuple[Cell, ...]:
    """The demo pair on clips of 120 to 196 frames, to be joined to long motions, three training seeds each."""
    return crossed([f"transition_{arm}" for arm in ("casim", "fixed")], SEEDS)
