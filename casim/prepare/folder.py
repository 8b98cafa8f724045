"""Writes clips as a folder that the data sets `humanml3d` and `kit` read (see `casim.data._folder`).

It is made the way HumanML3D was: bone lengths of one body, floor, origin and facing, features, mirrored clips and
captions (prefix M), and one standard deviation per group of features over all clips. Ours, beside the lists of
ids of a split: `uncaptioned.txt`, clips without captions, and `templated.txt`, clips whose captions are templates.
"""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from casim import record as records
from casim.data._caption_files import Caption
from casim.features import FeatureSpec, from_clips, to_joints
from casim.kinematics import bone_offsets, uniform_skeleton
from casim.mirror import mirror_joints, mirror_text
from casim.prepare.clips import JointClip
from casim.tagger import Kind, Tagger, named

_BLOCK = 32
"""Clips converted together."""

Offsets = Float[Tensor, "joints xyz"]


@dataclass(frozen=True)
class Output:
    """The folder to make."""

    out: Path
    """Folder to make; it appears only when everything is done."""
    converter: Literal["legacy", "fixed"] = "legacy"
    """What makes the features: HumanML3D's own definition (legacy) or ours put right (fixed)."""
    skeleton: str = "humanml3d"
    """Whose bone lengths all clips get: humanml3d, own (each keeps its own), or the id of a clip."""
    mirror: bool = True
    """Add the mirror image of every clip, with left and right exchanged in its captions."""
    tagger: Kind = "rules"
    """What tags the words of captions that come without tags; spacy needs pip install "casim[spacy]"."""
    overwrite: bool = False
    """Replace OUT if it is what this command made."""

    def check(self) -> Tagger:
        """Refuses, before any work, what would fail after it; gives the tagger.

        Raises:
            ValueError: OUT exists and may not be replaced, or the tagger is not installed.
        """
        if self.out.exists() and not self.overwrite:
            raise ValueError(f"{self.out} exists; choose another --out or add --overwrite")
        records.check_replaceable(self.out, "prepare")
        return named(self.tagger)


