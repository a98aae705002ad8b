# SPDX-License-Identifier: Apache-2.0
"""The page: well formed, self-contained, complete, escaped, and what was not measured said to be so."""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from report import display, page, summary, verification
from report.charts import charts

from .conftest import no_charts
from .page_parser import Page


def test_is_well_formed_and_self_contained(results: dict[str, Any]) -> None:
    html = page.render(results)
    read = Page(html)
    assert len(read.ids) == len(set(read.ids))
    assert set(read.labelled) <= set(read.ids)
    inner = {reference[1:] for reference in read.references if reference.startswith("#")}
    assert inner <= set(read.ids)
    kinds = {reference.partition(",")[0] for reference in read.references if not reference.startswith("#")}
    assert kinds == {"data:", "data:text/csv;charset=utf-8", "data:application/gzip;base64"}
    assert not re.search(r"https?://|@import|@font-face|<script ", html)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{allowed}'" in html
    assert {match for match in re.findall(r"url\(([^)]*)\)", html) if not match.startswith("#")} == set()


def test_shows_every_comparison_and_every_figure_of_accuracy(results: dict[str, Any]) -> None:
    read = Page(page.render(results))
    rows = [tuple(cell.strip() for cell in row) for row in read.rows]
    for row in results["comparisons"]:
        sides = []
        for side in (row["baseline"], row["candidate"]):
            energy = display.femtojoules(side["energy_per_mac_j"], side["energy_per_mac_standard_error_j"])
            figures = display.significant(side["area_um2"]), display.significant(side["delay_ns"], 3), energy
            sides += [side["architecture"], *figures]
        ratios = display.ratio(row["area_ratio"]), display.ratio(row["energy_ratio"], row["energy_ratio_standard_error"])
        marked = " set by dINT4" if summary.set_by(row, results) == "dint4" == row["candidate"]["format"] else ""
        where = row["pdk"], str(row["lanes"]), display.period(row["period_ns"]) + marked, row["objective"]
        condition = f"{row['operands']}, {row['dataflow']}, {row['activity']}"
        assert (*where, *ratios, *sides, condition) in rows
    for method in results["accuracy"]["rows"]:
        shown = next(row for row in rows if row[0].startswith(method["name"]) and "×" in row[1])
        for text, perplexity in method["perplexity"].items():
            assert any(cell.startswith(display.significant(perplexity)) for cell in shown), text
    for protocol in results["accuracy"]["protocols"].values():
        assert protocol["description"] in read.text
    for entry in results["provenance"]:
        assert entry["sha256"] in read.text
    for sentence in results["not_measured"]:
        assert sentence in read.text


def test_every_part_of_an_area_is_drawn(results: dict[str, Any]) -> None:
    html = page.render(results)
    for pdk in ("osu018", "sky130hd", "asap7"):
        for chart in ("area", "energy", "operands"):
            assert f'<title id="{chart}-{pdk}-title">' in html
    described = re.search(r'<desc id="operands-osu018-desc">([^<]+)</desc>', html)
    assert described is not None
    opt, uniform = (_energy(results, operands) for operands in ("opt", "uniform"))
    assert f"1 lane, 6.00 ns: INT8 · model {opt}, INT8 · uniform {uniform}, " in described[1]
    rows = [row for row in results["comparisons"] if (row["kind"], row["objective"]) == ("equal-clock", "energy")]
    alike = [row for row in rows if (row["reference"], row["activity"]) == ("int8", "sdf")]
    spans = [
        f"{display.ratio(min(ratios))} to {display.ratio(max(ratios))} with {words}"
        for source, words in (("opt", "the model's operands"), ("uniform", "uniform ones"))
        if (ratios := [row["energy_ratio"] for row in alike if row["operands"] == source])
    ]
    assert len(spans) == 2
    assert f"INT8 / candidate: {', '.join(spans)}." in Page(html).text
    for part in ("partial products", "compressor", "final adder", "accumulator", "registers", "full adders", "other logic"):
        assert f"</span> {part}</li>" in html


