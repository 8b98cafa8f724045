"""Files of the authors: weights, their options, and statistics of features."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

WRAPPERS = ("state_dict", "net", "trans", "model")
"""Keys under which checkpoints keep their tensors."""
AVERAGE = "model_avg"


def read_weights(file: Path, *, use_average: bool = False) -> dict[str, Tensor]:
    """The tensors of a checkpoint, whatever dict they are wrapped in.

    Args:
        file: a file of `torch.save`, or safetensors.
        use_average: take the moving average of the weights that some MDM checkpoints hold beside them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no checkpoint, one that holds more than tensors, or none with an average.
    """
    if not file.is_file():
        raise FileNotFoundError(f"no checkpoint at {file}")
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0][:150] if str(error) else type(error).__name__
        raise ValueError(
            f"{file} cannot be read as tensors alone ({reason}); if you trust it, save its state dict: "
            "torch.save(torch.load(FILE, weights_only=False)['state_dict'], NEW)"
        ) from error
    return _tensors(found, file, use_average=use_average)


def _tensors(found: Any, file: Path, *, use_average: bool) -> dict[str, Tensor]:
    if not isinstance(found, Mapping):
        raise ValueError(f"{file} holds a {type(found).__name__}, not a dict of tensors")
    if use_average:
        if AVERAGE not in found:
            raise ValueError(f"{file} has no {AVERAGE!r}: it holds no average of the weights")
        return _tensors(found[AVERAGE], file, use_average=False)
    for key in WRAPPERS:
        if isinstance(found.get(key), Mapping):
            return _tensors(found[key], file, use_average=False)
    tensors = {str(name): tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}
    if not tensors:
        raise ValueError(f"{file} holds no tensors; its keys are {', '.join(map(str, list(found)[:5]))}")
    return tensors


def read_args(file: Path) -> dict[str, Any]:
    """The authors' `args.json` beside a checkpoint; empty if there is none.

    Raises:
        ValueError: it is no JSON object.
    """
    path = file.parent / "args.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__}, not options by name")
    return found


def read_statistics(folder: Path, feats: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation that a model's features were normalised with.

    Raises:
        FileNotFoundError: one is missing; the message says which files are looked for.
        ValueError: one has another width.
    """
    found = []
    for name in ("mean", "std"):
        paths = [folder / f"{spelt}.npy" for spelt in (name.capitalize(), name)]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise FileNotFoundError(
                f"no {' or '.join(p.name for p in paths)} in {folder}: the weights do not hold the statistics of "
                "their features; name the folder of those they were trained with: --statistics FOLDER"
            )
        values = np.load(path).astype(np.float32)
        if values.shape != (feats,):
            raise ValueError(f"{path} has shape {values.shape}, the model's features have {feats} columns")
        found.append(values)
    return found[0], found[1]
