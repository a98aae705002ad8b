# SPDX-License-Identifier: Apache-2.0
"""The charts of the page: which figures each one shows. A chart is small multiples, one panel a PDK, with its table.

Those of ratios are in `report.ratio_charts`, those of layers in `report.layer_charts`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import display, drawing, selection, summary
from .drawing import Bar, Group

__all__ = ["Chart", "Key", "Panel", "chart_of", "charts", "slug", "span"]

_PART_COLOURS = {
    "partial products": "c1",
    "compressor": "c2",
    "final adder": "c3",
    "accumulator": "c4",
    "registers": "c4",
    "full adders": "c5",
    "other logic": "c6",
    "underflow": "c5",
    "rounding": "c6",
}
_SPARE_COLOURS = ("c5", "c6", "grey")


@dataclass(frozen=True)
class Panel:
    """One drawing with its heading."""

    title: str
    svg: str


@dataclass(frozen=True)
class Key:
    """One entry of a legend: a symbol in a colour, and what it means."""

    symbol: str
    colour: str
    label: str
    faded: bool = False


@dataclass(frozen=True)
class Chart:
    """Panels with one legend, one note, and the same figures as a table (columns, rows of text)."""

    name: str
    title: str
    note: str
    panels: Sequence[Panel]
    legend: Sequence[Key]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    open: bool = False  # whether the table is shown without being asked for


def charts(results: Mapping[str, Any]) -> dict[str, Chart]:
    """All charts that the results have figures for, by name."""
    drawn = (_area(results), _energy(results), _operands(results), _kl(results), _error(results))
    return {chart.name: chart for chart in drawn if chart is not None}


def _area(results: Mapping[str, Any]) -> Chart | None:
    rows = summary.for_metric(results["comparisons"], "area")
    panels, table = [], []
    seen: list[str] = []
    kept: list[float] = []
    for pdk, groups in selection.by_pdk(rows).items():
        drawn = []
        for label, group in groups.items():
            group_bars = []
            for name, (row, side) in selection.sides(group).items():
                design = selection.find(results["designs"], row, side, "area_um2")
                if share := selection.with_parts_kept(design):
                    kept.append(share)
                parts = selection.parts_of(design and design["area_by_part_um2"], side["area_um2"], row["lanes"])
                text = display.significant(side["area_um2"] / row["lanes"], 3)
                group_bars.append(_bar(display.format_name(name), parts, text, seen))
                table.append(((pdk, label, display.format_name(name), side["architecture"], text), parts))
            drawn.append(Group(label, group_bars))
        title = f"{pdk}: area per lane"
        svg = drawing.bars(drawn, "area per lane, µm²", slug("area", pdk), title, _described(drawn, "µm² per lane"))
        panels.append(Panel(title, svg))
    note = "Cell area divided by the lane count, wires not included; each bar is the smallest design found for that format."
    return chart_of(
        "area",
        "Area by part",
        f"{note} {_shares(kept)}",
        panels,
        _legend(seen),
        *_with_parts("PDK|at|format|architecture|µm² per lane", table, seen, "µm²"),
    )


def _shares(kept: Sequence[float]) -> str:
    """Where the shares of the parts come from, and how far that run was from the one shown."""
    source = "The shares of the parts come from a run that keeps the hierarchy, scaled to the area of the flat design"
    if not kept:
        return f"{source}; how much larger that run was: {display.NOT_MEASURED}."
    low, high = (f"{100 * (share - 1):+.0f} %" for share in (min(kept), max(kept)))
    span = low if low == high else f"{low} to {high}"
    return f"{source}; that run's area differed by {span}, so shares are approximate."


def _energy(results: Mapping[str, Any]) -> Chart | None:
    rows, condition = selection.energy_rows(results)
    panels, table = [], []
    seen: list[str] = []
    for pdk, groups in selection.by_pdk(rows).items():
        scale, unit = selection.energy_unit(groups)
        drawn = []
        for label, group in groups.items():
            group_bars = []
            for (name, activity), (row, side) in selection.sides(group, "activity").items():
                energy = selection.find(
                    results["energies"], row, side, "energy_per_mac_j", ("operands", "dataflow", "activity")
                )
                parts = selection.parts_of(energy and energy["by_part_j"], side["energy_per_mac_j"], 1 / scale)
                text = display.significant(side["energy_per_mac_j"] * scale, 3)
                short = "SDF" if activity == "sdf" else "zero-delay"
                group_bars.append(_bar(f"{display.format_name(name)} · {short}", parts, text, seen, activity != "sdf"))
                whole = display.significant(1e15 * side["energy_per_mac_j"], 3)
                in_fj = {part: value * 1e15 / scale for part, value in parts.items()}
                table.append(((pdk, label, display.format_name(name), side["architecture"], short, whole), in_fj))
            drawn.append(Group(label, group_bars))
        title = f"{pdk}: energy per MAC"
        svg = drawing.bars(drawn, f"energy per MAC, {unit}", slug("energy", pdk), title, _described(drawn, f"{unit} per MAC"))
        panels.append(Panel(title, svg))
    note = (
        f"{condition}. SDF: gate delays annotated, so that glitches count; zero-delay (pale): each net settles at once. "
        "Leakage over one clock period is included. Full adders are cells of "
        "the library, which a netlist for a tight clock may lack; other logic is all gates, those of adders too."
    )
    return chart_of(
        "energy",
        "Energy by kind of cell",
        note,
        panels,
        _legend(seen),
        *_with_parts("PDK|at|format|architecture|activity|energy per MAC, fJ", table, seen, "fJ"),
    )


def _operands(results: Mapping[str, Any]) -> Chart | None:
    """Real against uniform operands; None unless both were measured."""
    _, dataflow, activity = summary.energy_condition(results["comparisons"])
    rows = [
        row
        for row in selection.leading_kind(summary.for_metric(results["comparisons"], "energy"))
        if (row["dataflow"], row["activity"]) == (dataflow, activity)
    ]
    if not {"opt", "uniform"} <= {row["operands"] for row in rows}:
        return None
    panels, table = [], []
    for pdk, groups in selection.by_pdk(rows).items():
        scale, unit = selection.energy_unit(groups)
        drawn = []
        for label, group in groups.items():
            group_bars = []
            for (name, source), (_, side) in selection.sides(group, "operands").items():
                text = display.significant(side["energy_per_mac_j"] * scale, 3)
                real = source == "opt"
                segment = ((side["energy_per_mac_j"] * scale, "c1"),)
                bar_label = f"{display.format_name(name)} · {'model' if real else source}"
                error = side.get("energy_per_mac_standard_error_j")
                group_bars.append(Bar(bar_label, segment, text, error and error * scale, faded=not real))
                shown = display.femtojoules(side["energy_per_mac_j"], error)
                operands = "model" if real else source
                table.append((pdk, label, display.format_name(name), side["architecture"], operands, shown))
            drawn.append(Group(label, group_bars))
        title = f"{pdk}: energy per MAC"
        svg = drawing.bars(drawn, f"energy per MAC, {unit}", slug("operands", pdk), title, _described(drawn, f"{unit} per MAC"))
        panels.append(Panel(title, svg))
    legend = [
        Key("■", "c1", "operands of the quantized model"),
        Key("■", "c1", "uniform random operands", faded=True),
        Key("├", "ink", "standard error"),
    ]
    condition = display.condition(None, dataflow, activity)
    note = (
        f"{condition[:1].upper()}{condition[1:]}. Each bar is the most frugal unit with those operands, of those "
        f"measured with them. {_ratios_by_operands(rows)}"
    )
    return chart_of(
        "operands",
        "Real against uniform operands",
        note,
        panels,
        legend,
        "PDK|at|format|architecture|operands|energy per MAC, fJ",
        table,
    )


def _ratios_by_operands(rows: Sequence[Mapping[str, Any]]) -> str:
    """INT8 over the candidate in these rows, the least and the greatest ratio with each kind of operands."""
    spans = []
    for source, words in (("opt", "the model's operands"), ("uniform", "uniform ones")):
        ratios = [row["energy_ratio"] for row in rows if (row["operands"], row["reference"]) == (source, "int8")]
        if ratios:
            spans.append(f"{span(ratios)} with {words}")
    return f"INT8 / candidate: {', '.join(spans)}." if spans else ""


def _kl(results: Mapping[str, Any]) -> Chart | None:
    accuracy = results["accuracy"]
    panels, table = [], []
    for text in accuracy["protocols"]:
        drawn = []
        for row in accuracy["rows"]:
            value = (row["kl"] or {}).get(text)
            if value is None:
                continue
            error = (row["kl_standard_error"] or {}).get(text)
            shown = display.significant(value, 3)
            drawn.append(Bar(row["name"], ((value, "c1" if row["chosen"] else "grey"),), shown, error))
            table.append((text, row["name"], shown, display.significant(error, 2)))
        if drawn:
            title = f"{text}: KL divergence to the unquantized model"
            described = ", ".join(f"{bar.label} {bar.text}" for bar in drawn) + " nats per token"
            panels.append(
                Panel(text, drawing.bars([Group("", drawn)], "KL, nats per token", slug("kl", text), title, described))
            )
    legend = [
        Key("■", "c1", "the quantization behind the operands"),
        Key("■", "grey", "for comparison"),
        Key("├", "ink", "standard error"),
    ]
    note = "Mean over the predicted tokens of the divergence from the unquantized model's distribution; 0 is identical."
    return chart_of(
        "kl", "KL divergence by method", note, panels, legend, "text|method|KL, nats per token|standard error", table
    )


def _error(results: Mapping[str, Any]) -> Chart | None:
    drawn, table = [], []
    seen: list[str] = []
    for row in results["accuracy"]["rows"]:
        split = row["output_error"]
        if split is None or None in split.values():
            continue
        parts = {"underflow": split["underflow"], "rounding": split["rounding"]}
        text = display.significant(split["total"], 3)
        drawn.append(_bar(row["name"], parts, text, seen))
        table.append((row["name"], text, *(display.significant(split[name], 3) for name in ("underflow", "rounding", "cross"))))
    if not drawn:
        return None
    described = ", ".join(
        f"{line[0]}: total {line[1]}, underflow {line[2]}, rounding {line[3]}, cross {line[4]}" for line in table
    )
    title = "Relative output error by method"
    svg = drawing.bars([Group("", drawn)], "relative output error", "error-split", title, described)
    note = (
        "Squared error of the linear layers' outputs over the squared outputs. Underflow: of weights rounded to zero; "
        "rounding: of all others. At the end of each bar the total, which includes the cross term."
    )
    columns = "method|total|underflow|rounding|cross term"
    return chart_of(
        "error", "Output error, underflow and rounding", note, [Panel("all layers", svg)], _legend(seen), columns, table
    )


def chart_of(
    name: str, title: str, note: str, panels: list[Panel], legend: Sequence[Key], columns: str, table: Sequence[Sequence[str]]
) -> Chart | None:
    """A chart, with its columns' names in one text; None without a panel."""
    return Chart(name, title, note, panels, legend, columns.split("|"), table) if panels else None


