# SPDX-License-Identifier: Apache-2.0
"""The exact MAC: dot products, sequences, widths, names, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import DINT3, DINT4, FORMATS, INT4, INT8, InputError, MacConfig, Port

EVERY = pytest.mark.parametrize("number_format", FORMATS.values(), ids=FORMATS)


@EVERY
def test_every_product_in_both_twins(number_format):
    config = MacConfig(number_format)
    codes, activations = np.meshgrid(np.arange(len(number_format.values)), np.arange(-128, 128), indexing="ij")
    products = config.dot(codes[..., None], activations[..., None])
    assert products.size == 256 << number_format.bits
    expected = [[config.dot_one([code], [a]) for a in range(-128, 128)] for code in range(len(number_format.values))]
    assert products.tolist() == expected
    assert expected[number_format.zero_code] == [0] * 256


@EVERY
@given(data=st.data())
def test_sums_in_both_twins(number_format, data):
    config = MacConfig(number_format)
    pair = st.tuples(st.integers(0, len(number_format.values) - 1), st.integers(-128, 127))
    weights, activations = zip(*data.draw(st.lists(pair, min_size=1, max_size=40)), strict=True)
    total = config.dot_one(list(weights), list(activations))
    assert int(config.dot(weights, activations)) == total
    assert total == sum(number_format.values[w] * a for w, a in zip(weights, activations, strict=True))


def test_shapes_broadcast():
    config = MacConfig(DINT4)
    weights, activations = np.arange(15).reshape(5, 3), np.arange(-6, 6).reshape(4, 3)
    sums = config.dot(weights, activations[:, None])
    assert sums.shape == (4, 5)
    assert np.array_equal(sums, activations @ DINT4.decode(weights).T)


def test_accumulator_widths():
    """32 bits for INT8; 28 for dINT4 (7 x 2^24 in half-steps) and for INT4, whose 2^26 just misses 27."""
    assert [MacConfig(f).accumulator_bits for f in (INT8, DINT4, INT4, DINT3)] == [32, 28, 28, 27]
    assert MacConfig(DINT4, lanes=64).accumulator_bits == 28  # the depth counts products, not cycles


@EVERY
@pytest.mark.parametrize("depth", [1, 2, 3, 100, 65536, 1 << 24])
def test_the_width_holds_every_sum_and_has_no_bit_too_many(number_format, depth):
    config = MacConfig(number_format, depth=depth)
    products = [v * a for v in number_format.values for a in (-128, 127)]
    half = 1 << config.accumulator_bits - 1
    assert -half <= min(products) * depth
    assert max(products) * depth < half
    assert max(products) * depth >= half // 2


def test_run_by_hand():
    config = MacConfig(INT4, lanes=2, depth=2)
    weights = np.array([[1, 2], [15, 0], [7, 7], [3, 3], [1, 1]])  # 15 is -1
    activations = np.array([[10, -3], [5, 99], [1, 1], [9, 9], [2, 2]])
    first, valid, reset = [1, 0, 0, 1, 0], [1, 1, 0, 1, 1], [0, 0, 0, 0, 1]
    assert config.run(weights, activations, first, valid).tolist() == [4, -1, -1, 54, 58]
    assert config.run(weights, activations, first, valid, reset).tolist() == [4, -1, -1, 54, 0]


def test_run_is_dot_where_every_cycle_starts_a_sum():
    config = MacConfig(DINT4, lanes=8)
    rng = np.random.default_rng(0)
    weights, activations = rng.integers(0, 16, (50, 8)), rng.integers(-128, 128, (50, 8))
    ones = np.ones(50, dtype=bool)
    assert np.array_equal(config.run(weights, activations, ones, ones), config.dot(weights, activations))
    whole = config.run(weights, activations, ~ones, ones)[-1]
    assert whole == config.dot(weights.reshape(-1), activations.reshape(-1))


def test_run_wraps_as_the_register_does():
    config = MacConfig(INT8, depth=1)  # 16 bits: -128 x -128 is 2^14
    codes, activations = np.full((5, 1), 128), np.full((5, 1), -128)
    sums = config.run(codes, activations, np.zeros(5), np.ones(5))
    assert config.accumulator_bits == 16
    assert sums.tolist() == [16384, -32768, -16384, 0, 16384]


@EVERY
def test_operands_that_are_too_wide_are_refused(number_format):
    config = MacConfig(number_format)
    ones = np.ones(1)
    for activation in (128, -129, 255, 10**6):
        for refuse in (
            lambda a: config.dot([0], [a]),
            lambda a: config.dot_one([0], [a]),
            lambda a: config.run([[0]], [[a]], ones, ones),
        ):
            with pytest.raises(InputError, match=f"activation {activation} does not fit 8 bits"):
                refuse(activation)
    with pytest.raises(InputError, match="is not one of"):
        config.dot([len(number_format.values)], [1])
    with pytest.raises(InputError, match="integers are needed"):
        config.dot([0], [1.5])


def test_lengths():
    config = MacConfig(INT4, depth=3)
    with pytest.raises(InputError, match="lengths must agree"):
        config.dot([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match=r"shorter|longer"):
        config.dot_one([1, 2], [1, 2, 3])
    for dot in (config.dot, config.dot_one):
        assert int(dot([1] * 3, [1] * 3)) == 3
        with pytest.raises(InputError, match="4 products exceed the depth 3"):
            dot([1] * 4, [1] * 4)
    with pytest.raises(InputError, match="cycles, lanes"):
        config.run([1], [1], [1], [1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lanes": 0}, "lanes is 0"),
        ({"lanes": 65}, "lanes is 65"),
        ({"lanes": -1}, "lanes is -1"),
        ({"depth": 0}, "depth is 0"),
        ({"depth": (1 << 24) + 1}, "depth is 16777217"),
        ({"lanes": 8, "depth": 7}, "depth is 7"),
        ({"pipeline": 3}, "pipeline is 3"),
        ({"lanes": "4"}, "lanes is '4': an integer is needed"),
        ({"lanes": 4.0}, "lanes is 4.0: an integer is needed"),
        ({"lanes": True}, "lanes is True: an integer is needed"),
        ({"depth": None}, "depth is None: an integer is needed"),
        ({"decoded": 1}, "decoded is 1: True or False is needed"),
        ({"architecture": 3}, "architecture is 3: a string is needed"),
        ({"activation_bits": 4}, "activation_bits is 4"),
        ({"decoded": True}, "decoded: without operand registers"),
    ],
)
def test_configurations_that_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        MacConfig(DINT4, **arguments)


def test_names_and_facts():
    assert MacConfig(DINT4, lanes=16).name == "mac_dint4_x16"
    assert MacConfig(INT8, architecture="baugh-wooley", pipeline=1, depth=99).name == "mac_int8_x1_baugh_wooley_p1_d99"
    config = MacConfig(DINT4, lanes=4, pipeline=1)
    facts = config.describe()
    keys = "format weight_bits activation_bits lanes unit values accumulator_bits depth latency_cycles architecture"
    assert set(facts) == {*keys.split(), "pipeline", "decoded", "ports"}
    assert facts["latency_cycles"] == config.latency_cycles == 2
    assert facts["unit"] == 0.5
    assert (MacConfig(DINT4, pipeline=2).name, MacConfig(DINT4, pipeline=2).latency_cycles) == ("mac_dint4_x1_p2", 3)
    assert config == MacConfig(DINT4, lanes=4, pipeline=1)
    assert len({config, MacConfig(DINT4, lanes=4, pipeline=1)}) == 1
    assert MacConfig(DINT4, pipeline=1, decoded=True).name == "mac_dint4_x1_p1_decoded"
    assert [MacConfig(DINT4, pipeline=pipeline).registers_weights for pipeline in (0, 1, 2)] == [False, True, True]
    assert config.shape == "mac"


def test_ports_and_reset():
    config = MacConfig(DINT3, lanes=4)
    controls = (Port("rst"), Port("valid"), Port("first"))
    operands = (Port("activations", 8, 4, signed=True), Port("weights", 3, 4))
    assert config.ports == (*controls, *operands, Port("accumulator", config.accumulator_bits, signed=True, output=True))
    assert config.reset == {"rst": 1, "valid": 1, "first": 0}


@pytest.mark.parametrize("pipeline", [0, 1, 2])
def test_a_sum_is_visible_latency_cycles_later(pipeline):
    config = MacConfig(INT4, lanes=2, pipeline=pipeline)
    columns = {
        "weights": [[1, 2]] * 3,
        "activations": [[3, 4], [5, 6], [7, 8]],
        "first": [1, 0, 1],
        "valid": [1] * 3,
        "rst": [0] * 3,
    }
    inputs = {name: np.array(column).reshape(3, -1) for name, column in columns.items()}
    assert config.respond(inputs)["accumulator"].tolist() == [[0]] * pipeline + [[11], [28], [23]][: 3 - pipeline]


def test_integers_of_numpy_become_pythons():
    config = MacConfig(DINT4, lanes=np.int64(4), depth=np.uint32(1024))
    assert config == MacConfig(DINT4, lanes=4, depth=1024)
    assert (type(config.lanes), type(config.depth)) == (int, int)


def test_a_format_is_needed():
    with pytest.raises(InputError, match="weight_format is 'dint4': a NumberFormat is needed"):
        MacConfig("dint4")
