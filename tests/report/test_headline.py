# SPDX-License-Identifier: Apache-2.0
"""The README's picture: of the page's ratios, and the one that is kept is of the record beside it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from report import headline, metrics, ratio_charts, summary

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
