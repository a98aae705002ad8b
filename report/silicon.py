# SPDX-License-Identifier: Apache-2.0
"""Other people's INT8 units, elements, and zero-points: what `make benchmark-silicon` found, where a report is given it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import display
from .any_clock import any_clock
from .grid import Table

__all__ = ["OURS", "Part", "parts"]

OURS = "dint "  #: how the benchmark names our own units
_PLAIN = "symmetric"
_COMPARED = {"mac": "MAC units", "pe": "Systolic elements"}


@dataclass(frozen=True)
class Part:
    """One subject: what is found, in sentences, and its table."""

    facts: Sequence[str]
    table: Table


def parts(results: Mapping[str, Any]) -> list[Part]:
    """The parts that the results have, ready to be written."""
    silicon = results.get("silicon", {})
    found = []
    if silicon.get("peers"):
        found.append(Part(_places(silicon["peers"]), _peers(silicon["peers"])))
    for name, title in _COMPARED.items():
        if silicon.get(name):
            found.append(
                Part(
                    [*_ranges(silicon[name]), *_anywhere(silicon[name]), *_spent(silicon, name)], _ratios(title, silicon[name])
                )
            )
    if silicon.get("zero_points"):
        found.append(Part([_SHARED], _zero_points(silicon["zero_points"])))
    return found


def _peers(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = ["PDK", "unit", "smallest, µm²", "fastest, ns"]
    ordered = sorted(rows, key=lambda row: (row["pdk"], row["area_um2"]))
    lines = [
        [row["pdk"], row["unit"], display.significant(row["area_um2"]), display.significant(row["delay_ns"])] for row in ordered
    ]
    return Table("INT8 × INT8 with one accumulator: other people's multipliers and ours", columns, lines)


def _places(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Our best beside the best of the others, kit by kit, for area and for delay."""
    facts = []
    for pdk in sorted({row["pdk"] for row in rows}):
        here = [row for row in rows if row["pdk"] == pdk]
        sides = [[row for row in here if row["unit"].startswith(OURS) == own] for own in (True, False)]
        if not all(sides):
            continue
        said = []
        for name, word in (("area_um2", "smallest"), ("delay_ns", "fastest")):
            own, other = (min(side, key=lambda row: float(row[name])) for side in sides)
            share = own[name] / other[name]
            said.append(f"our {word} ({own['unit'].removeprefix(OURS)}) is at {share:.3f} of the others' ({other['unit']})")
        facts.append(f"{pdk}: {'; '.join(said)}.")
    return facts


def _ratios(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Every comparison, the least favourable for what it was chosen for first."""
    columns = [
        "PDK",
        "lanes",
        "pipeline",
        "clock",
        "dINT4 against",
        "chosen for",
        "area",
        "energy",
        "energy under",
        "architectures",
    ]

    def order(row: Mapping[str, Any]) -> tuple[bool, float]:
        ratio = row[f"{row['objective']}_ratio"]
        return ratio is None, ratio or 0.0

    lines = []
    for row in sorted(rows, key=order):
        sides = " / ".join(row[side]["architecture"] for side in ("baseline", "candidate"))
        lines.append(
            [
                row["pdk"],
                str(row["lanes"]),
                str(row.get("pipeline", 0)),
                display.period(row["period_ns"]),
                display.format_name(row["reference"]),
                row["objective"],
                display.ratio(row["area_ratio"]),
                display.ratio(row["energy_ratio"], row.get("energy_ratio_standard_error")),
                display.condition(row["operands"], row["dataflow"], row["activity"]) or display.NOT_MEASURED,
                sides,
            ]
        )
    return Table(f"{title}, with all effort: baseline / dINT4", columns, lines)


def _ranges(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """From the least to the greatest ratio, by what both sides were chosen for."""
    found = []
    for reference in dict.fromkeys(row["reference"] for row in rows):
        for objective in ("area", "energy"):
            named = f"{objective}_ratio"
            chosen = [row for row in rows if row["reference"] == reference and row["objective"] == objective and row[named]]
            if chosen:
                least, most = (which(chosen, key=lambda row: float(row[named])) for which in (min, max))
                found.append(
                    f"Against {display.format_name(reference)}, {objective}: {display.ratio(least[named])} ({_where(least)}) "
                    f"to {display.ratio(most[named])} ({_where(most)})."
                )
    return found


def _anywhere(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ratio of areas at any clock that was searched, where both sides have as many registers as suit them."""
    said = []
    for one in any_clock(rows):
        ends = [
            f"{display.ratio(ratio)} ({display.period(period_ns)}; {baseline} and {candidate} pipeline registers)"
            for ratio, period_ns, baseline, candidate in (one.least, one.greatest)
        ]
        said.append(
            f"{one.pdk}, {display.lanes(one.lanes)}: area against {display.format_name(one.reference)}, pipelined or not as "
            f"suits each side, at {display.plural(one.clocks, 'clock')}: {ends[0]} to {ends[1]}, of the netlists found."
        )
    return said


def _spent(silicon: Mapping[str, Any], name: str) -> list[str]:
    """The effort for each side, and what failed."""
    effort = silicon.get("effort", {}).get(name, {})
    sides = [
        f"{display.format_name(one)} {display.plural(spent['syntheses'], 'synthesis', 'syntheses')} over "
        f"{display.plural(len(spent['architectures']), 'architecture')}"
        for one, spent in sorted(effort.items())
    ]
    failed = [f"Failed, and left out: {one}." for one in silicon.get("failed", {}).get(name, ())]
    return ([f"Effort: {'; '.join(sides)}."] if sides else []) + failed


def _where(row: Mapping[str, Any]) -> str:
    words = [row["pdk"], display.lanes(row["lanes"])]
    words += [display.plural(row["pipeline"], "pipeline register")] if row.get("pipeline") else []
    words.append(display.period(row["period_ns"]))
    if row["objective"] == "energy":
        words.append(display.condition(row["operands"], row["dataflow"], row["activity"]))
    return ", ".join(words)


_SHARED = (
    "Asymmetric weights: what a zero-point adds to each MAC unit; the correction by the shared sum of activations is divided "
    "among the units that share it. Energy is per MAC, streaming."
)


def _zero_points(found: Sequence[Mapping[str, Any]]) -> Table:
    columns = ["PDK", "lanes, units", "clock", "weights", "MAC, µm²", "added, µm²", "added", "MAC, fJ", "added, fJ"]
    lines = []
    for one in found:
        for row in one["formats"]:
            for condition in row["conditions"]:
                area, energy = (condition[name].get(_PLAIN) for name in ("areas_um2", "energies_j"))
                added = condition["added_um2"]
                lines.append(
                    [
                        one["pdk"]["name"],
                        f"{one['lanes']}, {one['units']}",
                        "smallest area" if condition["period_ns"] is None else display.period(condition["period_ns"]),
                        display.format_name(row["format"]),
                        display.significant(area),
                        display.significant(added),
                        "–" if added is None or not area else f"{100 * added / area:.1f} %",
                        display.femtojoules(energy),
                        display.femtojoules(condition["added_j"]),
                    ]
                )
    return Table("What zero-points add to a MAC unit", columns, lines)
