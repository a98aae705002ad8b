# SPDX-License-Identifier: Apache-2.0
"""Drawing: horizontal bars, dots and points by matplotlib as inline SVG that takes its colours and font from the page.

Colours are drawn as marker values and replaced by CSS variables, so that one SVG serves the light page, the dark one and
print. Text stays text. Sizes are in CSS pixels; a panel is as wide as a phone, wider only for
long labels, and small multiples make the wide figure.
"""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

__all__ = ["COLOURS", "Bar", "Dot", "Group", "Point", "Row", "bars", "dots", "scatter"]

COLOURS = ("ink", "muted", "rule", "surface", "c1", "c2", "c3", "c4", "c5", "c6", "grey")
"""Names of the CSS variables that a drawing may use."""

WIDTH = 340
_FONT = 11.5
_MARKERS = {name: f"#0101{index:02x}" for index, name in enumerate(COLOURS)}


@dataclass(frozen=True)
class Bar:
    """One bar: its segments from the left as (value, colour), the text at its end, and an optional standard error."""

    label: str
    segments: Sequence[tuple[float, str]]
    text: str
    error: float | None = None
    faded: bool = False


@dataclass(frozen=True)
class Group:
    """Bars that belong together under one heading."""

    label: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Dot:
    """One ratio: where, the marker (matplotlib's name), and whether it is filled."""

    value: float
    marker: str
    colour: str
    filled: bool


@dataclass(frozen=True)
class Row:
    """The dots of one line of a dot plot."""

    label: str
    dots: Sequence[Dot] = field(default_factory=tuple)


@dataclass(frozen=True)
class Point:
    """A labelled point with standard errors, on the front or not."""

    label: str
    x: float
    y: float
    x_error: float
    y_error: float
    colour: str
    on_front: bool


def bars(groups: Sequence[Group], axis: str, name: str, title: str, description: str) -> str:
    """Stacked horizontal bars, one line each, a heading above each group; the axis starts at zero. Returns SVG."""
    line, heading, gap = 21.0, 20.0, 8.0
    every = [bar for group in groups for bar in group.bars]
    left = 8 + max(_width(bar.label) for bar in every)
    height = sum(heading * bool(group.label) + line * len(group.bars) + gap for group in groups)
    with _defaults(name):
        figure, axes, room = _figure(left, height, bottom=40, top=4, right=12)
        longest = max(sum(value for value, _ in bar.segments) + (bar.error or 0) for bar in every) or 1.0
        text_room = max(_width(bar.text) for bar in every) + 4
        axes.set_xlim(0, longest * room / max(room / 3, room - text_room))
        axes.set_ylim(height, 0)
        y = 0.0
        for group in groups:
            if group.label:
                _label(axes, 4 - left, y + heading / 2, group.label, "ink", bold=True)
                y += heading
            for bar in group.bars:
                _label(axes, -6, y + line / 2, bar.label, "muted", ha="right")
                _bar(axes, y + line / 2, bar)
                y += line
            y += gap
        return _finish(figure, axes, axis, name, title, description)


def dots(rows: Sequence[Row], axis: str, lines: Sequence[tuple[float, str]], name: str, title: str, description: str) -> str:
    """A line of dots for each marker of a row, joined; labelled vertical reference lines. Returns SVG."""
    line = 30.0
    left = 8 + max(_width(row.label) for row in rows)
    values = [dot.value for row in rows for dot in row.dots] + [value for value, _ in lines] + [1.0]
    margin = 0.06 * (max(values) - min(values) or 1.0)
    low, high = min(values) - margin, max(values) + margin
    with _defaults(name):
        figure, axes, room = _figure(left, line * len(rows), bottom=40, top=20, right=14)
        axes.set_xlim(low, high)
        axes.set_ylim(line * len(rows), 0)
        axes.axvline(1.0, color=_MARKERS["muted"], linewidth=1)
        for value, label in lines:
            axes.axvline(value, color=_MARKERS["c5"], linewidth=1.2, linestyle=(0, (4, 3)))
            half = _width(label) / 2
            middle = min(max((value - low) / (high - low) * room, half - left), room + 12 - half)
            _label(axes, middle, -10, label, "c5", ha="center")
        for index, row in enumerate(rows):
            if index:
                axes.axhline(line * index, color=_MARKERS["rule"], linewidth=0.8, zorder=0)
            _label(axes, -6, line * (index + 0.5), row.label, "muted", ha="right")
            _row(axes, line * (index + 0.5), row)
        return _finish(figure, axes, axis, name, title, description, ticks=_ticks_through_one(low, high))


