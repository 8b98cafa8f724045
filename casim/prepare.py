"""Turns other people's motion into a HumanML3D-layout folder: `python -m casim.prepare joints FOLDER --out OUT`.

The folder written is the one that the `humanml3d` data set reads (see `casim.data.humanml3d`), made the way
HumanML3D was: bone lengths of one body, floor, origin and facing, features, mirrored clips and captions (prefix M),
and one standard deviation per group of features over all clips.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from casim import record as records
from casim import tagger
from casim.cli import Folder, main_exit
from casim.data._caption_files import Caption
from casim.data._joints import JointClip, read_joint_folder
from casim.features import FeatureSpec, from_joints, to_joints
from casim.kinematics import bone_offsets, uniform_skeleton
from casim.mirror import mirror_joints, mirror_text


def joints(
    folder: Folder,
    *,
    out: Path,
    converter: Literal["legacy", "fixed"] = "legacy",
    skeleton: str = "humanml3d",
    mirror: bool = True,
    overwrite: bool = False,
) -> None:
    """Joint arrays and captions to a HumanML3D-layout folder.

    FOLDER holds one .npz (or one .npy per clip) with arrays [frames, joints, 3] by clip id: 22 joints in metres at
    20 fps (or KIT's 21 in millimetres at 12.5 fps), y up, +x the person's left when facing +z; and index.json with
    "clips": [{"id", "captions", "tokens", "split"}], of which only "id" is needed.

    Args:
        folder: Folder with the joint arrays and index.json.
        out: Folder to make; it appears only when everything is done.
        converter: What makes the features: HumanML3D's own definition (legacy) or ours put right (fixed).
        skeleton: Whose bone lengths all clips get: humanml3d, own (each keeps its own), or the id of a clip.
        mirror: Add the mirror image of every clip, with left and right exchanged in its captions.
        overwrite: Replace OUT if it is what this command made.
    """
    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists; choose another --out or add --overwrite")
    records.check_replaceable(out, "prepare")
    clips = read_joint_folder(folder)
    spec = FeatureSpec(clips[0].joints.shape[1], converter=converter)
    spec = FeatureSpec(spec.joints, spec.skeleton.fps, converter)
    offsets = _offsets(skeleton, clips, spec)
    record = records.begin(
        "prepare",
        out.name,
        {
            "command": "joints",
            "converter": converter,
            "joints": spec.joints,
            "fps": spec.fps,
            "skeleton": skeleton,
            "mirror": mirror,
            "tagger": tagger.NAME if any(clip.is_tagged_here for clip in clips) else "as given",
            "statistics": "all clips and mirrors; one standard deviation per group of features",
        },
        threads=torch.get_num_threads(),
    )
    record.inputs["source"] = records.Source(run=records.relative(folder), sha256=records.sha256(folder))
    with _appearing(out) as temporary, records.opened(record, temporary):
        counts = _write(clips, temporary, spec, offsets, mirror)
        record.results |= {name: records.Measure(value=count, unit="") for name, count in counts.items()}
        records.attach(record, temporary, *sorted(temporary.glob("*.txt")), *sorted(temporary.glob("*.npy")))
    Console(soft_wrap=True, highlight=False).print(
        f"{out}: " + ", ".join(f"{count} {name}" for name, count in counts.items())
    )


COMMANDS = {"joints": joints}
"""The sub-commands by name."""


def _offsets(skeleton: str, clips: Sequence[JointClip], spec: FeatureSpec) -> Float[Tensor, "joints xyz"] | None:
    if skeleton == "own":
        return None
    if skeleton == "humanml3d":
        return torch.from_numpy(spec.skeleton.rest_offsets).float()
    found = {clip.name: clip for clip in clips}
    if skeleton not in found:
        raise ValueError(f"--skeleton is {skeleton!r}; allowed: humanml3d, own, or the id of a clip")
    return bone_offsets(torch.from_numpy(found[skeleton].joints[0]), spec.skeleton)


def _write(
    clips: Sequence[JointClip],
    folder: Path,
    spec: FeatureSpec,
    offsets: Float[Tensor, "joints xyz"] | None,
    mirror: bool,
) -> Counter[str]:
    for name in ("new_joints", "new_joint_vecs", "texts"):
        (folder / name).mkdir(parents=True)
    counts: Counter[str] = Counter(clips=len(clips), mirrors=len(clips) * mirror)
    statistics = _Statistics(spec)
    lists: dict[str, list[str]] = {}
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for clip in progress.track(clips, description="converting"):
            for name, points, captions in _versions(clip, mirror):
                with _naming(name):
                    features = _features(points, spec, offsets)
                statistics.add(features)
                np.save(folder / "new_joint_vecs" / f"{name}.npy", features.numpy())
                np.save(folder / "new_joints" / f"{name}.npy", to_joints(features[None], spec)[0].numpy())
                if captions:
                    lines = "".join(caption.line() for caption in captions)
                    (folder / "texts" / f"{name}.txt").write_text(lines, encoding="utf-8")
                for split in _lists(clip):
                    lists.setdefault(split, []).append(name)
                counts["captions"] += len(captions)
                counts["frames"] += len(features)
    for split, names in lists.items():
        # originals first, then mirrors, as in HumanML3D
        mirrors = {f"M{clip.name}" for clip in clips} if mirror else set()
        names.sort(key=lambda name: (name in mirrors, name))
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        counts[f"in {split}"] = len(names)
    statistics.write(folder)
    return counts


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


def _features(
    points: Float32[Tensor, "frames joints xyz"], spec: FeatureSpec, offsets: Float[Tensor, "joints xyz"] | None
) -> Float32[Tensor, "steps feats"]:
    points = points[None]
    if offsets is not None:
        points = uniform_skeleton(points, offsets, spec.skeleton)
    return from_joints(points, spec)[0]


def _lists(clip: JointClip) -> tuple[str, ...]:
    """The lists that name the clip: only captioned clips stand in the lists that models train on."""
    if not clip.captions:
        return "all", "uncaptioned"
    return ("all", clip.split, "train_val") if clip.split in ("train", "val") else ("all", clip.split)


class _Statistics:
    """Mean and standard deviation of features, summed in float64."""

    def __init__(self, spec: FeatureSpec):
        self.spec, self.count = spec, 0
        self.sums = np.zeros((2, spec.dims))

    def add(self, features: Float[Tensor, "steps feats"]) -> None:
        """Counts the rows of a clip in."""
        rows = features.double().numpy()
        self.count += len(rows)
        self.sums += np.stack([rows.sum(0), np.square(rows).sum(0)])

    def write(self, folder: Path) -> None:
        """Writes Mean.npy and Std.npy; a group of features that never varies gets standard deviation 1."""
        mean, squares = self.sums / self.count
        std = np.sqrt(np.maximum(squares - mean**2, 0))
        for columns in self.spec.groups.values():
            std[columns] = std[columns].mean() if std[columns].mean() > 1e-8 else 1.0
        np.save(folder / "Mean.npy", mean.astype(np.float32))
        np.save(folder / "Std.npy", std.astype(np.float32))


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Errors of a single clip under its own name."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace("clip 0", f"clip {name}", 1)) from None


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
        temporary.rename(out)
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)


if __name__ == "__main__":
    main_exit(COMMANDS)
