# SPDX-License-Identifier: Apache-2.0
"""The front: no netlist on it is beaten, cells give way to gates along it, and `dint synthesize --front` tells its gaps."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dint
from golden import DINT4, MacConfig
from golden.errors import InputError
from synth import flow, front_command
from synth import front as fronts
from synth.front import front, pareto, steps
from synth.pdk import find
from synth.recipe import Recipe
from synth.request import Request


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few recipes, since a front is made of some sixty."""
    monkeypatch.setattr(fronts, "MORE_ADDERS", ())
    monkeypatch.setattr(fronts, "_FAMILY", (("balanced", (0.6,)), ("speed", (0.3,))))
    monkeypatch.setattr(fronts, "_ROUNDS", 1)
    monkeypatch.setattr(flow, "MIXED", (("balanced", 1.0), ("", 0.6)))


@pytest.mark.usefixtures("few")
def test_the_front(cache: Path) -> None:
    found = front(MacConfig(DINT4), find("osu018"), cache)
    assert all(small.area_um2 < large.area_um2 and small.delay_ns > large.delay_ns for small, large in pairwise(found))
    assert {mapped.config.architecture for mapped in found} <= {"digit-grid", "digit-grid-fast"}
    cells = [mapped.cell_counts.get("FAX1", 0) for mapped in found]
    assert cells[0] > cells[-1] == 0
    between = [mapped for mapped in found if cells[0] > mapped.cell_counts.get("FAX1", 0) > 0]
    assert len(between) >= 2
    differences = steps(found)
    assert len(differences) == len(found) - 1
    assert differences[0] == pytest.approx((found[1].area_um2 - found[0].area_um2) / found[1].area_um2)
    # Nothing that was mapped beats it.
    shop = flow.Workshop(find("osu018"), cache)
    tried = shop.run_recipes(
        [(MacConfig(DINT4), [Recipe(), Recipe("cells", allowance=0.6, adder="sklansky", script="balanced", delay_ps=1)])]
    )
    for mapped in tried:
        assert any(one.area_um2 <= mapped.area_um2 and one.delay_ns <= mapped.delay_ns for one in found)


def test_pareto(cache: Path) -> None:
    shop = flow.Workshop(find("osu018"), cache)
    recipes = [Recipe(), Recipe("logic", script="delay", delay_ps=1), Recipe("logic", script="speed", delay_ps=1)]
    small, *fast = shop.run_recipes([(MacConfig(DINT4), recipes)])
    beaten = replace(small, area_um2=small.area_um2 + 1)  # as slow, and larger
    quick = replace(small, area_um2=small.area_um2 + 1, delay_ns=small.delay_ns - 1)
    assert pareto([quick, beaten, small, small]) == [small, quick]
    assert pareto([small, *fast])[0] == small
    assert steps([small, quick]) == [pytest.approx(1 / quick.area_um2)]
    assert pareto([]) == []
    assert steps([small]) == []


@pytest.mark.usefixtures("few")
def test_the_command(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = front_command.front(Request(cycles=32), tmp_path / "front", cache)
    assert json.loads((tmp_path / "front/front.json").read_text()) == result
    points = result["points"]
    assert len(points) >= 4
    for point in points:
        assert point["activity__sums_compared"] >= 32
        assert point["energy__per_mac"] > 0
    areas = [point["design__instance__area"] for point in points]
    assert result["step__largest"] == pytest.approx(max(1 - small / large for small, large in pairwise(areas)))
    said = " ".join(capsys.readouterr().out.split())
    wide = sum(1 - small / large >= 0.03 for small, large in pairwise(areas))
    assert f"{wide} of {len(points) - 1} steps between neighbours are 3% or more" in said
    assert f"the largest {result['step__largest']:.1%}" in said


def test_bad_options(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 16"):
        front_command.front(Request(cycles=3), tmp_path / "out")
    answer = CliRunner().invoke(dint.app, ["synthesize", "--front", "--period", "5"])
    assert isinstance(answer.exception, InputError)
    assert "--front gives the netlists of all periods" in str(answer.exception)
