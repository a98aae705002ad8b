# SPDX-License-Identifier: Apache-2.0
"""The page in short, and the ratios against the clock."""

from __future__ import annotations

import re
from typing import Any

from report import brief, ratio_charts, summary, verification
from report.points import Curve, curves

from .conftest import synthetic_results


def said(results: dict[str, Any], *fronts: str) -> dict[str, str]:
    found = brief.brief(results, summary.headline(results), fronts)
    return {question: " ".join(sentences) for question, sentences in found.items()}


def test_the_worst_comes_first_and_losses_are_called_so(results: dict[str, Any]) -> None:
    found = said(results, "dINT4 is on 0 of 5 fronts.")
    least = min(row["area_ratio"] for row in results["comparisons"] if row["reference"] == "int8")
    most = max(row["area_ratio"] for row in results["comparisons"] if row["reference"] == "int8")
    assert f"INT8 has {least:.2f}× the area of dINT4 at worst (" in found["Beside INT8 × INT8"]
    assert f", {most:.2f}× at best." in found["Beside INT8 × INT8"]
    assert "at best: dINT4 is larger throughout." in found["Beside INT4 × INT8"]
    assert "at best: dINT4 takes more throughout; with uniform random operands 0." in found["Beside INT4 × INT8"]
    assert found["Accuracy against silicon"] == "dINT4 is on 0 of 5 fronts."
    assert found["Accuracy of the model"].count("KL divergence of W4A8 INT4, AQAS and of W4A8 dINT4, AQAS on ") == 2


def test_the_worst_with_uniform_operands_is_named(results: dict[str, Any]) -> None:
    rows = [row for row in results["comparisons"] if (row["objective"], row["reference"]) == ("energy", "int8")]
    for row in rows:
        if (row["operands"], row["activity"], row["pdk"], row["lanes"]) == ("uniform", "sdf", "asap7", 16):
            row["energy_ratio"] = 1.01 if row["kind"] == "minimum-area" else 1.5
    assert (
        "with uniform random operands 1.01 ± 0.03× at worst (minimum area: asap7, 16 lanes, "
        in said(results)["Beside INT8 × INT8"]
    )
    assert said(results)["Beside INT8 × INT8"].count("uniform") == 1  # an area depends on no operands
    results["comparisons"] = [row for row in results["comparisons"] if row["operands"] == "uniform"]
    assert "uniform" not in said(results)["Beside INT8 × INT8"]  # nothing to stand beside


def test_the_papers_ratios_are_counted_once_a_comparison(results: dict[str, Any]) -> None:
    rows = [row for row in results["comparisons"] if row["reference"] == "int8" and row["objective"] == "area"]
    for row in rows:
        row["area_ratio"] = 1.92
    for row in rows:  # as many as there are conditions of energy, which an area does not depend on
        if (row["pdk"], row["lanes"], row["kind"]) == ("osu018", 1, "equal-clock"):
            row["area_ratio"] = 1.93
    assert (
        "1.93× in area in 1 of 12 comparisons, 2.56× in energy in 0 of 12 comparisons;" in said(results)["Beside INT8 × INT8"]
    )


def test_a_mixed_ratio_says_where_it_loses(results: dict[str, Any]) -> None:
    for row in results["comparisons"]:
        if row["reference"] == "int4" and row["pdk"] == "asap7":
            row["area_ratio"] = 1.2
    assert "1.20× at best: dINT4 is larger where it is below 1×." in said(results)["Beside INT4 × INT8"]


def test_what_was_not_measured_is_left_out(results: dict[str, Any]) -> None:
    for name in ("simulations", "energies", "comparisons"):
        results[name] = []
    results["accuracy"]["rows"] = []
    assert said(results) == {}


def test_intervals_are_wider_than_errors_by_what_was_recorded(results: dict[str, Any]) -> None:
    assert brief.interval_factor(results) == ""
    for row in results["comparisons"]:
        row["energy_ratio_confidence_95"] = 4.303 * 0.03
    assert brief.interval_factor(results) == "4.3"
    results["comparisons"][0]["energy_ratio_confidence_95"] = 0.06
    assert brief.interval_factor(results) == "2.0 to 4.3"


def test_checks_are_added_up_by_kind(results: dict[str, Any]) -> None:
    results["checks"].append(results["checks"][1] | {"of": "mac_int8_x1", "tried": 10, "held": 7, "exempt": 1, "seconds": None})
    found = {row["check"]: row for row in verification.verification(results)["checks"]}
    bench = {"check": "bench: broken units", "of": "2 lines below", "tried": 4652, "held": 4497, "exempt": 152, "seconds": None}
    assert found["bench: broken units"] == bench
    assert found["proof: products"] == {**results["checks"][0]}


def test_every_clock_and_lane_count_is_a_point() -> None:
    results = synthetic_results(pdks=("osu018",))
    chart = ratio_charts.ratio_charts(results)["clocks"]
    assert [panel.title for panel in chart.panels] == [f"osu018: {metric} ratio, INT8 / dINT4" for metric in ("area", "energy")]
    assert len(chart.rows) == 2 * 2 * 2
    row = next(
        row
        for row in results["comparisons"]
        if (row["lanes"], row["kind"], row["objective"], row["reference"], row["operands"], row["activity"])
        == (16, "equal-clock", "energy", "int8", "opt", "sdf")
    )
    shown = ("osu018", "energy", "16 lanes", "equal clock", f"{row['period_ns']:.2f} ns", f"{row['energy_ratio']:.2f} ± 0.03×")
    assert shown in chart.rows
    assert f"16 lanes, equal clock, {shown[4]}: {shown[5]}" in chart.panels[1].svg
    assert [key.label for key in chart.legend][:2] == ["1 lane", "16 lanes"]


def test_a_curve_is_drawn_where_its_values_are() -> None:
    """Twice the distance from 0 along x, and a higher ratio higher up."""
    svg = curves([Curve([(1.0, 1.5, 0.1), (2.0, 2.0, 0.0)], "o", "c1", True)], "x", "y", (1.93, "paper"), "n", "t", "d")
    (path,) = re.findall(r'<path d="([^"]+)"[^>]*style="fill: none; stroke: var\(--c1\); stroke-width: 1.5', svg)
    (x1, y1), (x2, y2) = [(float(x), float(y)) for x, y in re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", path)]
    zero = min(float(x) for x in re.findall(r'<path d="M (-?[\d.]+) [^"]*"[^>]*stroke: var\(--c5\)', svg))
    assert abs((x2 - zero) / (x1 - zero) - 2) < 0.01
    assert y2 < y1
