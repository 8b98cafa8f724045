"""One golden file: what the authors' code computed, and how to compare with it.

Convention for handlers: `tests/parity/handle_PREFIX.py` checks every golden file whose stem begins with `PREFIX`
(the longest prefix wins) and defines

    def check(golden: Golden) -> None

which builds everything from `golden.config` and `golden.weights`, goes over `golden.cases` and fails on a case
that it does not know (`unknown(case)`). No size of the files at hand is written down in a handler.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors import safe_open
from torch import Tensor


@dataclass(frozen=True)
class Case:
    """Inputs and expected outputs of one case, by their last name."""

    name: str
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    @property
    def options(self) -> tuple[str, ...]:
        """The parts of the name: `uncond_embT_mask_frames` -> (uncond, embT, mask, frames)."""
        return tuple(self.name.split("_"))


@dataclass(frozen=True)
class Golden:
    """A golden file: metadata, weights under the official names, and cases."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def config(self) -> dict[str, Any]:
        with safe_open(self.path, "pt") as file:
            return json.loads(file.metadata()["config"])

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        with safe_open(self.path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    @property
    def weights(self) -> dict[str, Tensor]:
        return {n.partition("/")[2]: t for n, t in self.tensors.items() if n.startswith("weights/")}

    @cached_property
    def cases(self) -> dict[str, Case]:
        """Every case of the file, by name; the case is the part between the first and the last slash."""
        found: dict[str, Case] = {}
        for full, tensor in self.tensors.items():
            side, _, rest = full.partition("/")
            if side not in ("inputs", "outputs"):
                continue
            name, _, leaf = rest.rpartition("/")
            case = found.setdefault(name, Case(name, {}, {}))
            getattr(case, side)[leaf] = tensor
        return found


def unknown(case: str) -> NoReturn:
    """Fails the test: a case that no handler knows must not pass silently."""
    pytest.fail(f"unknown case {case!r}: teach the handler what it stands for")


def close(ours: Tensor, theirs: Tensor, atol: float, what: str, rtol: float = 0.0) -> None:
    """Asserts equal shapes and |ours - theirs| <= atol + rtol |theirs| everywhere."""
    assert ours.shape == theirs.shape, f"{what}: shape {tuple(ours.shape)}, expected {tuple(theirs.shape)}"
    torch.testing.assert_close(
        ours.to(theirs.dtype), theirs, atol=atol, rtol=rtol, msg=lambda text: f"{what}: {text}"
    )
