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


_CLOCK = (
    "Equal clock: both sides meet the same period, the tightest one found at which an INT8 baseline still closes. "
    "Minimum area: no clock target; each side is mapped for area alone, and its own delay is given."
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
    "Every architecture that can compute a format is synthesized for it, with the same recipes for all formats; for each PDK, "
    "lane count and clock the best design of each side for the metric being compared is taken: the smallest for area, "
    "the most frugal for energy."
)
_LIBRARIES = (
    "Typical corner of openly available libraries, at the voltage and temperature that each library states. "
    "Nothing is scaled from one node to another."
)
_OUTSIDE = (
    "Place and route, wires, clock tree and clock gating, memories, the per-channel and per-token scales, a zero-point "
    "correction, and the quantization of activations: outside the MAC on both sides alike."
)


def ledger(results: Mapping[str, Any]) -> list[Entry]:
    """The ledger's entries: fixed sentences describe the method, every figure is from the results."""
    return [
        Entry("What an area includes", [_AREA]),
        Entry("What an energy includes", _energy(results)),
        Entry("Accumulator", _accumulator(results)),
        Entry("Clock", [_CLOCK]),
        Entry("How both sides were chosen", _choice(results)),
        Entry("Search effort per side", _effort(results)),
        Entry("Cost of the denormal codes alone", _denormals(results)),
        Entry("Corner and libraries", _libraries(results)),
        Entry("Not in any figure", [_OUTSIDE]),
    ]


def _energy(results: Mapping[str, Any]) -> list[str]:
    energies = results["energies"]
    fractions = [energy["annotated_fraction"] for energy in energies if energy["annotated_fraction"] is not None]
    if not fractions:
        return [_ENERGY, f"Nets with activity: {display.NOT_MEASURED}."]
    least = math.floor(1000 * min(fractions)) / 10
    return [_ENERGY, f"Nets with activity: at least {least:.1f} % in each of {display.plural(len(fractions), 'run')}."]


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
    text = [_CHOICE]
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


def _effort(results: Mapping[str, Any]) -> list[str]:
    effort = results["effort"]
    if not effort:
        return [f"Search effort: {display.NOT_MEASURED}."]
    text = [
        f"{display.format_name(name)}: {display.plural(spent['syntheses'], 'synthesis', 'syntheses')} "
        f"over {display.plural(len(spent['architectures']), 'architecture')} ({', '.join(spent['architectures'])})."
        for name, spent in sorted(effort.items())
    ]
    counts = {name: effort[name]["syntheses"] for name in ("int8", "dint4") if name in effort}
    if len(counts) == 2:
        same = counts["int8"] == counts["dint4"]
        text.append(f"Baseline and candidate {'had' if same else 'did NOT have'} the same number of syntheses.")
    return text


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
            if isinstance(facts, Mapping):
                listed = (f"{key.replace('_', ' ')} {value}" for key, value in sorted(facts.items()))
                text.append(f"{name}: {', '.join(listed)}.")
    return text


def _cost(entry: summary.Range) -> str:
    """Ratios baseline / candidate as percent more or less of the candidate, the least favourable first."""
    most, least = 100 * (1 / entry.low - 1), 100 * (1 / entry.high - 1)
    shown = [f"{value:+.1f} %" for value in (most, least)]
    return shown[0] if shown[0] == shown[1] else f"{shown[0]} to {shown[1]}"


def _numbers(values: Sequence[int]) -> str:
    return ", ".join(display.count(value) for value in values)
