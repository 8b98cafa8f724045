"""Motions as an animated GIF: skeletons on a floor grid, side by side, under the prompt."""

import importlib.util
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from casim.export.arrays import check_joints
from casim.record import write_atomic
from casim.skeleton import SKELETONS, Skeleton

Colour = tuple[int, int, int]
LEFT, RIGHT, MIDDLE = (213, 94, 0), (0, 114, 178), (60, 60, 66)
"""Vermilion and blue of M. Okabe and K. Ito's palette: apart for every kind of colour vision."""
PAPER, GRID, SHADOW, TRAIL, INK, FAINT = (
    (252, 252, 250),
    (214, 214, 210),
    (200, 200, 196),
    (150, 150, 156),
    (30, 30, 34),
    (130, 130, 136),
)
CAPTIONS = ((0, 122, 92), (150, 60, 120), (146, 96, 0))
"""Green, purple and ochre, taken in turn by the captions of a long motion: dark enough to read on paper."""
SMOOTHING = 2
"""Drawn this many times larger, then averaged down: smooth edges."""
BAR = 16
"""Height of the time line in pixels."""


@dataclass(frozen=True)
class Camera:
    """Looks down at the figure from its front and left; parallel projection."""

    size: int = 360
    """Width and height of one panel in pixels."""
    height: float = 2.15
    """Metres of the scene that fit into a panel."""
    yaw: float = 0.5
    """Radians to the side."""
    pitch: float = 0.24
    """Radians down."""

    def project(self, points: Float[np.ndarray, "*points xyz"]) -> Float[np.ndarray, "*points 3"]:
        """Pixels right, pixels down and nearness of points in metres relative to the figure's place."""
        x, y, z = np.moveaxis(points, -1, 0)
        right = x * np.cos(self.yaw) - z * np.sin(self.yaw)
        near = x * np.sin(self.yaw) + z * np.cos(self.yaw)
        up = y * np.cos(self.pitch) - near * np.sin(self.pitch)
        scale = SMOOTHING * self.size / self.height
        middle = SMOOTHING * self.size
        return np.stack([0.5 * middle + right * scale, 0.8 * middle - up * scale, near], -1)


@dataclass(frozen=True)
class Caption:
    """A text that is shown up to a frame, where the next one takes over."""

    text: str
    end: int
    """One past its last frame."""


@dataclass(frozen=True)
class Part:
    """A part of the time line."""

    start: int
    end: int
    colour: Colour


def write_gif(
    path: Path,
    motions: Sequence[Float[np.ndarray, "_frames _joints xyz"]],
    fps: float,
    *,
    text: str | Sequence[Caption] = "",
    labels: Sequence[str] = (),
    camera: Camera | None = None,
) -> None:
    """Writes clips (metres, y up) side by side as one looping GIF; shorter clips hold their last frame.

    The camera follows each figure's smoothed path, the grid (half-metre squares) stays on the floor. The person's
    left side is vermilion, the right side blue. Captions are shown one after another, each in a colour that its
    part of the time line has too.

    Raises:
        ValueError: no clip, a clip of no known skeleton, another number of labels than clips, or captions that do
            not follow each other to the last frame.
    """
    if not motions:
        raise ValueError("no clip to draw: give at least one")
    if labels and len(labels) != len(motions):
        raise ValueError(f"{len(labels)} labels for {len(motions)} clips: give one each, or none")
    for joints in motions:
        check_joints(joints)
    camera = camera or Camera()
    frames = max(map(len, motions))
    panels = [_Panel(np.asarray(joints, np.float64), camera, fps) for joints in motions]
    captions = [Caption(text, frames)] if isinstance(text, str) else list(text)
    ends = [0, *(caption.end for caption in captions)]
    if ends != sorted(set(ends)) or ends[-1] != frames:
        raise ValueError(f"captions end at frames {ends[1:]}: they must follow each other to the end, {frames}")
    inks = [INK] if isinstance(text, str) else [CAPTIONS[i % len(CAPTIONS)] for i in range(len(captions))]
    headers = _headers(captions, inks, labels, camera.size * len(motions))
    parts = [Part(a, b, ink) for (a, b), ink in zip(pairwise(ends), inks, strict=True)]
    turns = zip(headers, parts, strict=True)
    images = [_page(top, panels, parts, i, fps) for top, part in turns for i in range(part.start, part.end)]
    write_atomic(path, _encode(images, fps))


