"""`python -m casim.sample RUN --text "..."`: motions for prompts, as arrays and on request as BVH, CSV and GIF.

With `--long` the prompts follow each other in one motion.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from casim import checkpoint, devices, long_samples, record
from casim.cli import APPEND, FLAT, Run, main_exit, warn
from casim.export.arrays import write_csv, write_npz
from casim.export.bvh import write_bvh
from casim.export.gif import write_gif
from casim.features import denormalise
from casim.long_form import Joining
from casim.skeleton import SKELETONS
from casim.text_to_motion import TextToMotion
from casim.timeline import Layout, Segment

SAMPLES = "samples.npz"
BATCH = 64
"""Prompts sampled at once."""


@dataclass(frozen=True)
class Options:
    """What to sample and where to put it."""

    text: Annotated[tuple[str, ...], APPEND] = ()
    """A prompt; give it several times for several motions."""
    text_file: Path | None = None
    """Text file with a prompt per line; empty lines are passed over."""
    seconds: Annotated[tuple[float, ...], APPEND] = ()
    """Length of each motion; default: the longest that the model was trained for, or where an autoregressive model
    ends by itself. With --long: how long a prompt is
    shown, given once for all or once per --text."""
    long: bool = False
    """One motion in which the prompts follow each other."""
    timeline: Path | None = None
    """JSON or CSV file of a long motion: text and seconds, or text, start and end, of each prompt."""
    join: Annotated[Joining, FLAT] = field(default_factory=Joining)
    out: Path = Path("samples")
    """Folder to write to; samples that lie there are replaced."""
    bvh: bool = False
    """Also write each motion as a BVH file."""
    csv: bool = False
    """Also write each motion as a CSV file of joint positions."""
    gif: bool = False
    """Also draw each motion as an animated GIF."""
    guidance: float | None = None
    """Scale of classifier-free guidance; default: the run's own."""
    sampler: Literal["ddpm", "ddim"] | None = None
    """Default: the run's own."""
    steps: int | None = None
    """Denoising steps; default: the run's own."""
    seed: int = 0
    """Seed of the noise: same seed, prompts and options, same motions."""
    device: str = "auto"
    """auto: the accelerator if there is one; or cpu, cuda, cuda:1, mps."""


@dataclass(frozen=True)
class Sampled:
    """Motions for a list of prompts."""

    features: Float[np.ndarray, "samples frames feats"]
    """Motion features, not normalised."""
    joints: Float[np.ndarray, "samples frames joints xyz"]
    """Metres, y up."""
    prompts: tuple[str, ...]
    fps: float
    lengths: tuple[int, ...]
    """Frames of each; what stands behind them is nothing."""

    def arrays(self) -> dict[str, np.ndarray]:
        """What `samples.npz` holds."""
        names = SKELETONS[self.joints.shape[2]].names
        return {
            "joints": self.joints,
            "features": self.features,
            "prompts": np.array(self.prompts),
            "lengths": np.array(self.lengths),
            "fps": np.array(self.fps),
            "joint_names": np.array(names),
        }


def main(run: Run, options: Annotated[Options, FLAT] = Options()) -> None:
    """Samples motions from a trained model.

    Args:
        run: Folder of a run, its name below runs/, or the name of a bundled run.
    """
    sample(run, options, Console())


