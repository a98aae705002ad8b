# SPDX-License-Identifier: Apache-2.0
"""The fairness ledger: what each figure includes, how both sides were chosen, and what the figures cannot say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import display, summary

__all__ = ["Entry", "ledger"]


@dataclass(frozen=True)
class Entry:
    """One question and its answer: paragraphs of plain text."""

    question: str
    answer: Sequence[str]


_MINIMUM = (
    "Minimum area: no clock target; each side is mapped for area alone, its own delay is given, and energy is measured at one "
    "period that both sides meet."
)
_AREA = (
    "Sum of the Liberty cell areas of the mapped netlist: weight decoder, partial products, compressor, final adder, "
    "accumulator register with its control (first, valid, reset), and pipeline registers where the architecture has them. "
    "Same ports and same number of products before overflow on both sides. Cell area only: no utilization, no wires."
)
_ENERGY = (
    "Internal, switching and leakage energy of the same cells, from gate-level simulation of the mapped netlist, per "
    "multiply-accumulate (energy per cycle over lanes); leakage over one clock period. Switching counts pin capacitance, "
    "with no wire load. Registers include the energy of their clock pins; the clock network itself is not there."
)
_ACCUMULATOR = (
    "Each side's accumulator is as wide as its largest sum of the same number of products needs, "
    "so the narrower format gets the narrower one."
)
_CHOICE = (
    "Every architecture that can compute a format is mapped for it by the same rules; `multiply`, the behavioural product "
    "left to the synthesizer, has recipes of its own and is tried with one lane only. Minimum area is sought in the small "
    "structure of an architecture. At the clocks its structure for speed (its name ends in -fast) is mapped with full adders"
    " of cells, of gates and of both, with few lanes the small one too, and of all that close the smallest netlist stands "
    "for the architecture. For each PDK, lane count and clock the best of these for the metric being compared is taken on "
    "each side: the smallest for area, the most frugal for energy."
)
_TUNED = (
    "Before any of these runs, dINT4's codes and the form of its rows were chosen by searches whose cost model was fitted to "
    "areas mapped on libraries that are also reported here; INT8's rows follow the textbook, in the forms that mapped smallest."
)
_LIBRARIES = (
    "Typical corner of openly available libraries, at the voltage and temperature that each library states. "
    "Nothing is scaled from one node to another."
)
_OUTSIDE = (
    "Place and route, wires, clock tree and clock gating, memories, the per-channel and per-token scales, a zero-point "
    "correction, and the quantization of activations: outside the MAC on both sides alike."
)


_DRAWN = (
    "Operands are drawn as short runs of products of many (layer, token, output channel) triples, every exported layer in "
    "proportion to its products; while streaming, sums begin as often as in the model. Both sides' samples come from the same "
    "places of the model."
)
_UNIFORM = (
    "Uniform operands: every code of the weights and every activation is equally likely; all formats get the same activations."
)
_HELD = (
    "Weights held: the weights of a run stay while the activations of successive tokens stream past, as in a weight-stationary "
    "array; the unit's own accumulator adds up over the tokens."
)
_FC2 = "Operands of fc2: of the layers behind the ReLU only, where most activations are zero."
_VECTORLESS = (
    "Vectorless: no operands and no simulation; every input is taken as high half of the time and as moving in a tenth of the "
    "cycles, the reset among them, and activities are propagated through the gates as if their inputs were independent."
)
_OPERANDS = (
    "Each format's own quantized model gives its operands: the same tokens, layers and output channels, but not the same "
    "activations. What scales weights also scales the activations they meet, so a part of an energy ratio can come from there."
)


def ledger(results: Mapping[str, Any]) -> list[Entry]:
    """The ledger's entries: fixed sentences describe the method, every figure is from the results."""
    return [
        Entry("What an area includes", [_AREA]),
        Entry("What an energy includes", _energy(results)),
        Entry("Operands", _operands(results)),
        Entry("Accumulator", _accumulator(results)),
        Entry("Clock", _clock(results)),
        Entry("How both sides were chosen", _choice(results)),
        Entry("Search effort per side", _effort(results)),
        Entry("Cost of the denormal codes alone", _denormals(results)),
        Entry("Corner and libraries", _libraries(results)),
        Entry("Not in any figure", [_OUTSIDE]),
    ]