def scatter(points: Sequence[Point], x_axis: str, y_axis: str, name: str, title: str, description: str) -> str:
    """Points over a linear and a logarithmic axis (values above 0), the front as a staircase at the lower left. Returns SVG."""
    y_ticks = _log_ticks([point.y for point in points])
    left, height = 12 + max(_width(label) for label in y_ticks.values()), 230.0
    with _defaults(name):
        figure, axes, _ = _figure(left, height, bottom=40, top=24, right=12)
        low, high = (end(point.x for point in points) for end in (min, max))
        margin = 0.1 * (high - low or high)
        axes.set_xlim(low - margin, high + margin)
        axes.set_yscale("log")
        low, high = (end(point.y for point in points) for end in (min, max))
        axes.set_ylim(low / 1.6, high * 1.6)
        corners = sorted((point.x, point.y) for point in points if point.on_front)
        _stairs(axes, corners)
        for point in points:
            ink, fill = _MARKERS[point.colour], _MARKERS[point.colour if point.on_front else "surface"]
            bars = {"xerr": point.x_error or None, "yerr": point.y_error or None}
            axes.errorbar(point.x, point.y, **bars, color=ink, linewidth=1, capsize=2.5, zorder=2)
            axes.plot(point.x, point.y, "o", markersize=8, markeredgewidth=1.6, color=fill, markeredgecolor=ink, zorder=3)
        _point_labels(axes, points, corners)
        axes.annotate(y_axis, (0, 1), (-left + 2, 10), "axes fraction", "offset points", parse_math=False, **_text("muted"))
        return _finish(figure, axes, x_axis, name, title, description, y_ticks=y_ticks)


def _log_ticks(values: Sequence[float]) -> dict[float, str]:
    """1 and 3 times the powers of ten from below the least value to above the greatest."""
    first, last = (math.floor(math.log10(value)) for value in (min(values) / 1.6, max(values) * 1.6))
    return {digit * 10.0**power: f"{digit * 10.0**power:g}" for power in range(first, last + 1) for digit in (1, 3)}


def _stairs(axes: Any, corners: Sequence[tuple[float, float]]) -> None:
    """From the top edge down along the corners to the right edge."""
    xs = [corners[0][0], *(x for x, _ in corners), axes.get_xlim()[1]]
    ys = [axes.get_ylim()[1], *(y for _, y in corners), corners[-1][1]]
    axes.plot(xs, ys, drawstyle="steps-post", color=_MARKERS["c3"], linewidth=1.3, zorder=1)


