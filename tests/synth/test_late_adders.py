# SPDX-License-Identifier: Apache-2.0
"""Full adders of cells and of gates in one design: what is late becomes gates, the sums stay right, and it pays."""

from __future__ import annotations

from typing import Any

import pytest

from golden import DINT4, INT8, MacConfig
from synth.flow import Workshop, bisect, fast_recipes, mixed_recipes, smallest
from synth.late_adders import late_adders
from synth.measuring import Task, measure_all
from synth.pdk import find
from synth.polarity import FULL_ADDER
from synth.recipe import Recipe


def tree() -> dict[str, Any]:
    """Two chains that meet: adders 0, 1 and 2 in a row, adder 3 beside them, adder 4 below both; and a register at the end."""

    def adder(a: int, b: int, c: int, total: int, carry: int) -> dict[str, Any]:
        return {"type": FULL_ADDER, "connections": {"a": [a], "b": [b], "c": [c], "sum": [total], "carry": [carry]}}

    return {
        "adder_0": adder(1, 2, 3, 10, 11),
        "adder_1": adder(10, 4, 5, 12, 13),
        "adder_2": adder(12, 6, 7, 14, 15),
        "adder_3": adder(1, 2, 4, 16, 17),
        "adder_4": adder(14, 16, 3, 18, 19),
        "register": {"type": "$dff", "connections": {"D": [18, 19], "Q": [30, 31]}},
    }


def late(allowance: float) -> set[str]:
    cells = tree()
    adders = [name for name in cells if name.startswith("adder")]
    drivers: dict[int | str, str] = {
        bit: name for name in adders for pin in ("sum", "carry") for bit in cells[name]["connections"][pin]
    }
    drivers.update(dict.fromkeys((30, 31), "register"))
    drivers.update(dict.fromkeys(range(1, 8), ""))
    return late_adders(cells, adders, drivers, [], allowance)


def test_the_latest_become_gates_first() -> None:
    # Cells take 24 gate delays, gates 16; each adder that becomes gates wins two of the eight between.
    assert late(1.0) == set()
    assert late(0.75) == {"adder_4"}
    assert late(0.5) == {"adder_4", "adder_2"}
    assert late(0.25) == {"adder_4", "adder_2", "adder_1"}
    assert late(0.0) == {"adder_4", "adder_2", "adder_1", "adder_0"}


def test_what_has_time_stays_a_cell() -> None:
    assert "adder_3" not in late(0.0)
    assert "adder_3" in late(-2.0)


def test_what_looks_like_a_loop_ends() -> None:
    """A wide cell reads in one bit what it makes of another."""
    cells = tree()
    cells["wide"] = {"type": "$not", "connections": {"A": [18, 40], "Y": [40, 41]}}
    drivers: dict[int | str, str] = {40: "wide", 41: "wide", 18: "adder_4", 19: "adder_4"}
    assert late_adders(cells, ["adder_4"], drivers, [41], 1.0) == set()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(find("osu018"), tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("config", [MacConfig(DINT4), MacConfig(INT8)], ids=lambda config: config.weight_format.name)
def test_between_cells_and_gates(shop: Workshop, config: MacConfig) -> None:
    """Smaller than gates, faster than cells; and every sum of the netlist, simulated with delays, is right."""
    recipes = [Recipe("cells", allowance=time, script="speed", delay_ps=1) for time in (1.0, 0.6, 0.15)]
    cells, mixed, fast, gates = shop.run_recipes([(config, [*recipes, Recipe("logic", script="speed", delay_ps=1)])])
    assert cells.delay_ns > mixed.delay_ns > gates.delay_ns
    assert cells.cell_counts["FAX1"] > mixed.cell_counts["FAX1"] > fast.cell_counts["FAX1"] > 0
    assert max(mixed.area_um2, fast.area_um2) < gates.area_um2
    period = max(mixed.delay_ns, fast.delay_ns)
    tasks = [Task(one, period, "uniform", "streaming", "sdf") for one in (mixed, fast)]
    for measured in measure_all(tasks, shop.pdk, {}, 128, 0, shop.cache, 1):
        assert measured.facts["sums_compared"] >= 128


def test_bisection_finds_what_closes(shop: Workshop) -> None:
    config = MacConfig(DINT4, architecture="digit-grid-fast")
    (fast,) = shop.run_recipes([(config, fast_recipes(config, ("sklansky",), ("speed",)))])
    ladder = mixed_recipes(config, shop.pdk, fast.recipe)
    before = shop.count("dint4", 1)
    period = 1.6 * fast.delay_ns
    bisect(shop, {config: ladder}, [period])
    assert 0 < shop.count("dint4", 1) - before <= 4
    best = smallest(shop.results(config), period)
    assert best is not None
    assert best.recipe in ladder
    assert best.area_um2 < 0.85 * fast.area_um2
    # A clock that no rung meets: the last one is tried.
    bisect(shop, {config: ladder}, [0.5, period])
    assert ladder[-1] in [mapped.recipe for mapped in shop.results(config)]


def test_without_full_adder_cells_there_is_nothing_between(shop: Workshop) -> None:
    from dataclasses import replace

    assert mixed_recipes(MacConfig(DINT4), replace(shop.pdk, full_adder=None), Recipe("logic")) == []
    assert mixed_recipes(MacConfig(DINT4, architecture="multiply"), shop.pdk, Recipe("logic")) == []
