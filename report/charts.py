"""The charts of the page: which figures each one shows. A chart is small multiples, one panel a PDK, with its table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import display, drawing, summary
from .drawing import Bar, Dot, Group, Row

__all__ = ["Chart", "Key", "Panel", "charts"]

PAPER_LABEL = "paper, commercial 7 nm"

_PART_COLOURS = {
    "partial products": "c1",
    "compressor": "c2",
    "final adder": "c3",
    "accumulator": "c4",
    "registers": "c4",
    "full adders": "c2",
    "other logic": "c1",
    "underflow": "c5",
    "rounding": "c6",
}
_UNSPLIT = "not split"
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


def charts(results: Mapping[str, Any]) -> dict[str, Chart]:
    """All charts that the results have figures for, by name."""
    drawn = (_ratios(results), _area(results), _energy(results), _operands(results), _kl(results), _error(results))
    return {chart.name: chart for chart in drawn if chart is not None}


def _ratios(results: Mapping[str, Any]) -> Chart | None:
    comparisons = [row for row in results["comparisons"] if row["reference"] == "int8"]
    operands, dataflow, _ = summary.energy_condition(comparisons)
    panels, table = [], []
    for metric in ("area", "energy"):
        rows = summary.for_metric(comparisons, metric)
        if metric == "energy":
            rows = [row for row in rows if (row["operands"], row["dataflow"]) == (operands, dataflow)]
        places: dict[str, dict[tuple[Any, ...], Dot]] = {}
        several = len({row["candidate"]["format"] for row in rows}) > 1
        for row in sorted(rows, key=_place):
            name = f"{row['pdk']}, {display.lanes(row['lanes'])}"
            label = f"{name}, {display.format_name(row['candidate']['format'])}" if several else name
            equal, ratio = row["kind"] == "equal-clock", row[f"{metric}_ratio"]
            filled = metric == "area" or row["activity"] == "sdf"
            dot = Dot(ratio, "o" if equal else "s", "c1" if equal else "c2", filled)
            condition = display.condition(row["operands"], row["dataflow"], row["activity"]) if metric == "energy" else ""
            line = (
                metric,
                label,
                display.period(row["period_ns"]),
                summary.KINDS[row["kind"]],
                condition,
                display.ratio(ratio),
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
    return _chart(
        "ratios", "Ratios by PDK and lane count", note, panels, legend, "metric|where|clock|kind|condition|ratio", table
    )


def _area(results: Mapping[str, Any]) -> Chart | None:
    rows = summary.for_metric(results["comparisons"], "area")
    panels, table = [], []
    seen: list[str] = []
    for pdk, groups in _by_pdk(rows).items():
        drawn = []
        for label, group in groups.items():
            group_bars = []
            for name, (row, side) in _sides(group).items():
                design = _find(results["designs"], row, side, "area_um2")
                parts = _parts(design and design["area_by_part_um2"], side["area_um2"], row["lanes"])
                text = display.significant(side["area_um2"] / row["lanes"], 3)
                group_bars.append(_bar(display.format_name(name), parts, text, seen))
                table.append((pdk, label, display.format_name(name), side["architecture"], text, _listed(parts)))
            drawn.append(Group(label, group_bars))
        title = f"{pdk}: area per lane"
        svg = drawing.bars(drawn, "area per lane, µm²", _slug("area", pdk), title, _described(table, pdk, "µm² per lane"))
        panels.append(Panel(title, svg))
    note = "Cell area divided by the lane count, wires not included; each bar is the smallest design found for that format."
    return _chart(
        "area",
        "Area by part",
        note,
        panels,
        _legend(seen),
        "PDK|at|format|architecture|µm² per lane|parts, µm² per lane",
        table,
    )


def _energy(results: Mapping[str, Any]) -> Chart | None:
    rows, condition = _energy_rows(results)
    panels, table = [], []
    seen: list[str] = []
    for pdk, groups in _by_pdk(rows).items():
        scale, unit = _energy_unit(groups)
        drawn = []
        for label, group in groups.items():
            group_bars = []
            for (name, activity), (row, side) in _sides(group, "activity").items():
                energy = _find(results["energies"], row, side, "energy_per_mac_j", ("operands", "dataflow", "activity"))
                parts = _parts(energy and energy["by_part_j"], side["energy_per_mac_j"], 1 / scale)
                text = display.significant(side["energy_per_mac_j"] * scale, 3)
                short = "SDF" if activity == "sdf" else "zero-delay"
                group_bars.append(_bar(f"{display.format_name(name)} · {short}", parts, text, seen, activity != "sdf"))
                table.append(
                    (pdk, label, display.format_name(name), side["architecture"], short, f"{text} {unit}", _listed(parts))
                )
            drawn.append(Group(label, group_bars))
        title = f"{pdk}: energy per MAC"
        svg = drawing.bars(drawn, f"energy per MAC, {unit}", _slug("energy", pdk), title, _described(table, pdk, "per MAC"))
        panels.append(Panel(title, svg))
    note = (
        f"{condition}. SDF: gate delays annotated, so that glitches count; zero-delay (pale): each net settles at once. "
        "Leakage over one clock period is included."
    )
    return _chart(
        "energy",
        "Energy by part",
        note,
        panels,
        _legend(seen),
        "PDK|at|format|architecture|activity|energy per MAC|parts",
        table,
    )


def _operands(results: Mapping[str, Any]) -> Chart | None:
    """Real against uniform operands; None unless both were measured."""
    _, dataflow, activity = summary.energy_condition(results["comparisons"])
    rows = [
        row
        for row in _leading_kind(summary.for_metric(results["comparisons"], "energy"))
        if (row["dataflow"], row["activity"]) == (dataflow, activity)
    ]
    if not {"opt", "uniform"} <= {row["operands"] for row in rows}:
        return None
    panels, table = [], []
    for pdk, groups in _by_pdk(rows).items():
        scale, unit = _energy_unit(groups)
        drawn = []
        for label, group in groups.items():
            group_bars = []
            for (name, source), (_, side) in _sides(group, "operands").items():
                text = display.significant(side["energy_per_mac_j"] * scale, 3)
                real = source == "opt"
                segment = ((side["energy_per_mac_j"] * scale, "c1"),)
                bar_label = f"{display.format_name(name)} · {'OPT' if real else source}"
                group_bars.append(Bar(bar_label, segment, text, faded=not real))
                table.append((pdk, label, display.format_name(name), side["architecture"], source, f"{text} {unit}"))
            drawn.append(Group(label, group_bars))
        title = f"{pdk}: energy per MAC"
        svg = drawing.bars(drawn, f"energy per MAC, {unit}", _slug("operands", pdk), title, _described(table, pdk, "per MAC"))
        panels.append(Panel(title, svg))
    legend = [Key("■", "c1", "operands of the quantized OPT"), Key("■", "c1", "uniform random operands", faded=True)]
    note = f"{display.condition(None, dataflow, activity).capitalize()}."
    return _chart(
        "operands",
        "Real against uniform operands",
        note,
        panels,
        legend,
        "PDK|at|format|architecture|operands|energy per MAC",
        table,
    )


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
                Panel(text, drawing.bars([Group("", drawn)], "KL, nats per token", _slug("kl", text), title, described))
            )
    legend = [
        Key("■", "c1", "the quantization behind the operands"),
        Key("■", "grey", "for comparison"),
        Key("├", "ink", "standard error"),
    ]
    note = "Mean over the predicted tokens of the divergence from the unquantized model's distribution; 0 is identical."
    return _chart("kl", "KL divergence by method", note, panels, legend, "text|method|KL, nats per token|standard error", table)


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
        "Squared output error of the linear layers over squared output. At the end of each bar the total, with the cross term."
    )
    columns = "method|total|underflow|rounding|cross term"
    return _chart(
        "error", "Output error, underflow and rounding", note, [Panel("all layers", svg)], _legend(seen), columns, table
    )


def _chart(
    name: str, title: str, note: str, panels: list[Panel], legend: Sequence[Key], columns: str, table: Sequence[Sequence[str]]
) -> Chart | None:
    return Chart(name, title, note, panels, legend, columns.split("|"), table) if panels else None


def _energy_rows(results: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], str]:
    """Rows under the leading operands and dataflow, both activities, and that condition in words."""
    operands, dataflow, _ = summary.energy_condition(results["comparisons"])
    rows = _leading_kind(summary.for_metric(results["comparisons"], "energy"))
    return [row for row in rows if (row["operands"], row["dataflow"]) == (operands, dataflow)], display.condition(
        operands, dataflow, None
    )


def _leading_kind(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows at equal clock where there are any, else all: one energy chart should not mix clocks."""
    equal = [row for row in rows if row["kind"] == "equal-clock"]
    return equal or list(rows)


