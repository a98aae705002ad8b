# SPDX-License-Identifier: Apache-2.0
"""Accuracy against silicon on the page: every figure once, the front marked, dINT's places said plainly."""

from __future__ import annotations

import copy
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from golden import InputError
from report import display, given, page, pareto
from report.points import Point, scatter

from .conftest import no_charts, sha
from .made_up_pareto import KLS, synthetic_pareto
from .page_parser import Page

#: Of what INT4 is on the front.
ON = "Area: minimum area; Energy: 5.00 ns clock; Shortest clock"


def test_the_report_has_the_section_where_there_is_a_run(results: dict[str, Any]) -> None:
    found = synthetic_pareto()
    read = Page(page.render(results | {"paretos": [found, found]}))  # twice: ids stay unique
    assert len(read.ids) == len(set(read.ids))
    assert set(read.labelled) <= set(read.ids)
    rows = [tuple(cell.strip() for cell in row) for row in read.rows]
    assert ("INT4", "18.70 ± 0.37", "500", "5,000 ± 100", "5.00", ON) in rows
    assert ("dINT4", "18.80 ± 0.38", "530", "5,300 ± 100", "5.30", ON.partition("; ")[2]) in rows
    assert ("dINT4", "18.80 ± 0.40", "18.61, 18.99", "29.1 ± 1.4") in rows
    assert ("osu018, 16 lanes, INT8", "51", "960", "a, b") in rows
    for said in (
        "dINT4 is on 2 of 3 fronts.",
        "osu018, 16 lanes, area per MAC (minimum area): dINT4 is not on the front: INT4 costs 5.7 % less and its KL × 1000 is "
        "lower by 0.10 ± 0.20 (within noise).",
        "energy per MAC (5.00 ns clock): dINT4 is on the front, but by noise alone: INT4 costs 4.0 % more (within noise) and",
        "osu018, 16 lanes, shortest clock period: dINT4 is on the front.",
        "asap7, 16 lanes: OpenSTA: <out> of memory",
        "(scaling aqas, rounding optq, group size 32)",
        "3 draws",
        pareto.RULE,
        *(sha(name, of) for name in KLS for of in ("operands", "weights", "netlist", "verilog")),
    ):
        assert said in read.text
    assert "#pareto" in read.references


@no_charts
def test_without_a_run_the_report_says_so(results: dict[str, Any]) -> None:
    read = Page(page.render(results))
    assert "Pareto fronts: not measured. dint pareto measures them, dint report --pareto FILE shows them here." in read.text
    assert "#pareto" in read.references


@pytest.mark.parametrize(
    ("kept_below", "said"),
    [
        ({"kept_below": None}, "The energy of every architecture is measured."),
        ({"kept_below": 1.5}, "Architectures of more than 1.5 times the area of the smallest of their format are dropped"),
        ({}, "Architectures much larger than the smallest of their format are dropped before energy is measured."),
    ],
)
def test_which_architectures_were_followed_is_said(kept_below: dict[str, Any], said: str) -> None:
    found = synthetic_pareto()
    found["effort"] = [one | kept_below for one in found["effort"]]
    given.check_pareto(found, "made up")
    assert said in pareto._followed(found)


def test_who_misses_a_clock_is_said() -> None:
    found = synthetic_pareto()
    found["units"] = [
        {"pdk": "osu018", "lanes": 16, "format": name, "kind": "minimum-area", "period_ns": 9.0}
        for name in ("int8", "nvfp4", "mxfp4")
    ]
    of_another = found["units"][0] | {"pdk": "asap7", "format": "dint3"}
    fastest = found["units"][0] | {"kind": "fastest", "format": "int3"}  # whose energy could not be measured
    found["units"] += [of_another, fastest]
    assert pareto._clocks(found) == ""
    at = found["units"][0] | {"kind": "equal-clock", "period_ns": 4.0}
    found["units"] += [at, at | {"format": "nvfp4", "pipeline": 1}]
    assert pareto._clocks(found) == (
        "osu018, 16 lanes, 4.00 ns: units of NVFP4 close with a register behind what scales a block alone, and have it. "
        "osu018, 16 lanes, 4.00 ns: no unit of MXFP4 closes. "
    )


def test_what_is_drawn_is_said_to_a_screen_reader() -> None:
    (section,) = pareto.sections({"paretos": [synthetic_pareto()]})
    chart, perplexity = section.charts
    spoken = [text for text in ElementTree.fromstring(perplexity.panels[0].svg).itertext() if "INT4 500 µm²" in text]
    assert spoken == ["INT8 900 µm², 28.56, on the front; INT4 500 µm², 29.09, on the front; dINT4 530 µm², 29.10; "
                      "INT3 400 µm², 30.67, on the front."]  # fmt: skip
    assert ("dINT4", "29.10", "1.0209") in [tuple(row) for row in perplexity.rows]
    assert [panel.title for panel in chart.panels] == ["Area: minimum area", "Energy: 5.00 ns clock", "Shortest clock"]
    root = ElementTree.fromstring(chart.panels[0].svg)
    (description,) = [element.text for element in root.iter("desc")]
    assert description is not None
    assert "INT4 500 µm², KL × 1000 18.70 ± 0.37, on the front; dINT4 530 µm², KL × 1000 18.80 ± 0.38; " in description
    assert not re.search(r"#[0-9a-fA-F]{6}", chart.panels[0].svg)


