# SPDX-License-Identifier: Apache-2.0
"""The fair comparison: each side's best, the same clock, ratios that are what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from golden import DINT4, INT8, MacConfig, format_by_name
from golden.errors import InputError, ToolError
from hdl.architectures import ARCHITECTURES
from synth import cases, comparison, flow, search
from synth.comparison import EQUAL_CLOCK, MINIMUM_AREA, compare
from synth.flow import FIRST_ADDER, RECOVERY, Task, Workshop, to_size
from synth.mapping import Mapped, map_design
from synth.pdk import Pdk, find
from synth.recipe import Recipe
from synth.search import Effort, small_architectures

EFFORT = Effort(margins=(0.03,), fast=1, adders=((64, ()),), recover=1, cycles=((64, 48),))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One lane on the default kit, with as few recipes as make sense."""
    patch = pytest.MonkeyPatch()
    few = {"baugh-wooley", "digit-grid", "direct-grid", "multiply"}
    patch.setattr(search, "area_recipes", _one_area_recipe)
    patch.setattr(search, "fast_recipes", _one_fast_recipe)
    patch.setattr(search, "small_architectures", lambda *of: [one for one in small_architectures(*of) if one in few])
    patch.setattr(flow, "map_design", _crashes_once)
    done: list[str] = []
    try:
        found = compare([find("osu018")], (1,), effort=EFFORT, cache=tmp_path_factory.mktemp("cache"), advance=done.append)
    finally:
        patch.undo()
    assert done
    return found


CRASHING = MacConfig(DINT4, architecture="direct-grid-fast")


def _crashes_once(config: MacConfig, pdk: Pdk, recipe: Recipe, cache: Path) -> Mapped:
    if config == CRASHING and recipe.full_adders == "logic":
        raise ToolError("Yosys crashed")
    return map_design(config, pdk, recipe, cache)


def _one_area_recipe(config: MacConfig, *_: object) -> list[Recipe]:
    return [Recipe("logic" if config.architecture == "multiply" else "cells")]


def _one_fast_recipe(_: MacConfig, adders: tuple[str, ...], __: tuple[str, ...]) -> list[Recipe]:
    return [Recipe("logic", adder=adder, script="speed", delay_ps=1) for adder in adders]


def designs(results: dict[str, Any], format_name: str, kind: str) -> list[dict[str, Any]]:
    objective = "speed" if kind == EQUAL_CLOCK else "area"
    return [d for d in results["designs"] if (d["format"], d["objective"]) == (format_name, objective)]


@pytest.mark.slow
def test_plain_json_with_the_reports_keys(results: dict[str, Any]) -> None:
    from report import schema
    from report.shapes import check_shape

    json.dumps(results, allow_nan=False)
    for key in ("designs", "energies", "comparisons", "effort", "not_measured"):
        check_shape({key: results[key]}, {key: schema.RESULTS[key]}, "comparison")


@pytest.mark.slow
def test_a_synthesis_that_fails_is_named_and_the_others_go_on(results: dict[str, Any]) -> None:
    named = [sentence for sentence in results["not_measured"] if "failed" in sentence]
    assert named == ["osu018, mac_dint4_x1_direct_grid_fast mapped by logic, speed, sklansky: failed (Yosys crashed)."]
    assert "direct-grid-fast" in results["effort"]["dint4"]["architectures"]  # by its other recipes


@pytest.mark.slow
def test_each_side_is_its_best(results: dict[str, Any]) -> None:
    seen = set()
    for row in results["comparisons"]:
        for side in ("baseline", "candidate"):
            own = designs(results, row[side]["format"], row["kind"])
            energies = [
                e["energy_per_mac_j"]
                for e in results["energies"]
                if e["netlist_sha256"] in {d["netlist_sha256"] for d in own}
                and (e["samples"] == EFFORT.samples or e["activity"] == "zero-delay")  # finalists
                and (e["operands"], e["activity"], e["period_ns"]) == (row["operands"], row["activity"], row["period_ns"])
            ]
            if row["objective"] == "area":
                assert row[side]["area_um2"] == min(d["area_um2"] for d in own)
            else:
                assert row[side]["energy_per_mac_j"] == min(energies)
        assert row["area_ratio"] == pytest.approx(row["baseline"]["area_um2"] / row["candidate"]["area_um2"])
        assert row["energy_ratio"] == pytest.approx(row["baseline"]["energy_per_mac_j"] / row["candidate"]["energy_per_mac_j"])
        assert row["baseline"]["format"] == row["reference"]
        seen.add((row["kind"], row["reference"], row["objective"], row["activity"]))
    everything = {
        (kind, reference, objective, activity)
        for kind in (EQUAL_CLOCK, MINIMUM_AREA)
        for reference in ("int8", "int4")
        for objective in ("area", "energy")
        for activity in ("sdf", "zero-delay")
    }
    assert seen == {one for one in everything if one[:2] != (EQUAL_CLOCK, "int4")}
    assert any("INT4 at a common clock" in sentence for sentence in results["not_measured"])


