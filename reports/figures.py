"""Matplotlib drawings as inline SVG: themed by CSS variables, without styles, scripts or outside references."""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from reports.pages import Svg

COLOURS = {
    "ink": "#1b1f24",
    "muted": "#59626d",
    "line": "#dde1e6",
    "surface": "#ffffff",
    "c1": "#0072b2",
    "c2": "#c65200",
    "c3": "#00805f",
    "c4": "#a9558c",
    "c5": "#8a6d00",
    "c6": "#59626e",
}
"""Light theme; each is drawn as `var(--NAME)`, so that style.css decides. Okabe and Ito's hues, darkened to 3:1."""
SERIES = ("c1", "c2", "c3", "c4", "c5", "c6", "c6")
"""Colours of styles 0, 1, ...; the last two are for the real row and for floors and nulls."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
REAL, FLOOR = 5, 6
PLACES = {"d", "transform", "x", "y", "points"}
"""Attributes that hold places."""
WIDE, NARROW = 900, 340
"""Widths in CSS pixels."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "casim",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 13,
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.edgecolor": COLOURS["line"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 1,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["ink"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.handletextpad": 0.4,
    "lines.linewidth": 2,
}


@dataclass(frozen=True)
class Frame:
    """What a drawing is given: its axes and whether there is little room."""

    axes: Axes
    is_narrow: bool


def draw(name: str, label: str, plot: Callable[[Frame], None], *, height: int, narrow: int = 0) -> tuple[Svg, Svg]:
    """A drawing for wide and for narrow screens, `height` and `narrow` pixels high.

    `name` makes the ids of the page unique; `label` is read out instead of the drawing.
    """
    sizes = ((WIDE, height, False), (NARROW, narrow or height, True))
    wide, small = (_drawn(f"{name}-{'n' if is_narrow else 'w'}", label, plot, (w, h)) for w, h, is_narrow in sizes)
    return wide, small


def _drawn(name: str, label: str, plot: Callable[[Frame], None], size: tuple[int, int]) -> Svg:
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the browser's font has it
        drawing = Drawing(figsize=(size[0] / 72, size[1] / 72), dpi=72, facecolor="none", layout="constrained")
        axes = drawing.add_subplot()
        plot(Frame(axes, size[0] == NARROW))
        buffer = StringIO()
        drawing.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return clean(buffer.getvalue(), name, label)


def clean(svg: str, name: str, label: str) -> Svg:
    """SVG text made fit for the page: no namespaces, metadata, styles or foreign fonts; ids begin with `name`."""
    svg = re.sub(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", svg)  # not allowed in XML
    root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", svg))
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style", "title"):
                parent.remove(child)
    _drop_empty(root)
    ids: dict[str, str] = {}
    for element in root.iter():
        element.tag = _local(element.tag)
        _spread_style(element)
        if (old := element.attrib.pop("id", None)) is not None:
            ids[old] = f"{name}-{len(ids)}"
            element.set("id", ids[old])
    used: set[str] = set()
    for element in root.iter():
        attributes = {_local(key): _reference(value, ids, used) for key, value in element.attrib.items()}
        attributes |= {key: _short(attributes[key]) for key in PLACES & attributes.keys()}
        element.attrib.clear()
        element.attrib.update(attributes)
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
    view = root.get("viewBox", "")
    width, height = view.split()[2:]
    root.attrib.clear()
    root.attrib.update(
        {
            "viewBox": view,
            "width": width,
            "height": height,
            "role": "img",
            "aria-label": label,
            "stroke-linejoin": "round",
            "stroke-linecap": "butt",
        }
    )
    return Svg(_themed(ElementTree.tostring(root, encoding="unicode")))


def _drop_empty(root: ElementTree.Element) -> None:
    for parent in root.iter():
        for child in list(parent):
            if _local(child.tag) == "defs" and not len(child):
                parent.remove(child)


def _short(place: str) -> str:
    """Places to a hundredth of a pixel."""
    return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), place)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _spread_style(element: ElementTree.Element) -> None:
    """A style attribute as attributes, which a strict content policy lets pass."""
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = declaration.partition(":")
        key, value = key.strip(), value.strip()
        if key == "font":
            size = re.search(r"([\d.]+)px", value)
            key, value = "font-size", size.group(1) if size else "12"
        if key and key not in ("font-family", "-inkscape-font-specification"):
            element.set(key, value)


def _reference(value: str, ids: dict[str, str], used: set[str]) -> str:
    def renamed(match: re.Match[str]) -> str:
        new = ids[match.group(2)]
        used.add(new)
        return f"{match.group(1)}{new}{match.group(3)}"

    value = re.sub(r"^(#)([\w.-]+)()$", lambda m: renamed(m) if m.group(2) in ids else m.group(0), value)
    return re.sub(r"(url\(#)([\w.-]+)(\))", lambda m: renamed(m) if m.group(2) in ids else m.group(0), value)


def _themed(svg: str) -> str:
    """Colours of the light theme as variables, in attributes only: text stays as it is."""
    for name, colour in COLOURS.items():
        svg = svg.replace(f'"{colour}"', f'"var(--{name})"')
    return re.sub(r"\s*\n\s*", "", svg)
