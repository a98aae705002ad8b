# SPDX-License-Identifier: Apache-2.0
"""Which rows, designs and energies a chart shows, and how a figure divides into parts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import display, summary

__all__ = [
    "PART_ORDER",
    "UNSPLIT",
    "by_pdk",
    "energy_rows",
    "energy_unit",
    "find",
    "in_order",
    "leading_kind",
    "parts_of",
    "place",
    "sides",
    "winners",
    "with_parts_kept",
]

PART_ORDER = (
    "partial products",
    "compressor",
    "final adder",
    "accumulator",
    "registers",
    "full adders",
    "other logic",
    "underflow",
    "rounding",
)
UNSPLIT = "not split"


def energy_rows(results: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], str]:
    """Rows under the leading operands and dataflow, both activities, and that condition in words."""
    operands, dataflow, _ = summary.energy_condition(results["comparisons"])
    rows = leading_kind(summary.for_metric(results["comparisons"], "energy"))
    chosen = [row for row in rows if (row["operands"], row["dataflow"]) == (operands, dataflow)]
    return chosen, display.condition(operands, dataflow, None)


def leading_kind(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of each PDK the rows at equal clock where there are any, else all: one energy panel should not mix clocks."""
    equal = {row["pdk"] for row in rows if row["kind"] == "equal-clock"}
    return [row for row in rows if row["kind"] == "equal-clock" or row["pdk"] not in equal]


def by_pdk(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[Mapping[str, Any]]]]:
    """PDK -> heading of the group (lanes and clock) -> rows."""
    found: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for row in sorted(rows, key=place):
        clock = display.period(row["period_ns"]) if row["kind"] == "equal-clock" else summary.KINDS[row["kind"]]
        found.setdefault(row["pdk"], {}).setdefault(f"{display.lanes(row['lanes'])}, {clock}", []).append(row)
    return found


def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
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


def sides(rows: Iterable[Mapping[str, Any]], *by: str) -> dict[Any, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Format (and the named keys of the row) -> (row, side): baselines first in order of width, each once."""
    found: dict[Any, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for row in rows:
        for side in (row["baseline"], row["candidate"]):
            key = (side["format"], *(row[name] for name in by)) if by else side["format"]
            found.setdefault(key, (row, side))
    order = {"int8": 0, "int4": 1}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0][0] if by else item[0], 2)))


def find(
    entries: Iterable[Mapping[str, Any]], row: Mapping[str, Any], side: Mapping[str, Any], figure: str, same: Sequence[str] = ()
) -> Mapping[str, Any] | None:
    """The design or energy behind one side of a comparison: the same circuit with the same figure."""
    for entry in entries:
        where = all(entry[name] == row[name] for name in ("pdk", "lanes", *same))
        what = all(entry[name] == side[name] for name in ("format", "architecture"))
        if where and what and entry[figure] is not None and math.isclose(entry[figure], side[figure], rel_tol=1e-6):
            return entry
    return None


def winners(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The designs that represent a side of a comparison, each once."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in results["comparisons"]:
        for side in (row["baseline"], row["candidate"]):
            if side["area_um2"] is not None and (design := find(results["designs"], row, side, "area_um2")) is not None:
                found.setdefault(design["netlist_sha256"], design)
    return list(found.values())


def with_parts_kept(design: Mapping[str, Any] | None) -> float:
    """Area of the run that kept the hierarchy over the design's; 0 where there was none."""
    options = design["options"] if design is not None else None
    whole = options.get("area_with_parts_kept_um2") if isinstance(options, Mapping) else None
    return whole / design["area_um2"] if design is not None and whole and design["area_um2"] else 0.0


def parts_of(parts: Mapping[str, float | None] | None, total: float, divisor: float) -> dict[str, float]:
    """Parts over `divisor` in drawing order, with what they leave of the total as a part, so that a bar is always the total."""
    known = {name: value for name, value in (parts or {}).items() if value}
    rest = total - sum(known.values())
    if rest > 0.005 * total:
        known[UNSPLIT] = rest
    return {name: known[name] / divisor for name in in_order(known)}


def in_order(names: Iterable[str]) -> list[str]:
    """Known parts from the operands to the register, then others by name, then what is not split."""
    order = PART_ORDER
    return sorted(names, key=lambda name: (name == UNSPLIT, order.index(name) if name in order else len(order), name))


def energy_unit(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[float, str]:
    """Factor from J and unit that keep one panel's figures between 0.1 and a few thousand."""
    sides = (row[side]["energy_per_mac_j"] for rows in groups.values() for row in rows for side in ("baseline", "candidate"))
    return (1e12, "pJ") if max(sides) >= 1e-11 else (1e15, "fJ")
