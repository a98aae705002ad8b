# SPDX-License-Identifier: Apache-2.0
"""Prices of several formats: one search, every format reaches the common clock, what fails is told."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from golden import INT8, BlockMacConfig, MacConfig, format_by_name
from golden.errors import ToolError
from golden.unit import UnitConfig
from synth import cases, prices, search, sta
from synth.flow import Task
from synth.mapping import Mapped
from synth.pdk import QFLOW, Pdk, find
from synth.recipe import Recipe
from synth.search import Effort

from .test_comparison import FakeShop

EFFORT = Effort(margins=(0.25,), fast=1, adders=((64, ()),), both=0, recover=1, cycles=((64, 40),), samples=2)
FORMATS = ("int3", "dint3")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Formats of three bits with one lane, by few recipes and one architecture, with uniform operands."""
    if shutil.which("iverilog") is None or not sta.available() or not (QFLOW / "osu018").is_dir():
        pytest.skip("needs iverilog, opensta and qflow-tech-osu018")
    patch = pytest.MonkeyPatch()
    patch.setattr(search, "small_architectures", lambda *_: ["digit-grid"])
    patch.setattr(search, "area_recipes", lambda *_: [Recipe("cells")])
    patch.setattr(search, "fast_recipes", _one_fast)
    patch.setattr(search, "mixed_recipes", lambda *_: [])
    try:
        return prices.prices(find("osu018"), 1, FORMATS, {}, EFFORT, cache=tmp_path_factory.mktemp("cache"))
    finally:
        patch.undo()


def _one_fast(_: UnitConfig, adders: tuple[str, ...], __: tuple[str, ...]) -> list[Recipe]:
    return [Recipe("logic", adder=adder, script="speed", delay_ps=1) for adder in adders]


def test_every_format_has_every_figure(found: dict[str, Any]) -> None:
    assert found["failures"] == {}
    places = [(one["kind"], one["objective"]) for one in found["units"] if one["format"] == "int3"]
    both = [(kind, objective) for kind in ("equal-clock", "minimum-area") for objective in ("area", "energy")]
    assert sorted(places) == sorted([*both, ("fastest", "delay")])
    assert len(found["units"]) == 2 * len(places)
    by_place: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for one in found["units"]:
        by_place.setdefault((one["kind"], one["objective"]), {})[one["format"]] = one
    fastest = {name: one["delay_ns"] for name, one in by_place["fastest", "delay"].items()}
    for (kind, objective), units in by_place.items():
        assert set(units) == set(FORMATS)
        if objective == "delay":
            continue
        (period,) = {one["period_ns"] for one in units.values()}
        assert period == pytest.approx(1.25 * max(fastest.values()), abs=2e-3) or kind == "minimum-area"
        for one in units.values():
            assert one["delay_ns"] <= period
            assert len(one["energy_samples_j"]) == EFFORT.samples
            assert one["energy_per_mac_j"] == pytest.approx(sum(one["energy_samples_j"]) / EFFORT.samples)
            assert (one["activity"], one["operands"], one["dataflow"]) == ("sdf", "uniform", "streaming")
        for name, one in units.items():
            assert one["area_um2"] >= by_place[kind, "area"][name]["area_um2"]
            assert one["energy_per_mac_j"] >= by_place[kind, "energy"][name]["energy_per_mac_j"]
    effort = found["effort"]
    assert {one["syntheses"] for one in effort.values()} == {effort["int3"]["syntheses"]}
    assert all(one["sums_compared"] > 0 for one in effort.values())


class Invented(FakeShop):
    """Areas and delays by format; what is in `lost` cannot be mapped."""

    lost: frozenset[str] = frozenset()

    def run(self, tasks: list[Task]) -> list[Mapped | None]:  # type: ignore[override]
        for task in tasks:
            if task.config.weight_format.name in self.lost:
                self.failed[task] = "Yosys crashed"
            else:
                self._done[task] = self.invented(task.config, task.recipe)
        return [self._done.get(task) for task in tasks]

    def invented(self, config: UnitConfig, recipe: Recipe) -> Mapped:
        plain = super().invented(replace(config, weight_format=format_by_name("int8")), recipe)  # type: ignore[type-var]
        delay = self.delays[config.weight_format.name] * (1.0 if recipe.delay_ps else 2.0)
        return replace(plain, config=config, delay_ns=max(delay, 1.01e-3 * recipe.delay_ps / 0.98))


DELAYS = {"int8": 3.0, "int4": 2.0, "dint4": 2.5, "fp4_e2m1": 3.5}


def test_the_slowest_format_sets_the_clock() -> None:
    shop = Invented(find("osu018"), DELAYS)
    best = search.search(shop, search.units(2, formats=tuple(DELAYS)), EFFORT, [tuple(DELAYS)])
    assert list(best.clocked) == pytest.approx([1.25 * 3.5])
    assert all(netlists for netlists in best.clocked[next(iter(best.clocked))].values())
    assert best.tightest_ns == DELAYS
    assert not best.failed


def test_each_group_sets_a_clock_that_others_may_miss() -> None:
    shop = Invented(find("osu018"), DELAYS)
    best = search.search(shop, search.units(2, formats=tuple(DELAYS)), EFFORT, [("int4", "dint4"), tuple(DELAYS)])
    assert list(best.clocked) == pytest.approx([1.25 * 2.5, 1.25 * 3.5])
    few, all_of_them = best.clocked.values()
    assert {name for name, netlists in few.items() if netlists} == {"int8", "int4", "dint4"}
    assert all(all_of_them.values())