@pytest.mark.slow
def test_equal_clock(results: dict[str, Any]) -> None:
    rows = [row for row in results["comparisons"] if row["kind"] == EQUAL_CLOCK]
    (period,) = {row["period_ns"] for row in rows}
    for design in results["designs"]:
        if design["objective"] == "speed":
            assert design["delay_ns"] <= period
            assert design["target_period_ns"] == period
    # The period is not slack: an INT8 netlist needs all of it but the resolution of the search.
    assert max(design["delay_ns"] for design in designs(results, "int8", EQUAL_CLOCK)) > 0.96 * period
    for row in rows:
        assert row["baseline"]["power_w"] == pytest.approx(row["baseline"]["energy_per_mac_j"] / (period * 1e-9), rel=1e-3)


@pytest.mark.slow
def test_effort_and_energies(results: dict[str, Any]) -> None:
    effort = results["effort"]
    assert set(effort) == {"int8", "dint4", "int4"}
    assert "multiply" in effort["int8"]["architectures"]
    for name, entry in effort.items():
        # For each of an architecture's two structures one recipe for area and another adder for what is kept, and four of those
        # between; one for speed, two that size every architecture. INT4 stays at minimum area.
        count = len({"baugh-wooley", "digit-grid", "direct-grid", "multiply"} & set(entry["architectures"]))
        assert count < entry["syntheses"] <= (4 if name == "int4" else 15) * count
    for energy in results["energies"]:
        assert energy["annotated_fraction"] >= 0.99
        assert energy["energy_per_mac_j"] == pytest.approx(sum(energy["by_part_j"].values()))
    pairs: dict[tuple[str, str, float], dict[str, float]] = {}
    for energy in results["energies"]:
        key = (energy["netlist_sha256"], energy["operands"], energy["period_ns"])
        pairs.setdefault(key, {})[energy["activity"]] = energy["energy_per_mac_j"]
    compared = [pair for pair in pairs.values() if len(pair) == 2]
    assert compared
    assert all(pair["zero-delay"] < pair["sdf"] for pair in compared)
    assert any("none were given" in sentence for sentence in results["not_measured"])


@pytest.mark.slow
def test_finalists_are_measured_several_times(results: dict[str, Any]) -> None:
    rows = [row for row in results["comparisons"] if row["activity"] == "sdf"]
    assert rows
    for row in rows:
        assert 0 < row["energy_ratio_standard_error"] < 0.2 * row["energy_ratio"]
        assert row["baseline"]["energy_per_mac_standard_error_j"] > 0
    assert {energy["samples"] for energy in results["energies"]} == {1, EFFORT.samples}


@pytest.mark.slow
def test_widths_and_slack_are_there(results: dict[str, Any]) -> None:
    for design in results["designs"]:
        assert design["accumulator_bits"] == {"int8": 32, "int4": 28, "dint4": 28}[design["format"]]
        assert design["depth"] == 65536
        if design["target_period_ns"] is not None:
            assert design["slack_ns"] == pytest.approx(design["target_period_ns"] - design["delay_ns"])
            assert design["slack_ns"] >= -1e-9


# Rules, without tools


def mapped(kit: Pdk, config: MacConfig, area: float, delay: float) -> Mapped:
    name = f"{config.name}-{area}-{delay}"
    return Mapped(config.name, kit.name, config, Recipe(), Path(name), area, delay, 1, {}, name, name, (), False)


