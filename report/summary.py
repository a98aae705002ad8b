# SPDX-License-Identifier: Apache-2.0
"""The headline: ratios as ranges, the least favourable first. The page and the terminal both take it from here.

A range covers every measured PDK, lane count and clock under one condition. Only rows whose designs were chosen for the metric
count: an INT8 baseline chosen for its energy is no fair measure of area.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from . import display

__all__ = [
    "KINDS",
    "PAPER",
    "Range",
    "energy_condition",
    "for_metric",
    "headline",
    "leading",
    "lines",
    "ratio_error",
    "set_by",
    "with_uniform",
]

PAPER = {"area": 1.93, "energy": 2.56}
"""Table 2 of arXiv 2311.05161, dINT4 x INT8 against INT8 x INT8, commercial 7 nm: area, and power at one clock (1 GHz)."""

KINDS = {"equal-clock": "equal clock", "minimum-area": "minimum area"}
_KIND_ORDER = list(KINDS)
_ACTIVITY_ORDER = ["sdf", "zero-delay", "vectorless", None]
_OPERANDS_ORDER = ["opt", "opt-fc2", "uniform", None]


@dataclass(frozen=True)
class Range:
    """All ratios of one metric under one condition; `low` is the least favourable to the candidate."""

    metric: str  # area | energy
    kind: str  # equal-clock | minimum-area
    reference: str  # format of the baseline
    candidate: str  # format of the candidate
    chosen_for: str  # metric for which both sides' designs were chosen
    operands: str | None
    dataflow: str | None
    activity: str | None
    low: float
    high: float
    low_at: str
    high_at: str
    pdks: tuple[str, ...]
    lanes: tuple[int, ...]
    comparisons: int
    leading: bool = True  # False: another condition of the same energy leads
    low_error: float | None = None  # standard error of `low`, over samples of operands
    high_error: float | None = None
    clock_set_by_candidate: tuple[str, ...] = ()  # where the candidate's delay decided the common clock
    lower_elsewhere: str = ""  # the least favourable ratio under another condition, where it is lower than `low`
    with_uniform: str = ""  # of an energy that leads: the same range with uniform operands, where they were measured as well

    @property
    def text(self) -> str:
        """'1.62× to 1.88×', or one figure when both round to the same."""
        low, high = self.low_text, self.high_text
        return low if low == high else f"{low} to {high}"

    @property
    def low_text(self) -> str:
        """The least favourable ratio, with its standard error where there is one: '1.35 ± 0.04×'."""
        return display.ratio(self.low, self.low_error)

    @property
    def high_text(self) -> str:
        """The most favourable ratio, in the same way."""
        return display.ratio(self.high, self.high_error)

    @property
    def condition(self) -> str:
        """Operands, dataflow and activity behind an energy; empty for an area."""
        return display.condition(self.operands, self.dataflow, self.activity) if self.metric == "energy" else ""

    @property
    def scope(self) -> str:
        """What the range covers: '3 PDKs (asap7, osu018, sky130hd), 1 and 16 lanes'."""
        lanes = _listed([str(number) for number in self.lanes])
        return (
            f"{display.plural(len(self.pdks), 'PDK')} ({', '.join(self.pdks)}), {lanes} lane{'' if self.lanes == (1,) else 's'}"
        )

    @property
    def note(self) -> str:
        """Says so when the designs were not chosen for this metric."""
        return "" if self.chosen_for == self.metric else f"both sides chosen for {self.chosen_for}, not for {self.metric}"

    @property
    def clock_note(self) -> str:
        """Says so when the clock is not the tightest at which the baseline closes."""
        if not self.clock_set_by_candidate:
            return ""
        return f"clock set by {display.format_name(self.candidate)} on {'; '.join(self.clock_set_by_candidate)}"

    @property
    def paper(self) -> float | None:
        """The paper's ratio, where it makes the same comparison."""
        return PAPER[self.metric] if (self.reference, self.candidate) == ("int8", "dint4") else None

    def same_question(self, other: Range) -> bool:
        """Whether both answer the same question, under whatever condition."""
        names = ("metric", "kind", "reference", "candidate")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def as_data(self) -> dict[str, Any]:
        """Plain data for metrics.json."""
        lists = ("pdks", "lanes", "clock_set_by_candidate")
        return asdict(self) | {name: list(getattr(self, name)) for name in lists}