class Scaled(FakeShop):
    """Plain units close at 2 ns; those of block formats at 4 ns, with a register at 2.2 ns, and take more with it."""

    def invented(self, config: UnitConfig, recipe: Recipe) -> Mapped:
        plain = super().invented(MacConfig(INT8), recipe)
        blocks = isinstance(config, BlockMacConfig)
        delay = (2.2 if config.pipeline else 4.0) if blocks else 2.0
        fast = recipe.full_adders == "logic" and recipe.delay_ps > 0
        name = f"{config.name} {config.architecture} {recipe}"
        area = plain.area_um2 + 10 * config.pipeline
        return replace(plain, config=config, delay_ns=delay * (1 if fast else 2), area_um2=area, netlist_sha256=name)


def test_units_of_block_formats_register_a_scaled_sum_where_they_do_not_close_without() -> None:
    shop, formats = Scaled(find("osu018"), {"int8": 2.0}), ("dint4", "nvfp4")
    best = search.search(shop, search.units(16, formats=formats), EFFORT, [("dint4",), formats])
    assert list(best.clocked) == [2.5, 5.0]
    assert best.tightest_ns == {"dint4": 2.0, "nvfp4": 4.0}
    registers = {
        (period_ns, name): {mapped.config.pipeline for mapped in closing}
        for period_ns, those in best.clocked.items()
        for name, closing in those.items()
    }
    assert registers == {(2.5, "dint4"): {0}, (2.5, "nvfp4"): {1}, (5.0, "dint4"): {0}, (5.0, "nvfp4"): {0}}
    assert {mapped.config.pipeline for mapped in best.minimum["nvfp4"]} == {0}
    assert any(one.endswith(" registered") for one in shop.architectures("nvfp4"))
    assert not any("registered" in one for one in shop.architectures("dint4"))
    alone = Scaled(find("osu018"), {"int8": 2.0})
    search.search(alone, search.units(16, formats=("nvfp4",)), EFFORT, [("nvfp4",)])
    assert not any("registered" in one for one in alone.architectures("nvfp4"))


def test_the_most_frugal_is_looked_for_among_all_architectures_of_every_format() -> None:
    """`multiply` has twice the area of the others here."""
    shop = Invented(find("osu018"), DELAYS)
    best = search.search(shop, search.units(1, formats=tuple(DELAYS)), prices.EFFORT, [tuple(DELAYS)])
    for name in DELAYS:
        kept = {mapped.config.architecture.removesuffix("-fast") for mapped in best.minimum[name]}
        assert kept == set(search.small_architectures(format_by_name(name), 1))


def test_a_format_that_cannot_be_mapped_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prices, "Workshop", lambda kit, *_: Invented(kit, DELAYS))
    monkeypatch.setattr(Invented, "lost", frozenset({"fp4_e2m1"}))

    def no_energy(_: cases.Case, *given: Any) -> None:
        assert given[1].also == ()  # or a unit would have several energies
        if given[-1] == ("int4",):
            raise ToolError("a wrong sum")

    monkeypatch.setattr(cases.Case, "measure", no_energy)
    found = prices.prices(find("osu018"), 2, tuple(DELAYS), {}, EFFORT, cache=tmp_path)
    assert set(found["failures"]) == {"fp4_e2m1", "int4"}
    assert "every synthesis failed, the first with: Yosys crashed" in found["failures"]["fp4_e2m1"]
    assert found["failures"]["int4"] == "energy: a wrong sum"
    assert {one["format"] for one in found["units"]} == {"int8", "int4", "dint4"}  # their shortest clocks
    assert found["effort"]["fp4_e2m1"]["syntheses"] == 0
    assert found["effort"]["fp4_e2m1"]["failed_syntheses"] > 0


def test_a_comparison_needs_all_its_formats(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from synth import comparison

    def shop(kit: Pdk, *_: Any) -> Invented:
        return Invented(kit, DELAYS)

    monkeypatch.setattr(comparison, "Workshop", shop)
    for lost in ("int4", "int8"):
        monkeypatch.setattr(Invented, "lost", frozenset({lost}))
        with pytest.raises(ToolError, match="every synthesis failed, the first with: Yosys crashed"):
            comparison.compare([find("osu018")], (2,), effort=EFFORT, cache=tmp_path)


@pytest.mark.parametrize(
    ("formats", "groups"),
    [
        (("int8", "mxfp4", "dint4"), [["int8", "dint4"], ["int8", "mxfp4", "dint4"]]),
        (("nvfp4", "mxfp4_a4"), [[], ["nvfp4", "mxfp4_a4"]]),
    ],
)
def test_formats_without_scales_set_a_clock_of_their_own(
    formats: tuple[str, ...], groups: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []

    def searched(*given: Any) -> Any:
        asked.append([list(group) for group in given[-1]])
        raise ToolError("enough")

    monkeypatch.setattr(prices, "search", searched)
    with pytest.raises(ToolError, match="enough"):
        prices.prices(find("osu018"), 2, formats, {}, EFFORT, cache=tmp_path)
    assert asked == [groups]
