"""The page and its files: well formed, self-contained, complete, escaped, and the same bytes from the same results."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from golden.artifacts import canonical_json
from golden.errors import InputError
from report import command, display, page

VOID = {"meta", "link", "br", "img", "hr", "input", "use", "path", "rect", "circle"}


class Page(HTMLParser):
    """Checks nesting while it reads, and collects ids, references and text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.labelled: list[str] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.stack == []
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            elif name in ("href", "src", "xlink:href", "srcset", "data", "action"):
                self.references.append(str(value))
            elif name == "aria-labelledby":
                self.labelled += str(value).split()
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] != "style":
            self.words.append(data)
            if "td" in self.stack or "th" in self.stack:
                self.rows[-1][-1] += data


def test_is_well_formed_and_self_contained(results: dict[str, Any]) -> None:
    html = page.render(results)
    read = Page(html)
    assert len(read.ids) == len(set(read.ids))
    assert set(read.labelled) <= set(read.ids)
    inner = {reference[1:] for reference in read.references if reference.startswith("#")}
    assert inner <= set(read.ids)
    assert {reference for reference in read.references if not reference.startswith("#")} == {"data:,"}
    assert not re.search(r"https?://|@import|@font-face|<script", html)
    assert {match for match in re.findall(r"url\(([^)]*)\)", html) if not match.startswith("#")} == set()


def test_shows_every_comparison_and_every_figure_of_accuracy(results: dict[str, Any]) -> None:
    read = Page(page.render(results))
    rows = [tuple(cell.strip() for cell in row) for row in read.rows]
    for row in results["comparisons"]:
        sides = []
        for side in (row["baseline"], row["candidate"]):
            energy = display.femtojoules(side["energy_per_mac_j"])
            figures = display.significant(side["area_um2"]), display.significant(side["delay_ns"], 3), energy
            sides += [side["architecture"], *figures]
        ratios = display.ratio(row["area_ratio"]), display.ratio(row["energy_ratio"])
        where = row["pdk"], str(row["lanes"]), display.period(row["period_ns"]), row["objective"]
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
    assert "<script" not in html
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
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["comparisons"] == results["comparisons"]
    for row in metrics["comparisons"]:
        assert row["area_ratio"] == pytest.approx(row["baseline"]["area_um2"] / row["candidate"]["area_um2"])
        assert row["energy_ratio"] == pytest.approx(row["baseline"]["energy_per_mac_j"] / row["candidate"]["energy_per_mac_j"])
    design, energy = metrics["designs"][0], metrics["energies"][0]
    assert design["design__instance__area"] == results["designs"][0]["area_um2"]
    assert design["design__instance__area__part:final_adder"] == results["designs"][0]["area_by_part_um2"]["final adder"]
    assert energy["power__total"] == pytest.approx(
        sum(energy[f"power__{part}__total"] for part in ("internal", "switching", "leakage"))
    )
    assert {"clock__period", "energy__per_mac", "activity__annotated"} <= set(energy)
    assert metrics["verification"]["sums_compared"] == sum(run["sums_compared"] for run in results["simulations"])
    assert metrics["headline"][0]["low"] <= metrics["headline"][0]["high"]


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
    with pytest.raises(OSError, match="No space"):
        page.write(changed, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert index.read_text().count("2026-01-02") >= 2


def test_results_are_kept_canonical(results: dict[str, Any], tmp_path: Path) -> None:
    page.write(results, tmp_path)
    assert (tmp_path / "results.json").read_text() == canonical_json(results)
