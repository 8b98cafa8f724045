"""Takes attention from a model: of clips noised to known steps, and of a motion while it is being sampled.

Only the conditional pass is taken, without guidance's other half: what is recorded are the weights that the
model used with the text in view. Each forward pass is reduced to words x frames at once (`analysis.alignment`),
so that memory does not grow with heads, tokens or denoising steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.alignment import Layout, WordFrames, rollout, word_frames
from casim.autoregressive import AutoregressiveBackbone
from casim.diffusion import DiffusionBackbone, Step, normal
from casim.injection import Fixed
from casim.nn.attention import record_attention
from casim.text_to_motion import TextToMotion
from casim.types import Condition, MotionBatch, TextTokens, frame_mask

Weighting = Literal["raw", "value norm", "rollout"]

BATCH = 50
"""Clips per forward pass."""


@dataclass(frozen=True)
class Choice:
    """Which attention is taken; None averages."""

    steps: tuple[int, ...] = (900, 700, 400, 100, 10)
    """Noise steps of the training schedule: 0 is hardly any noise, the last pure noise."""
    layer: int | None = None
    head: int | None = None
    weighting: Weighting = "raw"
    """Weights as they are, weighted by the norm of what each token contributes (Kobayashi et al. 2020), or rolled
    out over all layers (Abnar and Zuidema 2020: one layer, no heads)."""

    def in_words(self) -> str:
        """The choice as a phrase for protocols."""
        layers = "all layers" if self.layer is None else f"layer {self.layer}"
        heads = "all heads" if self.head is None else f"head {self.head}"
        weighting = "" if self.weighting == "raw" else f", {self.weighting}"
        return f"mean over noise steps {', '.join(map(str, self.steps))}, {layers} and {heads}{weighting}"


@dataclass(frozen=True)
class Captured:
    """Attention of the clips of a batch to their words; zero beyond a clip's words and frames."""

    steps: tuple[int, ...]
    by_step: Float[np.ndarray, "clips steps words frames"]
    """Mean over the chosen layers."""
    by_layer: Float[np.ndarray, "clips layers words frames"]
    """Mean over the steps."""
    sink: Float[np.ndarray, "clips frames"]
    """On special tokens; mean over steps and layers."""
    text_mass: Float[np.ndarray, " clips"]
    """Share of the motion's attention that is on text at all; 1 for cross-attention."""

    @property
    def maps(self) -> Float[np.ndarray, "clips words frames"]:
        """Mean over steps and layers."""
        return self.by_step.mean(1)


def check_has_map(model: TextToMotion, name: str) -> DiffusionBackbone | AutoregressiveBackbone:
    """The backbone of a model whose attention to words, frame by frame, can be taken.

    Raises:
        ValueError: fixed-length conditioning, or latents that are no places in time.
    """
    if isinstance(model.injection, Fixed):
        raise ValueError(
            f"{name} has fixed-length conditioning: its motion attends to one pooled token, the weight is always 1 "
            "and there is no word to attend to; name a token-level (casim) run, and compare the two injections by "
            "behaviour: python -m evaluators.run"
        )
    backbone = model.backbone
    if isinstance(backbone, AutoregressiveBackbone) or (
        isinstance(backbone, DiffusionBackbone) and model.codec is None
    ):
        return backbone
    raise ValueError(
        f"{name} denoises latents of a whole clip, which are no places in time: no frame attends to a word; name a "
        "run without such a codec"
    )


def steps_of(backbone: DiffusionBackbone | AutoregressiveBackbone, steps: Sequence[int]) -> tuple[int, ...]:
    """The noise steps at which attention is taken; a backbone that writes codes has one: all codes in view."""
    return tuple(steps) if isinstance(backbone, DiffusionBackbone) else (0,)


def check_steps(backbone: DiffusionBackbone | AutoregressiveBackbone, steps: Sequence[int]) -> None:
    """Refuses noise steps that the model's schedule does not have.

    Raises:
        ValueError: none, or one out of range.
    """
    if isinstance(backbone, AutoregressiveBackbone):
        return
    last = len(backbone.schedule) - 1
    wrong = [step for step in steps if not 0 <= step <= last]
    if wrong or not steps:
        got = f"noise step {wrong[0]}" if wrong else "no noise step"
        raise ValueError(f"{got}: this model was trained with steps 0 (clean) to {last} (pure noise)")


@torch.no_grad()
def capture(
    model: TextToMotion,
    clips: MotionBatch,
    choice: Choice,
    seed: int = 0,
    after_batch: Callable[[], Any] | None = None,
) -> Captured:
    """Attention of `model` on real (or generated) clips, noised by the forward process to the chosen steps.

    Noise depends on (seed, step, clip's place in the batch) alone: models see the same noisy clips.

    Args:
        model: a token-level diffusion model.
        clips: normalised motion and captions.
        choice: steps, layer and head.
        seed: of the noise.
        after_batch: called after each forward pass (progress).
    """
    backbone = check_has_map(model, "the model")
    check_steps(backbone, choice.steps)
    words = max(len(w.words) for w in model.encode(clips.texts).words)
    sums: dict[str, Any] = {"by_step": []}
    steps = steps_of(backbone, choice.steps)
    for step in steps:
        generator = torch.Generator().manual_seed(seed * 100_003 + step)
        noise = normal(clips.motion.shape, generator, clips.motion.device)
        tables = [
            _padded(_noised(model, _part(clips, rows), noise[rows], step, choice), words)
            for rows in _batches(len(clips), after_batch)
        ]
        maps, sink, mass = (np.concatenate(p) for p in zip(*tables, strict=True))
        maps, sink, mass = _layers(maps, choice.layer), _layers(sink, choice.layer), _layers(mass, choice.layer)
        sums["by_step"].append(maps.mean(1))
        for name, part in (("by_layer", maps), ("sink", sink.mean(1)), ("text_mass", mass.mean(1))):
            sums[name] = sums.get(name, 0) + part / len(steps)
    return Captured(steps, np.stack(sums["by_step"], 1), sums["by_layer"], sums["sink"], sums["text_mass"])


