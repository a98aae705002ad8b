# SPDX-License-Identifier: Apache-2.0
"""What `make benchmark-silicon` leaves, on the page: peers, comparisons with all effort, elements, zero-points."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from golden.errors import InputError
from report import given, page, schema, silicon
from report.any_clock import any_clock

from .conftest import no_charts
from .page_parser import Page


def leave(directory: Path, comparisons: list[dict[str, Any]]) -> None:
    """The files of a benchmark; no figure was measured."""
    peers = [
        {"pdk": "osu018", "unit": unit, "area_um2": area, "delay_ns": delay}
        for unit, area, delay in (
            ("dint booth", 9000, 3.2),
            ("dint baugh-wooley", 8000, 3.5),
            ("yosys", 8200, 4.0),
            ("arithsgen dadda", 8500, 3.4),
        )
    ]
    areas = {"symmetric": 4000.0, "asymmetric": 4300.0, "shared": 800.0}
    condition = {"areas_um2": areas, "added_um2": 350.0}
    energies = {"symmetric": 5e-13, "asymmetric": 6e-13, "shared": 1e-13}
    known = {**condition, "period_ns": None, "energies_j": energies, "added_j": 1.06e-13}
    unmet = {"period_ns": 3.1, "areas_um2": {**areas, "shared": None}, "energies_j": {}, "added_um2": None, "added_j": None}
    formats = [{"format": "dint4", "architecture": "digit-grid", "designs": {}, "conditions": [known, unmet]}]
    zero_points = {"pdk": {"name": "osu018", "corner": "typical"}, "lanes": 16, "units": 8, "formats": formats}
    directory.mkdir()
    (directory / "peers.json").write_text(json.dumps(peers))
    for name in ("comparison", "comparison-pe"):
        effort = {
            "int8": {"syntheses": 151, "architectures": ["booth"]},
            "dint4": {"syntheses": 149, "architectures": ["a", "b"]},
        }
        failed = ["osu018, mac, 64 lanes, pipeline 0: OpenSTA: out of memory"]
        whole = {"comparisons": comparisons, "designs": [], "effort": effort, "failed": failed}
        (directory / f"{name}.json").write_text(json.dumps(whole))
    (directory / "zero-points-osu018").mkdir()
    (directory / "zero-points-osu018/zero-points.json").write_text(json.dumps(zero_points))


@no_charts
def test_all_parts_are_shown(results: dict[str, Any], tmp_path: Path) -> None:
    rows = [row for row in results["comparisons"] if row["pdk"] == "asap7"]
    leave(tmp_path / "silicon", rows)
    results["silicon"] = given.read_silicon(tmp_path / "silicon")
    schema.check(results)
    words = Page(page.render(results)).text
    assert "our smallest (baugh-wooley) is at 0.976 of the others' (yosys)" in words
    assert "our fastest (booth) is at 0.941 of the others' (arithsgen dadda)." in words
    assert "osu018 dint baugh-wooley 8,000 3.500 osu018 yosys 8,200 4.000" in words
    for title in ("MAC units", "Systolic elements"):
        assert f"{title}, with all effort: baseline / dINT4" in words
    assert "Effort: dINT4 149 syntheses over 2 architectures; INT8 151 syntheses over 1 architecture." in words
    assert "Failed, and left out: osu018, mac, 64 lanes, pipeline 0: OpenSTA: out of memory." in words
    areas = sorted(row["area_ratio"] for row in rows if (row["reference"], row["objective"]) == ("int8", "area"))
    assert f"Against INT8, area: {areas[0]:.2f}× (asap7, " in words
    assert f") to {areas[-1]:.2f}× (asap7, " in words
    assert "osu018 16, 8 smallest area dINT4 4,000 350.0 8.8 % 500.0 106.0" in words
    assert "osu018 16, 8 3.10 ns dINT4 4,000 not measured – not measured not measured" in words


def test_the_least_favourable_comes_first(results: dict[str, Any], tmp_path: Path) -> None:
    leave(tmp_path / "silicon", results["comparisons"])
    results["silicon"] = {"pe": given.read_silicon(tmp_path / "silicon")["pe"]}
    (part,) = silicon.parts(results)
    chosen = [cells[6 if cells[5] == "area" else 7] for cells in part.table.rows]
    ratios = [float(re.match(r"[\d.]+", cell)[0]) for cell in chosen]  # type: ignore[index]
    assert len(ratios) == len(results["comparisons"])
    assert ratios == sorted(ratios)


@no_charts
def test_without_it_the_page_says_how_to_measure(results: dict[str, Any]) -> None:
    words = Page(page.render(results)).text
    assert "Other people's units, systolic elements, zero-points: not measured." in words
    assert "dint report --silicon DIR" in words


def test_directories_that_are_none(results: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing: has no peers\.json.*make benchmark-silicon"):
        given.read_silicon(tmp_path / "nothing")
    leave(tmp_path / "silicon", results["comparisons"])
    (tmp_path / "silicon/comparison-pe.json").write_text("[]")
    with pytest.raises(InputError, match=r"comparison-pe\.json: the whole is \[\], expected an object"):
        given.read_silicon(tmp_path / "silicon")
    (tmp_path / "silicon/comparison-pe.json").write_text('{"designs": []}')
    with pytest.raises(InputError, match=r"comparison-pe\.json: comparisons is missing"):
        given.read_silicon(tmp_path / "silicon")
    (tmp_path / "silicon/peers.json").write_text("{")
    with pytest.raises(InputError, match=r"peers\.json.*is not JSON"):
        given.read_silicon(tmp_path / "silicon")


def test_a_ratio_that_is_none_is_refused(results: dict[str, Any]) -> None:
    wrong = {**results["comparisons"][0], "area_ratio": 7.0}
    with pytest.raises(InputError, match=r"silicon\.pe\[0\]\.area_ratio is 7\.0"):
        schema.check(results | {"silicon": {"pe": [wrong]}})


def compared(pipeline: int, period_ns: float, baseline: tuple[float, float], candidate: tuple[float, float]) -> dict[str, Any]:
    sides = {
        side: {"area_um2": area, "delay_ns": delay, "pipeline": pipeline}
        for side, (area, delay) in (("baseline", baseline), ("candidate", candidate))
    }
    return {"pdk": "osu018", "lanes": 16, "reference": "int8", "pipeline": pipeline, "period_ns": period_ns, **sides}


def test_any_clock_pipelined_or_not() -> None:
    """At 4 ns INT8 takes 100 without a register, at 2.5 ns 130 with one; dINT4 60 and 90, and 70 without one at 4 ns."""
    rows = [
        compared(0, 4.0, (100, 3.9), (70, 3.8)),
        compared(1, 2.5, (130, 2.4), (90, 2.1)),
        compared(1, 4.0, (120, 4.0), (60, 4.0)),
    ]
    (one,) = any_clock(rows)
    assert (one.pdk, one.lanes, one.reference, one.clocks) == ("osu018", 16, "int8", 2)
    assert one.least == (pytest.approx(130 / 90), 2.5, 1, 1)
    assert one.greatest == (pytest.approx(100 / 60), 4.0, 0, 1)
    assert any_clock(rows[:1]) == any_clock(rows[1:]) == []
    assert silicon._anywhere(rows) == [
        "osu018, 16 lanes: area against INT8, pipelined or not as suits each side, at 2 clocks: 1.44× (2.50 ns; 1 and 1 "
        "pipeline registers) to 1.67× (4.00 ns; 0 and 1 pipeline registers), of the netlists found."
    ]