def progress_bar() -> Progress:
    """A progress bar on standard error."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True))


def write_folder(
    clips: Sequence[JointClip],
    output: Output,
    tagger: Tagger,
    sources: Mapping[str, Path],
    config: Mapping[str, Any],
) -> None:
    """Converts the clips, writes the folder with its record, and prints what is in it.

    Args:
        clips: All of one skeleton, at its frame rate.
        output: Where to and how.
        tagger: What tags captions without tags; `output.check` gives it.
        sources: Files and folders that the clips were made from, for the record.
        config: What else the record should say: the command and its options; "notes" are printed too.
    """
    spec = FeatureSpec(clips[0].joints.shape[1])
    spec = FeatureSpec(spec.joints, spec.skeleton.fps, output.converter)
    offsets = _offsets(output.skeleton, clips, spec)
    clips, tagged_by = _tagged(clips, tagger)
    said = {
        "converter": output.converter,
        "joints": spec.joints,
        "fps": spec.fps,
        "skeleton": output.skeleton,
        "mirror": output.mirror,
        "tagger": tagged_by,
        "captions": _provenance(clips),
        "statistics": "all clips and mirrors; one standard deviation per group of features",
    }
    record = records.begin("prepare", output.out.name, {**config, **said}, threads=torch.get_num_threads())
    for name, source in sources.items():
        record.inputs[name] = records.Source(run=records.relative(source), sha256=records.sha256(source))
    with _appearing(output.out) as temporary, records.opened(record, temporary):
        counts = _write(clips, temporary, spec, offsets, output.mirror)
        record.results |= {name: records.Measure(value=count, unit="") for name, count in counts.items()}
        records.attach(record, temporary, *sorted(temporary.glob("*.txt")), *sorted(temporary.glob("*.npy")))
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"{output.out}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    for note in (f"captions: {said['captions']}", *config.get("notes", ())):
        console.print(f"  {note}")


def _provenance(clips: Sequence[JointClip]) -> str:
    """Where the captions come from, in words."""
    templated = sum(clip.is_templated for clip in clips)
    given = sum(bool(clip.captions) for clip in clips) - templated
    kinds = {
        "as given": given,
        "templates made from labels, not annotations": templated,
        "none": len(clips) - given - templated,
    }
    return "; ".join(f"{kind} ({count} clips)" for kind, count in kinds.items() if count)


def _offsets(skeleton: str, clips: Sequence[JointClip], spec: FeatureSpec) -> Offsets | None:
    if skeleton == "own":
        return None
    if skeleton == "humanml3d":
        return torch.from_numpy(spec.skeleton.rest_offsets).float()
    found = {clip.name: clip for clip in clips}
    if skeleton not in found:
        raise ValueError(f"--skeleton is {skeleton!r}; allowed: humanml3d, own, or the id of a clip")
    return bone_offsets(torch.from_numpy(found[skeleton].joints[0]), spec.skeleton)


def _tagged(clips: Sequence[JointClip], tagger: Tagger) -> tuple[list[JointClip], str]:
    """The clips with tokens for every caption, and where they come from."""
    total = sum(len(clip.captions) for clip in clips)
    bare = [caption.text for clip in clips for caption in clip.captions if not caption.tokens]
    tokens = iter(tagger.tag(bare))
    tagged = [
        replace(clip, captions=tuple(c if c.tokens else replace(c, tokens=next(tokens)) for c in clip.captions))
        for clip in clips
    ]
    if len(bare) in (0, total):
        return tagged, tagger.name if bare else "as given"
    return tagged, f"{tagger.name} ({len(bare)} of {total} captions); the others as given"


def _write(
    clips: Sequence[JointClip], folder: Path, spec: FeatureSpec, offsets: Offsets | None, mirror: bool
) -> Counter[str]:
    for name in ("new_joints", "new_joint_vecs", "texts"):
        (folder / name).mkdir(parents=True)
    counts: Counter[str] = Counter(clips=len(clips), mirrors=len(clips) * mirror)
    statistics = Statistics(spec)
    by_length = sorted(clips, key=lambda clip: len(clip.joints))
    with progress_bar() as progress:
        task = progress.add_task("converting", total=len(clips))
        for first in range(0, len(clips), _BLOCK):
            block = by_length[first : first + _BLOCK]
            versions = [version for clip in block for version in _versions(clip, mirror)]
            features = _convert([(name, points) for name, points, _ in versions], spec, offsets)
            for (name, _, captions), rows in zip(versions, features, strict=True):
                statistics.add(rows.numpy())
                np.save(folder / "new_joint_vecs" / f"{name}.npy", rows.numpy())
                np.save(folder / "new_joints" / f"{name}.npy", to_joints(rows[None], spec)[0].numpy())
                if captions:
                    lines = "".join(caption.line() for caption in captions)
                    (folder / "texts" / f"{name}.txt").write_text(lines, encoding="utf-8")
                counts["captions"] += len(captions)
                counts["frames"] += len(rows)
            progress.advance(task, len(block))
    counts.update(_write_lists(clips, folder, mirror))
    statistics.write(folder)
    return counts


def _write_lists(clips: Sequence[JointClip], folder: Path, mirror: bool) -> Counter[str]:
    """The lists of ids, originals first and then mirrors, as in HumanML3D; gives their lengths."""
    lists: dict[str, list[str]] = {}
    for clip in sorted(clips, key=lambda clip: clip.name):
        for name in _lists(clip):
            lists.setdefault(name, []).append(clip.name)
    counts: Counter[str] = Counter()
    for name, ids in lists.items():
        ids = [*ids, *(f"M{clip}" for clip in ids * mirror)]
        (folder / f"{name}.txt").write_text("".join(f"{clip}\n" for clip in ids), encoding="utf-8")
        counts[f"in {name}"] = len(ids)
    return counts


def _lists(clip: JointClip) -> tuple[str, ...]:
    """The lists that name the clip: only captioned clips stand in the lists that models train on."""
    if not clip.captions:
        return "all", "uncaptioned"
    train_val = ("train_val",) if clip.split in ("train", "val") else ()
    return ("all", clip.split, *train_val, *(("templated",) if clip.is_templated else ()))


def _versions(
    clip: JointClip, mirror: bool
) -> Iterator[tuple[str, Float32[Tensor, "f j xyz"], tuple[Caption, ...]]]:
    """The clip, and its mirror image."""
    points = torch.from_numpy(clip.joints)
    yield clip.name, points, clip.captions
    if mirror:
        captions = tuple(
            Caption(mirror_text(c.text), tuple(map(mirror_text, c.tokens)), c.start, c.end) for c in clip.captions
        )
        yield f"M{clip.name}", mirror_joints(points), captions


def _convert(
    clips: Sequence[tuple[str, Float32[Tensor, "_ joints xyz"]]], spec: FeatureSpec, offsets: Offsets | None
) -> list[Float32[Tensor, "_ feats"]]:
    """Features of the clips, on the body of `offsets`; shorter ones repeat their last frame in between."""
    names, points = [name for name, _ in clips], [points for _, points in clips]
    if offsets is not None:
        times = torch.arange(max(len(clip) for clip in points))
        padded = torch.stack([clip[times.clamp_max(len(clip) - 1)] for clip in points])
        try:
            moved = uniform_skeleton(padded, offsets, spec.skeleton)
        except ValueError as error:  # the geometry knows clips by number
            raise ValueError(
                re.sub(r"^clip (\d+)", lambda found: f"clip {names[int(found[1])]}", str(error))
            ) from None
        points = [row[: len(clip)] for row, clip in zip(moved, points, strict=True)]
    return from_clips(points, spec, names)


class Statistics:
    """Mean and standard deviation of features, summed in float64."""

    def __init__(self, spec: FeatureSpec):
        self.spec, self.count = spec, 0
        self.sums = np.zeros((2, spec.dims))

    def add(self, features: Float[np.ndarray, "steps feats"]) -> None:
        """Counts the rows of a clip in."""
        rows = features.astype(np.float64)
        self.count += len(rows)
        self.sums += np.stack([rows.sum(0), np.square(rows).sum(0)])

    def rows(self) -> tuple[Float64[np.ndarray, " feats"], Float64[np.ndarray, " feats"]]:
        """Mean, and one standard deviation per group of features; 1 for a group that never varies."""
        mean, squares = self.sums / self.count
        std = np.sqrt(np.maximum(squares - mean**2, 0))
        for columns in self.spec.groups.values():
            std[columns] = std[columns].mean() if std[columns].mean() > 1e-8 else 1.0
        return mean, std

    def write(self, folder: Path) -> None:
        """Writes Mean.npy and Std.npy."""
        for name, row in zip(("Mean", "Std"), self.rows(), strict=True):
            np.save(folder / f"{name}.npy", row.astype(np.float32))


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its place at the end, or vanishes on any error."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if out.exists():
            out.rename(old)
        try:
            temporary.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)
