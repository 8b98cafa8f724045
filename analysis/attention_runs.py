"""Runs and clips of the attention probe."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.attention_capture import check_has_map, check_steps
from analysis.event_signals import plain_alignment
from casim import checkpoint
from casim.data.choreography import ChoreographyClips
from casim.text_to_motion import TextToMotion
from casim.types import Clips, MotionBatch

BUNDLED_ARM, BUNDLED_POOLED = "choreography_casim", "choreography_fixed"
KINDS = ("pair", "triple")


def find_runs(names: Sequence[str] = ()) -> dict[str, Path]:
    """Folders of the named runs, or of the bundled token-level runs, by the name of the folder.

    Raises:
        ValueError: unknown run, two of one name, or none is bundled.
    """
    if not (names := tuple(names) or _bundled(BUNDLED_ARM)):
        raise ValueError("no bundled runs are installed; name a run: python -m analysis.attention_probe RUN ...")
    folders = [checkpoint.find_run(name).resolve() for name in names]
    found = {folder.name: folder for folder in folders}
    if len(found) < len(folders):
        raise ValueError(f"two runs have the same folder name among {', '.join(names)}; name each run once")
    return found


def find_pooled(pooled: Sequence[str], measured: Sequence[str]) -> dict[str, Path]:
    """Folders of the runs whose motions stand beside, by the name of the folder.

    Raises:
        ValueError: unknown run, or one that is also measured.
    """
    names = tuple(pooled) or (() if measured else _bundled(BUNDLED_POOLED))
    found = {(folder := checkpoint.find_run(name).resolve()).name: folder for name in names}
    if twice := sorted(set(found) & set(find_runs(measured))):
        raise ValueError(f"{twice[0]} is measured already; --pooled names fixed-length runs to stand beside")
    return found


def _bundled(arm: str) -> tuple[str, ...]:
    return tuple(name for name in checkpoint.runs() if name.rpartition("_seed")[0] == arm)


def arm_of(models: Mapping[str, TextToMotion], steps: Sequence[int]) -> str:
    """The arm that all runs belong to.

    Raises:
        ValueError: a run without a map, or runs that are no seeds of one recipe.
    """
    for name, model in models.items():
        check_steps(check_has_map(model, name), steps)
    recipes = {model.config.get("recipe", "unnamed") for model in models.values()}
    setups = {str(model.setup) for model in models.values()}
    if len(recipes) > 1 or len(setups) > 1:
        raise ValueError(
            f"runs of different recipes or settings ({', '.join(sorted(recipes))}) are no seeds of one arm; "
            "measure them in two commands with two --out folders"
        )
    data = next(iter(models.values())).config["data"]["plugin"]
    return recipes.pop().removeprefix(f"{data}_")


def choose(split: Clips, samples: int, seed: int) -> tuple[list[int], MotionBatch]:
    """Clips with two or three actions in sequence, drawn without replacement, in the order of the split.

    Where no intervals are known (real clips) any clip is drawn, and its words are all about one action.

    Raises:
        ValueError: fewer than two of them.
    """
    is_exact = isinstance(split, ChoreographyClips)
    usable = (
        [i for i, plan in enumerate(split.plans) if plan.kind in KINDS] if is_exact else list(range(len(split)))
    )
    if len(usable) < 2:
        raise ValueError(f"the split has {len(usable)} clips with two or three actions in sequence; two are needed")
    items = sorted(np.random.default_rng(seed).permutation(usable)[:samples].tolist())
    clips = split.batch(items) if is_exact else split.batch(items, seed)
    if is_exact:
        return items, clips
    frames = clips.lengths.tolist()
    told = tuple(plain_alignment(text, length) for text, length in zip(clips.texts, frames, strict=True))
    return items, replace(clips, alignment=told)
