"""What can be wrong with a folder of HumanML3D's layout, and what helps."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from casim.data.humanml3d import KNOWN_BAD, HumanML3D
from casim.data.kit import Kit
from casim.features import FeatureSpec, from_joints
from casim.prepare.clips import SPLITS, some
from casim.prepare.inventory import Inventory, Row

Severity = Literal["error", "warning", "note"]

SIZES = {"train": 23_384, "val": 1_460, "test": 4_384, "train_val": 24_844, "all": 29_228}
"""Ids in the lists of the whole of HumanML3D."""
OFFICIAL_STD = {
    "turn": 0.012826,
    "velocity": 0.016927,
    "height": 0.153766,
    "positions": 0.122244,
    "rotations": 0.299692,
    "velocities": 0.019470,
    "contacts": 0.355933,
}
"""HumanML3D's Std.npy, which has one value per group of features."""
OFFICIAL_HEIGHT = 0.938551
"""Mean height of the root in HumanML3D's Mean.npy, metres."""
BIAS = 5.0
"""The evaluator's statistics have the deviation of root and contacts divided by this, once or twice."""
SAMPLE = "012314"
"""The clip whose joints and features HumanML3D's repository holds."""
_BIASED = ("turn", "velocity", "height", "contacts")
_EDGE = 81
"""Frames at the end of a clip that smoothing makes depend on frames beyond it."""
_PROBED = 24
"""Motions that are converted again."""


@dataclass(frozen=True)
class Kind:
    """A kind of finding."""

    severity: Severity
    remedy: str


@dataclass(frozen=True)
class Finding:
    """Something that a folder has wrong."""

    kind: str
    what: str

    @property
    def severity(self) -> Severity:
        """error: training fails or learns from wrong data; warning: probably not meant; note: good to know."""
        return KINDS[self.kind].severity

    @property
    def remedy(self) -> str:
        """What helps."""
        return KINDS[self.kind].remedy


KINDS = {
    "empty_split": Kind("warning", "list clips in it, one id per line, to train, select or score on it"),
    "duplicate_id": Kind("error", "keep each id once"),
    "split_overlap": Kind("error", "keep a clip and its mirror in one split, or scores are of training data"),
    "missing_motion": Kind("error", "copy the files, or take the ids off the lists"),
    "missing_text": Kind("error", "copy the caption files, or list the ids in uncaptioned.txt"),
    "motion_without_text": Kind("warning", "copy the caption files; no list names these motions, so none is read"),
    "text_without_motion": Kind("warning", "copy the motions, or remove the caption files"),
    "known_bad": Kind("note", "nothing to do: NaN or a single frame in the release, the loader leaves them out"),
    "broken_motion": Kind("error", "copy the files again; they are no arrays"),
    "wrong_width": Kind("error", "make the features again; these belong to another skeleton or representation"),
    "not_finite": Kind("error", "make the features again, or take the ids off the lists"),
    "too_short": Kind("note", "nothing to do: the loader leaves them out"),
    "too_long": Kind("note", "nothing to do: the loader leaves them out; cut them to use them"),
    "broken_caption": Kind("error", "write the line as caption#tokens#start#end"),
    "odd_token": Kind("warning", "tag the captions again, as word/POS"),
    "unpaired_mirror": Kind("warning", "copy or make the other one; one side is seen more often than the other"),
    "bad_statistics": Kind("error", "copy Mean.npy and Std.npy, or make the folder again"),
    "evaluator_statistics": Kind("error", "keep these for the evaluator; train with HumanML3D's own Std.npy"),
    "statistics_drift": Kind("error", "make Mean.npy and Std.npy again from these motions, or copy others"),
    "other_statistics": Kind("warning", "copy HumanML3D's Mean.npy and Std.npy to compare with published models"),
    "converter_mismatch": Kind("error", "make features and record with one converter (legacy is HumanML3D's)"),
    "official_sample": Kind("error", "make the features again with HumanML3D's own converter (legacy)"),
    "official_counts": Kind("warning", "copy HumanML3D's lists and files to compare with published figures"),
}
"""All kinds of findings."""


