"""Pretrained models as files: a local folder or a name on the hub, and what to fetch when a file is missing."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casim.record import sha256

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Either of the two; the first is read if both are there."""
HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


@dataclass(frozen=True)
class Layout:
    """The files that make up one kind of model, as the transformers library writes them."""

    kind: str
    """What the model is called in messages."""
    types: tuple[str, ...]
    """What its config may give as `model_type`."""
    vocabularies: tuple[tuple[str, ...], ...]
    """Sets of tokeniser files; the first set that is whole is read."""
    extras: tuple[str, ...] = ()
    """Files that are read where they exist, and change no result."""

    def files(self, folder: Path) -> tuple[str, ...]:
        """The files that are read and fix every result, of which some may be missing."""

        def present(choices: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
            return next((c for c in choices if all((folder / name).is_file() for name in c)), choices[0])

        return (CONFIG, *present([(name,) for name in WEIGHTS]), *present(self.vocabularies))

    def missing(self, folder: Path) -> list[str]:
        """Those of the files that are not there."""
        return [name for name in self.files(folder) if not (folder / name).is_file()]

    def identity(self, folder: Path) -> str:
        """Hash of weights, architecture and vocabulary."""
        hashes = (sha256(folder / name) for name in sorted(self.files(folder)))
        return hashlib.sha256("".join(hashes).encode()).hexdigest()

    def settings(self, folder: Path) -> dict[str, Any]:
        """The model's config.

        Raises:
            ValueError: no JSON, or the config of another kind of model.
        """
        try:
            settings = json.loads((folder / CONFIG).read_bytes())
        except ValueError as error:
            raise ValueError(f"{folder / CONFIG} is damaged ({error}); fetch it again") from error
        found = settings.get("model_type") if isinstance(settings, dict) else None
        if found not in self.types:
            raise ValueError(
                f"{folder} holds a model of type {found!r}, not a {self.kind} ({', '.join(self.types)}); "
                f"give the folder or the hub name of a {self.kind}"
            )
        return settings


def locate(weights: str, layout: Layout) -> Path:
    """The folder with the files of `layout`: `weights` itself, or the hub's copy of the model of that name.

    Raises:
        FileNotFoundError: no such folder, a folder that lacks files, or a model that is not to be had.
    """
    folder = Path(weights)
    if folder.is_dir():
        if missing := layout.missing(folder):
            raise FileNotFoundError(
                f"{folder} holds no {layout.kind} in the transformers layout: it lacks {', '.join(missing)}"
            )
        return folder
    if not HUB_NAME.fullmatch(weights):
        raise FileNotFoundError(f"no folder {weights}; give the folder or the hub name of a {layout.kind}")
    return _from_hub(weights, layout)


def _from_hub(name: str, layout: Layout) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    needed = [CONFIG, WEIGHTS[0], *(file for files in layout.vocabularies for file in files)]
    reason = "some files are missing"
    try:
        folder = Path(snapshot_download(name, allow_patterns=[*needed, *layout.extras]))
        if WEIGHTS[0] in layout.missing(folder):  # published before safetensors
            folder = Path(snapshot_download(name, allow_patterns=[WEIGHTS[1]]))
        if not layout.missing(folder):
            return folder
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        reason = type(error).__name__
    raise FileNotFoundError(
        f"no folder {name}, and neither the hub nor its cache gives {name} ({reason}); with a network run "
        f"`hf download {name} {' '.join(needed)}` once (a model without {WEIGHTS[0]} has {WEIGHTS[1]}), "
        "or give a folder with these files"
    )