def headline(results: Mapping[str, Any]) -> list[Range]:
    """Every range the comparisons support: INT8 baselines first, equal clock before minimum area, area before energy."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for metric in ("area", "energy"):
        for row in for_metric(results["comparisons"], metric):
            condition = (row["operands"], row["dataflow"], row["activity"]) if metric == "energy" else (None, None, None)
            key = (metric, row["kind"], row["reference"], row["candidate"]["format"], row["objective"], *condition)
            groups.setdefault(key, []).append(row)
    ranges = sorted((_range(key, rows, results) for key, rows in groups.items()), key=_order)
    return [_placed(entry, [other for other in ranges if other.same_question(entry)]) for entry in ranges]


def for_metric(comparisons: Iterable[Mapping[str, Any]], metric: str) -> list[Mapping[str, Any]]:
    """The rows that speak about `metric`: measured, and with both sides chosen for it.

    Where a pair of formats was never chosen for the metric, rows chosen for the other one stand in; `Range.note` tells.
    """
    measured = [row for row in comparisons if row[f"{metric}_ratio"] is not None]
    pairs = {(row["reference"], row["candidate"]["format"], row["kind"]) for row in measured if row["objective"] == metric}
    return [
        row
        for row in measured
        if row["objective"] == metric or (row["reference"], row["candidate"]["format"], row["kind"]) not in pairs
    ]


def energy_condition(comparisons: Iterable[Mapping[str, Any]]) -> tuple[str | None, str | None, str | None]:
    """The condition that leads: real operands before uniform, streaming before the rest, gate delays before zero-delay."""
    measured = [row for row in comparisons if row["energy_ratio"] is not None]
    if not measured:
        return None, None, None
    first = min(measured, key=lambda row: _condition_order(row["operands"], row["dataflow"], row["activity"]))
    return first["operands"], first["dataflow"], first["activity"]


def ratio_error(row: Mapping[str, Any]) -> float | None:
    """Standard error of a comparison's energy ratio; None where there is none."""
    error: float | None = row.get("energy_ratio_standard_error")
    return error


