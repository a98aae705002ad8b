# SPDX-License-Identifier: Apache-2.0
"""Units side by side: all products of all architectures, edges of control and range, and nothing that is wrong passes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from golden import DINT3, DINT4, FORMATS, INT8, InputError, MacConfig, ToolError
from sim import SimulationMismatch, Stimulus, find_simulator, side_by_side
from sim.side_by_side import compare_units


@pytest.fixture(scope="module")
def icarus():
    return find_simulator("icarus")


def renamed(text: str, config: MacConfig, other: MacConfig) -> str:
    return text.replace(config.name, other.name)


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("number_format", FORMATS.values(), ids=FORMATS)
def test_products_are_all_pairs_in_every_lane(number_format, lanes: int) -> None:
    stimulus = Stimulus.products(MacConfig(number_format, lanes=lanes), 0)
    pairs = stimulus.weights.astype(int) * 256 + stimulus.activations + 128
    for lane in range(lanes):
        assert np.array_equal(np.sort(pairs[:, lane]), np.arange(256 << number_format.bits))
        assert lane == 0 or np.mean(pairs[:, lane] == pairs[:, lane - 1]) < 0.01
    assert stimulus.first.all()
    assert stimulus.valid.all()


def test_orders_are_all_sequences() -> None:
    stimulus = Stimulus.orders(MacConfig(DINT4), 4)
    symbols = (stimulus.first + 2 * stimulus.valid + 4 * stimulus.reset).astype(int)[1:]  # after the reset that begins it
    for length in (1, 2, 3, 4):
        seen = {tuple(symbols[start : start + length].tolist()) for start in range(len(symbols) - length + 1)}
        assert len(seen) == 8**length


@pytest.mark.parametrize("number_format", FORMATS.values(), ids=FORMATS)
def test_extremes_are_those_of_the_accumulator(number_format) -> None:
    config = MacConfig(number_format, lanes=16)
    products = [value * activation for value in number_format.values for activation in range(-128, 128)]
    sums = Stimulus.extremes(config).expected(config)
    assert (sums.max(), sums.min()) == (max(products) * 65536, min(products) * 65536)
    assert sums.max() >= 1 << config.accumulator_bits - 2  # one bit less would not hold it


def test_units_agree_and_all_is_counted(icarus, behavioural) -> None:
    config, other = MacConfig(DINT3, lanes=2, depth=32), MacConfig(DINT3, lanes=2, depth=32, architecture="multiply")
    text = behavioural(config)
    sources = {"a.v": text, "b.v": renamed(text, config, other)}
    stimuli = [Stimulus.products(config, 0), Stimulus.orders(config, 3), Stimulus.extremes(config)]
    results = compare_units([config, other], sources, stimuli, icarus)
    assert [result.sums for result in results] == [2 * stimulus.cycles for stimulus in stimuli]
    assert [result.unknown_before_reset for result in results] == [2, 2, 2]


@pytest.mark.parametrize("pipeline", [1, 2])
def test_pipelined_units(pipeline: int, icarus, behavioural) -> None:
    config = MacConfig(DINT4, lanes=2, pipeline=pipeline)
    (result,) = compare_units([config], {"a.v": behavioural(config)}, [Stimulus.orders(config, 4)], icarus)
    assert result.sums == 8**4 + 3 + 1


@pytest.mark.parametrize(
    ("what", "instead", "message"),
    [
        # One pair of one lane of 2 x 65,536.
        ("base + total;", "base + total + (w[15:8] == 8'd77 && a[15:8] == 8'd201);", "multiply_d2, products .*77.*-55"),
        ("if (clear)", "if (1'b0)", "multiply_d2, orders operands, cycle 0: accumulator unknown .x+."),
        ("= start ? 0 : accumulator", "= accumulator", "multiply_d2, orders operands"),
    ],
)
def test_the_broken_one_of_two_is_named(what: str, instead: str, message: str, icarus, behavioural) -> None:
    config, other = MacConfig(INT8, lanes=2, depth=2), MacConfig(INT8, lanes=2, depth=2, architecture="multiply")
    text = behavioural(config)
    assert text.count(what) == 1
    broken = renamed(text, config, other).replace(what, instead)
    sources = {"a.v": behavioural(config), "b.v": broken}
    with pytest.raises(SimulationMismatch, match=message) as failure:
        compare_units([config, other], sources, [Stimulus.orders(config, 2), Stimulus.products(config, 0)], icarus)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("script", "message"),
    [("exit 0", "ended early"), ("echo COMPARED 5 0", "compared 5 sums, not all of"), ("sleep 60", "no result within 1 s")],
)
def test_a_run_that_cannot_be_trusted(script: str, message: str, icarus, behavioural, fake_program) -> None:
    fake_program("vvp", script)
    config = MacConfig(DINT4)
    with pytest.raises(ToolError, match=message) as failure:
        compare_units([config], {"a.v": behavioural(config)}, [Stimulus.products(config, 0)], icarus, time_limit_s=1)
    assert "\n" not in str(failure.value)


def test_verilators_library_is_compiled_once(behavioural, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "_library", lambda: SimpleNamespace(name=tmp_path))
    config, verilator = MacConfig(DINT3, depth=2), find_simulator("verilator")
    stimulus, text = Stimulus.orders(config, 2), behavioural(config)
    compare_units([config], {"a.v": text}, [stimulus], verilator)
    kept = {one: one.stat().st_mtime_ns for one in tmp_path.iterdir()}
    assert {"verilated.o", "verilated_timing.o"} <= {one.name for one in kept}
    with pytest.raises(SimulationMismatch, match="orders operands"):
        compare_units([config], {"a.v": text.replace("= start ? 0 : accumulator", "= accumulator")}, [stimulus], verilator)
    assert {one: one.stat().st_mtime_ns for one in tmp_path.iterdir()} == kept
    (tmp_path / "verilated.o").write_text("no library")  # so that it is seen to be used
    with pytest.raises(ToolError, match="verilator: failed"):
        compare_units([config], {"a.v": text}, [stimulus], verilator)


def test_units_of_different_interfaces_are_refused(icarus) -> None:
    for others in ((DINT3, 1), (DINT4, 2), (DINT4, 1)):
        with pytest.raises(InputError, match="side by side"):
            compare_units([MacConfig(DINT4), MacConfig(others[0], lanes=others[1])], {}, [], icarus)