def sample(run: str | Path, options: Options, console: Console | None = None) -> record.RunRecord:
    """Samples motions and writes them with a record to `options.out`; progress goes to `console`.

    Raises:
        FileNotFoundError: no such file of prompts, or the run has no weights.
        ValueError: no prompt, one that is too long, an unknown run or device, or more frames than trained for.
    """
    segments = segments_of(options)
    texts = [part.text for part in segments] or prompts(options)
    if options.guidance is not None and not np.isfinite(options.guidance):
        raise ValueError(f"--guidance must be a finite number, got {options.guidance}")
    folder = checkpoint.find_run(run)
    record.claim(options.out, "sample")
    model = TextToMotion.load(folder, devices.named(options.device))
    layout = long_samples.layout_of(segments, options.join, model) if segments else None
    frames = layout.total if layout else frames_of(options.seconds, model)
    total_steps(options.steps, model)
    if model.is_autoregressive and options.sampler is not None:
        raise ValueError("--steps and --sampler belong to denoising; this run writes codes one after another")
    model.encode(texts)  # too long a prompt is found before anything is written
    console = console or Console(quiet=True)
    if told := checkpoint.unfinished(folder):
        warn(told)
    if unseen := ", ".join(model.unseen_words(texts)):
        message = f"warning: {folder.name} never read these words, they mean nothing to it: {unseen}"
        console.print(message, markup=False, highlight=False, soft_wrap=True)
    _clear(options.out)
    options = replace(options, text=tuple(texts), seconds=tuple(s.seconds for s in segments) or options.seconds)
    entry = _begin(model, folder, frames, options)
    with record.opened(entry, options.out):
        if layout is None:
            files = write(generate(model, texts, frames, options, console), options, console)
        else:
            files = _long(model, texts, layout, options, console)
        record.attach(entry, options.out, *files)
    number = f"{len(texts)} motion{'s' if len(texts) > 1 else ''}"
    what = number if layout is None else f"1 motion of {len(texts)} segments,"
    console.print(f"{what} of {frames} frames ({frames / model.spec.fps:.1f} s):", highlight=False)
    for file in files:
        console.print(f"  {file}", markup=False, highlight=False, soft_wrap=True)
    return entry


def _begin(model: TextToMotion, folder: Path, frames: int, options: Options) -> record.RunRecord:
    """The record of the command, before anything is sampled."""
    config = {"run": folder.name, **asdict(options)}
    config |= {"out": record.relative(options.out), "frames": frames, "fps": model.spec.fps}
    for name in ("text_file", "timeline"):
        config[name] = config[name] and record.relative(config[name])
    entry = record.begin(
        "sample", folder.name, config, seed=options.seed, device=str(model.device), threads=torch.get_num_threads()
    )
    weights = folder / checkpoint.WEIGHTS
    entry.inputs["model"] = record.Source(run=record.relative(weights), sha256=record.sha256(weights))
    return entry


def segments_of(options: Options) -> list[Segment]:
    """The segments of a long motion; none if none is asked for.

    Raises:
        FileNotFoundError: no such file of prompts or timeline.
        ValueError: segments that are no motion, or options of long motions without --long.
    """
    if options.timeline is not None:
        if options.text_file:
            raise ValueError("a timeline has its own prompts: leave out --text-file")
        return long_samples.segments(options.text, options.seconds, options.timeline)
    if options.long:
        return long_samples.segments(prompts(options), options.seconds, None)
    if options.join != Joining():
        raise ValueError("--method, --handshake, --blend, --margin and --skip belong to a long motion: add --long")
    return []


def _long(model: TextToMotion, texts: list[str], layout: Layout, options: Options, console: Console) -> list[Path]:
    """Samples one motion of several prompts and writes it; gives the files."""
    own = {"guidance": options.guidance, "sampler": options.sampler, "steps": options.steps}
    with console.status("denoising"):
        motion = long_samples.generate(model, texts, layout, options.join, options.seed, **own)
    kinds = [kind for kind in ("bvh", "csv", "gif") if getattr(options, kind)]
    with console.status("writing"):
        return motion.write(options.out, kinds)


def prompts(options: Options) -> list[str]:
    """The prompts of the command line, then those of the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: there are none, or one is empty.
    """
    texts = list(options.text)
    if options.text_file is not None:
        if not options.text_file.is_file():
            raise FileNotFoundError(f"no file of prompts at {options.text_file}")
        try:
            lines = options.text_file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{options.text_file} is no UTF-8 text: {error.reason}") from error
        texts += [line.strip() for line in lines if line.strip()]
    if not texts:
        where = f"; {options.text_file} holds none" if options.text_file else ""
        raise ValueError(f'no prompt given{where}: add --text "a person walks forward", or --text-file FILE')
    if not all(text.strip() for text in texts):
        raise ValueError('a prompt is empty; say what the motion shall be: --text "a person walks forward"')
    return texts


