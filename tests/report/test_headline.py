# SPDX-License-Identifier: Apache-2.0
"""The README's picture: of the page's ratios, and the one that is kept is of the record beside it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from report import display, headline, metrics, ratio_charts, summary

DOCS = Path(__file__).resolve().parents[2] / "docs"
NUMBER = re.compile(r"-?\d+\.\d+")


def test_shows_the_page_s_ratios(results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the command writes, from nothing but the record."""
    given = tmp_path / "results.json"
    given.write_text(json.dumps(results))
    monkeypatch.setattr(sys, "argv", ["headline", str(given), "--out", str(tmp_path / "out")])
    headline.main()
    recorded = json.loads((tmp_path / "out" / "headline.json").read_text())
    page, picture = ratio_charts.ratios(results), ratio_charts.ratios(recorded)
    assert page is not None
    assert picture is not None
    assert picture.rows == page.rows
    assert recorded["results_sha256"] == metrics.identity(results)
    svg = (tmp_path / "out" / "headline.svg").read_text()
    root = ElementTree.fromstring(svg)
    words = [" ".join("".join(one.itertext()).split()) for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {panel.title for panel in page.panels} <= set(words)
    for entry in summary.headline(results):
        if entry.leading:
            assert f"{entry.reference}, {entry.metric}, {summary.KINDS[entry.kind]}: {entry.text}" in svg
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|<script|<image", svg)
    used = set(re.findall(r"var\(--(\w+)\)", svg))
    assert all(svg.count(f"--{name}:") == 2 for name in used - {"font"})


def test_without_ratios_it_says_so(results: dict[str, Any]) -> None:
    results["comparisons"] = []
    assert "No ratio was measured" in headline.picture(headline.record(results))


def test_the_picture_kept_is_that_of_its_record() -> None:
    """Coordinates within a pixel, as other versions of matplotlib may round them. `python -m report.headline` draws it."""
    kept = (DOCS / "headline.svg").read_text(encoding="utf-8")
    drawn = headline.picture(json.loads((DOCS / "headline.json").read_text(encoding="utf-8")))
    assert NUMBER.sub("#", kept) == NUMBER.sub("#", drawn)
    assert [float(one) for one in NUMBER.findall(kept)] == pytest.approx([float(one) for one in NUMBER.findall(drawn)], abs=1)


def measured(reference: str) -> list[dict[str, Any]]:
    """The comparisons behind README's figures: with the model's operands, and with delays."""
    recorded = json.loads((DOCS / "headline.json").read_text(encoding="utf-8"))["comparisons"]
    return [row for row in recorded if (row["reference"], row["operands"], row["activity"]) == (reference, "opt", "sdf")]


def readme_rows() -> Iterator[str]:
    """The rows of README's table of ratios, from the record of the run that it is of."""
    clocks = json.loads((DOCS / "headline.json").read_text(encoding="utf-8"))["clocks"]
    margins = {(one["pdk"], one["lanes"], one["period_ns"]): one["margin"] for one in clocks}
    place = ("pdk", "lanes", "kind", "period_ns")
    frugal = {tuple(row[name] for name in place): row for row in measured("int8") if row["objective"] == "energy"}
    for small in (row for row in measured("int8") if row["objective"] == "area"):
        at = "minimum area"
        if small["kind"] == "equal-clock":
            margin = margins[small["pdk"], small["lanes"], small["period_ns"]]
            beyond = f"INT8's tightest + {100 * margin:.0f} %" if margin < 0.25 else f"+ {100 * margin:.0f} %"
            at = f"{small['period_ns']:.3g} ns ({beyond})"
        both = (small, frugal[tuple(small[name] for name in place)])
        energies = (display.ratio(row["energy_ratio"], row["energy_ratio_standard_error"]).rstrip("×") for row in both)
        cells = (small["pdk"], str(small["lanes"]), at, f"{small['area_ratio']:.2f}", *energies)
        yield f"| {' | '.join(cells)} |"


def test_readme_s_table_is_that_of_the_record() -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:osu018|sky130hd|asap7) \|.*\|$", readme, flags=re.MULTILINE)
    assert len(rows) == 18
    assert rows == list(readme_rows())


def test_readme_s_ranges_are_those_of_the_record() -> None:
    """The first screen, and what dINT4's denormal codes cost."""
    readme = " ".join((DOCS.parent / "README.md").read_text(encoding="utf-8").split())

    def ends(metric: str, reference: str, kinds: Collection[str]) -> tuple[float, float]:
        rows = [row for row in measured(reference) if row["objective"] == metric and row["kind"] in kinds]
        return min(row[f"{metric}_ratio"] for row in rows), max(row[f"{metric}_ratio"] for row in rows)

    (low, high), (least, most) = (ends(metric, "int8", summary.KINDS) for metric in ("energy", "area"))
    taken = (
        f"{low:.2f} to {high:.2f} times the energy of the best dINT4 x INT8 unit and {least:.2f} to {most:.2f} times its area"
    )
    assert taken in readme
    (low, high), (least, most) = (ends(metric, "int4", ["minimum-area"]) for metric in ("area", "energy"))
    assert f"at minimum area: area {low:.2f} to {high:.2f}, energy {least:.2f} to {most:.2f}." in readme
    smaller = f"by {100 - 100 * high:.0f} to {100 - 100 * low:.0f} % and {100 - 100 * most:.0f} to {100 - 100 * least:.0f} %"
    assert f"Plain INT4 x INT8 is smaller and more frugal still, {smaller}" in readme
