"""The word x frame map of one prompt, with the true intervals over it and the motion above it, as SVG."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from casim.skeleton import SKELETONS
from reports.figures import NARROW, WIDE
from reports.pages import Svg

ROW, STRIP, AXIS = 19, 92, 40
"""Heights in pixels: a word, the film strip, the axis with the scale below it."""


@dataclass(frozen=True)
class WordMap:
    """What is drawn."""

    words: tuple[str, ...]
    attention: Float[np.ndarray, "words frames"]
    """Share of a frame's attention that goes to each word."""
    starts: Int[np.ndarray, " words"]
    ends: Int[np.ndarray, " words"]
    """True intervals, in frames."""
    is_timed: tuple[bool, ...]
    """Words that describe one action and so have an interval of their own."""
    fps: float
    joints: Float[np.ndarray, "frames joints xyz"] | None = None
    """Metres; drawn as a film strip."""

    @property
    def peak(self) -> float:
        """The attention drawn at full strength."""
        return max(float(np.percentile(self.attention, 99.5)), 1e-6)


def word_map(name: str, label: str, what: WordMap) -> tuple[Svg, Svg]:
    """The map for wide and for narrow screens; `name` makes its ids unique, `label` is read out."""
    return _drawn(f"{name}-w", label, what, WIDE, 112), _drawn(f"{name}-n", label, what, NARROW, 84)


def _drawn(name: str, label: str, what: WordMap, width: int, left: int) -> Svg:
    top = STRIP if what.joints is not None else 4
    inner = width - left - 10
    height = top + ROW * len(what.words) + AXIS
    scale = inner / max(what.attention.shape[1], 1)
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" font-size="12" '
        f'aria-label="{escape(label)}">',
        _film(what, left, scale, 7 if width == NARROW else 13),
        f'<g transform="translate({left} {top})">',
        _heat(name, what, inner),
        _words(what.words, left),
        _intervals(what, scale),
        _axis(what, scale, inner),
        "</g></svg>",
    ]
    return Svg("".join(parts))


def _heat(name: str, what: WordMap, inner: int) -> str:
    """One colour, masked by the attention as a grey image: the theme decides the colour."""
    height = ROW * len(what.words)
    grey = np.clip(what.attention / what.peak, 0, 1) * 255
    buffer = io.BytesIO()
    Image.fromarray(grey.round().astype(np.uint8)).save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    box = f'x="0" y="0" width="{inner}" height="{height}"'
    gaps = "".join(f'<rect x="0" y="{ROW * i - 1}" width="{inner}" height="2"/>' for i in range(1, len(what.words)))
    return (
        f'<mask id="{name}-m" maskUnits="userSpaceOnUse" {box}><image {box} preserveAspectRatio="none" '
        f'image-rendering="pixelated" href="data:image/png;base64,{data}"/></mask>'
        f'<rect {box} fill="var(--heat-0)"/><rect {box} fill="var(--heat-1)" mask="url(#{name}-m)"/>'
        f'<g fill="var(--surface)">{gaps}</g>'
    )


def _words(shown: Sequence[str], left: int) -> str:
    room = left // 7 - 1
    labels = []
    for row, word in enumerate(shown):
        cut = word if len(word) <= room else word[: room - 1] + "…"
        labels.append(f'<text x="-8" y="{ROW * row + 14}">{escape(cut)}</text>')
    return f'<g text-anchor="end" fill="var(--ink)">{"".join(labels)}</g>'


def _intervals(what: WordMap, scale: float) -> str:
    boxes = [
        f'<rect x="{what.starts[i] * scale:.1f}" y="{ROW * i + 1.5}" '
        f'width="{max((what.ends[i] - what.starts[i]) * scale, 2):.1f}" height="{ROW - 3}" rx="2"/>'
        for i in range(len(what.words))
        if what.is_timed[i]
    ]
    return f'<g fill="none" stroke="var(--mark)" stroke-width="1.8">{"".join(boxes)}</g>'


def _axis(what: WordMap, scale: float, inner: int) -> str:
    """Seconds under the map, and the scale of the colour."""
    y = ROW * len(what.words)
    seconds = np.arange(0, what.attention.shape[1] / what.fps + 1e-6, 1.0)
    ticks = "".join(
        f'<text x="{s * what.fps * scale:.1f}" y="{y + 15}" text-anchor="{"start" if s == 0 else "middle"}">{s:.0f}'
        f"{' s' if s == 0 else ''}</text>"
        for s in seconds
        if s * what.fps * scale < inner - 4
    )
    steps = "".join(
        f'<rect x="{inner - 150 + 10 * k}" y="{y + 26}" width="10" height="9" fill="var(--heat-1)" '
        f'fill-opacity="{k / 7:.3f}"/>'
        for k in range(8)
    )
    ground = f'<rect x="{inner - 150}" y="{y + 26}" width="80" height="9" fill="var(--heat-0)"/>'
    ends = (
        f'<text x="{inner - 156}" y="{y + 35}" text-anchor="end">attention 0</text>'
        f'<text x="{inner - 64}" y="{y + 35}">{what.peak:.2f}</text>'
    )
    return f'<g fill="var(--muted)" font-size="11">{ticks}{ground}{steps}{ends}</g>'


def _film(what: WordMap, left: int, scale: float, poses: int) -> str:
    """Poses seen from the front, each above its own moment; left limbs and right limbs in their colours."""
    if what.joints is None:
        return ""
    skeleton = SKELETONS[what.joints.shape[1]]
    frames = len(what.joints)
    # Metres to pixels: the tallest pose fills the strip.
    tall = float(np.ptp(what.joints[..., 1])) or 1.0
    size = (STRIP - 16) / max(tall, 1.2)
    floor = float(what.joints[..., 1].min())
    drawn = []
    for k in range(poses):
        frame = int((k + 0.5) * frames / poses)
        pose = np.asarray(what.joints[frame], dtype=np.float64)
        x = left + frame * scale + (pose[:, 0] - pose[0, 0]) * size
        y = STRIP - 8 - (pose[:, 1] - floor) * size
        paths = {"side-l": "", "ink": "", "side-r": ""}
        for joint, parent in enumerate(skeleton.parents):
            if parent >= 0:
                tone = {"l": "side-l", "r": "side-r"}.get(skeleton.names[joint].partition("_")[0], "ink")
                paths[tone] += f"M{x[parent]:.1f} {y[parent]:.1f}L{x[joint]:.1f} {y[joint]:.1f}"
        drawn += [f'<path d="{path}" stroke="var(--{tone})"/>' for tone, path in paths.items() if path]
    return f'<g fill="none" stroke-width="2" stroke-linecap="round">{"".join(drawn)}</g>'
