# SPDX-License-Identifier: Apache-2.0
"""Units for asymmetric weights, cycle by cycle, against a register machine of Python integers; ports; what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from golden import DINT3, DINT4, INT4, INT8, AsymmetricConfig, InputError, MacConfig, Port


def wrapped(value: int, bits: int) -> int:
    half = 1 << bits - 1
    return (value + half) % (2 * half) - half


def machine(config, weights, activations, zero_points, first, valid, read_unit, read_zero_point, reset):
    """What the output register shows after each edge: registers of given widths, operands `pipeline` edges late."""
    own, shown = config.weight_format, []
    sums, activation_sum = [0] * config.units, 0
    for edge in range(len(weights)):
        offset = config.offset(read_zero_point[edge]) * int(1 / own.unit)
        shown.append(wrapped(sums[read_unit[edge]] - offset * activation_sum, config.accumulator_bits))
        taken = edge - config.pipeline
        if taken < 0:
            continue
        if reset[taken]:
            sums, activation_sum = [0] * config.units, 0
        elif valid[taken]:
            for unit in range(config.units):
                shift = config.offset(zero_points[taken][unit]) * int(1 / own.unit)
                products = sum(
                    (own.values[code] + (shift if code in own.special_codes else 0)) * activation
                    for code, activation in zip(weights[taken][unit], activations[taken], strict=True)
                )
                before = 0 if first[taken] else sums[unit]
                sums[unit] = wrapped(before + products, config.unit.accumulator_bits)
            before = 0 if first[taken] else activation_sum
            activation_sum = wrapped(before + sum(activations[taken]), config.activation_sum_bits)
    return shown


def columns(config, cycles, seed):
    """Random operands and controls; activations of one sign at a time, so that narrow sums wrap."""
    random, steps = np.random.default_rng(seed), config.weight_format.steps
    signs = np.where(np.arange(cycles) % 20 < 10, 1, -1)[:, None]
    return {
        "weights": random.integers(0, len(config.weight_format.values), (cycles, config.units, config.lanes)),
        "activations": signs * random.integers(90, 128, (cycles, config.lanes)),
        "zero_points": random.integers(0, steps + 1, (cycles, config.units)),
        "first": random.random(cycles) < 0.1,
        "valid": random.random(cycles) < 0.8,
        "read_unit": random.integers(0, config.units, cycles),
        "read_zero_point": random.integers(0, steps + 1, cycles),
        "reset": random.random(cycles) < 0.05,
    }


@pytest.mark.parametrize("number_format", [INT8, INT4, DINT4, DINT3], ids=lambda one: one.name)
@pytest.mark.parametrize("pipeline", [0, 2])
@pytest.mark.parametrize("depth", [2, 100])
def test_registers_of_any_width(number_format, pipeline, depth):
    config = AsymmetricConfig(number_format, lanes=2, units=3, depth=depth, pipeline=pipeline)
    given = columns(config, 200, seed=depth)
    expected = machine(config, **{name: column.tolist() for name, column in given.items()})
    assert config.run(**given).tolist() == expected
    without = {name: column for name, column in given.items() if name != "reset"}
    never = machine(config, **{name: column.tolist() for name, column in (given | {"reset": np.zeros(200)}).items()})
    assert config.run(**without).tolist() == never


@pytest.mark.parametrize("number_format", [INT4, DINT4], ids=lambda one: one.name)
def test_ports_show_what_run_says(number_format):
    config = AsymmetricConfig(number_format, lanes=2, units=3)
    given = columns(config, 30, seed=1)
    if not number_format.special_codes:
        given["zero_points"] = np.zeros((30, 3), np.int64)  # its decoders are not told
    inputs = {("rst" if name == "reset" else name): np.asarray(column).reshape(30, -1) for name, column in given.items()}
    if not number_format.special_codes:
        del inputs["zero_points"]
    assert inputs.keys() == {port.name for port in config.inputs}
    assert config.respond(inputs)["accumulator"][:, 0].tolist() == config.run(**given).tolist()


def test_activation_sums_by_hand():
    config = AsymmetricConfig(INT4, lanes=2, depth=2)
    activations = [[100, 100], [-128, 1], [100, 27], [3, 4], [5, 6]]
    first, valid, reset = [1, 0, 0, 0, 1], [1, 1, 1, 0, 1], [0, 0, 0, 0, 0]
    assert config.activation_sum_bits == 9  # -256 to 255
    assert config.activation_sums(activations, first, valid, reset) == [200, 73, 200, 200, 11]
    assert config.activation_sums(activations, first, valid, None) == [200, 73, 200, 200, 11]
    assert config.activation_sums(activations, first, valid, [0, 0, 1, 0, 0]) == [200, 73, 0, 0, 11]
    assert config.activation_sums([[100, 100], [100, 100]], [1, 0], [1, 1], None) == [200, 400 - 512]


@pytest.mark.parametrize(("units", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (64, 6)])
def test_ports_and_reset(units, bits):
    config = AsymmetricConfig(DINT4, lanes=2, units=units)
    ports = (
        *(Port("rst"), Port("valid"), Port("first"), Port("activations", 8, 2, signed=True), Port("weights", 4, 2 * units)),
        *(Port("read_unit", bits), Port("read_zero_point", 4)),
        Port("accumulator", config.accumulator_bits, signed=True, output=True),
    )
    assert config.ports == (*ports, Port("zero_points", 4, units))
    assert "zero_points" not in {port.name for port in AsymmetricConfig(INT4, units=units).ports}
    assert config.reset == {"rst": 1, "valid": 1, "first": 0, "read_unit": 0}
    assert (config.shape, config.products) == ("mac", 2 * units)


def test_of_a_mac_unit():
    mac = MacConfig(DINT4, lanes=4, depth=512, pipeline=1)
    assert AsymmetricConfig.of(mac, 3) == AsymmetricConfig(DINT4, lanes=4, units=3, depth=512, pipeline=1)
    with pytest.raises(InputError, match="decoded: units for asymmetric weights register codes"):
        AsymmetricConfig.of(MacConfig(DINT4, pipeline=1, decoded=True), 3)
    assert AsymmetricConfig(DINT4).architecture == DINT4.architecture


def test_operands_that_are_refused_by_name():
    config = AsymmetricConfig(DINT4, units=2, depth=3)
    assert int(config.dot([1] * 3, [1] * 3, 0)) == config.dot_one([1] * 3, [1] * 3, 0)
    with pytest.raises(InputError, match="4 products exceed the depth 3"):
        config.dot_one([1] * 4, [1] * 4, 0)
    assert [config.dot_one([DINT4.encode_one(2)], [a], 7) for a in (-128, 127)] == [-256, 254]
    for activation in (-129, 128):
        with pytest.raises(InputError, match=f"activation {activation} does not fit"):
            config.dot_one([1], [activation], 0)
    for zero_points, worst in (([0, 14], 14), ([-1, 0], -1), ([14, 13], 14), ([13, -1], -1), ([1, 14], 14)):
        with pytest.raises(InputError, match=f"^zero_point is {worst}: dint4 takes 0 to 13"):
            config.dot([[1], [1]], [[1], [1]], zero_points)
    operands = {"weights": [[[1], [1]]] * 2, "activations": [[1]] * 2, "zero_points": [[0, 0]] * 2}
    controls = {"first": [1, 1], "valid": [1, 1], "read_zero_point": [0, 0]}
    for units, worst in (([0, 2], 2), ([-1, 0], -1), ([2, 1], 2), ([1, -1], -1), ([1, 2], 2)):
        with pytest.raises(InputError, match=f"^read_unit is {worst}: units are 0 to 1"):
            config.run(**operands, **controls, read_unit=units)
    for weights in ([[1, 1]] * 2, [[[1]]] * 2, [[[1, 1]]] * 2):
        with pytest.raises(InputError, match="2 units, 1 lanes"):
            config.run(**(operands | {"weights": weights}), **controls, read_unit=[0, 0])
