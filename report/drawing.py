"""Drawing: horizontal bars and dots by matplotlib as inline SVG that takes its colours and font from the page.

Colours are drawn as marker values and replaced by CSS variables, so that one SVG serves the light page, the dark one and
print. Text stays text. Sizes are in CSS pixels: a panel is drawn as wide as a phone and small multiples make the wider figure.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

__all__ = ["COLOURS", "Bar", "Dot", "Group", "Row", "bars", "dots"]

COLOURS = ("ink", "muted", "rule", "surface", "c1", "c2", "c3", "c4", "c5", "c6", "grey")
"""Names of the CSS variables that a drawing may use."""

WIDTH = 372
_FONT = 11.5
_CHARACTER = 6.1  # advance of an average character at that size, in pixels, on the generous side
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


def bars(groups: Sequence[Group], axis: str, name: str, title: str, description: str) -> str:
    """Stacked horizontal bars, one line each, a heading above each group; the axis starts at zero. Returns SVG."""
    line, heading = 21.0, 20.0
    longest = max(len(bar.label) for group in groups for bar in group.bars)
    left = 10 + longest * _CHARACTER
    height = sum(heading * bool(group.label) + line * len(group.bars) + 8 for group in groups)
    figure, axes = _figure(left, height, bottom=40, top=4, right=12)
    totals = [sum(value for value, _ in bar.segments) + (bar.error or 0) for group in groups for bar in group.bars]
    room = max(len(bar.text) for group in groups for bar in group.bars) * _CHARACTER + 10
    top = max(totals) or 1.0
    limit = top * (WIDTH - left - 12) / max(60.0, WIDTH - left - 12 - room)
    y = 0.0
    for group in groups:
        if group.label:
            axes.text(
                -left + 4,
                y + heading / 2,
                group.label,
                transform=_pixels_and_data(axes),
                va="center",
                **_text("ink", bold=True),
            )
            y += heading
        for bar in group.bars:
            centre, start = y + line / 2, 0.0
            for value, colour in bar.segments:
                axes.barh(
                    centre, value, left=start, height=14, color=_MARKERS[colour], edgecolor=_MARKERS["surface"], linewidth=0.8,
                    alpha=0.55 if bar.faded else None,
                )  # fmt: skip
                start += value
            if bar.error:
                axes.errorbar(start, centre, xerr=bar.error, color=_MARKERS["ink"], linewidth=1, capsize=2.5)
            axes.annotate(
                bar.text, (start + (bar.error or 0), centre), (5, 0), textcoords="offset points", va="center", **_text("ink")
            )
            axes.text(-6, centre, bar.label, transform=_pixels_and_data(axes), ha="right", va="center", **_text("muted"))
            y += line
        y += 8
    axes.set_ylim(y, 0)
    axes.set_xlim(0, limit)
    return _finish(figure, axes, axis, name, title, description)


def dots(rows: Sequence[Row], axis: str, lines: Sequence[tuple[float, str]], name: str, title: str, description: str) -> str:
    """A line of dots for each marker of a row, joined; labelled vertical reference lines. Returns SVG."""
    line = 30.0
    left = 10 + max(len(row.label) for row in rows) * _CHARACTER
    figure, axes = _figure(left, line * len(rows), bottom=40, top=20, right=14)
    values = [dot.value for row in rows for dot in row.dots] + [value for value, _ in lines] + [1.0]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low or 1.0)
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(line * len(rows), 0)
    axes.axvline(1.0, color=_MARKERS["muted"], linewidth=1)
    for value, label in lines:
        axes.axvline(value, color=_MARKERS["c5"], linewidth=1.2, linestyle=(0, (4, 3)))
        side = "right" if value > (low + high) / 2 else "left"
        axes.annotate(
            label,
            (value, 0),
            (4 if side == "right" else -4, 6),
            textcoords="offset points",
            ha=side,
            va="bottom",
            **_text("c5"),
        )
    for index, row in enumerate(rows):
        middle = line * (index + 0.5)
        markers = list(dict.fromkeys(dot.marker for dot in row.dots))
        for level, marker in enumerate(markers):
            y = middle + 11 * (level - (len(markers) - 1) / 2)
            alike = [dot for dot in row.dots if dot.marker == marker]
            places = [dot.value for dot in alike]
            axes.plot([min(places), max(places)], [y, y], color=_MARKERS[alike[0].colour], linewidth=1.5, zorder=2)
            for dot in alike:
                fill, edge = _MARKERS[dot.colour if dot.filled else "surface"], _MARKERS[dot.colour]
                axes.plot(dot.value, y, marker, markersize=7, markeredgewidth=1.6, color=fill, markeredgecolor=edge, zorder=3)
        if index:
            axes.axhline(line * index, color=_MARKERS["rule"], linewidth=0.8, zorder=0)
        axes.text(-6, middle, row.label, transform=_pixels_and_data(axes), ha="right", va="center", **_text("muted"))
    return _finish(figure, axes, axis, name, title, description)


def _figure(left: float, plot_height: float, bottom: float, top: float, right: float) -> tuple[Any, Any]:
    """A figure of WIDTH pixels (1 pixel = 1/72 inch) with one bare axes, margins given in pixels."""
    from matplotlib.figure import Figure

    height = plot_height + bottom + top
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    axes = figure.add_axes((left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, plot_height / height))
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    return figure, axes


def _pixels_and_data(axes: Any) -> Any:
    """x in pixels from the left edge of the axes, y in data units."""
    from matplotlib.transforms import Affine2D, blended_transform_factory

    offset = Affine2D().scale(1.0).translate(axes.bbox.x0, 0)
    return blended_transform_factory(offset, axes.transData)


def _text(colour: str, bold: bool = False) -> dict[str, Any]:
    return {"color": _MARKERS[colour], "fontsize": _FONT, "fontweight": "bold" if bold else "normal"}


def _finish(figure: Any, axes: Any, axis: str, name: str, title: str, description: str) -> str:
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.ticker import MaxNLocator

    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3))
    axes.tick_params(axis="x", length=0, labelsize=_FONT - 1, labelcolor=_MARKERS["muted"], pad=6)
    axes.ticklabel_format(axis="x", style="plain", useOffset=False)
    axes.grid(axis="x", color=_MARKERS["rule"], linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(axis, labelpad=4, **_text("muted"))
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "path.simplify": False}):
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
    body = re.sub(
        r"font: (?:(bold|[1-9]00) )?([0-9.]+)px [^;\"]+",
        lambda match: f"font: {match[1] or 400} {match[2]}px var(--font)",
        body,
    )
    for colour, marker in _MARKERS.items():
        body = body.replace(marker, f"var(--{colour})")
    return (
        f'<svg viewBox="{box.group(1)}" width="{width}" height="{height}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">\n'
        f'<title id="{name}-title">{escape(title)}</title>\n<desc id="{name}-desc">{escape(description)}</desc>{body}</svg>'
    )
