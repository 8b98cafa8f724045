"""The two kinds of chart of the report: dots with intervals, and lines; each with the table of its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from reports import words
from reports.figures import COLOURS, MARKERS, NARROW, SERIES, WIDE, Frame, draw
from reports.pages import Column, Figure, Table


@dataclass(frozen=True)
class Dot:
    """A value with its interval, and the single values behind it."""

    value: float
    interval: tuple[float, float] | None = None
    points: tuple[float, ...] = ()
    """Values of single training seeds."""


@dataclass(frozen=True)
class DotSeries:
    """One dot per row of a chart; None where there is none."""

    name: str
    dots: tuple[Dot | None, ...]
    style: int = 0
    """Index of colour and marker, the same for one arm in all figures."""


@dataclass(frozen=True)
class DotChart:
    """Rows of dots with intervals."""

    id: str
    title: str
    rows: tuple[str, ...]
    series: tuple[DotSeries, ...]
    x_label: str
    reference: float | None = None
    """Where nothing happens: 0 for differences, .5 for an AUC."""
    limits: tuple[float, float] | None = None
    caption: str = ""

    def figure(self) -> Figure:
        """The drawing with its text alternative and numbers."""
        band = 20 + 14 * len(self.series)
        legend = 21 * len(self.series) if len(self.series) > 1 else 0
        height = 56 + legend // 2 + band * len(self.rows)
        narrow = 56 + legend + (band + 18) * len(self.rows)
        text = self._text()
        wide, small = draw(self.id, f"{self.title}. {text}", self._plot, height=height, narrow=narrow)
        return Figure(self.id, self.title, text, wide, small, self.caption, self._table())

    def _plot(self, frame: Frame) -> None:
        axes = frame.axes
        axes.grid(axis="y", visible=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        if self.reference is not None:
            axes.axvline(self.reference, color=COLOURS["muted"], linewidth=1.2, dashes=(4, 3))
        step = 0.62 / max(len(self.series), 1)
        for k, series in enumerate(self.series):
            for row, dot in enumerate(series.dots):
                if dot is not None:
                    _draw_dot(axes, dot, row + (k - (len(self.series) - 1) / 2) * step, series.style)
        axes.set_ylim(len(self.rows) - 0.5, -0.75 if frame.is_narrow else -0.5)
        if self.limits:
            axes.set_xlim(*self.limits)
        axes.set_xlabel(self.x_label)
        axes.xaxis.set_major_locator(MaxNLocator(5 if frame.is_narrow else 8, steps=[1, 2, 2.5, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: words.number(x)))
        _label_rows(axes, self.rows, frame.is_narrow)
        _legend(axes, [_key(s.name, s.style) for s in self.series], frame.is_narrow)

    def _text(self) -> str:
        parts = []
        for row, label in enumerate(self.rows):
            told = [
                f"{s.name} {words.number(d.value)}" + (f" ({words.span(d.interval)})" if d.interval else "")
                for s in self.series
                for d in [s.dots[row]]
                if d is not None
            ]
            parts.append(f"{label}: {', '.join(told) or 'not measured'}")
        return "; ".join(parts) + "."

    def _table(self) -> Table:
        columns = [Column("Series"), Column("Value", is_number=True), Column("95 % interval", is_number=True)]
        rows = [
            (label, s.name, words.number(d.value, 3), words.span(d.interval, 3), _joined(d.points))
            for row, label in enumerate(self.rows)
            for s in self.series
            for d in [s.dots[row]]
            if d is not None
        ]
        return Table(
            f"{self.id}-data",
            f"Numbers of the figure “{self.title}”",
            (Column("Row"), *columns, Column("Single training seeds", is_number=True)),
            tuple(rows),
        )


def _joined(values: Sequence[float]) -> str:
    return ", ".join(words.number(value, 3) for value in values) or "none"


def _draw_dot(axes: Axes, dot: Dot, y: float, style: int) -> None:
    colour = COLOURS[SERIES[style % len(SERIES)]]
    marker = MARKERS[style % len(MARKERS)]
    edge = colour if marker in "PX" else COLOURS["surface"]
    if dot.interval:
        axes.plot(dot.interval, [y, y], color=colour, linewidth=2.4, solid_capstyle="round")
    if dot.points:
        axes.plot(
            dot.points,
            [y] * len(dot.points),
            linestyle="none",
            marker="|",
            markersize=11,
            markeredgewidth=1.4,
            color=colour,
        )
    axes.plot(
        [dot.value],
        [y],
        marker=marker,
        markersize=8,
        color=colour,
        markeredgecolor=edge,
        linestyle="",
    )


def _label_rows(axes: Axes, labels: Sequence[str], is_narrow: bool) -> None:
    """Row names at the left; above the row where there is little room."""
    if not is_narrow:
        axes.set_yticks(range(len(labels)), labels)
        return
    axes.set_yticks([])
    for row, label in enumerate(labels):
        axes.text(0, row - 0.42, label, transform=axes.get_yaxis_transform(), va="bottom", ha="left")


def _legend(axes: Axes, handles: Sequence[Line2D], is_narrow: bool) -> None:
    """The names above the drawing, in as many columns as there is room for."""
    drawing = axes.get_figure()
    if drawing is None or len(handles) < 2:
        return
    widths = [len(str(handle.get_label())) * 7.5 + 52 for handle in handles]
    room = NARROW if is_narrow else WIDE
    columns = len(handles) if sum(widths) < room else max(1, int(room / max(widths)))
    drawing.legend(handles=handles, loc="outside upper left", ncols=columns, columnspacing=1.6, borderpad=0.2)


def _key(name: str, style: int, line: Literal["-", "--"] = "-", *, has_marker: bool = True) -> Line2D:
    return Line2D(
        [],
        [],
        color=COLOURS[SERIES[style % len(SERIES)]],
        linestyle=line,
        marker=MARKERS[style % len(MARKERS)] if has_marker else None,
        markersize=7,
        markeredgecolor=COLOURS["surface"],
        label=name,
    )


@dataclass(frozen=True)
class Line:
    """A line through points, with a band where there are intervals."""

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    style: int = 0
    is_dashed: bool = False
    has_markers: bool = True


@dataclass(frozen=True)
class LineChart:
    """Lines over a common axis."""

    id: str
    title: str
    lines: tuple[Line, ...]
    x_label: str
    y_label: str
    reference: float | None = None
    is_log: bool = False
    is_reversed: bool = False
    """The largest x at the left: denoising runs from noise to motion."""
    caption: str = ""

    def figure(self) -> Figure:
        """The drawing with its text alternative and numbers."""
        text = self._text()
        names = len({line.name for line in self.lines})
        wide, small = draw(self.id, f"{self.title}. {text}", self._plot, height=360, narrow=260 + 20 * names)
        return Figure(self.id, self.title, text, wide, small, self.caption, self._table())

    def _plot(self, frame: Frame) -> None:
        axes = frame.axes
        axes.grid(axis="x", visible=False)
        axes.spines["left"].set_visible(False)
        if self.reference is not None:
            axes.axhline(self.reference, color=COLOURS["muted"], linewidth=1.2, dashes=(4, 3))
        for line in self.lines:
            self._draw_line(axes, line)
        if self.is_log:
            axes.set_yscale("log")
        if self.is_reversed:
            axes.invert_xaxis()
        axes.set_xlabel(self.x_label)
        axes.set_title(self.y_label, loc="left", fontsize=12, color=COLOURS["muted"], pad=10)
        axes.tick_params(axis="y", labelcolor=COLOURS["muted"])
        steps = sorted({x for line in self.lines for x in line.xs})
        few = FixedLocator(steps) if len(steps) <= 8 else MaxNLocator(5 if frame.is_narrow else 8, integer=True)
        axes.xaxis.set_major_locator(few)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: words.quantity(x)))
        if self.is_log:
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(self._tick))
        names = {line.name: line for line in self.lines}
        keys = [_key(n, k.style, "--" if k.is_dashed else "-", has_marker=k.has_markers) for n, k in names.items()]
        _legend(axes, keys, frame.is_narrow)

    def _tick(self, y: float, _: int) -> str:
        is_large = max((abs(value) for line in self.lines for value in line.ys), default=0) >= 10
        return f"{y:g}" if self.is_log else words.quantity(y) if is_large else words.number(y)

    def _draw_line(self, axes: Axes, line: Line) -> None:
        colour = COLOURS[SERIES[line.style % len(SERIES)]]
        if line.lows:
            axes.fill_between(line.xs, line.lows, line.highs, color=colour, alpha=0.16, linewidth=0)
        axes.plot(
            line.xs,
            line.ys,
            color=colour,
            linestyle="--" if line.is_dashed else "-",
            linewidth=2 if line.has_markers else 1.4,
            marker=MARKERS[line.style % len(MARKERS)] if line.has_markers else None,
            markersize=7,
            markeredgecolor=COLOURS["surface"],
        )

    def _text(self) -> str:
        ends = [
            f"{line.name} goes from {words.quantity(line.ys[0])} to {words.quantity(line.ys[-1])}"
            for line in self.lines
            if line.ys
        ]
        return f"{self.y_label} over {self.x_label}: {'; '.join(ends) or 'no data'}."

    def _table(self) -> Table:
        rows = [
            (
                line.name,
                words.quantity(x),
                f"{y:.4g}",
                words.span((line.lows[i], line.highs[i]), 3) if line.lows else "none",
            )
            for line in self.lines
            for i, (x, y) in enumerate(zip(line.xs, line.ys, strict=True))
        ]
        columns = (
            Column("Line"),
            Column(self.x_label, is_number=True),
            Column(self.y_label, is_number=True),
            Column("95 % interval", is_number=True),
        )
        return Table(f"{self.id}-data", f"Numbers of the figure “{self.title}”", columns, tuple(rows))


def thinned(line: Line, most: int = 160) -> Line:
    """A line of at most about `most` points, evenly spaced, the last one kept."""
    if len(line.xs) <= most:
        return line
    step = -(-len(line.xs) // most)
    kept = sorted({*range(0, len(line.xs), step), len(line.xs) - 1})
    take = [
        tuple(values[i] for i in kept) if values else () for values in (line.xs, line.ys, line.lows, line.highs)
    ]
    return replace(line, xs=take[0], ys=take[1], lows=take[2], highs=take[3])
