# SPDX-License-Identifier: Apache-2.0
"""The files of a report: written whole or not at all, the same bytes from the same results, under published names."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from golden.artifacts import canonical_json
from golden.errors import InputError
from report import command, metrics, page

from .conftest import no_charts


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