def test_many_formats_are_numbered() -> None:
    """In every panel the same number stands for a format, and the legend says which."""
    (section,) = pareto.sections({"paretos": [synthetic_pareto(more=True)]})
    for chart in section.charts:
        named = {key.symbol: key.label for key in chart.legend if key.symbol.isdigit()}
        assert len(named) == 14
        assert named["3"] == "dINT4"
        assert set(named.values()) >= {"LO-BCQ c8 g64 W4A4", "NVFP4 W4A4", "INT4 groups of 32"}
        for panel in chart.panels:
            drawn = [text.strip() for text in ElementTree.fromstring(panel.svg).itertext()]
            assert set(named) <= set(drawn)
    points = {row[0]: row[1] for row in section.charts[0].rows}
    assert {points[name]: name for name in points} == named


def test_wrong_shapes_are_refused() -> None:
    found = synthetic_pareto()
    given.check_pareto(found, "f")
    for spoil, message in (
        (lambda one: one.pop("fronts"), "fronts is missing"),
        (lambda one: one["fronts"][1]["points"][0].update(cost=-1.0), r"fronts\[1\].points\[0\].cost is -1.0"),
        (lambda one: one["fronts"][2].update(points=[]), r"fronts\[2\].points is \[\], expected one point or more"),
        (lambda one: one["fronts"][1]["points"][2].update(kl_standard_error=-1), r"points\[2\].kl_standard_error is -1"),
        (lambda one: one["accuracy"][0]["texts"]["documentation"].update(perplexity=1e300), "perplexity is 1e.300, expected"),
        (lambda one: one.update(calibration=[]), "calibration is"),
        (lambda one: one["units"][0].update(kind="other"), r"units\[0\].kind is 'other'"),
    ):
        broken = copy.deepcopy(found)
        spoil(broken)
        with pytest.raises(InputError, match=message):
            given.check_pareto(broken, "f")


def places(svg: str, text: str) -> list[float]:
    """Where a label stands, in pixels from the top left."""
    root = ElementTree.fromstring(svg)
    (element,) = [one for one in root.iter() if one.tag.endswith("text") and "".join(one.itertext()) == text]
    placed = re.findall(r"-?[\d.]+", element.attrib.get("transform", "") or f"{element.attrib['x']} {element.attrib['y']}")
    return [float(number) for number in placed[-2 if "rotate" not in element.attrib.get("transform", "") else 1 :][:2]]


def test_labels_of_points_that_almost_meet_do_not() -> None:
    crowd = [Point(f"format {index}", 5.0 + 0.01 * index, 19.0 + 0.1 * index, 0, 0.4, "c1", index == 0) for index in range(5)]
    svg = scatter([*crowd, Point("INT8", 9.0, 0.3, 0.2, 0, "c1", True)], "x", "y", "name", "Title", "Words")
    at = [places(svg, point.label) for point in crowd]
    assert all(abs(a[0] - b[0]) > 40 or abs(a[1] - b[1]) > 10 for i, a in enumerate(at) for b in at[:i])


@pytest.mark.parametrize("count", [1, 2])
def test_points_that_are_all_alike_can_be_drawn(count: int) -> None:
    svg = scatter([Point("same", 5.0, 19.0, 0, 0, "c2", True)] * count, "x", "y", "name", "Title", "Words")
    assert svg.count("same") >= count
    assert "nan" not in svg


def test_bits_of_storage_are_a_third_reading(results: dict[str, Any]) -> None:
    found = synthetic_pareto()
    for one, bits in zip(found["accuracy"], (8.125, 4.125, 4.125, 3.125), strict=True):
        one["weight_bits"], one["block"] = bits, 16 if one["format"] == "int3" else None
    found["recipe"]["clipping"] = "awq"
    for one in found["accuracy"]:
        one["recipe"] = found["recipe"] | ({"clipping": "none"} if one["format"] == "int3" else {})
    read = Page(page.render(results | {"paretos": [found]}))
    rows = [tuple(cell.strip() for cell in row) for row in read.rows]
    assert ("INT4", "4.12", "18.70 ± 0.37", "500", "5,000 ± 100", "5.00", ON) in rows
    assert ("dINT4", "4.125", "18.80 ± 0.40", "18.61, 18.99", "29.1 ± 1.4") in rows
    text = page.render(results | {"paretos": [found]})
    assert "dINT4 (4.12)" in text
    assert "what is done once in a block is shared by its products (INT3 16)." in text
    assert "Of block formats, which prescribe scales or codebooks, the recipe is with INT3: clipping none." in text


def test_names_of_units_in_prose() -> None:
    assert [display.format_name(one) for one in ("nvfp4", "nvfp4_a4", "dint4")] == ["NVFP4", "NVFP4 W4A4", "dINT4"]