class _Panel:
    """One clip, prepared for drawing."""

    def __init__(self, joints: Float[np.ndarray, "frames joints xyz"], camera: Camera, fps: float) -> None:
        self.skeleton = SKELETONS[joints.shape[1]]
        self.camera = camera
        floor = joints[..., 1].min()
        self.joints = joints - [0, floor, 0]
        self.path = _smooth(self.joints[:, 0] * [1, 0, 1], width=0.6 * fps)
        self.colours = _colours(self.skeleton)

    def draw(self, frame: int) -> Image.Image:
        """The panel's picture at `frame`."""
        frame = min(frame, len(self.joints) - 1)
        size, place = SMOOTHING * self.camera.size, self.path[frame]
        image = Image.new("RGB", (size, size), PAPER)
        draw = ImageDraw.Draw(image)
        self._floor(draw, place)
        trail = self.camera.project(self.joints[: frame + 1, 0] * [1, 0, 1] - place)[:, :2]
        if len(trail) > 1:
            draw.line([tuple(p) for p in trail], fill=TRAIL, width=SMOOTHING)
        joints = self.joints[frame] - place
        self._bones(draw, self.camera.project(joints * [1, 0, 1]), shadow=True)
        self._bones(draw, self.camera.project(joints), shadow=False)
        return image.reduce(SMOOTHING)

    def _floor(self, draw: ImageDraw.ImageDraw, place: Float[np.ndarray, " xyz"]) -> None:
        reach, step = 2.0, 0.5
        for axis in (0, 2):
            other = 2 - axis
            first = np.ceil((place[axis] - reach) / step) * step
            for value in np.arange(first, place[axis] + reach, step):
                ends = np.zeros((2, 3))
                ends[:, axis] = value - place[axis]
                ends[:, other] = -reach, reach
                draw.line([tuple(p) for p in self.camera.project(ends)[:, :2]], fill=GRID, width=SMOOTHING)

    def _bones(self, draw: ImageDraw.ImageDraw, points: Float[np.ndarray, "joints 3"], *, shadow: bool) -> None:
        width = round((0.03 if shadow else 0.05) * SMOOTHING * self.camera.size / self.camera.height)
        parents = np.asarray(self.skeleton.parents)
        children = np.flatnonzero(parents >= 0)
        far_first = children[np.argsort(points[children, 2] + points[parents[children], 2], kind="stable")]
        for child in far_first:
            a, b = points[parents[child], :2], points[child, :2]
            if not shadow:
                # a rim of paper, short of the ends, parts a near limb from the one behind it
                draw.line([tuple(a + 0.2 * (b - a)), tuple(b)], fill=PAPER, width=width + 3 * SMOOTHING)
            _limb(draw, a, b, SHADOW if shadow else self.colours[child], width)
        if not shadow:
            _disc(draw, points[self.skeleton.index("head"), :2], 1.5 * width, MIDDLE)


def _limb(
    draw: ImageDraw.ImageDraw, a: np.ndarray, b: np.ndarray, colour: tuple[int, int, int], width: int
) -> None:
    draw.line([tuple(a), tuple(b)], fill=colour, width=width)
    for end in (a, b):
        _disc(draw, end, width / 2, colour)


def _disc(draw: ImageDraw.ImageDraw, centre: np.ndarray, radius: float, colour: Colour) -> None:
    x, y = centre
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def _colours(skeleton: Skeleton) -> list[Colour]:
    left, right = set(skeleton.left), set(skeleton.right)
    return [LEFT if j in left else RIGHT if j in right else MIDDLE for j in range(len(skeleton.names))]


