"""Motions longer than a model can make at once: one segment per prompt, joined where neighbours meet.

DoubleTake: Shafir et al. 2024, "Human Motion Diffusion as a Generative Prior" (arXiv 2303.01418). First take: all
segments are denoised together, and after every step the frames that two neighbours share (the handshake) become
one cross-fade of both. Second take: each pair around its handshake is noised again for the last steps and denoised
without text, where only the frames beside the handshake are free. Root motion is stored as velocities, so segments
joined in feature space give one path.

Where we differ from the authors' code: segments that are too short are refused, not lengthened; ramps always have
`blend` frames (theirs sometimes have one more); a second take sees no more frames than the model was trained for,
those nearest to the handshake (theirs sees both segments whole, up to 332 frames for a model of 196).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from casim.diffusion import DiffusionBackbone, Inpaint, Motion, Start, Step
from casim.guidance import Guided
from casim.text_to_motion import TextToMotion
from casim.timeline import Layout, ramps
from casim.types import Condition, frame_mask

Method = Literal["double_take", "first_take", "second_take", "linear_blend", "concatenate"]


@dataclass(frozen=True)
class Joining:
    """How segments become one motion; the defaults are those of the authors' examples."""

    method: Method = "double_take"
    """double_take; its first_take or second_take alone; linear_blend: segments on their own, cross-faded once;
    concatenate: segments on their own, end to end."""
    handshake: int = 20
    """Frames that neighbours share; `concatenate` has none."""
    blend: int = 10
    """Frames on either side of a handshake that the second take changes; it changes nothing below 2."""
    margin: int = 10
    """Frames of every segment, at least, that no neighbour touches (authors: 10)."""
    skip: float = 0.1
    """Share of the denoising steps, the noisiest, that the second take leaves out (authors: 100 of 1,000)."""

    def __post_init__(self) -> None:
        if min(self.handshake, self.blend, self.margin) < 0:
            raise ValueError(
                f"handshake, blend and margin count frames, got {self.handshake}, {self.blend} and {self.margin}"
            )
        if not 0 <= self.skip < 1:
            raise ValueError(f"skip is a share of the steps, 0 or more and below 1, got {self.skip}")
        if self.handshake == 0 and self.method != "concatenate":
            raise ValueError(f"{self.method} needs a handshake of 1 frame or more; without one: concatenate")

    @property
    def shared(self) -> int:
        """Frames that neighbours share under the method."""
        return 0 if self.method == "concatenate" else self.handshake

    @property
    def shortest(self) -> int:
        """Fewest frames that a segment may have, its handshakes included: 2 handshake + 2 blend + margin."""
        if self.method == "concatenate":
            return 1
        if self.method == "linear_blend":
            return 2 * self.handshake
        return 2 * self.handshake + 2 * self.blend + self.margin

    def layout(self, frames: Sequence[int], limit: int, fps: float) -> Layout:
        """The layout of segments shown for `frames` each, for a model of at most `limit` frames at `fps`.

        Raises:
            ValueError: fewer than two segments, or one that is too short or too long.
        """
        if len(frames) < 2:
            raise ValueError(f"a long motion has two or more segments, got {len(frames)}; one is a plain sample")
        layout = Layout.shown(frames, self.shared, self.blend)
        for number, (length, shown) in enumerate(zip(layout.lengths, frames, strict=True), 1):
            extra = length - shown
            what = f"segment {number} of {shown / fps:g} s has {length} frames with its handshakes"
            if length < self.shortest:
                raise ValueError(
                    f"{what}; {self.method} with handshake {self.shared} and blend {self.blend} needs "
                    f"{self.shortest}: ask for {(self.shortest - extra) / fps:g} s or more, or for a shorter "
                    "handshake or blend"
                )
            if length > limit:
                raise ValueError(
                    f"{what}; the model was trained for at most {limit}: "
                    f"ask for {(limit - extra) / fps:g} s or less"
                )
        return layout