class FakeShop(Workshop):
    """Maps nothing: area and delay are made up from the configuration and the recipe."""

    def __init__(self, kit: Pdk, delays: dict[str, float]) -> None:
        super().__init__(kit)
        self.delays = delays

    def run(self, tasks: Sequence[Task]) -> list[Mapped]:
        self._done |= {task: self.invented(task.config, task.recipe) for task in tasks}
        return [self._done[task] for task in tasks]

    def invented(self, config: MacConfig, recipe: Recipe) -> Mapped:
        name, fast = config.weight_format.name, recipe.full_adders == "logic" and recipe.delay_ps > 0
        area = {"int8": 100.0, "dint4": 60.0, "int4": 55.0}[name] * (1.3 if fast else 1.0)
        area *= 2.0 if config.architecture == "multiply" else 1.0
        delay = self.delays[name] * (1.0 if fast else 2.0) * (1.0 if recipe.adder == FIRST_ADDER else 1.05)
        # Gates sized for a period miss it by 1 %.
        delay = max(delay, 1.01e-3 * recipe.delay_ps / 0.98)
        return replace(mapped(self.pdk, config, area, delay), recipe=recipe)

    @property
    def tried(self) -> list[tuple[str, str, Recipe]]:
        return [(task.config.weight_format.name, task.config.architecture, task.recipe) for task in self._done]

    def areas_by_part(self, designs: Any) -> list[Any]:
        return [None for _ in designs]


def found(delays: dict[str, float], lanes: int = 1) -> tuple[search.Found, FakeShop]:
    shop = FakeShop(find("osu018"), delays)
    return search.search(shop, search.units(lanes), Effort(margins=(0.03, 0.5), clock_reference=True)), shop


def test_the_baseline_sets_the_clocks() -> None:
    best, _ = found({"int8": 3.0, "dint4": 2.0, "int4": 2.0})
    assert best.tightest_ns["int8"] == 3.0
    assert list(best.clocked) == pytest.approx([3.09, 4.5])


def test_a_slower_candidate_sets_them_and_that_is_said() -> None:
    best, shop = found({"int8": 3.0, "dint4": 3.5, "int4": 4.0})
    tight, relaxed = best.clocked.values()
    assert list(best.clocked) == pytest.approx([3.605, 5.25])
    assert tight["int4"] == []
    assert relaxed["int4"]
    case = cases.Case(shop, 1, best)
    effort = Effort(margins=(0.03, 0.5), clock_reference=True)
    clocks = comparison._clocks(case, effort)
    assert [clock["set_by"] for clock in clocks] == ["dint4", "dint4"]
    assert clocks[0]["closing"] == {name: len(netlists) for name, netlists in tight.items() if netlists}
    said = comparison._not_compared(case, effort)
    assert "INT8 closes at 3.000 ns, dINT4 only at 3.500 ns" in said[0]
    assert any("no INT4 unit closes at 3.605 ns" in sentence for sentence in said)


def test_what_is_sized() -> None:
    """The smallest that close, not what misses by a little."""
    kit = find("osu018")
    fast = Recipe("logic", script="delay", delay_ps=1)
    config = MacConfig(INT8)
    netlists = [(90.0, 3.02), (80.0, 9.0), (120.0, 2.9), (110.0, 2.95), (70.0, 3.3)]
    results = [replace(mapped(kit, config, area, delay), recipe=fast) for area, delay in netlists]
    results.append(mapped(kit, config, 60.0, 2.0))  # not of a recipe for speed
    assert [one.area_um2 for one in to_size(results, 3.0, 4)] == [110.0, 120.0]
    assert [one.area_um2 for one in to_size(results, 3.0, 1)] == [110.0]


def test_sizing_goes_on_where_the_first_share_of_the_period_does_not_close() -> None:
    shop = FakeShop(find("osu018"), {"int8": 3.0})
    config = MacConfig(INT8)
    (fast,) = shop.run([Task(config, Recipe("logic", script="delay", delay_ps=1))])
    shop.size([(fast, 4.0)])
    assert {round(one.recipe.delay_ps / 4000, 2) for one in shop.results(config)[1:]} == set(RECOVERY)
    shop.size([(fast, 2.0)])  # nothing closes
    assert len(shop.results(config)) == 5


def test_pruning_is_alike_on_both_sides() -> None:
    best, shop = found({"int8": 3.0, "dint4": 3.0, "int4": 3.0})
    for name in ("int8", "dint4", "int4"):
        assert "multiply" not in {mapped.config.architecture for mapped in best.minimum[name]}
        assert "multiply" in {architecture for known, architecture, _ in shop.tried if known == name}
    # What was tried for speed of an architecture that was followed to the end does not depend on the format.
    recipes = {
        name: {recipe for known, _, recipe in shop.tried if known == name and recipe.delay_ps == 1}
        for name in ("int8", "dint4", "int4")
    }
    assert recipes["int8"] == recipes["dint4"] == recipes["int4"]


