# SPDX-License-Identifier: Apache-2.0
"""Bars and dots by matplotlib, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .canvas import MARKERS, defaults, finish, new_figure, text_style, text_width, ticks_through, write_text

__all__ = ["Bar", "Dot", "Group", "Row", "bars", "dots"]

#: Pixels between the lines of a row of dots, one line a marker.
LEVEL = 11.0


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
    """One figure: where, the marker (matplotlib's name), whether it is filled, and an optional standard error."""

    value: float
    marker: str
    colour: str
    filled: bool
    error: float = 0.0


@dataclass(frozen=True)
class Row:
    """The dots of one line of a dot plot."""

    label: str
    dots: Sequence[Dot] = field(default_factory=tuple)


def bars(groups: Sequence[Group], axis: str, name: str, title: str, description: str) -> str:
    """Stacked horizontal bars, one line each, a heading above each group; the axis starts at zero. Returns SVG."""
    line, heading, gap = 21.0, 20.0, 8.0
    every = [bar for group in groups for bar in group.bars]
    left = 8 + max(text_width(bar.label) for bar in every)
    height = sum(heading * bool(group.label) + line * len(group.bars) + gap for group in groups)
    with defaults(name):
        figure, axes, room = new_figure(left, height, bottom=40, top=4, right=12)
        longest = max(sum(value for value, _ in bar.segments) + (bar.error or 0) for bar in every) or 1.0
        text_room = max(text_width(bar.text) for bar in every) + 4
        axes.set_xlim(0, longest * room / max(room / 3, room - text_room))
        axes.set_ylim(height, 0)
        y = 0.0
        for group in groups:
            if group.label:
                write_text(axes, 4 - left, y + heading / 2, group.label, "ink", bold=True)
                y += heading
            for bar in group.bars:
                write_text(axes, -6, y + line / 2, bar.label, "muted", ha="right")
                _bar(axes, y + line / 2, bar)
                y += line
            y += gap
        return finish(figure, axes, axis, name, title, description)


def dots(
    rows: Sequence[Row],
    axis: str,
    lines: Sequence[tuple[float, str]],
    name: str,
    title: str,
    description: str,
    origin: float = 1.0,
) -> str:
    """A line of dots for each marker of a row, joined; labelled vertical reference lines. Returns SVG.

    The axis holds `origin`, which is where nothing is gained or lost.
    """
    line = max(30.0, 8.0 + LEVEL * max(len(_markers(row)) for row in rows))
    left = 8 + max(text_width(row.label) for row in rows)
    values = [dot.value + dot.error for row in rows for dot in row.dots] + [value for value, _ in lines] + [origin]
    margin = 0.06 * (max(values) - min(values) or 1.0)
    low, high = min(values) - margin, max(values) + margin
    with defaults(name):
        figure, axes, room = new_figure(left, line * len(rows), bottom=40, top=20, right=14)
        axes.set_xlim(low, high)
        axes.set_ylim(line * len(rows), 0)
        axes.axvline(origin, color=MARKERS["muted"], linewidth=1)
        for value, label in lines:
            axes.axvline(value, color=MARKERS["c5"], linewidth=1.2, linestyle=(0, (4, 3)))
            half = text_width(label) / 2
            middle = min(max((value - low) / (high - low) * room, half - left), room + 12 - half)
            write_text(axes, middle, -10, label, "c5", ha="center")
        for index, row in enumerate(rows):
            if index:
                axes.axhline(line * index, color=MARKERS["rule"], linewidth=0.8, zorder=0)
            write_text(axes, -6, line * (index + 0.5), row.label, "muted", ha="right")
            _row(axes, line * (index + 0.5), row)
        return finish(figure, axes, axis, name, title, description, ticks=ticks_through(origin, low, high))


def _bar(axes: Any, y: float, bar: Bar) -> None:
    end = sum(value for value, _ in bar.segments)
    if bar.faded:  # a pale bar hides the grid all the same
        axes.barh(y, end, height=14, color=MARKERS["surface"])
    start = 0.0
    for value, colour in bar.segments:
        paint = {"color": MARKERS[colour], "edgecolor": MARKERS["surface"], "alpha": 0.55 if bar.faded else None}
        axes.barh(y, value, left=start, height=14, linewidth=0.8, **paint)
        start += value
    if bar.error:
        axes.errorbar(end, y, xerr=bar.error, color=MARKERS["ink"], linewidth=1, capsize=2.5)
    place = (end + (bar.error or 0), y)
    axes.annotate(bar.text, place, (5, 0), textcoords="offset points", va="center", parse_math=False, **text_style("ink"))


def _markers(row: Row) -> list[str]:
    return list(dict.fromkeys(dot.marker for dot in row.dots))


def _row(axes: Any, middle: float, row: Row) -> None:
    markers = _markers(row)
    for level, marker in enumerate(markers):
        y = middle + LEVEL * (level - (len(markers) - 1) / 2)
        alike = [dot for dot in row.dots if dot.marker == marker]
        places = [dot.value for dot in alike]
        axes.plot([min(places), max(places)], [y, y], color=MARKERS[alike[0].colour], linewidth=1.5, zorder=2)
        for dot in alike:
            fill, edge = MARKERS[dot.colour if dot.filled else "surface"], MARKERS[dot.colour]
            if dot.error:
                axes.errorbar(dot.value, y, xerr=dot.error, color=MARKERS["ink"], linewidth=1, capsize=2.5, zorder=2)
            axes.plot(dot.value, y, marker, markersize=7, markeredgewidth=1.6, color=fill, markeredgecolor=edge, zorder=3)
