"""Which designs were simulated at which level, and which compared winners were simulated at gate level only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import display, selection

__all__ = ["verification"]

Place = tuple[str, str, int]  # format, architecture, lanes


def verification(results: Mapping[str, Any]) -> dict[str, Any]:
    """Counts per level, those of the gate-level runs behind the energies, and the coverage of the designs."""
    levels = {}
    for level, words in (("rtl", "RTL"), ("gate", "Gate level")):
        runs = [run for run in results["simulations"] if run["level"] == level]
        if not runs:
            continue
        levels[words] = {
            "runs": len(runs),
            "macs": sum(run["macs_compared"] for run in runs),
            "sums": sum(run["sums_compared"] for run in runs),
        }
    energies = results["energies"]
    return {
        "levels": levels,
        "energy_runs": len(energies),
        "energy_sums": sum(energy["sums_compared"] for energy in energies),
        "coverage": _coverage(results),
        "gate_only_winners": _gate_only_winners(results),
    }


def _coverage(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry a format, architecture and lane count: sums compared at RTL (None: not simulated there) and at gate level."""
    rtl, gate = _sums(results, "rtl"), _sums(results, "gate")
    winners = {_place(design) for design in selection.winners(results)}
    places = rtl.keys() | gate.keys() | {_place(design) for design in results["designs"]}
    return [
        {
            "format": place[0],
            "architecture": place[1],
            "lanes": place[2],
            "rtl": rtl.get(place),
            "gate": gate.get(place),
            "winner": place in winners,
        }
        for place in sorted(places, key=lambda place: (place not in rtl, place))
    ]


def _gate_only_winners(results: Mapping[str, Any]) -> list[str]:
    """Designs that represent a side of a comparison, but whose Verilog no RTL bench simulated."""
    rtl, gate = _sums(results, "rtl"), _sums(results, "gate")
    places = sorted({_place(design) for design in selection.winners(results)} - rtl.keys())
    return [
        f"{display.format_name(name)} {architecture}, {display.lanes(lanes)}: "
        + (f"{display.count(gate[name, architecture, lanes])} sums at gate level" if (name, architecture, lanes) in gate
           else "not simulated at all")
        for name, architecture, lanes in places
    ]  # fmt: skip


def _sums(results: Mapping[str, Any], level: str) -> dict[Place, int]:
    sums: dict[Place, int] = {}
    runs = [run for run in results["simulations"] if run["level"] == level]
    for run in [*runs, *(results["energies"] if level == "gate" else ())]:
        sums[_place(run)] = sums.get(_place(run), 0) + run["sums_compared"]
    return sums


def _place(entry: Mapping[str, Any]) -> Place:
    return entry["format"], entry["architecture"], entry["lanes"]
