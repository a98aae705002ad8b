# SPDX-License-Identifier: Apache-2.0
"""The ground that drawings share: a matplotlib figure made into inline SVG that takes its colours and font from the page.

Colours are drawn as marker values and replaced by CSS variables, so that one SVG serves the light page, the dark one and
print. Text stays text. Sizes are in CSS pixels; a panel is as wide as a phone, wider only for long labels, and small multiples
make the wide figure.
"""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from html import escape
from typing import Any

__all__ = [
    "COLOURS",
    "FONT",
    "MARKERS",
    "WIDTH",
    "defaults",
    "finish",
    "new_figure",
    "text_style",
    "text_width",
    "ticks_through",
    "write_text",
]

COLOURS = ("ink", "muted", "rule", "surface", "c1", "c2", "c3", "c4", "c5", "c6", "grey")
"""Names of the CSS variables that a drawing may use."""

WIDTH = 340
FONT = 11.5
MARKERS = {name: f"#0101{index:02x}" for index, name in enumerate(COLOURS)}


@contextmanager
def defaults(name: str) -> Iterator[None]:
    """matplotlib as it comes, whatever the user's own settings, and ids that depend on the drawing's name alone."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.hashsalt": name, "svg.fonttype": "none", "path.simplify": False})
        yield


def new_figure(left: float, plot_height: float, bottom: float, top: float, right: float) -> tuple[Any, Any, float]:
    """A figure (1 pixel = 1/72 inch) with one bare axes, margins in pixels, and the width left to the axes."""
    from matplotlib.figure import Figure

    width, height = max(WIDTH, left + right + WIDTH / 2), plot_height + bottom + top
    room = width - left - right
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    axes = figure.add_axes((left / width, bottom / height, room / width, plot_height / height))
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    return figure, axes, room


def write_text(axes: Any, x: float, y: float, text: str, colour: str, ha: str = "left", bold: bool = False) -> None:
    """A text at `x` pixels from the left edge of the axes and `y` in data units."""
    from matplotlib.transforms import Affine2D, blended_transform_factory

    place = blended_transform_factory(Affine2D().translate(axes.bbox.x0, 0), axes.transData)
    axes.text(x, y, text, transform=place, ha=ha, va="center", parse_math=False, **text_style(colour, bold))


@cache
def text_width(text: str) -> float:
    """Pixels that a label takes in matplotlib's own font, which is wider than most pages' fonts."""
    from matplotlib.textpath import TextPath

    plain = text.replace("$", "S")  # a dollar sign would start a formula
    return float(TextPath((0, 0), plain, size=FONT).get_extents().x1) if plain.strip() else 0.0


def text_style(colour: str, bold: bool = False) -> dict[str, Any]:
    return {"color": MARKERS[colour], "fontsize": FONT, "fontweight": "bold" if bold else "normal"}


def ticks_through(origin: float, low: float, high: float) -> list[float]:
    """At most seven round ticks, one of them at `origin`."""
    step = 0.005
    for factor in itertools.cycle((2.0, 2.0, 2.5)):  # 0.005, 0.01, 0.02, 0.05, 0.1, ...
        if (high - low) / step <= 6:
            break
        step *= factor
    first = math.ceil((low - origin) / step)
    return [origin + step * index for index in range(first, math.floor((high - origin) / step) + 1)]


def finish(
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
    axes.tick_params(axis="y", length=0, labelsize=FONT - 1, labelcolor=MARKERS["muted"], pad=6)
    axes.xaxis.set_major_locator(FixedLocator(ticks) if ticks else MaxNLocator(nbins=5, min_n_ticks=3))
    axes.tick_params(axis="x", length=0, labelsize=FONT - 1, labelcolor=MARKERS["muted"], pad=6)
    axes.ticklabel_format(axis="x", style="plain", useOffset=False)
    axes.grid(axis="both", color=MARKERS["rule"], linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(axis, labelpad=4, **text_style("muted"))
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
    for colour, marker in MARKERS.items():
        body = body.replace(marker, f"var(--{colour})")
    return (
        f'<svg viewBox="{box.group(1)}" width="{width}" height="{height}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">\n'
        f'<title id="{name}-title">{escape(title)}</title>\n<desc id="{name}-desc">{escape(description)}</desc>{body}</svg>'
    )