@dataclass(frozen=True)
class Takes:
    """What the takes gave."""

    layout: Layout
    first: Float[Tensor, "segments frames feats"]
    """Segments, zero behind each one's length."""
    bodies: tuple[int, ...] = ()
    """Frames of each segment that the second take sees beside the handshake."""
    inpaint: Inpaint | None = None
    """What the second take is told: each pair around its handshake, and how much of every frame is kept."""
    second: Float[Tensor, "seams window feats"] | None = None

    @property
    def rebuilt(self) -> Float[Tensor, "segments frames feats"]:
        """The segments with the handshakes, and what is beside them, of the second take."""
        if self.second is None:
            return self.first
        segments, h, b = self.first.clone(), self.layout.handshake, self.layout.blend
        for seam, (pair, left) in enumerate(zip(self.second, self.bodies, strict=False)):
            length = self.layout.lengths[seam]
            segments[seam, length - h - b : length] = pair[left - b : left + h]
            segments[seam + 1, : h + b] = pair[left : left + h + b]
        return segments

    def motion(self) -> Float[Tensor, "total feats"]:
        """The whole motion."""
        return unfold(self.rebuilt, self.layout)


@dataclass(frozen=True)
class LongForm:
    """Makes long motions with a backbone that denoises frames."""

    backbone: DiffusionBackbone
    joining: Joining
    limit: int
    """Most frames that a take may see."""
    canvas: Callable[[int], int] = int
    """How many frames the backbone works on when so many are wanted (`TextToMotion.canvas`)."""

    def __call__(
        self, guided: Guided, free: Condition, layout: Layout, generator: torch.Generator, **options: Any
    ) -> Takes:
        """Both takes as far as the method has them; `options` are the fields of `Sampling`.

        Args:
            guided: One row per segment.
            free: The condition of the second take, without text: one row per seam.
            layout: Segments of `joining.shortest` to `limit` frames each.
            generator: Source of the noise of both takes.
            options: As in `DiffusionBackbone.sample`; `after_step` only watches.
        """
        method = self.joining.method
        first = self.first_take(guided, layout, generator, **options)
        if method not in ("double_take", "second_take"):
            return Takes(layout, first)
        return self.second_take(first, free, layout, generator, **options)

    def first_take(
        self, guided: Guided, layout: Layout, generator: torch.Generator, **options: Any
    ) -> Float[Tensor, "segments frames feats"]:
        """The segments; arguments as of a call. Nothing in it depends on the blend."""
        options = options | {"after_step": self._after_step(layout, options.get("after_step"))}
        mask = frame_mask(layout.lengths, self.canvas(max(layout.lengths))).to(guided.condition.tokens.device)
        first = self.backbone.sample(guided, mask, generator, **options)[:, : max(layout.lengths)]
        return cross_fade(first, layout) if self.joining.method == "linear_blend" else first

    def second_take(
        self,
        first: Float[Tensor, "segments frames feats"],
        free: Condition,
        layout: Layout,
        generator: torch.Generator,
        **options: Any,
    ) -> Takes:
        """Every pair of the segments `first` again, around its handshake; arguments as of a call."""
        bodies = self._bodies(layout)
        inpaint = seam_windows(first, layout, bodies, self.canvas(2 * max(bodies) + layout.handshake))
        second = self._second_take(free, bodies, inpaint, generator, options)
        return Takes(layout, first, bodies, inpaint, second)

    def _after_step(self, layout: Layout, watch: Callable[[Step], Any] | None) -> Callable[[Step], Motion | None]:
        """The handshake of the first take, where the method has one, and the caller's own hook."""
        is_faded = self.joining.method in ("double_take", "first_take")

        def after_step(step: Step) -> Motion | None:
            if watch is not None:
                watch(step)
            return cross_fade(step.x, layout) if is_faded else None

        return after_step

    def _bodies(self, layout: Layout) -> tuple[int, ...]:
        """Frames of each segment beside a handshake, as many as two segments have room for."""
        room = (self.limit - layout.handshake) // 2
        return tuple(min(length - 2 * layout.handshake, room) for length in layout.lengths)

    def _second_take(
        self,
        free: Condition,
        bodies: tuple[int, ...],
        inpaint: Inpaint,
        generator: torch.Generator,
        options: dict[str, Any],
    ) -> Motion:
        """The pairs around their handshakes, noised and denoised again without text."""
        steps = options.get("steps") or self.backbone.diffusion.steps
        start = Start(inpaint.motion, int(self.joining.skip * steps + 1e-9))  # 3 / 7 * 7 may fall short of 3
        lengths = [left + self.joining.handshake + right for left, right in pairwise(bodies)]
        mask = frame_mask(lengths, inpaint.motion.shape[1]).to(inpaint.motion.device)
        again = options | {"after_step": None, "inpaint": inpaint, "start_at": start}
        return self.backbone.sample(Guided(free), mask, generator, **again)


