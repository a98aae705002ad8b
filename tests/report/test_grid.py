# SPDX-License-Identifier: Apache-2.0
"""The grid of accuracy on the page, from the file that its benchmark writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from golden.errors import InputError
from report import given, grid, page
from report.grid_charts import grid_charts

from .conftest import no_charts
from .page_parser import Page


def made_grid() -> dict[str, Any]:
    """A grid of two methods and three formats, one of which lacks a method; no figure was measured."""
    rows = [
        {"variant": "symmetric", "method": method, "format": name, "text": "some text", "perplexity": 30.0 + kl, "kl": kl,
         "kl_standard_error": kl / 50}
        for method, name, kl in (("RTN", "int4", 0.05), ("RTN", "dint4", 0.04), ("RTN", "int3", 0.2), ("OPTQ", "dint4", 0.031))
    ]  # fmt: skip
    verdict = {
        "clipped": True,
        "lower": 7,
        "not_clear": 3,
        "higher": 2,
        "mean_ratio": 1.25,
        "least_ratio": 0.97,
        "greatest_ratio": 1.31,
    }
    protocol = {"description": "", "window_tokens": 256, "windows": 9, "predicted_tokens": 9 * 255, "text_sha256": "ab"}
    difference = {"kl": -0.00012, "kl_standard_error": 0.00034}
    clear = {"kl": 0.019, "kl_standard_error": 0.001}
    pair = {"variant": "symmetric", "text": "some text", "rival": "int4", "dint": "dint4"}
    return {
        "model": {"name": "a <small> model", "parameters": 1234567, "sha256": "cd"},
        "protocols": {"some text": protocol},
        "unquantized": [{"text": "some text", "perplexity": 29.875}],
        "grid": rows,
        "best": [{**pair, "rival_method": "RTN", "rival_kl": 0.05, "dint_method": "OPTQ", "dint_kl": 0.031, **clear},
                 {**pair, "rival_method": "AWQ", "rival_kl": 0.05, "dint_method": "AQAS", "dint_kl": 0.031, **difference}],
        "verdicts": [{**pair, **verdict}],
        "ranges": [{"length": 16, "mean_largest_activation": 8.8642}, {"length": 256, "mean_largest_activation": 8.2611}],
        "slac": [
            {"format": "dint4", "method": "OPTQ", "cut": cut, "seed": seed, "length": 64, "kl": kl,
             "calibration_length": length}
            for cut, length, seed, kl in (
                (False, 16, 0, 0.05), (False, 16, 1, 0.052), (False, 256, 0, 0.06), (True, 16, 0, 0.07)
            )
        ],
        "loss": [{"format": "dint4", "text": "some text", "seed": 2, "kl": 0.0411, "kl_without": 0.0422,
                  "difference": difference}],
    }  # fmt: skip


@no_charts
def test_a_grid_is_shown(results: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "accuracy.json"
    file.write_text(json.dumps(made_grid()))
    results["grids"] = [given.read_grid(file)]
    words = Page(page.render(results)).text
    assert "a <small> model, 1,234,567 parameters" in words
    assert "on the checkpoint cd" in words
    assert "dINT4 and INT4 yes 7 3 2 1.250 0.97 to 1.31" in words
    assert "dINT4 and INT4 31.00, OPTQ 50.00, RTN 19.00 ± 1.00 dINT4 lower" in words
    assert "dINT4 and INT4 31.00, AQAS 50.00, AWQ -0.12 ± 0.34 not clear" in words
    assert "method INT4 dINT4 INT3 RTN 50.00 ± 1.0; 30.05 40.00 ± 0.80; 30.04 200.0 ± 4.0; 30.20 OPTQ 31.00 ± 0.62" in words
    assert "perplexity unquantized 29.88" in words
    assert "dINT4; some text 2 41.10 42.20 -0.12 ± 0.34" in words
    assert "nothing at all in 0, nothing that is clear in 1; it lowers the KL in 0" in words
    assert "dINT4, OPTQ 64 51.00 ± 1.41 60.00" in words
    assert "dINT4, OPTQ, cut from full length 64 70.00" in words
    assert "largest activation, mean over the layers' inputs 8.86 8.26" in words
    without = made_grid()
    for part in ("loss", "slac", "ranges"):
        del without[part]
    results["grids"] = [without]
    assert not any(title in page.render(results) for title in ("in its loss", "(SLAC)"))


def test_the_chart_has_formats_of_as_many_bits_in_one_panel() -> None:
    made = made_grid()
    made["grid"].append({**made["grid"][0], "variant": "weights only", "kl": 0.9})  # one figure of another kind of layers
    (chart,) = grid_charts({"grids": [made, {**made, "grid": []}]}).values()
    assert chart.name == "grid-0"
    assert [panel.title for panel in chart.panels] == ["some text: INT4, dINT4", "some text: INT3"]
    assert [(key.symbol, key.label) for key in chart.legend[:2]] == [("●", "INT4 or INT3"), ("◆", "dINT4")]
    assert list(chart.rows) == [
        ("some text", "RTN", "INT4", "50.00", "1.0"),
        ("some text", "RTN", "dINT4", "40.00", "0.80"),
        ("some text", "OPTQ", "dINT4", "31.00", "0.62"),
        ("some text", "RTN", "INT3", "200.0", "4.0"),
    ]
    assert "OPTQ, dINT4 31.00" in chart.panels[0].svg
    assert chart.panels[0].svg.count("var(--c2)") >= 2
    assert 'id="grid-0-some_20text-int4-dint4-title"' in chart.panels[0].svg


def test_grids_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "accuracy.json"
    with pytest.raises(InputError, match="cannot be read"):
        given.read_grid(file)
    file.write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        given.read_grid(file)
    broken = made_grid()
    del broken["grid"][1]["kl"]
    file.write_text(json.dumps(broken))
    with pytest.raises(InputError, match=r"accuracy.json: grid\[1\].kl is missing; make the file anew"):
        given.read_grid(file)


def test_what_quantized_activations_in_the_loss_change_is_said() -> None:
    def row(kl: float, without: float, error: float) -> dict[str, Any]:
        return {"kl": kl, "kl_without": without, "difference": {"kl": without - kl, "kl_standard_error": error}}

    rows = [row(1, 1, 0), row(1, 1, 0), row(1, 1.1, 0.2), row(1, 1.1, 0.01), row(1, 0.9, 0.01), row(1, 0.8, 0.01)]
    assert grid._loss_verdict(rows) == (
        "Of 6 cases (formats, texts and draws), Q(X) changes nothing at all in 2, nothing that is clear in 1; it lowers the KL "
        "in 1 and raises it in 2."
    )
    assert grid._loss_verdict([]) == ""