def findings(found: Inventory) -> list[Finding]:
    """Everything that is wrong with the folder."""
    checks = (_lists, _files, _mirrors, _statistics, _converter, _official)
    return [Finding(kind, what) for check in checks for kind, what in check(found)]


Found = Iterator[tuple[str, str]]


def _lists(found: Inventory) -> Found:
    if empty := [f"{split}.txt" for split in SPLITS if not found.lists.get(split)]:
        yield "empty_split", f"missing or empty: {', '.join(empty)}"
    for name, ids in found.lists.items():
        if twice := sorted(clip for clip, count in Counter(ids).items() if count > 1):
            yield "duplicate_id", f"{name}.txt lists more than once: {some(twice)}"
    # a mirror image is the same recording
    recordings = {split: {clip.removeprefix("M") for clip in found.lists.get(split, ())} for split in SPLITS}
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        if both := sorted(recordings[first] & recordings[second]):
            yield "split_overlap", f"{first} and {second} share recordings: {some(both)}"


def _files(found: Inventory) -> Found:
    listed = {clip for ids in found.lists.values() for clip in ids}
    bad = KNOWN_BAD if _claims_humanml3d(found) else frozenset()
    motions = set(found.frames)
    if known := sorted((listed | motions) & bad):
        yield "known_bad", f"known to be unusable: {some(known)}"
    kinds = {
        "missing_motion": (listed - motions - bad, "listed without a motion"),
        "missing_text": ((listed & motions) - found.texts - found.uncaptioned - bad, "listed without captions"),
        "motion_without_text": (motions - listed - found.texts - bad, "motions without captions"),
        "text_without_motion": (found.texts - motions - listed - bad, "captions without a motion"),
    }
    for kind, (clips, what) in kinds.items():
        if clips:
            yield kind, f"{len(clips)} {what}: {some(sorted(clips))}"
    for kind, what in found.problems.items():
        kept = [text for text in what if text.split()[0] not in bad]
        if kept:
            yield kind, f"{len(kept)}: {some(kept)}"
    config = (HumanML3D if found.spec.joints == 22 else Kit).Config()
    short = sorted(clip for clip, frames in found.frames.items() if 0 < frames < config.min_frames)
    long = sorted(clip for clip, frames in found.frames.items() if frames >= config.max_frames + 4)
    if short:
        yield "too_short", f"{len(short)} motions of fewer than {config.min_frames} frames: {some(short)}"
    if long:
        yield "too_long", f"{len(long)} motions of {config.max_frames + 4} frames and more: {some(long)}"


def _mirrors(found: Inventory) -> Found:
    clips = set(found.frames)
    mirrors = {clip for clip in clips if clip[0] == "M" and clip[1:] in clips}
    # an id may begin with M of itself, so that only names that look like the others' mirrors count
    orphans = sorted(clip for clip in clips - mirrors if clip[0] == "M" and clip[1:2].isdigit())
    if orphans:
        yield "unpaired_mirror", f"{len(orphans)} mirror images without original: {some(orphans)}"
    if mirrors and (single := sorted(clip for clip in clips - mirrors - set(orphans) if f"M{clip}" not in clips)):
        yield "unpaired_mirror", f"{len(single)} motions without mirror image: {some(single)}"