def _batches(clips: int, after_batch: Callable[[], Any] | None):
    for start in range(0, clips, BATCH):
        yield slice(start, min(start + BATCH, clips))
        if after_batch is not None:
            after_batch()


def batches(clips: int, choice: Choice) -> int:
    """Forward passes that `capture` makes."""
    return -(-clips // BATCH) * len(choice.steps)  # of a diffusion backbone, the most there are


def _part(clips: MotionBatch, rows: slice) -> MotionBatch:
    return MotionBatch(clips.motion[rows], clips.mask[rows], clips.texts[rows], clips.ids[rows])


def _noised(model: TextToMotion, clips: MotionBatch, noise: Tensor, step: int, choice: Choice) -> WordFrames:
    """The table of one forward pass at one noise step; an autoregressive model reads the clip's own codes, and what
    is taken is what each code's place attends to while the next code is told."""
    backbone = check_has_map(model, "the model")
    clips, noise = clips.to(model.device), noise.to(model.device)
    text = model.encode(clips.texts)
    condition = model.injection(text)
    if isinstance(backbone, AutoregressiveBackbone):
        return _read(model, backbone, clips, text, condition, choice)
    t = torch.full((len(clips),), step)
    x_t = backbone.schedule.q_sample(clips.motion, t, noise)
    with record_attention(backbone, by_norm=choice.weighting == "value norm") as recorded:
        backbone.denoise(x_t, t.to(model.device), condition, clips.mask)
    if choice.weighting == "rollout":
        recorded = rollout(recorded)
    return word_frames(recorded, text.words, clips.mask, _layout(model, text, clips.mask.shape[1]), choice.head)


def _read(
    model: TextToMotion,
    backbone: AutoregressiveBackbone,
    clips: MotionBatch,
    text: TextTokens,
    condition: Condition,
    choice: Choice,
) -> WordFrames:
    assert model.codec is not None
    codes = model.codec.encode(clips)
    stride = int(model.codec.frames_of(codes.motion[:1, :1].clamp_min(0)))
    with record_attention(backbone, by_norm=choice.weighting == "value norm") as recorded:
        backbone.logits(codes.motion, condition)
    if choice.weighting == "rollout":
        recorded = rollout(recorded)
    layout = Layout(text.tokens.shape[1], clips.mask.shape[1], stride)
    return word_frames(recorded, text.words, clips.mask, layout, choice.head)


def _layout(model: TextToMotion, text: TextTokens, frames: int) -> Layout:
    return Layout(text.tokens.shape[1], frames, getattr(model.setup.backbone, "patch", 1))


def _padded(table: WordFrames, words: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    missing = words - table.maps.shape[2]
    return np.pad(table.maps, ((0, 0), (0, 0), (0, missing), (0, 0))), table.sink, table.text_mass


def _layers(values: np.ndarray, layer: int | None) -> np.ndarray:
    """The chosen layer, kept as an axis of one; all of them for None."""
    if layer is None:
        return values
    if not 0 <= layer < values.shape[1]:
        raise ValueError(f"no layer {layer}: this model has layers 0 to {values.shape[1] - 1}")
    return values[:, layer : layer + 1]


@dataclass(frozen=True)
class Drawn:
    """A sampled motion and the attention to its prompt while it was made."""

    captured: Captured
    """One clip; steps are those at which attention was taken, noisiest first."""
    words: tuple[str, ...]
    joints: Float[np.ndarray, "frames joints xyz"]


@torch.no_grad()
def capture_sampling(
    model: TextToMotion,
    prompt: str,
    frames: int,
    choice: Choice,
    seed: int = 0,
    after_step: Callable[[], Any] | None = None,
) -> Drawn:
    """Samples a motion for `prompt` and takes the attention of its denoising steps.

    `choice.steps` empty: all steps that the sampler visits; otherwise the visited ones nearest to those asked
    for.
    """
    backbone = check_has_map(model, "the model")
    if isinstance(backbone, AutoregressiveBackbone):
        raise ValueError(
            "maps are drawn while a motion is denoised, and this model writes codes; measure it instead"
        )
    if choice.steps:
        check_steps(backbone, choice.steps)
    text = model.encode([prompt])
    canvas = model.canvas(frames)
    mask = frame_mask([frames], canvas)
    layout, tables = _layout(model, text, canvas), {}

    def take(step: Step) -> None:
        conditional = {name: weights[:1] for name, weights in recorded.items()}  # the other half is unconditional
        tables[step.t] = word_frames(conditional, text.words, mask.to(model.device), layout, choice.head)
        if after_step is not None:
            after_step()

    with record_attention(backbone) as recorded:
        motion = model.sample([prompt], [frames], seed=seed, after_step=take)
    steps = sorted({min(tables, key=lambda t: abs(t - asked)) for asked in choice.steps or tables}, reverse=True)
    kept = [tables[t] for t in steps]
    maps, sink, mass = (
        np.stack([_layers(getattr(table, part), choice.layer) for table in kept], 1)
        for part in ("maps", "sink", "text_mass")
    )
    joints = model.joints(motion)[0].cpu().numpy()
    maps, sink = maps[..., :frames], sink[..., :frames]
    captured = Captured(tuple(steps), maps.mean(2), maps.mean(1), sink.mean((1, 2)), mass.mean((1, 2)))
    return Drawn(captured, text.words[0].words, joints)
