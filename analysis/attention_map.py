"""Draws the attention of one prompt: which words a model looks at while it makes each moment of a motion.

A motion is sampled, the attention of its own denoising steps (conditional pass) is taken, averaged as asked
for, and drawn as words x seconds. Nothing is scored here, so that no word intervals are needed: any prompt, any
token-level run.
"""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import Progress

from analysis.attention_capture import Choice, Drawn, capture_sampling, check_has_map, check_steps
from casim import checkpoint, cli, record
from casim.record import Measure
from casim.text_to_motion import TextToMotion
from evaluators.arms import warn_unfinished

NAME = "attention_map"
PANELS = 5
"""Denoising steps drawn by themselves."""


@dataclass(frozen=True)
class Drawing:
    """A map to draw (only with --prompt)."""

    run: str | None = None
    """Folder or name of the run whose attention is drawn."""
    prompt: str | None = None
    """What the motion shall be."""
    seconds: float | None = None
    """Length of the motion; default: 4, or the longest that the model was trained for."""
    step: Annotated[tuple[int, ...], cli.APPEND] = ()
    """Noise step of the training schedule, may be repeated: the nearest that the sampler visits are averaged.
    Default: all that it visits."""
    layer: int | None = None
    """One layer, counted from 0; default: mean over layers."""
    head: int | None = None
    """One head, counted from 0; default: mean over heads."""

    @property
    def choice(self) -> Choice:
        """Which attention is taken."""
        return Choice(self.step, self.layer, self.head)


def draw(drawing: Drawing, seed: int, out: Path | None, device: str, console: Console) -> record.RunRecord:
    """Samples a motion, writes map.png, map.npz and a record to `out`; gives the record.

    Args:
        drawing: run, prompt and which attention.
        seed: of the sampling noise.
        out: folder; None: runs/attention_map.
        device: where the model runs.
        console: progress and results.

    Raises:
        ValueError: no run or no prompt, a fixed-length run, or a step, layer, head or length that the model
        lacks.
    """
    if not drawing.run:
        raise ValueError("--prompt draws a map of one run; name it with --run RUN")
    if not (drawing.prompt and drawing.prompt.strip()):
        raise ValueError("the prompt is empty; say what the motion shall be: --prompt 'a person waves'")
    path, folder = checkpoint.find_run(drawing.run), out or Path("runs") / NAME
    if (folder / record.FILE).exists() and (other := record.load(folder).name) != NAME:
        raise ValueError(f"{folder} holds the record of {other}; give --out another folder")
    model = TextToMotion.load(path, device)
    warn_unfinished([path])
    backbone = check_has_map(model, path.name)
    if drawing.step:
        check_steps(backbone, drawing.step)
    frames = _frames(drawing.seconds, model)
    drawn = _sampled(model, drawing, frames, seed, console)
    config = {"run": path.name, **asdict(drawing), "frames": frames, "steps": drawn.captured.steps, "seed": seed}
    written = record.begin("probe", NAME, config, seed=seed, device=device, threads=torch.get_num_threads())
    weights = record.sha256(path / checkpoint.WEIGHTS)
    written.inputs["model"] = record.Source(run=record.relative(path), sha256=weights)
    with record.opened(written, folder):
        written.results = _results(drawn, Choice(drawn.captured.steps, drawing.layer, drawing.head))
        record.write_atomic(folder / "map.npz", _arrays(drawn, drawing.prompt, model.spec.fps))
        record.write_atomic(folder / "map.png", figure(drawn, drawing.prompt, path.name, model.spec.fps))
        record.attach(written, folder, folder / "map.npz", folder / "map.png")
    for key, measure in written.results.items():
        console.print(f"{key} {measure.value:.3f} ({measure.protocol})", highlight=False, markup=False)
    console.print(f"map: {folder / 'map.png'}", highlight=False, soft_wrap=True)
    return written


def _frames(seconds: float | None, model: TextToMotion) -> int:
    """Frames of a motion of that length.

    Raises:
        ValueError: too short, or longer than the model was trained for.
    """
    longest = model.max_frames / model.spec.fps
    seconds = min(4.0, longest) if seconds is None else seconds
    frames = round(seconds * model.spec.fps) if np.isfinite(seconds) else 0
    if not 2 <= frames <= model.max_frames:
        raise ValueError(
            f"--seconds {seconds:g}: this model makes motions of up to {longest:.1f} s, at least 2 frames"
        )
    return frames


def _sampled(model: TextToMotion, drawing: Drawing, frames: int, seed: int, console: Console) -> Drawn:
    check_has_map(model, "the model")
    steps = model.setup.sampling.steps or model.setup.backbone.diffusion.steps
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("denoising", total=steps)
        prompt = drawing.prompt or ""
        return capture_sampling(model, prompt, frames, drawing.choice, seed, lambda: progress.advance(task))


def _results(drawn: Drawn, choice: Choice) -> dict[str, Measure]:
    words = f"while sampling, conditional pass; {choice.in_words()}"
    sink, mass = float(drawn.captured.sink.mean()), float(drawn.captured.text_mass.mean())
    return {
        "sink": Measure(value=sink, n=1, protocol=f"share of attention to text on special tokens {words}"),
        "text_mass": Measure(value=mass, n=1, protocol=f"share of the motion's attention on text {words}"),
    }


