# SPDX-License-Identifier: Apache-2.0
"""The exact processing element: a sequence by hand, an array of elements against a matrix product, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from golden import DINT4, FORMATS, INT4, INT8, InputError, MacConfig, PeConfig, Port


def test_run_by_hand():
    """Each row: the inputs of a cycle, and the outputs after its edge."""
    config = PeConfig(INT4)
    steps = [  # weight, load, swap, activation, partial sum -> partial sum, activation, weight, swap
        (3, 1, 0, 10, 7, 7, 10, 3, 0),  # both weights and the activation were 0
        (5, 0, 1, 20, 100, 100, 20, 3, 1),  # 3 is not in use yet; not loaded: 5 goes nowhere
        (15, 1, 0, -30, 100, 160, -30, 15, 0),  # 20 x 3, by the weight swapped in with the activation
        (2, 1, 1, 7, 0, -90, 7, 2, 1),  # -30 x 3; the weight in use becomes 15 (-1), not the 2 that is loaded now
        (0, 0, 0, 0, 50, 43, 0, 2, 0),
        (0, 0, 0, 1, -5, -5, 1, 2, 0),
        (0, 0, 0, 0, -5, -6, 0, 2, 0),
    ]
    columns = [np.array(column) for column in zip(*steps, strict=True)]
    outputs = config.run(*columns[:5])
    for name, expected in zip(("partial_sum", "activation", "weight", "swap"), columns[5:], strict=True):
        assert getattr(outputs, name).tolist() == expected.tolist(), name


def test_a_pipeline_register_takes_the_partial_sum_a_cycle_later():
    """Everything else is as without."""
    random, cycles = np.random.default_rng(8), 200
    plain, registered = PeConfig(DINT4), PeConfig(DINT4, pipeline=1)
    weights, swap, load = random.integers(0, 16, cycles), random.random(cycles) < 0.3, random.random(cycles) < 0.3
    operands, sums = random.integers(-128, 128, cycles), random.integers(-(1 << 20), 1 << 20, cycles)
    expected = plain.run(weights, load, swap, operands, sums)
    found = registered.run(weights, load, swap, operands, np.roll(sums, 1))
    assert found.partial_sum[1:].tolist() == expected.partial_sum[:-1].tolist()
    assert found.partial_sum[0] == sums[-1]
    for name in ("activation", "weight", "swap"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()


@pytest.mark.parametrize("pipeline", [0, 1])
@pytest.mark.parametrize("number_format", FORMATS.values(), ids=FORMATS)
def test_an_array_of_elements_multiplies_matrices(number_format, pipeline):
    """Two by two weights, shifted in from above; activations enter skewed, sums leave skewed; weights change on the way."""
    random = np.random.default_rng(6)
    first, second = random.integers(0, len(number_format.values), (2, 2, 2))
    rows = 12
    a = random.integers(-128, 128, (rows, 2))
    cycles = rows + 8
    load, swap = np.zeros(cycles, bool), np.zeros(cycles, bool)
    load[[0, 1, 6, 7]], swap[[2, 8]] = True, True  # the seventh row of activations is the first to meet the second matrix
    config = PeConfig(number_format, pipeline=pipeline)
    sums = np.zeros((2, cycles), np.int64)  # of each column of the array, coming from above
    weights = np.zeros((2, cycles), np.int64)
    for column in range(2):
        weights[column, [0, 1]], weights[column, [6, 7]] = first[::-1, column], second[::-1, column]
    for i in range(2):
        # Row i is i cycles late, since partial sums take a cycle an element.
        activations = np.zeros(cycles, np.int64)
        activations[2 + i : 2 + i + rows] = a[:, i]
        swapping = np.roll(swap, i)
        for column in range(2):
            outputs = config.run(weights[column], load, swapping, activations, sums[column])
            weights[column] = np.concatenate([[number_format.zero_code], outputs.weight[:-1]])
            sums[column] = np.concatenate([[0], outputs.partial_sum[:-1]])
            activations = np.concatenate([[0], outputs.activation[:-1]])
            swapping = np.concatenate([[False], outputs.swap[:-1]])
    b = [number_format.decode(first), number_format.decode(second)]
    expected = np.concatenate([a[:6] @ b[0], a[6:] @ b[1]])
    for column in range(2):  # taken at 2, through the element and the next row's, then a cycle for each column
        start = 2 + 3 + column + pipeline
        assert sums[column, start : start + rows].tolist() == expected[:, column].tolist()


def test_sums_wrap_as_the_register_does():
    config = PeConfig(INT8, depth=1)
    outputs = config.run([128] * 4, [1] * 4, [1] * 4, [-128] * 4, [32767] * 4)
    assert config.accumulator_bits == 16
    assert outputs.partial_sum.tolist() == [32767, 32767, 16384 + 32767 - 65536, 16384 + 32767 - 65536]


def test_names_widths_and_facts():
    config = PeConfig(DINT4)
    assert (config.name, config.architecture, config.accumulator_bits) == ("pe_dint4", "digit-grid", 28)
    other = PeConfig(INT8, architecture="booth", depth=512, decoded=True)
    assert other.name == "pe_int8_booth_decoded_d512"
    assert other.accumulator_bits == MacConfig(INT8, depth=512).accumulator_bits == 25
    keys = "shape format weight_bits activation_bits unit values accumulator_bits depth latency_cycles architecture decoded"
    facts = other.describe()
    assert set(facts) == {*keys.split(), "pipeline", "ports"}
    assert (facts["shape"], facts["latency_cycles"], facts["decoded"], facts["pipeline"]) == ("pe", 2, True, 0)
    registered = other.varied(pipeline=1)
    assert registered.name == "pe_int8_booth_p1_decoded_d512"
    assert (registered.describe()["latency_cycles"], registered.describe()["pipeline"]) == (3, 1)
    with pytest.raises(InputError, match="pipeline is 2: a pe has 0"):
        PeConfig(INT8, pipeline=2)
    assert (config.lanes, config.pipeline, config.registers_weights) == (1, 0, True)


def test_ports_and_reset():
    config = PeConfig(DINT4)
    code, operand, total = (4,), (8, 1), (config.accumulator_bits, 1)
    assert config.ports == (
        Port("weight", *code),
        Port("load"),
        Port("swap"),
        Port("activation", *operand, signed=True),
        Port("partial_sum", *total, signed=True),
        Port("weight_out", *code, output=True, initial=DINT4.zero_code),
        Port("swap_out", output=True),
        Port("activation_out", *operand, signed=True, output=True),
        Port("partial_sum_out", *total, signed=True, output=True),
    )
    assert config.reset == {"weight": DINT4.zero_code, "load": 1, "swap": 1, "activation": 0, "partial_sum": 0}


def test_ports_show_what_run_says():
    config = PeConfig(INT4)
    columns = {
        "weight": [3, 5, 0],
        "load": [1, 0, 0],
        "swap": [0, 1, 0],
        "activation": [10, 20, 30],
        "partial_sum": [7, 100, 200],
    }
    outputs = config.respond({name: np.array(column)[:, None] for name, column in columns.items()})
    assert {name: column.tolist() for name, column in outputs.items()} == {
        "partial_sum_out": [[7], [100], [260]],
        "activation_out": [[10], [20], [30]],
        "weight_out": [[3], [3], [3]],
        "swap_out": [[0], [1], [0]],
    }


def test_partial_sums_of_the_whole_range():
    config = PeConfig(INT4)
    half = 1 << config.accumulator_bits - 1
    idle = ([0] * 2, [0] * 2, [0] * 2, [0] * 2)
    assert config.run(*idle, [-half, half - 1]).partial_sum.tolist() == [-half, half - 1]
    for sums in ([-half - 1, 0], [0, half], [half, -half]):
        with pytest.raises(InputError, match="partial_sums do not fit"):
            config.run(*idle, sums)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [16]}, "code 16 is not one of dint4"),
        ({"activations": [128]}, "activation 128 does not fit 8 bits"),
        ({"partial_sums": [1 << 27]}, "partial_sums do not fit 28 bits"),
        ({"load": [1, 1]}, "all inputs need the same"),
        ({"weights": [[1]]}, "all inputs need the same"),
    ],
)
def test_operands_that_are_refused(change, message):
    inputs = {"weights": [1], "load": [1], "swap": [1], "activations": [1], "partial_sums": [1]}
    with pytest.raises(InputError, match=message):
        PeConfig(DINT4).run(**(inputs | change))


def test_configurations_that_are_refused():
    with pytest.raises(InputError, match="depth is 0"):
        PeConfig(DINT4, depth=0)
    with pytest.raises(InputError, match="activation_bits is 4"):
        PeConfig(DINT4, activation_bits=4)