def set_by(row: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """Format whose delay decided the common clock of a comparison; empty at minimum area, or where that was not recorded."""
    if row["kind"] != "equal-clock" or row["period_ns"] is None:
        return ""
    for clock in results.get("clocks") or ():
        same = clock["pdk"] == row["pdk"] and clock["lanes"] == row["lanes"] and clock["period_ns"] is not None
        if same and math.isclose(clock["period_ns"], row["period_ns"], rel_tol=1e-6):
            return str(clock["set_by"])
    return ""


def leading(comparisons: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One row a PDK, lane count, clock, objective and pair of formats: the one under the condition that leads."""
    first: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in sorted(comparisons, key=lambda row: _condition_order(row["operands"], row["dataflow"], row["activity"])):
        where = tuple(row[name] for name in ("reference", "kind", "pdk", "lanes", "period_ns", "objective"))
        first.setdefault((*where, row["candidate"]["format"]), row)
    return list(first.values())


def with_uniform(entry: Range, ranges: Iterable[Range]) -> Range | None:
    """The range that differs from `entry` in nothing but its operands, which are uniform; None if there is none."""
    if entry.operands in (None, "uniform"):
        return None
    same = (entry.dataflow, entry.activity)
    alike = (one for one in ranges if one.operands == "uniform" and one.same_question(entry))
    return next((one for one in alike if (one.dataflow, one.activity) == same), None)


def lines(results: Mapping[str, Any], page: Path | None = None) -> list[str]:
    """The terminal's ending, plain text: one line a leading range, then the path of the page."""
    ranges = headline(results)
    text = []
    for pair in dict.fromkeys((entry.reference, entry.candidate) for entry in ranges):
        baseline, candidate = (display.format_name(name) for name in pair)
        text.append(f"{candidate} × INT8 against {baseline} × INT8, baseline / candidate, least favourable first")
        for entry in ranges:
            if entry.leading and (entry.reference, entry.candidate) == pair:
                what = f"{entry.metric}, {KINDS[entry.kind]}"
                lower = entry.lower_elsewhere and f"lower elsewhere: {entry.lower_elsewhere}"
                uniform = entry.with_uniform and f"with uniform operands: {entry.with_uniform}"
                parts = (entry.condition, f"least at {entry.low_at}", entry.clock_note, uniform, lower, entry.note)
                details = "; ".join(part for part in parts if part)
                text.append(f"  {what:<22} {entry.text:<16} {details}")
    if not ranges:
        text.append("No ratio: no comparison was measured")
    if page is not None:
        text.append(f"Page: {page}")
    return text


def _placed(entry: Range, alike: Sequence[Range]) -> Range:
    """The first condition leads; should another one be less favourable, the leading range says so."""
    if entry != alike[0]:
        return replace(entry, leading=False)
    uniform, lowest = with_uniform(entry, alike), min(alike, key=lambda other: other.low)
    lower = display.ratio(lowest.low) != display.ratio(entry.low)
    return replace(
        entry,
        lower_elsewhere=f"{display.ratio(lowest.low)} with {lowest.condition}" if lower else "",
        with_uniform=uniform.text if uniform is not None else "",
    )


def _range(key: tuple[Any, ...], rows: list[Mapping[str, Any]], results: Mapping[str, Any]) -> Range:
    metric, kind, reference, candidate, chosen_for, operands, dataflow, activity = key
    ordered = sorted(rows, key=lambda row: (row[f"{metric}_ratio"], row["pdk"], row["lanes"], row["period_ns"] or 0))
    low, high = ordered[0], ordered[-1]
    return Range(
        metric=metric,
        kind=kind,
        reference=reference,
        candidate=candidate,
        chosen_for=chosen_for,
        operands=operands,
        dataflow=dataflow,
        activity=activity,
        low=low[f"{metric}_ratio"],
        high=high[f"{metric}_ratio"],
        low_at=_place(low),
        high_at=_place(high),
        pdks=tuple(sorted({row["pdk"] for row in rows})),
        lanes=tuple(sorted({row["lanes"] for row in rows})),
        comparisons=len(rows),
        low_error=ratio_error(low) if metric == "energy" else None,
        high_error=ratio_error(high) if metric == "energy" else None,
        clock_set_by_candidate=tuple(
            dict.fromkeys(
                f"{row['pdk']}, {display.lanes(row['lanes'])}"
                for row in sorted(rows, key=lambda row: (row["pdk"], row["lanes"]))
                if set_by(row, results) == row["candidate"]["format"]
            )
        ),
    )


def _place(row: Mapping[str, Any]) -> str:
    return f"{row['pdk']}, {display.lanes(row['lanes'])}, {display.period(row['period_ns'])}"


def _order(entry: Range) -> tuple[Any, ...]:
    return (
        entry.reference != "int8",
        entry.reference,
        entry.candidate != "dint4",
        entry.candidate,
        _KIND_ORDER.index(entry.kind),
        entry.metric,
        *_condition_order(entry.operands, entry.dataflow, entry.activity),
    )


def _condition_order(operands: str | None, dataflow: str | None, activity: str | None) -> tuple[Any, ...]:
    return (
        _OPERANDS_ORDER.index(operands) if operands in _OPERANDS_ORDER else len(_OPERANDS_ORDER),
        dataflow != "streaming",
        dataflow or "",
        _ACTIVITY_ORDER.index(activity),
    )


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
