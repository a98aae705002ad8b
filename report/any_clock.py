# SPDX-License-Identifier: Apache-2.0
"""The ratio of areas at every clock that was searched, with whatever pipeline registers suit each side there.

A clock period takes the smallest unit that closes at it, of either side, of all that were found with any number of registers.
What was found for another period may close with less area if it is looked for at this one: areas are upper bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["AnyClock", "any_clock"]


@dataclass(frozen=True)
class AnyClock:
    """What the ratio is of, and its ends: (ratio, period in ns, pipeline registers of the baseline and of the candidate)."""

    pdk: str
    lanes: int
    reference: str
    least: tuple[float, float, int, int]
    greatest: tuple[float, float, int, int]
    clocks: int


def any_clock(rows: Sequence[Mapping[str, Any]]) -> list[AnyClock]:
    """Of comparisons (`synth.comparison.compare`) with several numbers of pipeline registers, by kit, lanes and baseline."""
    found = []
    groups: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["pdk"], row["lanes"], row["reference"]), []).append(row)
    for (pdk, lanes, reference), group in sorted(groups.items()):
        if len({row.get("pipeline", 0) for row in group}) > 1:
            ratios = _ratios(group)
            found.append(AnyClock(pdk, lanes, reference, min(ratios), max(ratios), len(ratios)))
    return found


def _ratios(rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, float, int, int]]:
    """At every period that a unit of both sides was looked for at, with the same number of registers: so both close there."""
    sides = [
        {(row[side]["area_um2"], row[side].get("pipeline", 0), row[side]["delay_ns"]) for row in rows}
        for side in ("baseline", "candidate")
    ]
    ratios = []
    for period_ns in sorted({row["period_ns"] for row in rows}):
        baseline, candidate = (min(unit for unit in side if unit[2] <= period_ns) for side in sides)
        ratios.append((baseline[0] / candidate[0], period_ns, baseline[1], candidate[1]))
    return ratios
