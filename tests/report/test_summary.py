# SPDX-License-Identifier: Apache-2.0
"""Ranges: over what they go, what leads, and that the page and the terminal say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from report import display, ledger, page, summary


def row(ratio: float, **changes: Any) -> dict[str, Any]:
    """A comparison with the same ratio for area and energy."""
    side = {"format": "int8", "architecture": "booth", "area_um2": 100.0 * ratio, "energy_per_mac_j": ratio * 1e-12}
    side |= {"delay_ns": 1.0, "power_w": 1e-3, "leakage_w": 1e-6}
    candidate = side | {"format": "dint4", "architecture": "grid", "area_um2": 100.0, "energy_per_mac_j": 1e-12}
    made = {"pdk": "osu018", "lanes": 1, "period_ns": 2.0, "objective": "area", "kind": "equal-clock", "reference": "int8"}
    made |= {"baseline": side, "candidate": candidate, "area_ratio": ratio, "energy_ratio": ratio}
    return made | {"operands": "opt", "dataflow": "streaming", "activity": "sdf"} | changes


def ranges(*rows: dict[str, Any], metric: str = "area") -> list[summary.Range]:
    return [entry for entry in summary.headline({"comparisons": list(rows)}) if entry.metric == metric]


def test_least_favourable_first() -> None:
    (found,) = ranges(row(1.9), row(1.41, pdk="asap7", lanes=16), row(2.2, lanes=4))
    assert (found.low, found.high, found.text) == (1.41, 2.2, "1.41× to 2.20×")
    assert found.low_at == "asap7, 16 lanes, 2.00 ns"
    assert found.high_at == "osu018, 4 lanes, 2.00 ns"
    assert found.scope == "2 PDKs (asap7, osu018), 1, 4 and 16 lanes"
    assert found.paper == 1.93


def test_kinds_and_references_do_not_mix() -> None:
    int4 = row(0.9, reference="int4")
    found = ranges(row(1.5), row(1.3, kind="minimum-area"), int4)
    assert [(entry.reference, entry.kind, entry.text) for entry in found] == [
        ("int8", "equal-clock", "1.50×"),
        ("int8", "minimum-area", "1.30×"),
        ("int4", "equal-clock", "0.90×"),
    ]
    assert found[2].paper is None


def test_only_designs_chosen_for_the_metric_count() -> None:
    rows = row(1.5), row(9.0, objective="energy")
    assert ranges(*rows)[0].text == "1.50×"
    assert ranges(*rows, metric="energy")[0].text == "9.00×"
    assert ranges(*rows)[0].note == ""


def test_a_stand_in_says_so() -> None:
    (found,) = ranges(row(1.5), metric="energy")
    assert found.note == "both sides chosen for area, not for energy"
    assert found.note in " ".join(summary.lines({"comparisons": [row(1.5)]}))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"operands": "opt"}, {"operands": "uniform"}),
        ({"activity": "sdf"}, {"activity": "zero-delay"}),
        ({"dataflow": "streaming"}, {"dataflow": "weights-held"}),
        ({"operands": "opt", "activity": "zero-delay"}, {"operands": "uniform", "activity": "sdf"}),
    ],
)
def test_real_operands_with_delays_lead_even_when_given_last(first: dict[str, str], second: dict[str, str]) -> None:
    leading, other = ranges(row(1.2, objective="energy", **second), row(2.0, objective="energy", **first), metric="energy")
    assert (leading.leading, other.leading) == (True, False)
    assert all(getattr(leading, name) == value for name, value in first.items())
    assert leading.lower_elsewhere.startswith("1.20× with ")
    assert other.lower_elsewhere == ""


def test_nothing_is_lower_elsewhere_when_the_lead_is_the_least() -> None:
    leading, _ = ranges(row(1.2, objective="energy"), row(1.3, objective="energy", operands="uniform"), metric="energy")
    assert leading.lower_elsewhere == ""


def test_the_same_range_with_uniform_operands_stands_beside_the_one_that_leads() -> None:
    energies: dict[str, Any] = {"objective": "energy"}
    uniform = energies | {"operands": "uniform"}
    rows = [row(1.5, **energies), row(1.4, **uniform, energy_ratio_standard_error=0.03), row(1.9, **uniform, lanes=16)]
    rows += [
        row(1.1, **uniform, activity="zero-delay"),
        row(1.2, **uniform, kind="minimum-area"),
        row(0.8, **uniform, reference="int4"),
    ]
    leading, *others = ranges(*rows, metric="energy")
    assert leading.with_uniform == "1.40 ± 0.03× to 1.90×"
    assert leading.lower_elsewhere.startswith("1.10× with uniform operands, streaming, zero-delay")
    assert {entry.with_uniform for entry in others} == {""}  # nothing but uniform operands, or not the one that leads
    assert "; with uniform operands: 1.40 ± 0.03× to 1.90×; " in " ".join(summary.lines({"comparisons": rows}))
    assert "with uniform" not in " ".join(summary.lines({"comparisons": rows[:1]}))


def test_unmeasured_ratios_are_left_out() -> None:
    assert ranges(row(1.5), row(1.5, energy_ratio=None, objective="energy"), metric="energy")[0].chosen_for == "area"
    assert ranges(row(1.5, energy_ratio=None), metric="energy") == []
    assert summary.lines({"comparisons": []}) == ["No ratio: no comparison was measured"]


def test_page_and_terminal_agree(results: dict[str, Any]) -> None:
    html = page.render(results)
    text = summary.lines(results, Path("build/report/index.html"))
    assert text[-1] == "Page: build/report/index.html"
    on_page = re.findall(
        r'<p class="what">(\w+), ([\w ]+)</p>\s*<p class="ratio"><strong>([^<]+)</strong>(?: <span>(to [^<]+)</span>)?', html
    )
    shown = [(metric.lower(), kind, f"{low} {high}".strip()) for metric, kind, low, high in on_page]
    for reference in ("int8", "int4"):
        leading = [entry for entry in summary.headline(results) if entry.leading and entry.reference == reference]
        cards, shown_after = shown[: len(leading)], shown[len(leading) :]
        least_first = sorted(leading, key=lambda entry: entry.low)
        assert cards == [(entry.metric, summary.KINDS[entry.kind], entry.text) for entry in least_first]
        assert len(cards) == 4
        for metric, kind, span in cards:
            assert any(f"{metric}, {kind}" in line and span in line for line in text)
        shown = shown_after
    assert shown == []
    beside = [entry.with_uniform for entry in summary.headline(results) if entry.leading and entry.metric == "energy"]
    assert len(beside) == 4
    for span in beside:
        assert f"<b>With uniform operands: {span}</b>" in html
        assert any(f"with uniform operands: {span}" in line for line in text)


def test_ledger_gives_the_cost_of_the_denormal_codes() -> None:
    results: dict[str, Any] = {"comparisons": [row(1.5), row(0.8, reference="int4")], "energies": []}
    results["designs"] = [{"format": "dint4", "accumulator_bits": 28, "depth": 65536}]
    results["effort"] = {name: {"syntheses": count, "architectures": ["a"]} for name, count in (("int8", 5), ("dint4", 9))}
    entries = {entry.question: " ".join(entry.answer) for entry in ledger.ledger(results)}
    assert "0.80×, that is +25.0 % area for dINT4" in entries["Cost of the denormal codes alone"]
    assert "dINT4 28 bits; products before overflow: 65,536" in entries["Accumulator"]
    assert "dINT4 had more: 9 to 5." in entries["Search effort per side"]
    assert "INT8: 5 syntheses over 1 architecture (a), 5.0 per architecture." in entries["Search effort per side"]
    results["effort"]["int8"]["syntheses"] = 82
    assert "INT8 had more: 82 to 9." in answers(results)["Search effort per side"]


def answers(results: dict[str, Any]) -> dict[str, str]:
    return {entry.question: " ".join(entry.answer) for entry in ledger.ledger(results)}


def test_ledger_says_which_side_set_the_clock(results: dict[str, Any]) -> None:
    results["clocks"] = [
        {"pdk": "osu018", "lanes": 1, "period_ns": 3.27, "tightest_ns": {"dint4": 3.27, "int8": 3.155}, "margin": 0.03}
        | {"set_by": "dint4"},
        {"pdk": "osu018", "lanes": 16, "period_ns": 5.115, "tightest_ns": {"int8": 4.966, "dint4": 4.5}, "margin": 0.03}
        | {"set_by": "int8"},
    ]
    text = answers(results)["Clock"]
    assert "osu018, 1 lane: INT8 closes at 3.155 ns, dINT4 at 3.270 ns; compared at 3.270 ns, set by dINT4." in text
    assert "osu018, 16 lanes: INT8 closes at 4.966 ns, dINT4 at 4.500 ns; compared at 5.115 ns, set by INT8." in text
    assert "closes plus 3 %" in text
    del results["clocks"]
    text = answers(results)["Clock"]
    assert "see period" in text
    assert "tightest" not in text
    assert "shortest" not in text


def test_ledger_says_how_energies_and_operands_came_about(results: dict[str, Any]) -> None:
    found = answers(results)
    energy = found["What an energy includes"]
    assert "short runs of products of many (layer, token, output channel) triples, every exported layer in proportion" in energy
    assert "at 16 lanes: 1 to 3 samples, 2,048 cycles in all, 120 sums compared." in energy
    assert "1 % of it, known for 72 of 144 measurements" in energy
    assert "INT8 (no scaling, rtn, symmetric): activations RMS 31.5; zeros among activations 2.0 %" in found["Operands"]
    assert "dINT4 (scaling AQAS, rtn, symmetric)" in found["Operands"]
    assert "`multiply`" in found["How both sides were chosen"]
    assert "same recipes for all formats" not in " ".join(found.values())


def test_ratios_carry_their_standard_error() -> None:
    assert [display.ratio(1.352, error) for error in (None, 0.04, 0.004, 0.0)] == [
        "1.35×",
        "1.35 ± 0.04×",
        "1.352 ± 0.004×",
        "1.35 ± 0.00×",
    ]
    rows = [row(1.35, objective="energy", energy_ratio_standard_error=0.04), row(1.6, objective="energy", lanes=4)]
    (found,) = ranges(*rows, metric="energy")
    assert found.text == "1.35 ± 0.04× to 1.60×"
    assert "1.35 ± 0.04× to 1.60×" in " ".join(summary.lines({"comparisons": rows}))
    assert ranges(*rows)[0].text.count("±") == 0


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (12345.6, 4, "12,346"),
        (0.39604, 3, "0.396"),
        (56.25, 4, "56.25"),
        (0, 3, "0"),
        (None, 3, "not measured"),
        (9.9999, 3, "10.00"),
        (2e-6, 1, "0.000002"),
    ],
)
def test_significant_digits(value: float | None, digits: int, text: str) -> None:
    assert display.significant(value, digits) == text


def test_names_for_people() -> None:
    names = ["int8", "dint4", "fp4_e2m1"]
    assert [display.format_name(name) for name in names] == ["INT8", "dINT4", "FP4 E2M1"]
    assert (display.lanes(1), display.lanes(16), display.plural(2, "synthesis", "syntheses")) == (
        "1 lane",
        "16 lanes",
        "2 syntheses",
    )
