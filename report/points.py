# SPDX-License-Identifier: Apache-2.0
"""Points and lines over two axes by matplotlib, as inline SVG: what formats cost and lose, and ratios against the clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .canvas import FONT, MARKERS, defaults, finish, new_figure, text_style, text_width, ticks_through

__all__ = ["FEW", "Curve", "Point", "curves", "scatter"]

#: Points whose names have room beside them; more are better numbered.
FEW = 8


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


@dataclass(frozen=True)
class Curve:
    """Points (x, y, standard error of y) in the order of x, joined where they are filled; the marker has matplotlib's name."""

    points: Sequence[tuple[float, float, float]]
    marker: str
    colour: str
    filled: bool


def curves(
    curves: Sequence[Curve], x_axis: str, y_axis: str, line: tuple[float, str], name: str, title: str, description: str
) -> str:
    """Ratios over a linear axis from 0, with lines at 1 and at `line`, a ratio and its label. Returns SVG."""
    ends = [y + side * error for curve in curves for _, y, error in curve.points for side in (-1, 1)] + [line[0], 1.0]
    margin = 0.08 * (max(ends) - min(ends) or 1.0)
    low, high = min(ends) - margin, max(ends) + margin
    y_ticks = {tick: f"{tick:g}" for tick in ticks_through(1.0, low, high)}
    left = 12 + max(text_width(label) for label in y_ticks.values())
    with defaults(name):
        figure, axes, _ = new_figure(left, 200.0, bottom=40, top=24, right=12)
        axes.set_xlim(0, 1.08 * max(x for curve in curves for x, _, _ in curve.points))
        axes.set_ylim(low, high)
        axes.axhline(1.0, color=MARKERS["muted"], linewidth=1)
        axes.axhline(line[0], color=MARKERS["c5"], linewidth=1.2, linestyle=(0, (4, 3)))
        axes.annotate(line[1], (0, line[0]), (4, 8), textcoords="offset points", va="center", **text_style("c5"))
        for curve in curves:
            x, y, error = zip(*curve.points, strict=True)
            ink = MARKERS[curve.colour]
            axes.errorbar(x, y, error, fmt="none", ecolor=ink, elinewidth=1, capsize=2.5, zorder=2)
            style = {"color": ink, "linewidth": 1.5 if curve.filled else 0, "markersize": 7.5, "markeredgewidth": 1.6}
            face = ink if curve.filled else MARKERS["surface"]
            axes.plot(x, y, curve.marker + "-", markerfacecolor=face, markeredgecolor=ink, zorder=3, **style)
        axes.annotate(
            y_axis, (0, 1), (-left + 2, 10), "axes fraction", "offset points", parse_math=False, **text_style("muted")
        )
        return finish(figure, axes, x_axis, name, title, description, y_ticks=y_ticks)


def scatter(
    points: Sequence[Point], x_axis: str, y_axis: str, name: str, title: str, description: str, *, logarithmic: bool = True
) -> str:
    """Points over a linear axis, and a logarithmic one (values above 0) or a linear; the front as a staircase. Returns SVG."""
    ys = [point.y for point in points]
    y_ticks = _log_ticks(ys) if logarithmic else _ticks(min(ys), max(ys))
    left, height = 12 + max(text_width(label) for label in y_ticks.values()), 230.0 if len(points) <= FEW else 340.0
    with defaults(name):
        figure, axes, _ = new_figure(left, height, bottom=40, top=24, right=12)
        low, high = (end(point.x for point in points) for end in (min, max))
        margin = 0.1 * (high - low or high)
        axes.set_xlim(low - margin, high + margin)
        low, high = min(ys), max(ys)
        if logarithmic:
            axes.set_yscale("log")
            axes.set_ylim(low / 1.6, high * 1.6)
        else:
            margin = 0.1 * (high - low or high)
            axes.set_ylim(low - margin, high + margin)
        corners = sorted((point.x, point.y) for point in points if point.on_front)
        _stairs(axes, corners)
        for point in points:
            ink, fill = MARKERS[point.colour], MARKERS[point.colour if point.on_front else "surface"]
            bars = {"xerr": point.x_error or None, "yerr": point.y_error or None}
            axes.errorbar(point.x, point.y, **bars, color=ink, linewidth=1, capsize=2.5, zorder=2)
            axes.plot(point.x, point.y, "o", markersize=8, markeredgewidth=1.6, color=fill, markeredgecolor=ink, zorder=3)
        _point_labels(axes, points, corners)
        axes.annotate(
            y_axis, (0, 1), (-left + 2, 10), "axes fraction", "offset points", parse_math=False, **text_style("muted")
        )
        return finish(figure, axes, x_axis, name, title, description, y_ticks=y_ticks)


def _log_ticks(values: Sequence[float]) -> dict[float, str]:
    """1 and 3 times the powers of ten from below the least value to above the greatest."""
    first, last = (math.floor(math.log10(value)) for value in (min(values) / 1.6, max(values) * 1.6))
    return {digit * 10.0**power: f"{digit * 10.0**power:g}" for power in range(first, last + 1) for digit in (1, 3)}


def _ticks(low: float, high: float) -> dict[float, str]:
    from matplotlib.ticker import MaxNLocator

    return {float(tick): f"{tick:g}" for tick in MaxNLocator(nbins=6).tick_values(low, high)}


def _stairs(axes: Any, corners: Sequence[tuple[float, float]]) -> None:
    """From the top edge down along the corners to the right edge."""
    xs = [corners[0][0], *(x for x, _ in corners), axes.get_xlim()[1]]
    ys = [axes.get_ylim()[1], *(y for _, y in corners), corners[-1][1]]
    axes.plot(xs, ys, drawstyle="steps-post", color=MARKERS["c3"], linewidth=1.3, zorder=1)


def _point_labels(axes: Any, points: Sequence[Point], corners: Sequence[tuple[float, float]]) -> None:
    """Each label beside its point, where it covers no point, label or stair; further off with a line to its point."""
    line = FONT + 2.0
    centres = [tuple(axes.transData.transform((point.x, point.y))) for point in points]
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in centres]
    frame = axes.bbox
    stairs = [tuple(axes.transData.transform(corner)) for corner in corners]
    tops, ends = [frame.y1, *(y for _, y in stairs)], [*(x for x, _ in stairs[1:]), frame.x1]
    for (x, y), top, end in zip(stairs, tops, ends, strict=False):
        taken += [(x - 1, y, x + 1, top), (x, y - 1, end, y + 1)]
    for point, (x, y) in sorted(zip(points, centres, strict=True), key=lambda pair: pair[1]):
        width = text_width(point.label)
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
        arrow = {"arrowstyle": "-", "color": MARKERS["muted"], "linewidth": 0.7, "shrinkB": 5} if far else None
        offset = (best[0], best[1] + line / 2)
        text = {"textcoords": "offset points", "va": "center", "parse_math": False, "arrowprops": arrow}
        axes.annotate(point.label, (point.x, point.y), offset, zorder=4, **text, **text_style("ink"))


def _diagonals(far: float) -> list[tuple[float, float]]:
    reach, rise = 8 + 16 * far, 16 + 12 * far
    return [(side * reach, up * rise) for up in (-1, 1) for side in (1, -1)]


def _shared(box: Sequence[float], other: Sequence[float]) -> float:
    """Area that two rectangles (left, bottom, right, top) share."""
    width, height = (min(box[i + 2], other[i + 2]) - max(box[i], other[i]) for i in (0, 1))
    return max(0.0, width) * max(0.0, height)