def _point_labels(axes: Any, points: Sequence[Point], corners: Sequence[tuple[float, float]]) -> None:
    """Each label beside its point, where it covers no point, label or stair; further off with a line to its point."""
    line = _FONT + 2.0
    centres = [tuple(axes.transData.transform((point.x, point.y))) for point in points]
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in centres]
    frame = axes.bbox
    stairs = [tuple(axes.transData.transform(corner)) for corner in corners]
    tops, ends = [frame.y1, *(y for _, y in stairs)], [*(x for x, _ in stairs[1:]), frame.x1]
    for (x, y), top, end in zip(stairs, tops, ends, strict=False):
        taken += [(x - 1, y, x + 1, top), (x, y - 1, end, y + 1)]
    for point, (x, y) in sorted(zip(points, centres, strict=True), key=lambda pair: pair[1]):
        width = _width(point.label)
        places = [
            (dx + (9 if dx >= 0 else -9 - width) if dx or not dy else -width / 2, dy - line / 2)
            for far in (0.0, 1.0, 2.0, 3.0, 4.0)
            for dx, dy in (
                (20 * far, 0.0),
                (-20 * far - 0.1, 0.0),
                (0.0, -16 - 14 * far),
                (0.0, 16 + 14 * far),
                *_diagonals(far),
            )
        ]

        def cost(place: tuple[float, float]) -> float:
            box = (x + place[0], y + place[1], x + place[0] + width, y + place[1] + line)  # noqa: B023
            inside = (frame.x0 + 2, frame.y0 + 2, frame.x1 - 2, frame.y1 - 2)
            covered = sum(_shared(box, other) for other in taken) + width * line - _shared(box, inside)  # noqa: B023
            return round(covered, 3)  # what is nothing is to be equal

        best = min(places, key=cost)  # the first of equals, which is the nearest
        taken.append((x + best[0], y + best[1], x + best[0] + width, y + best[1] + line))
        far = abs(best[1] + line / 2) > 17 or not -10.0 - width <= best[0] <= 10.0
        arrow = {"arrowstyle": "-", "color": _MARKERS["muted"], "linewidth": 0.7, "shrinkB": 5} if far else None
        offset = (best[0], best[1] + line / 2)
        text = {"textcoords": "offset points", "va": "center", "parse_math": False, "arrowprops": arrow}
        axes.annotate(point.label, (point.x, point.y), offset, zorder=4, **text, **_text("ink"))


def _diagonals(far: float) -> list[tuple[float, float]]:
    reach, rise = 8 + 16 * far, 16 + 12 * far
    return [(side * reach, up * rise) for up in (-1, 1) for side in (1, -1)]


def _shared(box: Sequence[float], other: Sequence[float]) -> float:
    """Area that two rectangles (left, bottom, right, top) share."""
    width, height = (min(box[i + 2], other[i + 2]) - max(box[i], other[i]) for i in (0, 1))
    return max(0.0, width) * max(0.0, height)


def _bar(axes: Any, y: float, bar: Bar) -> None:
    end = sum(value for value, _ in bar.segments)
    if bar.faded:  # a pale bar hides the grid all the same
        axes.barh(y, end, height=14, color=_MARKERS["surface"])
    start = 0.0
    for value, colour in bar.segments:
        paint = {"color": _MARKERS[colour], "edgecolor": _MARKERS["surface"], "alpha": 0.55 if bar.faded else None}
        axes.barh(y, value, left=start, height=14, linewidth=0.8, **paint)
        start += value
    if bar.error:
        axes.errorbar(end, y, xerr=bar.error, color=_MARKERS["ink"], linewidth=1, capsize=2.5)
    place = (end + (bar.error or 0), y)
    axes.annotate(bar.text, place, (5, 0), textcoords="offset points", va="center", parse_math=False, **_text("ink"))


def _row(axes: Any, middle: float, row: Row) -> None:
    markers = list(dict.fromkeys(dot.marker for dot in row.dots))
    for level, marker in enumerate(markers):
        y = middle + 11 * (level - (len(markers) - 1) / 2)
        alike = [dot for dot in row.dots if dot.marker == marker]
        places = [dot.value for dot in alike]
        axes.plot([min(places), max(places)], [y, y], color=_MARKERS[alike[0].colour], linewidth=1.5, zorder=2)
        for dot in alike:
            fill, edge = _MARKERS[dot.colour if dot.filled else "surface"], _MARKERS[dot.colour]
            axes.plot(dot.value, y, marker, markersize=7, markeredgewidth=1.6, color=fill, markeredgecolor=edge, zorder=3)


