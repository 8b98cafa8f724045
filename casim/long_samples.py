"""Long motions of a trained model for the command line: what is asked for, the sampling, and the files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from casim import continuation, long_form
from casim.export.arrays import write_csv, write_npz
from casim.export.bvh import write_bvh
from casim.export.gif import Caption, write_gif
from casim.features import denormalise
from casim.skeleton import SKELETONS
from casim.text_to_motion import DENOISING, TextToMotion
from casim.timeline import Layout, Segment, frames_shown, read_timeline

MOTION = "motion.npz"
WRITERS: dict[str, Callable[..., None]] = {"bvh": write_bvh, "csv": write_csv}


@dataclass(frozen=True)
class LongMotion:
    """One motion that follows several prompts."""

    features: Float[np.ndarray, "frames feats"]
    """Motion features, not normalised."""
    joints: Float[np.ndarray, "frames joints xyz"]
    """Metres, y up."""
    texts: tuple[str, ...]
    layout: Layout
    fps: float

    def arrays(self) -> dict[str, Any]:
        """What `motion.npz` holds; text i is shown from frame `boundaries[i]` on, `seams` are the handshakes."""
        return {
            "joints": self.joints,
            "features": self.features,
            "texts": np.array(self.texts),
            "boundaries": np.array(self.layout.boundaries),
            "seams": np.array(self.layout.seams),
            "fps": np.array(self.fps),
            "joint_names": np.array(SKELETONS[self.joints.shape[1]].names),
        }

    def write(self, folder: Path, kinds: Sequence[str]) -> list[Path]:
        """Writes `motion.npz` and the formats asked for (bvh, csv, gif); gives the files."""
        files = [folder / MOTION]
        write_npz(files[0], self.arrays())
        for kind in kinds:
            files.append(folder / f"motion.{kind}")
            if kind == "gif":
                ends = self.layout.boundaries[1:]
                captions = [Caption(text, end) for text, end in zip(self.texts, ends, strict=True)]
                write_gif(files[-1], [self.joints], self.fps, text=captions)
            else:
                WRITERS[kind](files[-1], self.joints, self.fps)
        return files


def segments(texts: Sequence[str], seconds: Sequence[float], timeline: Path | None) -> list[Segment]:
    """What is asked for: a prompt and its seconds each, or a timeline.

    Raises:
        FileNotFoundError: no such timeline.
        ValueError: both or neither, not one length per prompt, or a wrong timeline.
    """
    if timeline is not None:
        if texts or seconds:
            raise ValueError("a timeline has its own prompts and times: leave out --text and --seconds")
        return read_timeline(timeline)
    if len(seconds) not in (1, len(texts)):
        raise ValueError(
            f"{len(texts)} prompts and {len(seconds)} lengths: give --seconds once for all or once per --text"
        )
    for value in seconds:
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"--seconds must be more than 0, got {value:g}")
    lengths = [*seconds] * (len(texts) if len(seconds) == 1 else 1)
    return [Segment(text, length) for text, length in zip(texts, lengths, strict=True)]


def layout_of(parts: Sequence[Segment], joining: long_form.Joining, model: TextToMotion) -> Layout:
    """How the segments overlap.

    Raises:
        ValueError: the model makes no long motions, or a segment is too short or too long.
    """
    if model.is_autoregressive:
        return continuation.layout(frames_shown(parts, model.spec.fps), joining.handshake, model)
    long_form.check(model)
    return joining.layout(frames_shown(parts, model.spec.fps), model.max_frames, model.spec.fps)


def generate(
    model: TextToMotion,
    texts: Sequence[str],
    layout: Layout,
    joining: long_form.Joining,
    seed: int,
    **options: Any,
) -> LongMotion:
    """The motion of `texts`, one after another; `options` as in `long_form.sample`."""
    if model.is_autoregressive:
        chosen = {name: value for name, value in options.items() if name not in DENOISING}
        motion = continuation.sample(model, texts, layout, joining.handshake, seed, **chosen)[None]
    else:
        motion = long_form.sample(model, texts, layout, joining, seed, **options).motion()[None]
    joints = model.joints(motion)[0] * SKELETONS[model.spec.joints].metres
    features = denormalise(motion, model.mean, model.std)[0]
    return LongMotion(features.cpu().numpy(), joints.cpu().numpy(), tuple(texts), layout, model.spec.fps)
