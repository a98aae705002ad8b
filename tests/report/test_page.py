# SPDX-License-Identifier: Apache-2.0
"""The page and its files: well formed, self-contained, complete, escaped, and the same bytes from the same results."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from golden.artifacts import canonical_json
from golden.errors import InputError
from report import accuracy, charts, command, display, layer_charts, metrics, page, summary, verification

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
    assert f"1 lane, 6.00 ns: INT8 · OPT {opt}, INT8 · uniform {uniform}, " in described[1]
    rows = [row for row in results["comparisons"] if (row["kind"], row["objective"]) == ("equal-clock", "energy")]
    alike = [row for row in rows if (row["reference"], row["activity"]) == ("int8", "sdf")]
    spans = [
        f"{display.ratio(min(ratios))} to {display.ratio(max(ratios))} with {words}"
        for source, words in (("opt", "the OPT's operands"), ("uniform", "uniform ones"))
        if (ratios := [row["energy_ratio"] for row in alike if row["operands"] == source])
    ]
    assert len(spans) == 2
    assert f"INT8 / candidate: {', '.join(spans)}." in Page(html).text
    for part in ("partial products", "compressor", "final adder", "accumulator", "registers", "full adders", "other logic"):
        assert f"</span> {part}</li>" in html


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


def test_same_results_same_bytes(make_results: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    import matplotlib

    page.write(make_results(), tmp_path / "first")
    shuffled = json.loads(json.dumps(make_results(), sort_keys=True))
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        page.write(shuffled, tmp_path / "second")
    for name in ("index.html", "metrics.json", "results.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name


def test_metrics_have_the_published_keys(results: dict[str, Any], tmp_path: Path) -> None:
    page.write(results, tmp_path)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["comparisons"] == results["comparisons"]
    for row in written["comparisons"]:
        assert row["area_ratio"] == pytest.approx(row["baseline"]["area_um2"] / row["candidate"]["area_um2"])
        assert row["energy_ratio"] == pytest.approx(row["baseline"]["energy_per_mac_j"] / row["candidate"]["energy_per_mac_j"])
    design, energy = written["designs"][0], written["energies"][0]
    assert design["design__instance__area"] == results["designs"][0]["area_um2"]
    assert design["design__instance__area__by_part"] == results["designs"][0]["area_by_part_um2"]
    assert energy["power__total"] == pytest.approx(
        sum(energy[f"power__{part}__total"] for part in ("internal", "switching", "leakage"))
    )
    assert {"clock__period", "energy__per_mac", "energy__per_mac__by_part", "activity__annotated"} <= set(energy)
    assert written["verification"]["sums_compared"] == sum(run["sums_compared"] for run in results["simulations"])
    assert written["headline"][0]["low"] <= written["headline"][0]["high"]


def test_metrics_and_synthesis_name_the_same_figures_alike(results: dict[str, Any]) -> None:
    synthesis = (Path(page.__file__).parent.parent / "synth" / "command.py").read_text()
    written = set(re.findall(r'"((?:design|timing|clock|power|energy|activity)__\w+)"', synthesis))
    made = metrics.metrics(results)
    for key in {*made["designs"][0], *made["energies"][0]} - {"energy__per_mac__standard_error"}:
        assert "__" not in key or key in written, key
    names = {"timing__critical_path__delay", "energy__per_mac__by_part", "design__instance__area__by_part", "timing__setup__ws"}
    assert names <= {*made["designs"][0], *made["energies"][0]} & written


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


def test_rendered_again_from_its_own_results(
    results: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = page.write(results, tmp_path / "first")
    again = command.render(tmp_path / "first" / "results.json", tmp_path / "again")
    assert again.read_bytes() == first.read_bytes()
    assert f"Page: {again}" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "{", '{"date": "2026-01-01"}'])
def test_unusable_results_leave_nothing_behind(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError) as caught:
        command.render(file, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@no_charts
def test_a_failed_write_keeps_the_old_report(results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = page.write(results, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    changed = copy.deepcopy(results) | {"date": "2027-01-01"}
    calls = []

    def full_disk(path: Path, content: str) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        path.write_text(content)

    monkeypatch.setattr(page, "write_file", full_disk)
    with pytest.raises((OSError, InputError), match="No space"):
        page.write(changed, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert "2026-01-02" in index.read_text()


@no_charts
def test_results_are_kept_canonical(results: dict[str, Any], tmp_path: Path) -> None:
    page.write(results, tmp_path)
    assert (tmp_path / "results.json").read_text() == canonical_json(results)


@no_charts
@pytest.mark.parametrize(
    ("condition", "shown", "explained"),
    [
        (
            ("opt", "weights-held", "sdf"),
            "OPT operands, weights-held, with gate delays (SDF)",
            "Weights held: the weights of a run",
        ),
        (
            ("opt-fc2", "streaming", "sdf"),
            "OPT operands of fc2 (post-ReLU), streaming",
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