def cross_fade(
    segments: Float[Tensor, "segments frames feats"], layout: Layout
) -> Float[Tensor, "segments frames feats"]:
    """The segments with every pair of handshakes replaced by one cross-fade from the earlier to the later segment.

    The later one's share is 0/h, 1/h, ..., (h - 1)/h. Segments are as long as two handshakes or longer.
    """
    h, device = layout.handshake, segments.device
    if not h:
        return segments
    place, seam = torch.arange(h, device=device), torch.arange(len(segments) - 1, device=device)[:, None]
    tail = torch.tensor(layout.lengths[:-1], device=device)[:, None] - h + place
    share = (place / h)[:, None]
    shared = segments[seam, tail] * (1 - share) + segments[1:, :h] * share
    segments = segments.clone()
    segments[seam, tail] = shared
    segments[1:, :h] = shared
    return segments


def seam_windows(
    segments: Float[Tensor, "segments frames feats"], layout: Layout, bodies: Sequence[int], width: int
) -> Inpaint:
    """Each pair around its handshake (the earlier segment's), and how much of each frame a second take keeps.

    Everything is kept but the frames beside the handshake (see `ramps`); padding is kept at zero.
    """
    h, b = layout.handshake, layout.blend
    motion = segments.new_zeros(len(segments) - 1, width, segments.shape[-1])
    kept = segments.new_ones(len(segments) - 1, width, 1)
    before, behind = (segments.new_tensor(ramp)[:, None] for ramp in ramps(b))
    for seam, (left, right) in enumerate(pairwise(bodies)):
        length = layout.lengths[seam]
        motion[seam, : left + h] = segments[seam, length - h - left : length]
        motion[seam, left + h : left + h + right] = segments[seam + 1, h : h + right]
        if b > 1:
            kept[seam, left - b : left] = before
            kept[seam, left + h : left + h + b] = behind
    return Inpaint(motion, kept)


def unfold(segments: Float[Tensor, "segments frames feats"], layout: Layout) -> Float[Tensor, "total feats"]:
    """The first segment whole, then of each next one what is behind its handshake."""
    rest = zip(segments[1:], layout.lengths[1:], strict=True)
    parts = [segment[layout.handshake : length] for segment, length in rest]
    return torch.cat([segments[0, : layout.lengths[0]], *parts])


def check(model: TextToMotion) -> DiffusionBackbone:
    """The model's backbone, if it can make long motions.

    Raises:
        ValueError: it is no diffusion model, or it works on latents or codes instead of frames.
    """
    backbone = model.backbone
    what = f"long motions are joined frame by frame; {type(backbone).__name__}"
    if not isinstance(backbone, DiffusionBackbone):
        raise ValueError(f"{what} is no diffusion model of frames: take a run with mdm_encoder or mdm_decoder")
    if model.codec is not None or backbone.feats != model.spec.dims:
        raise ValueError(
            f"{what} works on latents of {backbone.feats} values, not on frames of {model.spec.dims} features: "
            "take a run without a codec"
        )
    return backbone


@torch.no_grad()
def sample(
    model: TextToMotion, texts: Sequence[str], layout: Layout, joining: Joining, seed: int = 0, **options: Any
) -> Takes:
    """A long motion in which `texts` follow each other; `options` (guidance, sampler, steps) override the run's.

    Raises:
        ValueError: the model cannot (see `check`), or not one text per segment.
    """
    backbone = check(model)
    if len(texts) != len(layout.lengths):
        raise ValueError(f"{len(texts)} texts for {len(layout.lengths)} segments: give one each")
    guided = model.guided(texts, options.pop("guidance", None))
    free = model.injection.null(model.encode(texts[:-1]))
    own = {"sampler": model.setup.sampling.sampler, "steps": model.setup.sampling.steps}
    options = own | {name: value for name, value in options.items() if value is not None}
    generator = torch.Generator().manual_seed(seed)
    long_form = LongForm(backbone, joining, model.max_frames, model.canvas)
    return long_form(guided, free, layout, generator, **options)
