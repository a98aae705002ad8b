# SPDX-License-Identifier: Apache-2.0
"""The charts of ratios: by kit and lane count, which is the headline, and against the clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import display, drawing, points, selection, summary
from .charts import Chart, Key, Panel, chart_of, slug
from .drawing import Dot, Row
from .points import Curve

__all__ = ["ratio_charts"]

PAPER_LABEL = "paper, commercial 7 nm"

_MARKERS = (("o", "●"), ("D", "◆"), ("^", "▲"), ("v", "▼"), ("s", "■"))
_COLOURS = ("c1", "c2", "c3", "c4", "c5")


def ratio_charts(results: Mapping[str, Any]) -> dict[str, Chart]:
    """The charts that the results have figures for, by name: `ratios` and `clocks`."""
    drawn = (ratios(results), _clocks(results))
    return {chart.name: chart for chart in drawn if chart is not None}


def ratios(results: Mapping[str, Any]) -> Chart | None:
    """INT8 over the candidate: a line a kit and lane count, every clock a dot."""
    comparisons = [row for row in results["comparisons"] if row["reference"] == "int8"]
    operands, dataflow, _ = summary.energy_condition(comparisons)
    panels, table = [], []
    for metric in ("area", "energy"):
        rows = summary.for_metric(comparisons, metric)
        if metric == "energy":
            rows = [row for row in rows if (row["operands"], row["dataflow"]) == (operands, dataflow)]
        places: dict[str, dict[tuple[Any, ...], Dot]] = {}
        several = len({row["candidate"]["format"] for row in rows}) > 1
        for row in sorted(rows, key=selection.place):
            name = f"{row['pdk']}, {display.lanes(row['lanes'])}"
            label = f"{name}, {display.format_name(row['candidate']['format'])}" if several else name
            equal, ratio = row["kind"] == "equal-clock", row[f"{metric}_ratio"]
            error = summary.ratio_error(row) if metric == "energy" else None
            mark = " (set by candidate)" if summary.set_by(row, results) == row["candidate"]["format"] else ""
            filled = metric == "area" or row["activity"] == "sdf"
            dot = Dot(ratio, "o" if equal else "s", "c1" if equal else "c2", filled)
            condition = display.condition(row["operands"], row["dataflow"], row["activity"]) if metric == "energy" else ""
            line = (
                metric,
                label,
                display.period(row["period_ns"]) + mark,
                summary.KINDS[row["kind"]],
                condition,
                display.ratio(ratio, error),
            )
            if line not in table:
                places.setdefault(label, {})[line] = dot
                table.append(line)
        if places:
            lines = [(summary.PAPER[metric], f"{PAPER_LABEL}: {display.ratio(summary.PAPER[metric])}")]
            title = f"{metric.capitalize()} ratio, INT8 MAC / candidate"
            ranges = [f"{label} {_span([dot.value for dot in dots.values()])}" for label, dots in places.items()]
            svg = drawing.dots(
                [Row(label, tuple(dots.values())) for label, dots in places.items()],
                f"{metric} ratio (1 = no gain)", lines, f"ratio-{metric}", title, f"{'; '.join(ranges)}. Paper: {lines[0][1]}.",
            )  # fmt: skip
            panels.append(Panel(title, svg))
    legend = [Key("●", "c1", "equal clock"), Key("■", "c2", "minimum area")]
    if any(row["activity"] == "zero-delay" for row in comparisons):
        legend.append(Key("○", "muted", "hollow: zero-delay activity"))
    legend.append(Key("┆", "c5", "the paper's figure, for reference only"))
    note = f"Energy: {display.condition(operands, dataflow, None) or display.NOT_MEASURED}."
    return chart_of(
        "ratios", "Ratios by PDK and lane count", note, panels, legend, "metric|where|clock|kind|condition|ratio", table
    )


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


def _span(values: Sequence[float]) -> str:
    low, high = display.ratio(min(values)), display.ratio(max(values))
    return low if low == high else f"{low} to {high}"