def test_tables_of_energy_have_one_unit_and_a_column_for_each_part(results: dict[str, Any]) -> None:
    """So that they sort, and their values leave as numbers, whatever the libraries."""
    found = charts(results)
    for name, unit in (("area", "µm²"), ("energy", "fJ")):
        whole = next(i for i, column in enumerate(found[name].columns) if "per" in column and unit in column)
        assert len(found[name].columns) - whole > 3
        assert all(column.endswith(f", {unit}") for column in found[name].columns[whole + 1 :])
        for row in found[name].rows:
            parts = [float(cell.replace(",", "")) for cell in row[whole + 1 :] if cell != "–"]
            assert sum(parts) == pytest.approx(float(row[whole].replace(",", "")), rel=0.01)
    assert "energy per MAC, fJ" in found["operands"].columns


def test_a_library_is_named_with_its_corner(results: dict[str, Any]) -> None:
    html = page.render(results | {"pdks": {"osu018": {"corner": "typical, 1.8 V", "liberty_sha256": ["ab12"]}}})
    assert "osu018: corner typical, 1.8 V." in Page(html).text
    assert "&#39;ab12&#39;" not in html


def _energy(results: dict[str, Any], operands: str) -> str:
    """Energy of the one-lane INT8 MAC on osu018 at equal clock, with delays, in pJ."""
    wanted = {"pdk": "osu018", "lanes": 1, "kind": "equal-clock", "objective": "energy", "activity": "sdf", "reference": "int8"}
    wanted["operands"] = operands
    (row,) = (row for row in results["comparisons"] if all(row[name] == value for name, value in wanted.items()))
    return display.significant(row["baseline"]["energy_per_mac_j"] * 1e12, 3)


def test_figures_that_were_not_measured_say_so(results: dict[str, Any]) -> None:
    for row in results["comparisons"]:
        row |= {"energy_ratio": None, "operands": None, "dataflow": None, "activity": None}
        for side in ("baseline", "candidate"):
            row[side] |= {"energy_per_mac_j": None, "power_w": None, "leakage_w": None}
    results["energies"] = []
    results["accuracy"]["rows"][1]["perplexity"] = dict.fromkeys(results["accuracy"]["protocols"])
    read = Page(page.render(results))
    assert "Energy: not measured." in read.text
    assert "Real against uniform operands: not measured." in read.text
    int8 = next(row for row in read.rows if row and row[0] == "W8A8" and "×" in row[1])
    assert display.NOT_MEASURED in int8[3]
    assert "None" not in read.text


def test_an_empty_report_is_a_page_all_the_same(results: dict[str, Any], tmp_path: Path) -> None:
    for name in ("simulations", "designs", "energies", "comparisons", "not_measured", "stages", "provenance"):
        results[name] = []
    results["operands"], results["effort"] = {}, {}
    results["accuracy"] |= {"rows": [], "layers": [], "protocols": {}}
    read = Page(page.write(results, tmp_path).read_text())
    for words in (
        "Ratios against INT8 × INT8: not measured.",
        "Comparisons: not measured.",
        "Area: not measured.",
        "Accuracy: not measured.",
    ):
        assert words in read.text


def test_special_characters_stay_text(results: dict[str, Any]) -> None:
    evil = "<b onclick='x()'>&\"$x_1$ </style><script>alert(1)</script>"
    results["accuracy"]["model"]["name"] = evil
    results["accuracy"]["rows"][3]["name"] = evil
    results["versions"]["yosys"] = evil
    for rows in (results["comparisons"], results["designs"], results["energies"]):
        for row in rows:
            row["pdk"] = row["pdk"].replace("asap7", evil)
    html = page.render(results)
    read = Page(html)
    assert html.count("<script") == 1
    assert "<b onclick" not in html
    assert len(read.ids) == len(set(read.ids))
    assert read.text.count("alert(1)") > 10


