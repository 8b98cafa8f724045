"""Parity with the authors' code: one test per golden file in the folder named by CASIM_GOLDENS (see golden.py)."""

import importlib
import os
from pathlib import Path

import pytest
from golden import Golden

HERE = Path(__file__).parent
HANDLERS = tuple(path.stem.removeprefix("handle_") for path in HERE.glob("handle_*.py"))
PENDING = tuple((HERE / "pending.txt").read_text().split())


def golden_files() -> list[Path]:
    folder = os.environ.get("CASIM_GOLDENS")
    return sorted(Path(folder).glob("*.safetensors")) if folder else []


def longest_prefix(stem: str, prefixes: tuple[str, ...]) -> str | None:
    return max((p for p in prefixes if stem.startswith(p)), key=len, default=None)


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: path.stem)
def test_parity(path: Path) -> None:
    prefix = longest_prefix(path.stem, HANDLERS)
    waiting = longest_prefix(path.stem, PENDING)
    if waiting is not None and len(waiting) > len(prefix or ""):
        pytest.skip(f"{waiting} is not built yet (pending.txt)")
    if prefix is None:
        pytest.fail(f"no handle_*.py for {path.stem}; handlers: {', '.join(sorted(HANDLERS))}")
    importlib.import_module(f"handle_{prefix}").check(Golden(path))


def test_goldens_are_named() -> None:
    if "CASIM_GOLDENS" not in os.environ:
        pytest.skip("set CASIM_GOLDENS to the folder of golden files to check parity with the authors' code")
    assert golden_files(), "CASIM_GOLDENS names a folder without .safetensors files"


def test_no_system_is_both_pending_and_handled() -> None:
    assert not set(HANDLERS) & set(PENDING)