def frames_of(lengths: Sequence[float], model: TextToMotion) -> int:
    """Frames of a motion of the one length in seconds; the longest that the model was trained for if there is none.

    Raises:
        ValueError: several, shorter than one frame, or longer than trained for.
    """
    if not lengths:
        return model.max_frames
    if len(lengths) > 1:
        raise ValueError("all motions have one length: give --seconds once, or add --long for a motion of segments")
    (seconds,) = lengths
    fps, limit = model.spec.fps, model.max_frames
    frames = round(seconds * fps) if np.isfinite(seconds) else 0
    if frames < 1:
        raise ValueError(f"--seconds must be at least one frame, {1 / fps:.3g} s, got {seconds}")
    if frames > limit:
        raise ValueError(
            f"{seconds:g} s are {frames} frames at {fps:g} frames per second; the model was trained for at most "
            f"{limit} frames: ask for --seconds {limit / fps:g} or less"
        )
    return frames


def total_steps(steps: int | None, model: TextToMotion) -> int:
    """Denoising steps of one motion: those asked for, the run's own, or every step of the training schedule; of an
    autoregressive model the most codes that it writes.

    Raises:
        ValueError: none, or more than the model was trained with.
    """
    if model.is_autoregressive:
        if steps is not None:
            raise ValueError("--steps and --sampler belong to denoising; this run writes codes one after another")
        return model.setup.backbone.max_codes
    trained = model.setup.backbone.diffusion.steps
    if steps is not None and not 1 <= steps <= trained:
        raise ValueError(f"--steps must be 1 to {trained}, the steps that the model was trained with; got {steps}")
    return steps or model.setup.sampling.steps or trained


def generate(model: TextToMotion, texts: list[str], frames: int, options: Options, console: Console) -> Sampled:
    """One motion per prompt, sampled in batches."""
    own: dict[str, Any] = {"sampler": options.sampler, "steps": options.steps}
    if model.is_autoregressive and not options.seconds:
        own["length"] = "own"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    starts, motions, lengths = range(0, len(texts), BATCH), [], []
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("denoising", total=total_steps(options.steps, model) * len(starts))
        for start in starts:
            chunk = texts[start : start + BATCH]
            motion, mask = model.generate(
                chunk,
                [frames] * len(chunk),
                options.seed + start,
                options.guidance,
                after_step=lambda step: progress.advance(task),
                **own,
            )
            motions.append(motion)
            lengths += mask.sum(1).tolist()
    motion = torch.cat(motions)
    joints = model.joints(motion) * SKELETONS[model.spec.joints].metres
    features = denormalise(motion, model.mean, model.std)
    return Sampled(features.cpu().numpy(), joints.cpu().numpy(), tuple(texts), model.spec.fps, tuple(lengths))


def write(sampled: Sampled, options: Options, console: Console) -> list[Path]:
    """Writes `samples.npz` and the formats asked for; gives the files."""
    files = [options.out / SAMPLES]
    write_npz(files[0], sampled.arrays())
    with console.status("writing"):
        for i, (text, whole) in enumerate(zip(sampled.prompts, sampled.joints, strict=True)):
            joints = whole[: sampled.lengths[i]]
            stem = options.out / f"{i:02d}_{_slug(text)}"
            if options.bvh:
                files.append(stem.with_suffix(".bvh"))
                write_bvh(files[-1], joints, sampled.fps)
            if options.csv:
                files.append(stem.with_suffix(".csv"))
                write_csv(files[-1], joints, sampled.fps)
            if options.gif:
                files.append(stem.with_suffix(".gif"))
                write_gif(files[-1], [joints], sampled.fps, text=text)
    return files


def _slug(text: str) -> str:
    """A prompt as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:40].rstrip("_") or "motion"


def _clear(folder: Path) -> None:
    """Removes the samples that an earlier record of the folder lists."""
    if (folder / record.FILE).exists():
        for artifact in record.load(folder).artifacts:
            (folder / artifact).unlink(missing_ok=True)


if __name__ == "__main__":
    main_exit(main)