def test_earlier_results_are_shown_without_what_they_lack(
    results: dict[str, Any], as_earlier: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    read = Page(page.render(as_earlier(results)))
    assert "Which side set it was not recorded." in read.text
    assert "set by dINT4" not in read.text
    assert "Standard error over samples of operands: not measured." in read.text
    assert "dINT4 (recipe not recorded): activations RMS not measured" in read.text
    assert "how much larger that run was: not measured" in read.text
    assert "short runs of products" not in read.text


@no_charts
def test_a_clock_set_by_the_candidate_is_marked(results: dict[str, Any]) -> None:
    read = Page(page.render(results))
    assert "Clock set by dINT4 on osu018, 1 lane" in read.text
    marked = [row for row in read.rows if any("set by dINT4" in cell for cell in row)]
    assert marked
    assert all("osu018" in " ".join(row) for row in marked)
    for row in results["clocks"]:
        row["set_by"] = "int8"
    assert "set by dINT4" not in page.render(results)


def test_area_by_part_says_where_its_shares_come_from(results: dict[str, Any]) -> None:
    for index, design in enumerate(results["designs"]):
        design["options"]["area_with_parts_kept_um2"] = design["area_um2"] * (1.24 if index else 0.9)
    text = Page(page.render(results)).text
    assert "come from a run that keeps the hierarchy" in text
    assert "that run's area differed by -10 % to +24 %" in text


@no_charts
def test_compared_designs_that_were_not_simulated_at_both_levels_are_named(results: dict[str, Any]) -> None:
    assert verification.verification(results)["incomplete"] == []
    assert "Every design that stands for a side of a comparison was simulated at both levels" in page.render(results)
    results["simulations"] = [run for run in results["simulations"] if run["design"] != "mac_dint4_x16"]
    found = verification.verification(results)
    sums = sum(run["sums_compared"] for run in results["energies"] if run["design"] == "mac_dint4_x16")
    assert found["incomplete"] == [f"mac_dint4_x16 (digit-grid): not simulated at RTL, {sums:,} sums at gate level"]
    assert found["incomplete"][0] in page.render(results)
    (entry,) = (entry for entry in found["coverage"] if entry["design"] == "mac_dint4_x16")
    assert (entry["format"], entry["architecture"], entry["lanes"]) == ("dint4", "digit-grid", 16)
    assert (entry["rtl"], entry["gate"], entry["winner"]) == (None, sums, True)


@no_charts
def test_scores_and_what_survived_are_shown(results: dict[str, Any]) -> None:
    words = Page(page.render(results)).text
    assert "bench: broken units mac_dint4_x1 4,642 4,490 151 99.9%" in words
    assert "golden/mac.py, line 7 Lt to LtE: if a < b: they are never equal" in words
    assert "golden/mac.py, line 9 1 to 2: x = 1 a gap" in words
    del results["checks"][-1]
    assert "no unit test noticed" not in page.render(results)


@no_charts
def test_two_designs_of_one_architecture_are_told_apart(results: dict[str, Any]) -> None:
    """A simulation of one says nothing about the other."""
    for entry in (*results["designs"], *results["energies"]):
        if entry["design"] == "mac_dint4_x16":
            entry["design"] = "mac_dint4_x16_other"
    found = {entry["design"]: entry for entry in verification.verification(results)["coverage"]}
    assert found["mac_dint4_x16_other"]["rtl"] is None
    assert found["mac_dint4_x16"]["gate"] is None
    assert found["mac_dint4_x16"]["rtl"]
    assert [found[name]["winner"] for name in ("mac_dint4_x16", "mac_dint4_x16_other")] == [False, True]


@no_charts
@pytest.mark.parametrize(
    ("condition", "shown", "explained"),
    [
        (
            ("opt", "weights-held", "sdf"),
            "model's operands, weights-held, with gate delays (SDF)",
            "Weights held: the weights of a run",
        ),
        (
            ("opt-fc2", "streaming", "sdf"),
            "model's operands of fc2 (post-ReLU), streaming",
            "Operands of fc2: of the layers behind",
        ),
        ((None, None, "vectorless"), "vectorless", "Vectorless: no operands and no simulation"),
    ],
)
def test_other_conditions_are_shown_and_explained(
    results: dict[str, Any], condition: tuple[str | None, str | None, str], shown: str, explained: str
) -> None:
    assert explained not in Page(page.render(results)).text
    before = [entry.condition for entry in summary.headline(results) if entry.leading]
    names = dict(zip(("operands", "dataflow", "activity"), condition, strict=True))
    for table in ("energies", "comparisons"):
        first = [row for row in results[table] if (row["operands"], row["activity"]) == ("opt", "sdf")]
        results[table] += [row | names for row in copy.deepcopy(first)]
    read = Page(page.render(results))
    assert shown in read.text
    assert explained in read.text
    assert "None" not in read.text
    assert [entry.condition for entry in summary.headline(results) if entry.leading] == before
