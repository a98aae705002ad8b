# SPDX-License-Identifier: Apache-2.0
"""Processing elements and units for asymmetric weights in the bench: what they are given, and that faults are found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from golden import DINT4, FORMATS, INT8, AsymmetricConfig, InputError, Operands, PeConfig, ToolError
from hdl.verilog import generate
from sim import SimulationMismatch, asymmetric_stimulus, column, find_simulator
from sim.command import simulate
from sim.runner import build
from sim.workload import DATAFLOWS, HELD_CYCLES, OPT, STREAMING, UNIFORM, WEIGHTS_HELD, workload

ELEMENT = PeConfig(DINT4, depth=64)


def asymmetric(make_operands, number_format) -> Operands:
    """Operands with a zero-point of each output."""
    operands = make_operands(number_format)
    zero_points = np.arange(5) * number_format.steps // 4
    layer = dataclasses.replace(operands.layers[0], zero_points=zero_points)
    layer = dataclasses.replace(layer, accumulators=layer.expected(number_format))
    return dataclasses.replace(operands, layers=(layer,))


@pytest.mark.parametrize(("name", "pipeline"), [("int8", 0), ("dint4", 0), ("dint4", 1)])
def test_elements_agree_with_the_golden_model(name: str, pipeline: int, make_operands, tmp_path: Path) -> None:
    make_operands(FORMATS[name]).save(file := tmp_path / "operands.npz")
    unit = {"shape": "pe", "decoded": True, "pipeline": pipeline}
    results = simulate(name, **unit, simulator="icarus", operands=file, cycles=200, quiet=True)
    suffix = "_p1" if pipeline else ""
    assert [(one["design"], one["source"]) for one in results] == [
        (f"pe_{name}{suffix}_decoded", source) for source in ("opt", "uniform", "corners")
    ]
    assert results[0]["stated_sums_compared"] >= 96  # every other tile is the last of its column
    assert all(one["sums_compared"] == one["macs_compared"] == one["cycles"] for one in results)


@pytest.mark.parametrize(("name", "pipeline"), [("dint4", 0), ("int8", 2)])
def test_units_for_asymmetric_weights_agree(name: str, pipeline: int, make_operands, tmp_path: Path) -> None:
    asymmetric(make_operands, FORMATS[name]).save(file := tmp_path / "operands.npz")
    results = simulate(name, 3, "icarus", file, cycles=120, pipeline=pipeline, depth=96, zero_points=2, quiet=True)
    assert results[0]["design"] == f"mac_{name}_x3{f'_p{pipeline}' if pipeline else ''}_d96_z2"
    assert results[0]["stated_sums_compared"] == 2 * -(-120 // (17 + 1))  # two units, read one after the other
    assert results[0]["macs_compared"] == 17 * 3 * results[0]["stated_sums_compared"]


def test_symmetric_operands_are_those_whose_zero_points_take_nothing_off(make_operands) -> None:
    config = AsymmetricConfig(DINT4, lanes=4, units=3)
    stimulus = asymmetric_stimulus.from_operands(make_operands(DINT4), config, 60, 0)
    shown = stimulus.rows(config).outputs["accumulator"][config.latency_cycles - 1 :, 0]
    assert stimulus.completed.sum() >= 9
    assert shown[stimulus.completed].tolist() == stimulus.stated[stimulus.completed].tolist()


# Each breaks one thing that a real element could get wrong: a piece of the Verilog, and what stands there instead.
MUTANTS = {
    "load ignored": ("load ?", "1'b1 ?"),
    "swap ignored": ("swap ?", "1'b0 ?"),
    "the activation is not handed on": ("activation_out <= activation", "activation_out <= 8'h00"),
    "swap is handed on at once": ("swap_out <= swap", "swap_out <= load"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_broken_elements_fail(mutant: str) -> None:
    what, instead = MUTANTS[mutant]
    text = generate(ELEMENT)
    assert text.count(what) == 1, text[:3000]
    with (
        build(text.replace(what, instead), ELEMENT, find_simulator("icarus")) as design,
        pytest.raises(SimulationMismatch, match=r"^pe_dint4_d64, corners operands, (cycle -?\d+: |after reset )\w+") as failure,
    ):
        design.run(column.corners(ELEMENT))
    assert "\n" not in str(failure.value)


def test_a_sum_that_the_file_states_wrongly_fails(make_operands) -> None:
    stimulus = column.from_operands(make_operands(DINT4), ELEMENT, 60, 0)
    cycle = int(np.flatnonzero(stimulus.completed)[7])
    wrong = stimulus.stated + (np.arange(60) == cycle)
    with build(generate(ELEMENT), ELEMENT, find_simulator("icarus")) as design:
        assert design.run(stimulus).stated_sums > 20
        with pytest.raises(SimulationMismatch, match=rf"cycle {cycle}: \w+: the operand file states {wrong[cycle]}"):
            design.run(dataclasses.replace(stimulus, stated=wrong))


@pytest.mark.slow
@pytest.mark.parametrize("config", [ELEMENT, AsymmetricConfig(DINT4, units=2, depth=64)], ids=lambda c: c.name)
def test_verilator_agrees(config) -> None:
    try:
        verilator = find_simulator("verilator")
    except ToolError as error:
        pytest.skip(str(error))
    stimulus = (column if isinstance(config, PeConfig) else asymmetric_stimulus).corners(config)
    with build(generate(config), config, verilator) as design:
        assert design.run(stimulus).sums == stimulus.cycles


# What an element is given


def test_a_weight_stays_while_those_of_the_next_tile_are_shifted_through(make_operands) -> None:
    operands = make_operands(INT8, outputs=40, products=300, tokens=9)
    config, layer = PeConfig(INT8), operands.layers[0]
    stimulus = workload(config, OPT, WEIGHTS_HELD, operands, 5 * HELD_CYCLES + 1, seed=3)
    ports = {name: array[:, 0] for name, array in stimulus.inputs.items()}
    swaps = np.flatnonzero(ports["swap"])
    assert swaps.tolist() == list(range(1, 5 * HELD_CYCLES + 1, HELD_CYCLES))
    assert np.flatnonzero(ports["load"])[: column.ROWS + 1].tolist() == [
        0,
        *range(HELD_CYCLES + 1 - column.ROWS, HELD_CYCLES + 1),
    ]
    # The weight in use is the last that was loaded; sums and activations are those of one input and successive tokens.
    values = layer.weights.astype(np.int8).astype(np.int64)
    for start in swaps:
        code = ports["weight"][:start][ports["load"][:start].astype(bool)][-1]
        activations, sums = ports["activation"][start : start + 9], ports["partial_sum"][start + 1 : start + 10]
        assert any(
            layer.weights[output, k] == code
            and np.array_equal(sums, (layer.activations[tokens, :k].astype(np.int64) @ values[output, :k]))
            for token in range(9)
            for tokens in [(token + np.arange(9)) % 9]
            for k in np.flatnonzero((layer.activations[tokens] == activations[:, None]).all(axis=0))
            for output in range(40)
        )


@pytest.mark.parametrize("source", [OPT, UNIFORM])
def test_all_formats_meet_the_same_activations(source: str, make_operands) -> None:
    drawn = [workload(PeConfig(f), source, WEIGHTS_HELD, make_operands(f), 200, seed=5) for f in (INT8, DINT4)]
    assert np.array_equal(drawn[0].inputs["activation"], drawn[1].inputs["activation"])
    assert not np.array_equal(drawn[0].inputs["weight"], drawn[1].inputs["weight"])


def test_a_layer_narrower_than_the_array(make_operands) -> None:
    operands = make_operands(DINT4, products=5)
    stimulus = column.from_operands(operands, ELEMENT, 200, 0)
    assert stimulus.completed.sum() > 80
    assert workload(ELEMENT, OPT, WEIGHTS_HELD, operands, 200, 0).cycles == 200


def test_dataflows_of_an_element() -> None:
    assert STREAMING in DATAFLOWS
    with pytest.raises(InputError, match="dataflow is 'streaming': pe_dint4_d64 has weights-held"):
        workload(ELEMENT, UNIFORM, STREAMING, None, 100, 0)


def test_stimuli_that_do_not_fit(make_operands) -> None:
    with pytest.raises(InputError, match=r"partial_sum of pe_dint4_d64 is -?\d+ in the stimulus: it takes"):
        column.corners(PeConfig(DINT4)).rows(ELEMENT)
    with pytest.raises(InputError, match="the stimulus has ports weight, load"):
        column.corners(ELEMENT).rows(AsymmetricConfig(DINT4))
    with pytest.raises(InputError, match="sums of 50 products, pe_dint4_d9 holds 9"):
        column.from_operands(make_operands(DINT4), PeConfig(DINT4, depth=9), 100, 0)
