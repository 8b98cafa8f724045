"""Saves and loads a run's weights and config: safetensors and JSON, each written atomically."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Tensor, nn

from casim import record
from casim.plugins import closest
from casim.record import write_atomic

WEIGHTS = "model.safetensors"
STATE = "training.safetensors"
"""All that training needs to go on."""
CONFIG = "config.json"
BUNDLED = Path(__file__).parent / "assets"


def runs() -> dict[str, Path]:
    """All runs known by name: those below `runs/` of the working folder, then those that come with the package."""
    roots = (BUNDLED, Path("runs"))
    return {p.parent.relative_to(root).as_posix(): p.parent for root in roots for p in sorted(root.rglob(CONFIG))}


def find_run(name: str | Path, *, is_scorer: bool = False) -> Path:
    """The folder of a run, given as a folder, as a name below `runs/`, or as the name of a bundled run.

    Args:
        name: of the run.
        is_scorer: offer networks that score motions, not models of motion, where there is no such run.

    Raises:
        FileNotFoundError: the folder exists but holds no config, so it is no run.
        ValueError: no such run; the message suggests the nearest names.
    """
    folder, known = Path(name), runs()
    if (folder / CONFIG).is_file():
        return folder
    if str(name) in known:
        return known[str(name)]
    if folder.is_dir():
        raise FileNotFoundError(f"{folder} is no run: it has no {CONFIG}; name the folder that training wrote")
    near = [other for other, path in known.items() if (b'"embedder"' in (path / CONFIG).read_bytes()) == is_scorer]
    told = (
        closest("embedder" if is_scorer else "run", str(name), near)
        if near
        else f"no run at {name} nor below runs/"
    )
    command = "evaluators.train KIND" if is_scorer else "casim.train RECIPE"
    place = name if len(Path(name).parts) > 1 else Path("runs") / name
    raise ValueError(f"{told}; train one: python -m {command} --out {place}")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], *, half: bool = False) -> None:
    """Writes tensors to a safetensors file; `half` stores floating point as float16."""
    kept = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in tensors.items()
    }
    write_atomic(path, save_bytes(kept))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; float16 comes back as float32.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a whole safetensors file (truncated, or pickled, which is never read).
    """
    if not path.exists():
        raise FileNotFoundError(f"no weights at {path}")
    data = path.read_bytes()
    try:
        tensors = load_bytes(data)
    except SafetensorError as error:
        # Asked only now: a whole safetensors file may begin with these bytes too, which are the size of its header.
        if data[:2] == b"PK" or data[:1] == b"\x80":
            raise ValueError(f"{path} is a pickled file, which could run code; only safetensors are read") from None
        raise ValueError(f"{path} is truncated or no safetensors file: {error}") from error
    return {name: t.float() if t.dtype == torch.float16 else t for name, t in tensors.items()}


def save_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Writes `folder/config.json`."""
    write_atomic(folder / CONFIG, (json.dumps(config, indent=1) + "\n").encode())


def load_config(folder: Path) -> dict[str, Any]:
    """The config of a run.

    Raises:
        FileNotFoundError: the folder is no run.
        ValueError: the file is not JSON.
    """
    path = folder / CONFIG
    if not path.exists():
        raise FileNotFoundError(f"{folder} is no run: it has no {CONFIG}")
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Loads weights into a module, strictly.

    Raises:
        ValueError: a name or a shape differs; the message names the first ones.
    """
    own = module.state_dict()
    missing, extra = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    shapes = [
        f"{n} ({tuple(tensors[n].shape)} instead of {tuple(own[n].shape)})"
        for n in own
        if n in tensors and own[n].shape != tensors[n].shape
    ]
    if missing or extra or shapes:
        parts = [
            f"{what} {', '.join(n[:3])}"
            for what, n in (("lacks", missing), ("has the unknown", extra), ("has other shapes for", shapes))
            if n
        ]
        raise ValueError(f"{source} does not fit the model of its config: it {'; it '.join(parts)}")
    module.load_state_dict(dict(tensors))


def unfinished(folder: Path) -> str:
    """How far the training of a run came, in words, if it did not come to its end; empty if it did.

    Runs without a record of their training (converted checkpoints) count as finished.
    """
    entry = record.load(folder) if (folder / record.FILE).exists() else None
    if entry is None or entry.kind != "train" or entry.status == "done":
        return ""
    told = "has come to" if entry.status == "running" else "stopped at"
    steps = int(load_tensors(folder / STATE)["step"]) if (folder / STATE).exists() else 0
    total = entry.config.get("training", {}).get("steps", "?")
    return f"{folder.name} {told} step {steps} of {total}: its numbers are not those of its recipe"