def _energy(results: Mapping[str, Any]) -> list[str]:
    energies = results["energies"]
    fractions = [energy["annotated_fraction"] for energy in energies if energy["annotated_fraction"] is not None]
    text = [_ENERGY]
    if fractions:
        least = math.floor(1000 * min(fractions)) / 10
        text.append(f"Nets with activity: at least {least:.1f} % in each of {display.plural(len(fractions), 'run')}.")
    else:
        text.append(f"Nets with activity: {display.NOT_MEASURED}.")
    if not energies:
        return text
    sampled = any("samples" in energy for energy in energies)
    text.append(_DRAWN if sampled else "How the operands of a measurement were drawn: not recorded.")
    for key, value, sentence in (
        ("dataflow", "weights-held", _HELD),
        ("operands", "opt-fc2", _FC2),
        ("operands", "uniform", _UNIFORM),
        ("activity", "vectorless", _VECTORLESS),
    ):
        if any(energy[key] == value for energy in energies):
            text.append(sentence)
    for lanes in sorted({energy["lanes"] for energy in energies}):
        runs = [energy for energy in energies if energy["lanes"] == lanes]
        sizes = [
            f"{_span([run[key] for run in runs if key in run])} {what}"
            for key, what in (("samples", "samples"), ("cycles", "cycles in all"), ("sums_compared", "sums compared"))
            if any(key in run for run in runs)
        ]
        text.append(f"Each measurement at {display.lanes(lanes)}: {', '.join(sizes)}.")
    errors = [
        error / energy["energy_per_mac_j"]
        for energy in energies
        if (error := energy.get("energy_per_mac_standard_error_j")) is not None and energy["energy_per_mac_j"]
    ]
    if not errors:
        return [*text, f"Standard error over samples of operands: {display.NOT_MEASURED}."]
    low, high = (f"{100 * error:.2g} %" for error in (min(errors), max(errors)))
    span = low if low == high else f"{low} to {high}"
    return [
        *text,
        f"Standard error of an energy, over independent samples of operands: {span} of it, "
        f"known for {len(errors)} of {display.plural(len(energies), 'measurement')}. A ratio's stands beside it after ±.",
    ]


def _operands(results: Mapping[str, Any]) -> list[str]:
    if not results.get("operands"):
        return [f"Operands of a quantized model: {display.NOT_MEASURED}."]
    text = [_OPERANDS]
    for name, facts in sorted(results["operands"].items()):
        recipe = facts.get("recipe") or {}
        scaling = recipe.get("scaling")
        method = "recipe not recorded"
        if scaling is not None:
            words = [
                "no scaling" if scaling == "none" else f"scaling {scaling.upper()}",
                recipe.get("rounding"),
                recipe.get("form"),
                "clipped" if (recipe.get("clipping") or "none") != "none" else None,
                f"groups of {size}" if (size := recipe.get("group_size")) else None,
                f"values {kind}" if (kind := recipe.get("value_format") or "none") != "none" else None,
                "INT8 attention" if recipe.get("attention") == "int8" else None,
            ]
            method = ", ".join(word for word in words if word and word != "none")
        figures = (
            ("activations RMS", facts.get("activation_rms"), ""),
            ("zeros among activations", facts.get("activation_zero_fraction"), "%"),
            ("weights RMS in steps", facts.get("weight_rms_steps"), ""),
            ("zeros among weights", facts.get("weight_zero_fraction"), "%"),
        )
        said = "; ".join(f"{what} {_figure(value, unit)}" for what, value, unit in figures)
        text.append(f"{display.format_name(name)} ({method}): {said}.")
    return text


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return display.NOT_MEASURED
    return f"{100 * value:.1f} %" if unit == "%" else display.significant(value, 3)


def _clock(results: Mapping[str, Any]) -> list[str]:
    clocks = results.get("clocks")
    if not clocks:
        return ["Equal clock: both sides meet the same period; see period. Which side set it was not recorded.", _MINIMUM]
    shares = sorted({clock["margin"] for clock in clocks if clock["margin"] is not None})
    margins = " or ".join(f"{100 * margin:g} %" for margin in shares) or "a share that was not recorded"
    text = [
        f"Equal clock: both sides meet the same period, the shortest found at which an INT8 baseline closes plus {margins} (or "
        f"at which dINT4 closes, where that is longer). Where few netlists close, areas change by leaps."
    ]
    for clock in clocks:
        closes = ", ".join(
            f"{display.format_name(name)} {'closes ' if index == 0 else ''}at {_nanoseconds(clock['tightest_ns'][name])}"
            for index, name in enumerate(sorted(clock["tightest_ns"], key=_format_order))
        )
        closing = ", ".join(
            f"{display.format_name(name)} {count}"
            for name, count in sorted(clock.get("closing", {}).items(), key=lambda item: _format_order(item[0]))
        )
        text.append(
            f"{clock['pdk']}, {display.lanes(clock['lanes'])}: {closes}; compared at {_nanoseconds(clock['period_ns'])}, "
            f"set by {display.format_name(clock['set_by'])}."
            + (f" Architectures that close there: {closing}." if closing else "")
        )
    return [*text, _MINIMUM]


def _format_order(name: str) -> tuple[int, str]:
    order = ("int8", "dint4", "int4")
    return order.index(name) if name in order else len(order), name


