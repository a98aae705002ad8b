# SPDX-License-Identifier: Apache-2.0
"""The charts of what happens inside the layers: where each one's output error comes from, and which codes its weights use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from . import accuracy, display, drawing
from .charts import Chart, Key, Panel
from .drawing import Bar, Group

__all__ = ["layer_charts"]

#: More layers than this are shown as means over the decoder layers, one bar for each kind of linear layer.
MOST_BARS = 48


def layer_charts(results: Mapping[str, Any]) -> dict[str, Chart]:
    """The charts that the results have figures for, by name: of the chosen quantization and of those alike in other formats."""
    rows = results["accuracy"]["rows"]
    chosen = next((row for row in rows if row["chosen"]), None)
    if chosen is None:
        return {}
    few_bits = [row for row in rows if row["weights"] not in ("fp32", "int8")]
    alike = [row for row in few_bits if row is chosen or accuracy.alike(row, chosen)]
    layers = {row["name"]: [one for one in results["accuracy"]["layers"] if one["row"] == row["name"]] for row in alike}
    drawn = (_errors(layers), _codes(alike, layers))
    return {chart.name: chart for chart in drawn if chart is not None}


def _errors(layers: Mapping[str, Sequence[Mapping[str, Any]]]) -> Chart | None:
    """The reference paper's figure 4: the output error of each layer, of weights that vanish and that are rounded."""
    names = ("total", "underflow", "rounding", "cross")
    panels: list[Panel] = []
    table: list[tuple[str, ...]] = []
    for row, entries in layers.items():
        parts = _by_layer(entries, names)
        if not parts:
            continue
        bars = []
        for layer, (total, underflow, rounding, cross) in parts.items():
            shown = display.significant(total, 2)
            bars.append(Bar(layer, ((underflow, "c5"), (rounding, "c6")), shown))
            table.append((row, layer, shown, *(display.significant(one, 2) for one in (underflow, rounding, cross))))
        described = "; ".join(f"{bar.label} {bar.text}" for bar in bars)
        slug = f"layers-{len(panels)}"
        svg = drawing.bars([Group("", bars)], "relative output error", slug, f"{row}: output error by layer", described)
        panels.append(Panel(row, svg))
    note = (
        "Squared error of a layer's output over the squared output, inputs of the unquantized model. Underflow: of weights "
        "rounded to zero; rounding: of all others. At the end of each bar the total, which includes the cross term."
    )
    legend = [Key("■", "c5", "underflow"), Key("■", "c6", "rounding")]
    columns = ("method", "layer", "total", "underflow", "rounding", "cross term")
    return Chart("layers", "Output error by layer", note, panels, legend, columns, table) if panels else None


def _by_layer(entries: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[float]]:
    """By layer, shortened to its number and name, or by kind of layer where there are many: the figures called `names`."""
    measured = [entry for entry in entries if None not in [entry[name] for name in names]]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for entry in measured:
        label = _short(entry["layer"])
        groups.setdefault(label if len(measured) <= MOST_BARS else label.split(" ", 1)[1], []).append(entry)
    return {
        label if len(measured) <= MOST_BARS else f"{label}, mean of {len(found)}": [
            math.fsum(entry[name] for entry in found) / len(found) for name in names
        ]
        for label, found in groups.items()
    }


def _short(layer: str) -> str:
    """The number of the decoder layer and the last part of the name: model.decoder.layers.3.self_attn.q_proj is 3 q_proj."""
    parts = layer.split(".")
    number = next((part for part in parts if part.isdigit()), "")
    return f"{number} {parts[-1]}"


def _codes(rows: Sequence[Mapping[str, Any]], layers: Mapping[str, Sequence[Mapping[str, Any]]]) -> Chart | None:
    """How many weights have each value; of symmetric forms, in which a code has one value."""
    panels: list[Panel] = []
    table: list[tuple[str, ...]] = []
    for row in rows:
        entries = [entry for entry in layers[row["name"]] if entry.get("code_counts")]
        values = row.get("code_values")
        if not entries or not values:
            continue
        counts = [sum(entry["code_counts"][code] for entry in entries) for code in range(len(values))]
        bars = []
        for value, count in sorted(zip(values, counts, strict=True)):
            share = count / sum(counts)
            bars.append(Bar(f"{value:g}", ((share, "c1"),), f"{share:.1%}"))
        entropy = math.fsum(entry["code_entropy_bits"] for entry in entries) / len(entries)
        table += [
            (row["name"], _short(entry["layer"]), display.significant(entry["code_entropy_bits"], 3)) for entry in entries
        ]
        described = f"mean entropy {entropy:.2f} bits; " + ", ".join(f"{bar.label}: {bar.text}" for bar in bars)
        slug = f"codes-{len(panels)}"
        svg = drawing.bars([Group("", bars)], "share of the weights", slug, f"{row['name']}: use of each value", described)
        panels.append(Panel(f"{row['name']}: {entropy:.2f} bits a weight", svg))
    note = (
        "Share of all weights that have each value, in steps, and the entropy of a layer's codes, mean over the layers: "
        "the bits that a weight really carries."
    )
    columns = ("method", "layer", "entropy, bits")
    return (
        Chart("codes", "Use of the codes", note, panels, [Key("■", "c1", "share of the weights")], columns, table)
        if panels
        else None
    )