def _bar(label: str, parts: Mapping[str, float], text: str, seen: list[str], faded: bool = False) -> Bar:
    seen.extend(name for name in parts if name not in seen)
    return Bar(label, [(value, _colour(name, seen)) for name, value in parts.items()], text, faded=faded)


def _colour(name: str, seen: Sequence[str]) -> str:
    if name == selection.UNSPLIT:
        return "grey"
    others = [part for part in seen if part not in _PART_COLOURS and part != selection.UNSPLIT]
    return _PART_COLOURS.get(name) or _SPARE_COLOURS[others.index(name) % len(_SPARE_COLOURS)]


def _legend(seen: Sequence[str]) -> list[Key]:
    return [Key("■", _colour(name, seen), name) for name in selection.in_order(seen)]


def _with_parts(
    columns: str, rows: Sequence[tuple[tuple[str, ...], Mapping[str, float]]], seen: Sequence[str], unit: str
) -> tuple[str, list[tuple[str, ...]]]:
    """The table with a column for each part that any of its rows has."""
    names = selection.in_order(seen)
    whole = [(*row, *(display.significant(parts[name], 3) if name in parts else "–" for name in names)) for row, parts in rows]
    return "|".join([columns, *(f"{name}, {unit}" for name in names)]), whole


def _described(groups: Sequence[Group], unit: str) -> str:
    """Words for a screen reader: the totals of a panel."""
    said = [f"{group.label}: {', '.join(f'{bar.label} {bar.text}' for bar in group.bars)}" for group in groups]
    return f"Stacked bars, {unit}. {'; '.join(said)}."


def span(ratios: Sequence[float]) -> str:
    """The least and the greatest ratio, or one figure when both are written the same."""
    low, high = display.ratio(min(ratios)), display.ratio(max(ratios))
    return low if low == high else f"{low} to {high}"


def slug(*words: str) -> str:
    """An XML id made of the words: other words, another id."""
    joined = "-".join(words)
    return re.sub("[^A-Za-z0-9-]", lambda match: f"_{ord(match[0]):x}", joined)
