# SPDX-License-Identifier: Apache-2.0
"""The exact units for asymmetric weights: every weight with every zero-point, sums, sequences, widths, what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from golden import DINT3, DINT4, FORMATS, FP4_E2M1, INT4, INT8, AsymmetricConfig, InputError

TAKING = [one for one in FORMATS.values() if one.has_zero_points]
EVERY = pytest.mark.parametrize("number_format", TAKING, ids=lambda one: one.name)


@EVERY
def test_every_weight_with_every_zero_point_in_both_twins(number_format):
    config = AsymmetricConfig(number_format)
    codes = np.arange(len(number_format.values))[:, None]
    every = range(number_format.steps + 1)
    for zero_point in every if len(every) <= 16 else (0, 1, 100, 127, 128, 254, 255):
        by_table = config.dot(codes, np.array([[-128], [1], [127]])[:, None], zero_point)
        assert by_table[1].tolist() == list(number_format.with_zero_point(zero_point).values)
        for row, activation in zip(by_table.tolist(), (-128, 1, 127), strict=True):
            assert row == [config.dot_one([code], [activation], zero_point) for code in codes[:, 0].tolist()]


@EVERY
def test_recoded_weights_are_the_weights_and_the_offset(number_format):
    """What a unit multiplies by, less the offset, is the value with its zero-point, for every code."""
    config = AsymmetricConfig(number_format)
    codes, step = np.arange(len(number_format.values)), int(1 / number_format.unit)
    for zero_point in range(number_format.steps + 1):
        multiplied = config.offset_format.decode(config.recode(codes, zero_point))
        expected = number_format.with_zero_point(zero_point).values
        assert (multiplied - step * config.offset(zero_point)).tolist() == list(expected)


@EVERY
def test_sums_in_both_twins(number_format):
    config, random = AsymmetricConfig(number_format), np.random.default_rng(3)
    codes = random.integers(0, len(number_format.values), (7, 50))
    activations, zero_points = random.integers(-128, 128, (7, 50)), random.integers(0, number_format.steps + 1, 7)
    sums = config.dot(codes, activations, zero_points)
    operands = zip(codes.tolist(), activations.tolist(), zero_points.tolist(), strict=True)
    assert sums.tolist() == [config.dot_one(*one) for one in operands]


def test_only_special_codes_need_another_unit():
    for number_format in (INT4, INT8):
        config = AsymmetricConfig(number_format, lanes=4, pipeline=1)
        assert config.unit == config.mac
    offset = AsymmetricConfig(DINT4).offset_format
    assert sorted(offset.values) == list(range(-18, 14))
    assert offset.bits == 5


@EVERY
@pytest.mark.parametrize("pipeline", [0, 1, 2])
def test_run_is_dot(number_format, pipeline):
    """Three units, one sum of five cycles, all read one after the other."""
    config = AsymmetricConfig(number_format, lanes=2, units=3, pipeline=pipeline)
    random, cycles = np.random.default_rng(4), 9 + pipeline
    codes = random.integers(0, len(number_format.values), (cycles, 3, 2))
    activations, zero_points = random.integers(-128, 128, (cycles, 2)), random.integers(0, number_format.steps + 1, 3)
    place = np.arange(cycles)
    read = np.clip(place - 5 - pipeline, 0, 2)
    shown = config.run(codes, activations, np.tile(zero_points, (cycles, 1)), place == 0, place < 5, read, zero_points[read])
    assert config.latency_cycles == 2 + pipeline
    expected = [config.dot(codes[:5, u].reshape(-1), activations[:5].reshape(-1), zero_points[u]) for u in range(3)]
    assert shown[5 + pipeline : 8 + pipeline].tolist() == expected
    assert shown[: 1 + pipeline].tolist() == [0] * (1 + pipeline)


def test_run_by_hand():
    """dINT4, z = 9 (offset 2 steps): a weight of 6 steps is 4, of -7 steps is -9; +1/2 stays."""
    config = AsymmetricConfig(DINT4)
    weights = [DINT4.encode_one(value) for value in (12, -14, 1, 1)]
    shown = config.run(
        np.reshape(weights, (4, 1, 1)), [[10], [1], [5], [99]], [[9]] * 4, [1, 0, 0, 0], [1, 1, 1, 0], [0] * 4, [9] * 4
    )
    assert shown.tolist() == [0, 80, 62, 67]


@EVERY
@pytest.mark.parametrize("depth", [1, 2, 3, 100, 65536])
def test_widths(number_format, depth):
    """The widest sums fit, and the width has no bit too many."""
    config = AsymmetricConfig(number_format, depth=depth)
    steps = int(number_format.steps / number_format.unit)
    half = 1 << config.accumulator_bits - 1
    assert half // 2 <= steps * 128 * depth < half
    half = 1 << config.activation_sum_bits - 1
    assert half // 2 < 128 * depth <= half
    assert number_format.steps < 1 << config.zero_point_bits


def test_names_widths_and_facts():
    config = AsymmetricConfig(DINT4, lanes=16, units=8)
    assert config.name == "mac_dint4_x16_z8"
    assert [AsymmetricConfig(f).accumulator_bits for f in (INT8, DINT4, INT4, DINT3)] == [32, 29, 28, 28]
    assert AsymmetricConfig(INT8, pipeline=1, depth=99).name == "mac_int8_x1_p1_d99_z1"
    facts = config.describe()
    assert (facts["units"], facts["zero_point_bits"], facts["largest_zero_point"], facts["latency_cycles"]) == (8, 4, 13, 2)
    assert set(config.mac.describe()) < set(facts)


def test_what_is_refused():
    with pytest.raises(InputError, match="FP4 E2M1 takes no zero-point: its values are not evenly spaced"):
        AsymmetricConfig(FP4_E2M1)
    quarter = replace(DINT4, unit=Fraction(1, 4), values=tuple(2 * v if abs(v) > 1 else v for v in DINT4.values))
    with pytest.raises(InputError, match="special values are not"):
        AsymmetricConfig(quarter)
    for units in (0, 65):
        with pytest.raises(InputError, match=f"units is {units}"):
            AsymmetricConfig(INT4, units=units)
    with pytest.raises(InputError, match="lanes is 65"):
        AsymmetricConfig(INT4, lanes=65)
    config = AsymmetricConfig(DINT4, depth=2)
    with pytest.raises(InputError, match="zero_point is 14: dint4 takes 0 to 13"):
        config.dot([1], [1], 14)
    with pytest.raises(InputError, match="zero_point is -1"):
        config.offset(-1)
    with pytest.raises(InputError, match="integers are needed"):
        config.dot([1], [1], 0.5)
    with pytest.raises(InputError, match="lengths must agree"):
        config.dot([1, 1], [1], 0)
    with pytest.raises(InputError, match="3 products exceed the depth 2"):
        config.dot([1] * 3, [1] * 3, 0)
    with pytest.raises(InputError, match="1 units, 1 lanes"):
        config.run([[1]], [[1]], [[0]], [1], [1], [0], [0])
    with pytest.raises(InputError, match="read_unit is 1"):
        config.run([[[1]]], [[1]], [[0]], [1], [1], [1], [0])
