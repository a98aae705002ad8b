# SPDX-License-Identifier: Apache-2.0
"""Which designs were simulated at which level, and which compared ones were not simulated at both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from . import display, selection

__all__ = ["verification"]


def verification(results: Mapping[str, Any]) -> dict[str, Any]:
    """Counts per level, those of the gate-level runs behind the energies, and the coverage of the designs."""
    levels = {}
    for level, words in (("rtl", "RTL"), ("gate", "Gate level")):
        runs = [run for run in results["simulations"] if run["level"] == level]
        if not runs:
            continue
        levels[words] = {
            "runs": len(runs),
            "designs": len({run["design"] for run in runs}),
            "macs": sum(run["macs_compared"] for run in runs),
            "sums": sum(run["sums_compared"] for run in runs),
        }
    energies, coverage = results["energies"], _coverage(results)
    return {
        "levels": levels,
        "energy_runs": len(energies),
        "energy_designs": len({energy["design"] for energy in energies}),
        "energy_sums": sum(energy["sums_compared"] for energy in energies),
        "coverage": coverage,
        "checks": _totals(results.get("checks") or ()),
        "incomplete": [_missing(entry) for entry in coverage if entry["winner"] and None in (entry["rtl"], entry["gate"])],
    }


def _totals(checks: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry a kind of check: what it was of, and the sums of its counts and times."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in checks:
        kinds.setdefault(row["check"], []).append(row)
    return [
        {
            "check": kind,
            "of": rows[0]["of"] if len(rows) == 1 else f"{len(rows)} lines below",
            "seconds": None if None in [row["seconds"] for row in rows] else math.fsum(row["seconds"] for row in rows),
            **{name: sum(row[name] for row in rows) for name in ("tried", "held", "exempt")},
        }
        for kind, rows in kinds.items()
    ]


def _coverage(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry a design: sums compared at RTL and at gate level (None: not simulated there), and whether it is a winner.

    A design is a name of generated Verilog; what is mapped from it for several libraries and clocks counts as one.
    """
    runs = results["simulations"]
    rtl = _sums(run for run in runs if run["level"] == "rtl")
    gate = _sums([*(run for run in runs if run["level"] == "gate"), *results["energies"]])
    winners = {design["design"] for design in selection.winners(results)}
    entries = {
        entry["design"]: {
            "design": entry["design"],
            "format": entry["format"],
            "architecture": entry["architecture"],
            "lanes": entry["lanes"],
            "rtl": rtl.get(entry["design"]),
            "gate": gate.get(entry["design"]),
            "winner": entry["design"] in winners,
        }
        for entry in (*runs, *results["designs"], *results["energies"])
    }
    return sorted(
        entries.values(),
        key=lambda entry: (not entry["winner"], entry["format"], entry["lanes"], entry["architecture"], entry["design"]),
    )


def _missing(entry: Mapping[str, Any]) -> str:
    """What was simulated of a compared design, and what was not."""
    levels = [
        f"not simulated at {words}" if entry[level] is None else f"{display.count(entry[level])} sums at {words}"
        for level, words in (("rtl", "RTL"), ("gate", "gate level"))
    ]
    return f"{entry['design']} ({entry['architecture']}): {', '.join(levels)}"


def _sums(runs: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Sums compared, by design."""
    sums: dict[str, int] = {}
    for run in runs:
        sums[run["design"]] = sums.get(run["design"], 0) + run["sums_compared"]
    return sums