@contextmanager
def _defaults(name: str) -> Iterator[None]:
    """matplotlib as it comes, whatever the user's own settings, and ids that depend on the drawing's name alone."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.hashsalt": name, "svg.fonttype": "none", "path.simplify": False})
        yield


def _figure(left: float, plot_height: float, bottom: float, top: float, right: float) -> tuple[Any, Any, float]:
    """A figure (1 pixel = 1/72 inch) with one bare axes, margins in pixels, and the width left to the axes."""
    from matplotlib.figure import Figure

    width, height = max(WIDTH, left + right + WIDTH / 2), plot_height + bottom + top
    room = width - left - right
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    axes = figure.add_axes((left / width, bottom / height, room / width, plot_height / height))
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    return figure, axes, room


def _label(axes: Any, x: float, y: float, text: str, colour: str, ha: str = "left", bold: bool = False) -> None:
    """A text at `x` pixels from the left edge of the axes and `y` in data units."""
    from matplotlib.transforms import Affine2D, blended_transform_factory

    place = blended_transform_factory(Affine2D().translate(axes.bbox.x0, 0), axes.transData)
    axes.text(x, y, text, transform=place, ha=ha, va="center", parse_math=False, **_text(colour, bold))


def _width(text: str) -> float:
    """Pixels that a label takes in matplotlib's own font, which is wider than most pages' fonts."""
    from matplotlib.textpath import TextPath

    plain = text.replace("$", "S")  # a dollar sign would start a formula
    return float(TextPath((0, 0), plain, size=_FONT).get_extents().x1) if plain.strip() else 0.0


def _text(colour: str, bold: bool = False) -> dict[str, Any]:
    return {"color": _MARKERS[colour], "fontsize": _FONT, "fontweight": "bold" if bold else "normal"}


def _ticks_through_one(low: float, high: float) -> list[float]:
    """At most seven round ticks, one of them at ratio 1."""
    step = 0.05
    for factor in itertools.cycle((2.0, 2.0, 2.5)):  # 0.05, 0.1, 0.2, 0.5, 1, ...
        if (high - low) / step <= 6:
            break
        step *= factor
    first = math.ceil((low - 1) / step)
    return [1 + step * index for index in range(first, math.floor((high - 1) / step) + 1)]


def _finish(
    figure: Any,
    axes: Any,
    axis: str,
    name: str,
    title: str,
    description: str,
    ticks: Sequence[float] | None = None,
    y_ticks: Mapping[float, str] | None = None,
) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.ticker import FixedLocator, MaxNLocator

    shown = {tick: label for tick, label in (y_ticks or {}).items() if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]}
    axes.set_yticks(list(shown), list(shown.values()))
    axes.set_yticks([], minor=True)
    axes.tick_params(axis="y", length=0, labelsize=_FONT - 1, labelcolor=_MARKERS["muted"], pad=6)
    axes.xaxis.set_major_locator(FixedLocator(ticks) if ticks else MaxNLocator(nbins=5, min_n_ticks=3))
    axes.tick_params(axis="x", length=0, labelsize=_FONT - 1, labelcolor=_MARKERS["muted"], pad=6)
    axes.ticklabel_format(axis="x", style="plain", useOffset=False)
    axes.grid(axis="both", color=_MARKERS["rule"], linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(axis, labelpad=4, **_text("muted"))
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    return _inline(buffer.getvalue(), name, title, description)


def _inline(svg: str, name: str, title: str, description: str) -> str:
    """Make matplotlib's file an inline element: unique ids, no metadata, the page's colours and font, a spoken title."""
    body = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="([^"]+)"', body)
    assert box is not None
    width, height = box.group(1).split()[2:]
    body = body[body.index(">") + 1 : body.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.S)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.S)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    # matplotlib writes either `font: 700 12px 'DejaVu Sans', ...` or `font-size: 12px; font-family: 'DejaVu Sans', ...`
    body = re.sub(r"(font: (?:[a-z0-9]+ )*[0-9.]+px |font-family: )[^;\"]+", r"\1var(--font)", body)
    for colour, marker in _MARKERS.items():
        body = body.replace(marker, f"var(--{colour})")
    return (
        f'<svg viewBox="{box.group(1)}" width="{width}" height="{height}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">\n'
        f'<title id="{name}-title">{escape(title)}</title>\n<desc id="{name}-desc">{escape(description)}</desc>{body}</svg>'
    )
