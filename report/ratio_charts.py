# SPDX-License-Identifier: Apache-2.0
"""The charts of ratios: by kit and lane count, which is the headline, and against the clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import display, drawing, points, selection, summary
from .charts import Chart, Key, Panel, chart_of, slug, span
from .drawing import Dot, Row
from .points import Curve

__all__ = ["REFERENCES", "ratio_charts", "ratios"]

PAPER_LABEL = "paper, commercial 7 nm"

#: Baselines: what dINT4 is to replace, and what it costs more than.
REFERENCES = ("int8", "int4")

_MARKERS = (("o", "●"), ("D", "◆"), ("^", "▲"), ("v", "▼"), ("s", "■"))
_COLOURS = ("c1", "c2", "c3", "c4", "c5")


def ratio_charts(results: Mapping[str, Any]) -> dict[str, Chart]:
    """The charts that the results have figures for, by name: `ratios` and `clocks`."""
    drawn = (ratios(results), _clocks(results))
    return {chart.name: chart for chart in drawn if chart is not None}


def ratios(results: Mapping[str, Any]) -> Chart | None:
    """INT8, and INT4, over the candidate: a line a kit and lane count, every clock a dot."""
    comparisons = [row for row in results["comparisons"] if row["reference"] in REFERENCES]
    operands, dataflow, _ = summary.energy_condition(comparisons)
    panels: list[Panel] = []
    table: list[tuple[str, ...]] = []
    for reference in REFERENCES:
        for metric in ("area", "energy"):
            rows = summary.for_metric([row for row in comparisons if row["reference"] == reference], metric)
            if metric == "energy":
                rows = [row for row in rows if (row["operands"], row["dataflow"]) == (operands, dataflow)]
            places = _places(rows, metric, results)
            if places:
                panels.append(_dots(places, metric, reference))
                table += [line for dots in places.values() for line in dots]
    legend = [Key("●", "c1", "equal clock"), Key("■", "c2", "minimum area")]
    if any(row["activity"] == "zero-delay" for row in comparisons):
        legend.append(Key("○", "muted", "hollow: zero-delay activity"))
    legend.append(Key("┆", "c5", "the paper's figure, for reference only"))
    note = f"Left of 1.0 dINT4 is the worse one. Energy: {display.condition(operands, dataflow, None) or display.NOT_MEASURED}."
    columns = "against|metric|where|clock|kind|condition|ratio"
    return chart_of("ratios", "Ratios by PDK and lane count", note, panels, legend, columns, table)


def _places(
    rows: Sequence[Mapping[str, Any]], metric: str, results: Mapping[str, Any]
) -> dict[str, dict[tuple[str, ...], Dot]]:
    """By kit and lane count: the lines of the table, each with its dot."""
    places: dict[str, dict[tuple[str, ...], Dot]] = {}
    several = len({row["candidate"]["format"] for row in rows}) > 1
    for row in sorted(rows, key=selection.place):
        name = f"{row['pdk']}, {display.lanes(row['lanes'])}"
        label = f"{name}, {display.format_name(row['candidate']['format'])}" if several else name
        equal, ratio = row["kind"] == "equal-clock", row[f"{metric}_ratio"]
        error = summary.ratio_error(row) if metric == "energy" else None
        mark = " (set by candidate)" if summary.set_by(row, results) == row["candidate"]["format"] else ""
        condition = display.condition(row["operands"], row["dataflow"], row["activity"]) if metric == "energy" else ""
        clock, kind = display.period(row["period_ns"]) + mark, summary.KINDS[row["kind"]]
        line = (display.format_name(row["reference"]), metric, label, clock, kind, condition, display.ratio(ratio, error))
        dot = Dot(ratio, "o" if equal else "s", "c1" if equal else "c2", metric == "area" or row["activity"] == "sdf")
        places.setdefault(label, {}).setdefault(line, dot)
    return places


def _dots(places: Mapping[str, Mapping[tuple[str, ...], Dot]], metric: str, reference: str) -> Panel:
    """The panel of a baseline and metric; the paper compares with INT8 only."""
    lines = []
    if reference == "int8":
        lines.append((summary.PAPER[metric], f"{PAPER_LABEL}: {display.ratio(summary.PAPER[metric])}"))
    title = f"{metric.capitalize()} ratio, {display.format_name(reference)} MAC / candidate"
    said = [f"{label} {span([dot.value for dot in dots.values()])}" for label, dots in places.items()]
    said += [f"Paper: {label}" for _, label in lines]
    rows = [Row(label, tuple(dots.values())) for label, dots in places.items()]
    axis = f"{metric} ratio (1 = no gain)"
    return Panel(title, drawing.dots(rows, axis, lines, slug("ratio", reference, metric), title, f"{'; '.join(said)}."))


def _clocks(results: Mapping[str, Any]) -> Chart | None:
    """INT8 over dINT4 against the clock period: a curve a lane count, a panel a kit and metric."""
    comparisons = [row for row in results["comparisons"] if (row["reference"], row["candidate"]["format"]) == ("int8", "dint4")]
    condition = summary.energy_condition(comparisons)
    lanes = sorted({row["lanes"] for row in comparisons})
    panels, table, kinds = [], [], set()
    for pdk in sorted({row["pdk"] for row in comparisons}):
        for metric in ("area", "energy"):
            rows = [
                row for row in summary.for_metric(comparisons, metric) if row["pdk"] == pdk and row["period_ns"] is not None
            ]
            if metric == "energy":
                rows = [row for row in rows if (row["operands"], row["dataflow"], row["activity"]) == condition]
            places: dict[tuple[int, str], dict[float, tuple[float, float]]] = {}
            for row in sorted(rows, key=selection.place):
                error = summary.ratio_error(row) if metric == "energy" else None
                at = places.setdefault((row["lanes"], row["kind"]), {})
                if row["period_ns"] not in at:
                    at[row["period_ns"]] = row[f"{metric}_ratio"], error or 0.0
                    shown = display.ratio(row[f"{metric}_ratio"], error)
                    period, kind = display.period(row["period_ns"]), summary.KINDS[row["kind"]]
                    table.append((pdk, metric, display.lanes(row["lanes"]), kind, period, shown))
                    kinds.add(row["kind"])
            if not places:
                continue
            curves = [
                Curve([(x, *at[x]) for x in sorted(at)], *_style(lanes.index(count)), filled=kind == "equal-clock")
                for (count, kind), at in places.items()
            ]
            title = f"{pdk}: {metric} ratio, INT8 / dINT4"
            said = [f"{line[2]}, {line[3]}, {line[4]}: {line[5]}" for line in table if line[:2] == (pdk, metric)]
            line = summary.PAPER[metric], f"paper: {display.ratio(summary.PAPER[metric])}"
            name, axes = slug("clocks", pdk, metric), ("clock period, ns", f"{metric} ratio (1 = no gain)")
            panels.append(Panel(title, points.curves(curves, *axes, line, name, title, "; ".join(said) + ".")))
    legend = [Key(_MARKERS[index % 5][1], _COLOURS[index % 5], display.lanes(count)) for index, count in enumerate(lanes)]
    if "minimum-area" in kinds:
        legend.append(Key("○", "muted", "hollow: minimum area"))
    legend.append(Key("┆", "c5", "the paper's figure, for reference only"))
    note = (
        f"Energy: {display.condition(*condition) or display.NOT_MEASURED}, standard errors as bars. Minimum area has no clock "
        "target; it stands at the period at which its energy is measured."
    )
    columns = "PDK|metric|lanes|kind|clock|ratio"
    return chart_of("clocks", "Ratios against clock and lanes", note, panels, legend, columns, table)


def _style(index: int) -> tuple[str, str]:
    """Marker and colour of the curve of that number."""
    return _MARKERS[index % len(_MARKERS)][0], _COLOURS[index % len(_COLOURS)]