def _nanoseconds(value: float | None) -> str:
    return display.NOT_MEASURED if value is None else f"{value:.3f} ns"


def _span(values: Sequence[int]) -> str:
    low, high = display.count(min(values)), display.count(max(values))
    return low if low == high else f"{low} to {high}"


def _accumulator(results: Mapping[str, Any]) -> list[str]:
    widths: dict[str, set[int]] = {}
    for design in results["designs"]:
        if isinstance(design.get("accumulator_bits"), int):
            widths.setdefault(design["format"], set()).add(design["accumulator_bits"])
    depths = sorted({design["depth"] for design in results["designs"] if isinstance(design.get("depth"), int)})
    text = [_ACCUMULATOR]
    if widths:
        listed = ", ".join(
            f"{display.format_name(name)} {'/'.join(map(str, sorted(bits)))} bits" for name, bits in sorted(widths.items())
        )
        text.append(f"Widths: {listed}{f'; products before overflow: {_numbers(depths)}' if depths else ''}.")
    return text


def _choice(results: Mapping[str, Any]) -> list[str]:
    text = [_CHOICE, *_dropped(results), _TUNED]
    for metric in ("area", "energy"):
        for side in ("baseline", "candidate"):
            chosen: dict[str, set[str]] = {}
            for row in summary.for_metric(results["comparisons"], metric):
                if row["reference"] == "int8":
                    chosen.setdefault(row[side]["format"], set()).add(row[side]["architecture"])
            for name, architectures in sorted(chosen.items()):
                text.append(f"Chosen for {metric}, {display.format_name(name)}: {', '.join(sorted(architectures))}.")
    stand_ins = sorted({entry.note for entry in summary.headline(results) if entry.note})
    return text + [f"Some rows stand in: {note}." for note in stand_ins]


def _dropped(results: Mapping[str, Any]) -> list[str]:
    limits = sorted({spent["kept_below"] for spent in results["effort"].values() if spent.get("kept_below") is not None})
    return [
        f"Architectures over {limit:g} times the smallest of their format were dropped, on either side." for limit in limits
    ]


def _effort(results: Mapping[str, Any]) -> list[str]:
    effort = results["effort"]
    if not effort:
        return [f"Search effort: {display.NOT_MEASURED}."]
    text = [
        f"{display.format_name(name)}: {display.plural(spent['syntheses'], 'synthesis', 'syntheses')} "
        f"over {display.plural(len(spent['architectures']), 'architecture')} ({', '.join(spent['architectures'])})"
        + (f", {spent['syntheses'] / len(spent['architectures']):.1f} per architecture." if spent["architectures"] else ".")
        for name, spent in sorted(effort.items())
    ]
    counts = {name: effort[name]["syntheses"] for name in ("int8", "dint4") if name in effort}
    if len(counts) == 2:
        text.append(_balance(**counts))
    return text


def _balance(int8: int, dint4: int) -> str:
    if int8 == dint4:
        return f"Baseline and candidate had the same number of syntheses, {display.count(int8)}."
    more, most, least = ("INT8", int8, dint4) if int8 > dint4 else ("dINT4", dint4, int8)
    return f"The search effort was not the same: {more} had more: {display.count(most)} to {display.count(least)}."


def _denormals(results: Mapping[str, Any]) -> list[str]:
    ranges = [entry for entry in summary.headline(results) if entry.reference == "int4" and entry.leading]
    if not ranges:
        return [f"dINT4 against the best INT4 × INT8: {display.NOT_MEASURED}."]
    text = ["The best INT4 × INT8 found in the same way as baseline; below 1× the half-step codes cost something."]
    for entry in ranges:
        what = ", ".join(part for part in (entry.metric.capitalize(), summary.KINDS[entry.kind], entry.condition) if part)
        candidate = display.format_name(entry.candidate)
        text.append(f"{what}: {entry.text}, that is {_cost(entry)} {entry.metric} for {candidate}.")
    return text


def _libraries(results: Mapping[str, Any]) -> list[str]:
    text = [_LIBRARIES]
    described = results.get("pdks")
    if isinstance(described, Mapping):
        for name, facts in sorted(described.items()):
            if isinstance(facts, Mapping) and "corner" in facts:  # its files are among what is named by their hashes
                text.append(f"{name}: corner {facts['corner']}.")
    return text


def _cost(entry: summary.Range) -> str:
    """Ratios baseline / candidate as percent more or less of the candidate, the least favourable first."""
    most, least = 100 * (1 / entry.low - 1), 100 * (1 / entry.high - 1)
    shown = [f"{value:+.1f} %" for value in (most, least)]
    return shown[0] if shown[0] == shown[1] else f"{shown[0]} to {shown[1]}"


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(display.count(value) for value in values)