def _smooth(path: Float[np.ndarray, "frames xyz"], width: float) -> Float[np.ndarray, "frames xyz"]:
    """Gaussian mean over `width` frames: the camera does not sway with every step."""
    reach = int(3 * width)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="edge")
    columns = [np.convolve(column, weights / weights.sum(), mode="valid") for column in padded.T]
    return np.stack(columns, -1)


def _headers(
    captions: Sequence[Caption], inks: Sequence[Colour], labels: Sequence[str], width: int
) -> list[Image.Image]:
    """One per caption: it, centred and wrapped, then the panels' labels, then which colour is which side."""
    font, bold, small = _font(15), _font(14, bold=True), _font(11)
    wrapped = [textwrap.wrap(caption.text, max(12, int(width / 8.4))) for caption in captions]
    rows = max(map(len, wrapped))
    height = 10 + 20 * rows + (22 if labels else 0) + 18
    images = []
    for lines, ink in zip(wrapped, inks, strict=True):
        image = Image.new("RGB", (width, height), PAPER)
        draw = ImageDraw.Draw(image)
        for i, line in enumerate(lines):
            draw.text((width / 2, 18 + 20 * i), line, fill=ink, font=font, anchor="mm")
        for i, label in enumerate(labels):
            centre = (i + 0.5) * width / len(labels)
            draw.text((centre, 20 + 20 * rows), label, fill=INK, font=bold, anchor="mm")
        draw.text((width - 52, height - 9), "left", fill=LEFT, font=small, anchor="rm")
        draw.text((width - 10, height - 9), "right", fill=RIGHT, font=small, anchor="rm")
        images.append(image)
    return images


def _page(
    header: Image.Image,
    panels: "Sequence[_Panel]",
    parts: "Sequence[Part]",
    frame: int,
    fps: float,
) -> Image.Image:
    """One picture; the time line has `parts` of the captions' colours, or one grey part that fills."""
    size, frames = panels[0].camera.size, parts[-1].end
    image = Image.new("RGB", (size * len(panels), header.height + size + BAR), PAPER)
    image.paste(header, (0, 0))
    for i, panel in enumerate(panels):
        image.paste(panel.draw(frame), (i * size, header.height))
    draw = ImageDraw.Draw(image)
    for i in range(1, len(panels)):
        draw.line([(i * size, header.height), (i * size, header.height + size)], fill=GRID)
    y, width = image.height - BAR // 2, image.width - 68
    now = 10 + width * (frame + 1) / frames
    for part in parts:
        ends = [(10 + width * place / frames, y) for place in (part.start, part.end)]
        draw.line(ends, fill=GRID if part.colour == INK else part.colour, width=3)
    if parts[0].colour == INK:
        draw.line([(10, y), (now, y)], fill=FAINT, width=3)
    else:
        _disc(draw, np.array([now, y]), 5.0, INK)
    draw.text((image.width - 8, y), f"{(frame + 1) / fps:.1f} s", fill=FAINT, font=_font(11), anchor="rm")
    return image


def _encode(images: Sequence[Image.Image], fps: float) -> bytes:
    """One palette for all frames, so that colours do not flicker; times in GIF's hundredths of a second."""
    sample = Image.new("RGB", (images[0].width, images[0].height * 3))
    for i, image in enumerate((images[0], images[len(images) // 2], images[-1])):
        sample.paste(image, (0, i * image.height))
    palette = sample.quantize(48, method=Image.Quantize.MEDIANCUT)
    pages = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    ends = [round(100 * (i + 1) / fps) for i in range(len(pages))]
    times = [10 * (end - start) for start, end in zip([0, *ends], ends, strict=False)]
    times[-1] += 600  # a rest before it starts again
    buffer = io.BytesIO()
    pages[0].save(buffer, "GIF", save_all=True, append_images=pages[1:], duration=times, loop=0, optimize=False)
    return buffer.getvalue()


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """The face that matplotlib brings along: it is there on every machine and knows most scripts."""
    found = importlib.util.find_spec("matplotlib")  # found, not imported: that takes half a second
    face = f"mpl-data/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(str(Path(str(found and found.origin)).parent / face), size)