def test_without_a_limit_no_architecture_is_dropped() -> None:
    """`multiply` has twice the area of the others here."""
    shop = FakeShop(find("osu018"), {"int8": 3.0, "dint4": 2.0, "int4": 2.0})
    best = search.search(shop, search.units(1), Effort(keep=None, clock_reference=True))
    for name in ("int8", "dint4", "int4"):
        kept = {mapped.config.architecture.removesuffix("-fast") for mapped in best.minimum[name]}
        assert kept == set(small_architectures(format_by_name(name), 1))


@pytest.mark.parametrize("lanes", [1, 16])
def test_small_structures_for_area_and_fast_ones_at_the_clock(lanes: int) -> None:
    best, shop = found({"int8": 3.0, "dint4": 2.0, "int4": 2.0}, lanes)
    for_area = set()
    for name, architecture, recipe in shop.tried:
        if recipe.full_adders == "logic" and architecture != "multiply":
            assert ARCHITECTURES[architecture].for_speed, (name, architecture)
        elif recipe.delay_ps == 0 and recipe.allowance == 1 and architecture != "multiply":
            for_area.add(ARCHITECTURES[architecture].for_speed)
    # With few lanes both structures have a chance, for area and between the two.
    assert for_area == ({False, True} if lanes == 1 else {False})
    mixed = {architecture for _, architecture, recipe in shop.tried if recipe.full_adders == "cells" and recipe.delay_ps}
    assert {"booth-fast", "digit-grid-fast"} <= mixed
    assert ({"booth", "digit-grid"} <= mixed) == (lanes == 1)
    assert {"digit-grid-fast", "direct-grid-fast"} <= {
        mapped.config.architecture for mapped in next(iter(best.clocked.values()))["dint4"]
    }


def test_registered_select_lines_are_a_choice_for_every_format() -> None:
    shop = FakeShop(find("osu018"), {"int8": 3.0, "dint4": 2.0, "int4": 2.0})
    search.search(shop, search.units(pipeline=1), Effort(clock_reference=True))
    for name in ("int8", "dint4", "int4"):
        assert {task.config.decoded for task in shop._done if task.config.weight_format.name == name} == {False, True}
        assert any(architecture.endswith(" decoded") for architecture in shop.architectures(name))


def test_many_lanes_are_searched_in_fewer_ways() -> None:
    """No multiplications left to the tool, fewer adders, and only the fast structures between cells and gates."""
    shops = {lanes: FakeShop(find("osu018"), {"int8": 3.0, "dint4": 2.0, "int4": 2.0}) for lanes in (1, 16)}
    effort = Effort(adders=((1, ("kogge-stone", "brent-kung")), (64, ("kogge-stone",))), both=1)
    for lanes, shop in shops.items():
        search.search(shop, search.units(lanes), effort)
        architectures = {architecture for _, architecture, _ in shop.tried}
        assert ("multiply" in architectures) == (lanes == 1)
        fast = {recipe.adder for _, _, recipe in shop.tried if recipe.full_adders == "logic" and recipe.delay_ps == 1}
        assert ("brent-kung" in fast) == (lanes == 1)
        mixed = {architecture for _, architecture, recipe in shop.tried if recipe.full_adders == "cells" and recipe.delay_ps}
        assert ("digit-grid" in mixed) == (lanes == 1)
        assert "digit-grid-fast" in mixed


def test_what_is_sized_depends_on_area() -> None:
    """A netlist with hardly a full adder of cells does not keep gates from being sized; one with many does."""
    kit, config = find("osu018"), MacConfig(INT8)
    gates = replace(mapped(kit, config, 100.0, 3.0), recipe=Recipe("logic", script="speed", delay_ps=1))
    for allowance, area, expected in ((0.6, 80.0, True), (0.1, 80.0, False), (0.6, 120.0, False)):
        recipe = Recipe("cells", allowance=allowance, script="speed", delay_ps=1)
        assert search._cells_win([gates, replace(mapped(kit, config, area, 3.0), recipe=recipe)], 3.5) == expected


def test_no_kit_is_refused() -> None:
    with pytest.raises(InputError, match="qflow-tech-osu018"):
        compare([])


def test_cycles_by_lanes() -> None:
    effort = Effort(cycles=((1, 1000), (64, 100)))
    assert [effort.cycles_for(lanes) for lanes in (1, 2, 64)] == [1000, 100, 100]
    assert (INT8.name, DINT4.name) == (search.BASELINE, search.CANDIDATE)