def _arrays(drawn: Drawn, prompt: str, fps: float) -> bytes:
    captured, buffer = drawn.captured, io.BytesIO()
    np.savez_compressed(
        buffer,
        map=captured.maps[0].astype(np.float16),
        map_steps=captured.by_step[0].astype(np.float16),
        map_layers=captured.by_layer[0].astype(np.float16),
        steps=np.array(captured.steps),
        words=np.array(drawn.words),
        prompt=np.array(prompt),
        sink=captured.sink[0].astype(np.float16),
        fps=np.array(fps),
        generated=drawn.joints.astype(np.float16),
    )
    return buffer.getvalue()


def figure(drawn: Drawn, prompt: str, run: str, fps: float) -> bytes:
    """A PNG: the map with a strip for special tokens, mean attention per word, and single denoising steps below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    captured = drawn.captured
    shown = _spread(captured.steps)
    words = len(drawn.words)
    page = Figure(figsize=(10.5, 2.6 + 0.34 * words + (0.6 + 0.13 * words)), layout="constrained")
    FigureCanvasAgg(page)
    page.get_layout_engine().set(hspace=0.0, wspace=0.02, h_pad=0.03)  # type: ignore[union-attr]
    grid = page.add_gridspec(2, 1, height_ratios=[1.2 + 0.34 * words, 1.0 + 0.15 * words])
    upper, lower = page.add_subfigure(grid[0]), page.add_subfigure(grid[1])
    _main_panel(upper, drawn, fps)
    top = float(captured.by_step[0].max())
    axes = lower.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axis, index in zip(axes, shown, strict=True):
        _heat(axis, captured.by_step[0, index], fps, top)
        axis.set_title(f"noise step {captured.steps[index]}", fontsize=9, color=INK)
        axis.set_yticks([])
        axis.set_xlabel("seconds", fontsize=8, color=INK)
    lower.suptitle("single denoising steps, from noise (left) to motion (right)", fontsize=10, color=INK)
    page.suptitle(f"“{prompt}”", fontsize=14, color=INK, x=0.01, ha="left", weight="bold")
    layers = "mean over layers" if len(captured.by_layer[0]) > 1 else "one layer"
    page.supxlabel(
        f"{run}, {len(captured.steps)} denoising steps, {layers}. Colour: share of a frame's attention to text; "
        f"special tokens get {captured.sink.mean():.0%}. Lines: each word on its own scale.",
        fontsize=8.5,
        color="#667085",
    )
    buffer = io.BytesIO()
    page.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()


INK = "#1d2939"


def _spread(steps: tuple[int, ...]) -> list[int]:
    """At most `PANELS` places, evenly over the steps."""
    return sorted(set(np.linspace(0, len(steps) - 1, min(PANELS, len(steps))).round().astype(int).tolist()))


def _main_panel(part: Any, drawn: Drawn, fps: float) -> None:
    maps, sink = drawn.captured.maps[0], drawn.captured.sink
    words = len(drawn.words)
    axes = part.subplots(
        2, 2, sharex="col", height_ratios=[words, 0.9], width_ratios=[12, 1.6], gridspec_kw={"hspace": 0.0}
    )
    (heat, bars), (strip, corner) = axes
    image = _heat(heat, maps, fps, float(maps.max()))
    heat.set_yticks(range(words), drawn.words, fontsize=11, color=INK)
    heat.tick_params(labelbottom=False, length=0)
    _curves(heat, maps, fps)
    _heat(strip, sink, fps, float(maps.max()))
    strip.set_yticks([0], ["special tokens"], fontsize=8.5, color="#667085")
    strip.tick_params(axis="y", length=0)
    strip.set_xlabel("seconds", fontsize=9, color=INK)
    bars.barh(range(words), maps.mean(1), color="#7a5195", height=0.62)
    bars.set_ylim(words - 0.5, -0.5)
    bars.set_yticks([])
    bars.set_title("mean", fontsize=9, color=INK)
    bars.tick_params(labelbottom=True, labelsize=7.5, length=2, colors="#667085")
    corner.set_visible(False)
    for side in ("top", "right", "left"):
        bars.spines[side].set_visible(False)
    bar = part.colorbar(image, ax=axes, fraction=0.025, pad=0.01)
    bar.ax.tick_params(labelsize=7.5, length=2, colors="#667085")
    bar.outline.set_visible(False)


def _curves(axis: Any, maps: Float[np.ndarray, "words frames"], fps: float) -> None:
    """When each word is looked at, on its own scale from its least to its most: rare words stay readable."""
    time = (np.arange(maps.shape[1]) + 0.5) / fps
    for row, values in enumerate(maps):
        spread = np.ptp(values)
        if spread > 0:
            height = row + 0.38 - 0.76 * (values - values.min()) / spread
            axis.plot(time, height, color="white", linewidth=2.2, alpha=0.7)
            axis.plot(time, height, color=INK, linewidth=0.9)


def _heat(axis: Any, rows: Float[np.ndarray, "words frames"], fps: float, top: float) -> Any:
    extent = (0, rows.shape[1] / fps, len(rows) - 0.5, -0.5)
    image = axis.imshow(
        rows, aspect="auto", cmap="magma_r", vmin=0, vmax=top, extent=extent, interpolation="nearest"
    )
    axis.tick_params(labelsize=8, length=2, colors="#667085")
    for spine in axis.spines.values():
        spine.set_visible(False)
    for line in np.arange(0.5, len(rows) - 1):
        axis.axhline(line, color="white", linewidth=0.6)
    return image
