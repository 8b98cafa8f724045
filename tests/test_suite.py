"""Suites: what is done stays, what broke off goes on, what fails does not stop the others."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from math import prod
from pathlib import Path

import pytest

from casim import cli, record
from casim.crew import locked
from casim.recipes import HALF, RECIPES
from casim.suite import Options, command, run
from casim.suites import SUITES, Cell, Suite, named, suite
from casim.trainer import STATE

TINY = {
    **{f"data.{split}": 7 for split in ("validation", "test", "held_out")},
    **{"data.train": 48, "data.max_frames": 44, "backbone.width": 16, "backbone.layers": 1, "backbone.ff": 23},
    **{"training.batch_size": 4, "training.warmup": 2, "training.steps": 7, "training.checkpoint_every": 2},
}


def cell(seed: int, **changes: object) -> Cell:
    overrides = TINY | {name.replace("__", "."): value for name, value in changes.items()}
    return Cell("choreography_casim", seed, overrides)


def toy(*cells: Cell) -> Suite:
    return Suite("toy", "A toy.", cells)


def times(out: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


# The suites


@pytest.mark.parametrize("name", SUITES)
def test_cells_are_recipes_that_exist_and_have_names_of_their_own(name: str) -> None:
    made = named(name)
    assert made.name == name
    assert made.about.splitlines()[0].endswith(".")
    assert {cell.recipe for cell in made.cells} <= set(RECIPES)
    assert len({cell.name for cell in made.cells}) == len(made.cells)


def test_the_half_fraction_has_the_aliases_that_its_docstring_states() -> None:
    signs = [tuple(1 if level else -1 for level in vars(factors).values()) for factors in HALF]
    assert len(signs) == 8
    assert {(1, 1, 1, 1), (-1, -1, -1, -1)} < set(signs)
    columns = {"".join("ABCD"[i] for i in word): [prod(s[i] for i in word) for s in signs] for word in WORDS}
    aliases = {name: {other for other in columns if columns[other] == columns[name]} for name in columns}
    assert set(columns["ABCD"]) == {1}
    assert aliases["A"] == {"A", "BCD"}
    assert aliases["AB"] == {"AB", "CD"}
    assert aliases["AC"] == {"AC", "BD"}
    assert aliases["AD"] == {"AD", "BC"}
    for one, other in (("A", "B"), ("A", "C"), ("B", "D"), ("A", "AB"), ("A", "BC"), ("AB", "AC")):
        assert sum(x * y for x, y in zip(columns[one], columns[other], strict=True)) == 0


WORDS = [tuple(i for i in range(4) if mask >> i & 1) for mask in range(1, 16)]


def test_two_cells_of_one_name_are_refused() -> None:
    def twins() -> tuple[Cell, ...]:
        """Twins."""
        return cell(0), cell(0, training__steps=9)

    build = suite(twins)
    SUITES.pop("twins")
    with pytest.raises(ValueError, match="two cells of one name"):
        build()


def test_overrides_are_read_as_training_reads_them() -> None:
    config = Cell(
        "confound_tokens_77_mask_norm", 5, {"backbone.has_final_norm": False, "data.is_padded_full": True}
    ).config
    assert not config.setup.backbone.has_final_norm
    assert config.setup.data.is_padded_full
    assert config.training.seed == 5
