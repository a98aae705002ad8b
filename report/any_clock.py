# SPDX-License-Identifier: Apache-2.0
"""The ratio of areas at any clock that the baseline reaches, with whatever pipeline registers suit each side there.

A clock period takes the smallest unit that closes at it, of either side, of all that were found; both areas fall in steps as
the period gets longer. Where one of them does is where the ratio is the least or the greatest.
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
    out_of_reach_ns: float | None  # up to this period, which the baseline reaches, no candidate closes


def any_clock(rows: Sequence[Mapping[str, Any]]) -> list[AnyClock]:
    """Of comparisons (`report.points`) with several numbers of pipeline registers, by kit and lanes; others are left out."""
    found = []
    groups: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["pdk"], row["lanes"], row["reference"]), []).append(row)
    for (pdk, lanes, reference), group in sorted(groups.items()):
        if len({row.get("pipeline", 0) for row in group}) > 1:
            sides = [{_unit(row[side]) for row in group} for side in ("baseline", "candidate")]
            found.append(_ends(pdk, lanes, reference, *sides))
    return found


_Unit = tuple[float, float, int]  # delay in ns, area in um2, pipeline registers


def _unit(side: Mapping[str, Any]) -> _Unit:
    return side["delay_ns"], side["area_um2"], side.get("pipeline", 0)


def _ends(pdk: str, lanes: int, reference: str, baseline: set[_Unit], candidate: set[_Unit]) -> AnyClock:
    first = min(baseline)[0]
    periods_ns = sorted({delay_ns for delay_ns, _, _ in baseline | candidate if delay_ns >= first})
    reached = [period_ns for period_ns in periods_ns if min(candidate)[0] <= period_ns]
    ratios = []
    for period_ns in reached:
        ours, others = (min(unit[1:] for unit in side if unit[0] <= period_ns) for side in (candidate, baseline))
        ratios.append((others[0] / ours[0], period_ns, others[1], ours[1]))
    return AnyClock(pdk, lanes, reference, min(ratios), max(ratios), None if reached == periods_ns else reached[0])
