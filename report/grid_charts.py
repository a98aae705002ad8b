# SPDX-License-Identifier: Apache-2.0
"""The chart of the grid of accuracy: the KL divergence of every method, formats of as many bits in one panel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import display, drawing
from .accuracy import RIVALS
from .charts import Chart, Key, Panel, chart_of, slug
from .drawing import Dot, Row

__all__ = ["grid_charts"]

_STYLES = (("o", "●", "c1"), ("D", "◆", "c2"), ("^", "▲", "c3"), ("v", "▼", "c4"))


def grid_charts(results: Mapping[str, Any]) -> dict[str, Chart]:
    """By name, `grid-0` and so on: a chart of each grid that has formats beside each other."""
    drawn = (_chart(number, one["grid"], one["model"]["name"]) for number, one in enumerate(results.get("grids", [])))
    return {chart.name: chart for chart in drawn if chart is not None}


def _chart(number: int, grid: Sequence[Mapping[str, Any]], model: str) -> Chart | None:
    """A panel for each text and for formats of as many bits, of the kind of layers that most was measured of."""
    if not grid:
        return None
    variant = Counter(row["variant"] for row in grid).most_common(1)[0][0]
    rows = [row for row in grid if row["variant"] == variant]
    panels, table = [], []
    keys: dict[str, tuple[str, list[str]]] = {}
    for text in dict.fromkeys(row["text"] for row in rows):
        for alike in _alike(row["format"] for row in rows):
            styles = dict(zip(alike, _STYLES, strict=False))
            here = [row for row in rows if row["text"] == text and row["format"] in styles]
            if not here:
                continue
            by_method: dict[str, list[Dot]] = {}
            for row in here:
                marker, symbol, colour = styles[row["format"]]
                kl, error = 1e3 * row["kl"], 1e3 * row["kl_standard_error"]
                by_method.setdefault(row["method"], []).append(Dot(kl, marker, colour, True, error))
                keys.setdefault(symbol, (colour, []))[1].append(display.format_name(row["format"]))
                shown = display.significant(kl), display.significant(error, 2)
                table.append((text, row["method"], display.format_name(row["format"]), *shown))
            title = f"{text}: {', '.join(display.format_name(one) for one in styles)}"
            said = "; ".join(f"{line[1]}, {line[2]} {line[3]}" for line in table[-len(here) :])
            lines = [Row(method, dots) for method, dots in by_method.items()]
            name = slug(f"grid-{number}", text, *alike)
            svg = drawing.dots(lines, "KL × 1000, nats per token", [], name, title, f"{said}.", origin=0.0)
            panels.append(Panel(title, svg))
    legend = [Key(symbol, colour, " or ".join(dict.fromkeys(names))) for symbol, (colour, names) in keys.items()]
    legend.append(Key("├", "ink", "standard error"))
    note = (
        f"{variant[:1].upper()}{variant[1:]}; every format gets the same treatment. 0 is the unquantized model. Formats of as "
        "many bits share a panel."
    )
    columns = "text|method|format|KL × 1000|standard error"
    return chart_of(f"grid-{number}", f"KL divergence by method and format, {model}", note, panels, legend, columns, table)


def _alike(formats: Iterable[str]) -> list[tuple[str, ...]]:
    """The formats that were measured, those of as many bits as one dINT together, dINT second."""
    measured = set(formats)
    together: dict[str, list[str]] = {}
    for rival, dint in RIVALS:
        together.setdefault(dint, []).append(rival)
    groups = [(rivals[0], dint, *rivals[1:]) for dint, rivals in together.items()]
    return [group for one in groups if (group := tuple(name for name in one if name in measured))]
