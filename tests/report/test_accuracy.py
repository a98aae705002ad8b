# SPDX-License-Identifier: Apache-2.0
"""Accuracy on the page: formats in pairs, differences beside their noise, layers and codes."""

from __future__ import annotations

from typing import Any

from report import accuracy, charts, layer_charts, page

from .conftest import no_charts
from .page_parser import Page


def test_quantized_values_are_paired_with_quantized_values(results: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in results["accuracy"]["rows"]}
    int4, dint4 = rows["W4A8 INT4, AQAS"], rows["W4A8 dINT4, AQAS"]

    def paired() -> bool:
        return any(pair["other"] == int4["name"] for pair in accuracy.pairs(results["accuracy"]))

    assert paired()
    dint4["value_format"] = "dint4"
    assert not paired()
    int4["value_format"] = "int4"
    assert paired()
    dint4["attention"] = "int8"
    assert not paired()


@no_charts
def test_differences_are_paired_and_those_within_noise_no_wins(results: dict[str, Any]) -> None:
    """Windows differ by far more than methods do; what counts is the noise of the differences."""
    (text, _), rows = results["accuracy"]["protocols"], {row["name"]: row for row in results["accuracy"]["rows"]}

    def pair(other: str) -> dict[str, str]:
        return next(one for one in accuracy.pairs(results["accuracy"]) if (one["other"], one["text"]) == (other, text))

    int4, dint4 = rows["W4A8 INT4, AQAS"], rows["W4A8 dINT4, AQAS"]
    int4["divergences"][text], dint4["divergences"][text] = [0.04, 0.02, 0.06, 0.08], [0.041, 0.02, 0.059, 0.082]
    int4["losses"][text], dint4["losses"][text] = [3.0, 2.0, 4.0, 5.0], [3.01, 2.01, 4.03, 5.03]
    # Differences of the divergences: -0.001, 0, 0.001, -0.002; of the losses: -0.01, -0.01, -0.03, -0.03.
    assert len(accuracy.pairs(results["accuracy"])) == 4
    found = pair("W4A8 INT4, AQAS")
    assert found["kl"].endswith("; difference -0.00050 ± 0.00065: not clear")
    assert found["perplexity"].endswith("; ratio 0.9802 ± 0.0057: INT4 lower")
    assert pair("W4A8 INT4")["underflow"] == "0.0168 and 0.0104"
    page_text = Page(page.render(results)).text
    assert "it says nothing about their differences" in page_text
    assert found["kl"] in page_text
    dint4["divergences"][text] = [0.03, 0.01, 0.051, 0.069]
    assert pair("W4A8 INT4, AQAS")["kl"].endswith(": dINT4 lower")
    dint4["divergences"][text] = list(int4["divergences"][text])
    assert pair("W4A8 INT4, AQAS")["kl"].endswith("difference 0 ± 0: not clear")
    for none in ([0.03], None):
        int4["divergences"][text] = none
        assert pair("W4A8 INT4, AQAS")["kl"].endswith("so neither is called lower")
    del dint4["losses"]
    assert pair("W4A8 INT4, AQAS")["perplexity"].endswith("so neither is called lower")


def test_layers_and_codes_of_the_chosen_and_its_rival(results: dict[str, Any]) -> None:
    """Every layer of both methods, their totals; every value's share of the weights, and the entropy."""
    read = Page(page.render(results))
    drawn = charts.charts(results) | layer_charts.layer_charts(results)
    assert [panel.title for panel in drawn["layers"].panels] == ["W4A8 INT4, AQAS", "W4A8 dINT4, AQAS"]
    assert ("W4A8 dINT4, AQAS", "1 out_proj", "0.020", "0.012", "0.0090", "-0.0010") in drawn["layers"].rows
    assert len(drawn["layers"].rows) == 12
    titles = [panel.title for panel in drawn["codes"].panels]
    assert titles == ["W4A8 INT4, AQAS: 3.77 bits a weight", "W4A8 dINT4, AQAS: 3.77 bits a weight"]
    # Code 8, +1/2, has 34 and 35 weights of 520 and 536 in a layer.
    assert f"0.5: {(34 + 35) / (520 + 536):.1%}" in drawn["codes"].panels[1].svg
    assert "Use of the codes" in read.text
    assert "Output error by layer" in read.text


def test_many_layers_are_shown_by_kind(results: dict[str, Any]) -> None:
    accuracy_of = results["accuracy"]
    entry = accuracy_of["layers"][-1]
    accuracy_of["layers"] = [
        {**entry, "layer": f"model.layers.{index}.mlp.{kind}", "total": 0.01 * index}
        for index in range(30)
        for kind in ("up_proj", "down_proj")
    ]
    rows = layer_charts.layer_charts(results)["layers"].rows
    assert [row[1] for row in rows] == ["up_proj, mean of 30", "down_proj, mean of 30"]
    assert rows[0][2] == "0.14"  # 0.145, rounded to even


def test_without_a_chosen_row_there_are_no_layers(results: dict[str, Any]) -> None:
    for row in results["accuracy"]["rows"]:
        row["chosen"] = False
    assert layer_charts.layer_charts(results) == {}
    page.render(results)


def test_formats_of_three_bits_and_fp4_are_paired_too(results: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in results["accuracy"]["rows"]}
    rows["W4A8 INT4"]["weights"], rows["W4A8 INT4, AQAS"]["weights"] = "fp4_e2m1", "int3"
    rows["W4A8 dINT4, AQAS"]["weights"] = "dint3"
    found = {(pair["other"], pair["dint"]): pair["kl"] for pair in accuracy.pairs(results["accuracy"])}
    assert set(found) == {("W4A8 INT4", "W4A8 dINT4"), ("W4A8 INT4, AQAS", "W4A8 dINT4, AQAS")}
    assert found["W4A8 INT4", "W4A8 dINT4"].endswith(": dINT4 lower")
    assert found["W4A8 INT4, AQAS", "W4A8 dINT4, AQAS"].endswith(": dINT3 lower")
