# SPDX-License-Identifier: Apache-2.0
"""`make benchmark-silicon`: every kit, number of lanes and of registers; what is done is kept, what failed is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import silicon
from golden import ToolError
from golden.shapes import MAC, PE
from report import given
from synth.pdk import Pdk, find

CONSOLE = Console(quiet=True)


def compared(pdks: list[Pdk], *, lanes: tuple[int], pipeline: int | None, shape: str, **_: Any) -> dict[str, Any]:
    """The shape of a comparison; no figure was measured."""
    side = {"architecture": "booth", "area_um2": 2.0, "delay_ns": 1.0, "energy_per_mac_j": 1e-12, "power_w": 1.0}
    row = {
        "pdk": pdks[0].name, "lanes": lanes[0], "pipeline": pipeline or 0, "period_ns": 1.0, "objective": "area",
        "kind": "minimum-area", "reference": "int8", "baseline": {**side, "format": "int8", "leakage_w": None},
        "candidate": {**side, "format": "dint4", "leakage_w": None}, "area_ratio": 1.5, "energy_ratio": 1.5,
        "energy_ratio_confidence_95": None, "operands": "opt", "dataflow": "streaming", "activity": "sdf", "shape": shape,
    }  # fmt: skip
    effort = {"int8": {"syntheses": 10, "energies": 3, "architectures": [f"of {lanes[0]}", "booth"], "kept_below": 1.5}}
    return {"comparisons": [row], "designs": [], "not_measured": ["The same."], "effort": effort}


def test_everything_is_compared_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def compare(*given: Any, **options: Any) -> dict[str, Any]:
        kept = json.loads(file.read_text())["comparisons"] if done else []
        assert len(kept) == len(done)  # what is done so far is in the file
        done.append(1)
        return compared(*given, **options)

    monkeypatch.setattr(silicon, "compare", compare)
    file, kits = tmp_path / "comparison.json", [find("osu018"), replace(find("osu018"), name="another")]
    ways = [(1, 0), (1, 2), (16, 1)]
    whole = silicon.compare_all(kits, MAC, ways, {}, file, CONSOLE)
    found = [(row["pdk"], row["lanes"], row["pipeline"]) for row in whole["comparisons"]]
    assert found == [(kit, *way) for kit in ("osu018", "another") for way in ways]
    assert whole["not_measured"] == ["The same."]
    assert whole["effort"]["int8"]["syntheses"] == 60
    assert whole["effort"]["int8"]["architectures"] == ["of 1", "booth", "of 16"]
    assert json.loads(file.read_text()) == whole
    silicon.compare_all(kits[:1], PE, [(1, None)], {}, tmp_path / "comparison-pe.json", CONSOLE)
    read = given.read_silicon(tmp_path)
    assert len(read["mac"]) == 6
    assert read["effort"]["pe"]["int8"]["syntheses"] == 10
    assert "failed" not in read


def test_what_a_tool_ends_is_said_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(*given: Any, **options: Any) -> dict[str, Any]:
        if options["lanes"] == (16,):
            raise ToolError("Icarus: killed")
        return compared(*given, **options)

    monkeypatch.setattr(silicon, "compare", compare)
    monkeypatch.setattr(silicon.Operands, "load", lambda _: None)
    asked = ["--pdk", "osu018", "--only", "mac", "--lane", "16", "--lane", "1", "--pipeline", "0", "--out", str(tmp_path)]
    assert silicon.main(asked) == 1
    found = given.read_silicon(tmp_path)
    assert found["failed"] == {"mac": ["osu018, mac, 16 lanes, pipeline 0: Icarus: killed"]}
    assert [row["lanes"] for row in found["mac"]] == [1]
    assert silicon.main([*asked[:4], "--lane", "1", *asked[8:]]) == 0


def test_a_peer_that_beats_ours_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def entries(yosys_area: float, yosys_delay: float) -> list[dict[str, Any]]:
        units = [("dint booth", 9.0, 3.0), ("dint baugh-wooley", 8.0, 3.5), ("Yosys acc + a*w", yosys_area, yosys_delay)]
        return [{"pdk": "osu018", "unit": unit, "area_um2": area, "delay_ns": delay} for unit, area, delay in units]

    assert silicon.beaten(entries(8.0, 3.0)) == []
    assert silicon.beaten(entries(7.9, 3.1)) == [
        "osu018: Yosys acc + a*w is smaller than our best (dint baugh-wooley): adopt it as the baseline"
    ]
    assert silicon.beaten(entries(9.0, 2.9)) == [
        "osu018: Yosys acc + a*w is faster than our best (dint booth): adopt it as the baseline"
    ]
    for area, code in ((8.1, 0), (7.9, 1)):
        monkeypatch.setattr(silicon, "measure_peers", lambda *_, area=area: entries(area, 3.0))
        assert silicon.main(["--pdk", "osu018", "--only", "peers", "--out", str(tmp_path)]) == code