def _by_pdk(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[Mapping[str, Any]]]]:
    """PDK -> heading of the group (lanes and clock) -> rows."""
    found: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for row in sorted(rows, key=_place):
        clock = display.period(row["period_ns"]) if row["kind"] == "equal-clock" else summary.KINDS[row["kind"]]
        found.setdefault(row["pdk"], {}).setdefault(f"{display.lanes(row['lanes'])}, {clock}", []).append(row)
    return found


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    kinds = list(summary.KINDS)
    activity = row["activity"] != "sdf"
    return (
        row["pdk"],
        row["lanes"],
        kinds.index(row["kind"]),
        row["period_ns"] or 0,
        row["reference"] != "int8",
        activity,
        row["operands"] or "",
    )


def _sides(rows: Iterable[Mapping[str, Any]], *by: str) -> dict[Any, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Format (and the named keys of the row) -> (row, side): baselines first in order of width, each once."""
    found: dict[Any, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for row in rows:
        for side in (row["baseline"], row["candidate"]):
            key = (side["format"], *(row[name] for name in by)) if by else side["format"]
            found.setdefault(key, (row, side))
    order = {"int8": 0, "int4": 1}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0][0] if by else item[0], 2)))


def _find(
    entries: Iterable[Mapping[str, Any]], row: Mapping[str, Any], side: Mapping[str, Any], figure: str, same: Sequence[str] = ()
) -> Mapping[str, Any] | None:
    """The design or energy behind one side of a comparison: the same circuit with the same figure."""
    for entry in entries:
        where = all(entry[name] == row[name] for name in ("pdk", "lanes", *same))
        what = all(entry[name] == side[name] for name in ("format", "architecture"))
        if where and what and entry[figure] is not None and math.isclose(entry[figure], side[figure], rel_tol=1e-6):
            return entry
    return None


def _parts(parts: Mapping[str, float | None] | None, total: float, divisor: float) -> dict[str, float]:
    """Parts over `divisor`, with what they leave of the total as a part of its own, so that a bar is always the total."""
    known = {name: value for name, value in (parts or {}).items() if value}
    rest = total - sum(known.values())
    if rest > 0.005 * total:
        known[_UNSPLIT] = rest
    return {name: value / divisor for name, value in known.items()}


def _bar(label: str, parts: Mapping[str, float], text: str, seen: list[str], faded: bool = False) -> Bar:
    seen.extend(name for name in parts if name not in seen)
    order = list(_PART_COLOURS)
    names = sorted(parts, key=lambda name: (name == _UNSPLIT, order.index(name) if name in order else len(order), name))
    return Bar(label, [(parts[name], _colour(name, seen)) for name in names], text, faded=faded)


def _colour(name: str, seen: Sequence[str]) -> str:
    if name == _UNSPLIT:
        return "grey"
    others = [part for part in seen if part not in _PART_COLOURS and part != _UNSPLIT]
    return _PART_COLOURS.get(name) or _SPARE_COLOURS[others.index(name) % len(_SPARE_COLOURS)]


def _legend(seen: Sequence[str]) -> list[Key]:
    order = list(_PART_COLOURS)
    names = sorted(seen, key=lambda name: (name == _UNSPLIT, order.index(name) if name in order else len(order), name))
    return [Key("■", _colour(name, seen), name) for name in names]


def _energy_unit(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[float, str]:
    """Factor from J and unit that keep one panel's figures between 0.1 and a few thousand."""
    sides = (row[side]["energy_per_mac_j"] for rows in groups.values() for row in rows for side in ("baseline", "candidate"))
    return (1e12, "pJ") if max(sides) >= 1e-11 else (1e15, "fJ")


def _listed(parts: Mapping[str, float]) -> str:
    return "; ".join(f"{name} {display.significant(value, 3)}" for name, value in parts.items())


def _described(table: Sequence[Sequence[str]], pdk: str, unit: str) -> str:
    """Words for a screen reader: the figures of one PDK's panel."""
    said = [
        f"{line[1]}, {line[2]}{f', {line[4]}' if len(line) > 6 or 'J' in line[-1] else ''}: {line[-2]}"
        for line in table
        if line[0] == pdk
    ]
    return f"Stacked bars, {unit}. " + "; ".join(said)


def _span(values: Sequence[float]) -> str:
    low, high = display.ratio(min(values)), display.ratio(max(values))
    return low if low == high else f"{low} to {high}"


def _slug(*words: str) -> str:
    """An XML id made of the words."""
    joined = "-".join(words).lower()
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in joined)