def _statistics(found: Inventory) -> Found:
    if missing := sorted({"Mean", "Std"} - set(found.stored)):
        yield "bad_statistics", f"missing, of another width, NaN or not positive: {', '.join(missing)}"
    if not found.computed or "Std" not in found.stored:
        return
    stored, own = (_by_group(std["Std"], found.spec) for std in (found.stored, found.computed))
    ratios = {group: stored[group] / own[group] for group in stored}
    for bias in (BIAS, BIAS**2):
        if all(abs(ratios[group] * bias - 1) < 0.25 for group in _BIASED):
            said = f"root and contacts of Std.npy are divided by {bias:g}"
            yield "evaluator_statistics", f"{said}: these are statistics for the evaluator"
            ratios |= dict.fromkeys(_BIASED, 1.0)
    mean = found.stored.get("Mean", found.computed["Mean"])
    shift = (np.abs(mean - found.computed["Mean"]) / found.computed["Std"]).max()
    worst = _furthest(ratios)
    if abs(np.log(ratios[worst])) > 0.05 or shift > 0.1:
        said = f"Std.npy is {ratios[worst]:.3g} times that of the motions in {worst}"
        yield "statistics_drift", f"{said}, Mean.npy is up to {shift:.2g} deviations off"
    if _claims_humanml3d(found):
        off = {group: stored[group] / value for group, value in OFFICIAL_STD.items()}
        worst = _furthest(off)
        if abs(np.log(off[worst])) > 0.01 or abs(mean[3] / OFFICIAL_HEIGHT - 1) > 0.01:
            said = f"Std.npy is {off[worst]:.3g} times HumanML3D's in {worst}"
            yield "other_statistics", f"{said}, the mean root height {mean[3]:.4f} m instead of {OFFICIAL_HEIGHT}"


def _furthest(ratios: dict[str, float]) -> str:
    """The group whose ratio is furthest from 1."""
    return max(ratios, key=lambda group: abs(np.log(ratios[group])))


def _by_group(std: Row, spec: FeatureSpec) -> dict[str, float]:
    return {group: float(std[columns].mean()) for group, columns in spec.groups.items()}


def _converter(found: Inventory) -> Found:
    """Converts some motions again from their joints with both converters, and sees which fits the features."""
    clips = sorted(
        clip
        for clip, frames in found.frames.items()
        if frames > 2 and (found.folder / "new_joints" / f"{clip}.npy").exists()
    )
    probed = clips[:: max(1, len(clips) // _PROBED)][:_PROBED]
    errors = {
        name: np.mean([_error(found, clip, name).mean() for clip in probed]) if probed else 0.0
        for name in ("legacy", "fixed")
    }
    claimed = found.spec.converter
    other = "fixed" if claimed == "legacy" else "legacy"
    if errors[claimed] > max(0.002, 2 * errors[other]) or min(errors.values()) > 0.1:
        yield (
            "converter_mismatch",
            f"rotations of new_joint_vecs are {errors[claimed]:.2g} off what the {claimed} converter makes of "
            f"new_joints ({other}: {errors[other]:.2g}) in {len(probed)} motions",
        )
    if SAMPLE in clips:
        error = _error(found, SAMPLE, "legacy")[:-_EDGE]
        if len(error) and error.max() > 1e-3:
            yield (
                "official_sample",
                f"{SAMPLE} is up to {error.max():.2g} off what HumanML3D's converter makes of it",
            )


def _error(found: Inventory, clip: str, converter: Literal["legacy", "fixed"]) -> np.ndarray:
    """Absolute differences of the rotations of a motion to those made again from its joints."""
    spec = FeatureSpec(found.spec.joints, found.spec.fps, converter)
    try:
        joints = torch.from_numpy(np.load(found.folder / "new_joints" / f"{clip}.npy").astype(np.float32))
        rows = from_joints(joints[None], spec)[0].numpy()
    except (ValueError, EOFError):  # no array, another skeleton or NaN: as far off as can be
        return np.ones((1, 1))
    stored = np.load(found.folder / "new_joint_vecs" / f"{clip}.npy")
    size = min(len(rows), len(stored))
    columns = spec.groups["rotations"]
    return np.abs(rows[:size, columns] - stored[:size, columns])


def _official(found: Inventory) -> Found:
    if _claims_humanml3d(found):
        other = {name: len(found.lists[name]) for name in SIZES if name in found.lists}
        off = [f"{name} {count} (not {SIZES[name]})" for name, count in other.items() if count != SIZES[name]]
        if off:
            yield "official_counts", f"lists of another length than HumanML3D's: {', '.join(off)}"


def _claims_humanml3d(found: Inventory) -> bool:
    """True for a folder of 22 joints that `casim.prepare` did not make."""
    return found.spec.joints == 22 and not found.is_prepared
