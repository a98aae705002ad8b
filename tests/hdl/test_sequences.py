# SPDX-License-Identifier: Apache-2.0
"""Sums over many cycles and lanes against the golden model: accumulate, hold, restart, reset."""

from __future__ import annotations

import numpy as np
import pytest

from golden import DINT3, DINT4, FORMATS, INT4, INT8, MacConfig
from hdl.architectures import ARCHITECTURES

from .conftest import pairs

EVERY = [(name, a.name) for a in ARCHITECTURES.values() for name in a.formats]
DECODING = [(name, architecture) for name, architecture in EVERY if ARCHITECTURES[architecture].decodes(FORMATS[name])]


def stimulus(config, cycles, seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, len(config.weight_format.values), (cycles, config.lanes))
    activations = rng.integers(-128, 128, (cycles, config.lanes))
    return weights, activations, rng.random(cycles) < 0.1, rng.random(cycles) < 0.8, rng.random(cycles) < 0.03


@pytest.mark.parametrize(("name", "architecture"), EVERY)
def test_random_sequences_and_extremes(simulate, name, architecture):
    """Two lanes, random control; then the sums that decide the accumulator's width, of `depth` products, without wrapping."""
    number_format = FORMATS[name]
    config = MacConfig(number_format, lanes=2, depth=32, architecture=architecture)
    weights, activations, first, valid, reset = stimulus(config, 600, seed=1)
    cycles = config.depth // config.lanes
    least, greatest = number_format.encode_one(number_format.minimum), number_format.encode_one(number_format.maximum)
    pairs = [(least, -128), (least, 127), (greatest, -128), (greatest, 127)]
    full = len(pairs) * cycles
    weights = np.concatenate([weights, *(np.full((cycles, 2), code) for code, _ in pairs)])
    activations = np.concatenate([activations, *(np.full((cycles, 2), a) for _, a in pairs)])
    first = np.concatenate([first, np.arange(full) % cycles == 0])
    valid, reset = np.concatenate([valid, np.ones(full, dtype=bool)]), np.concatenate([reset, np.zeros(full, dtype=bool)])

    sums = simulate(config, weights, activations, first, valid, reset)

    assert np.array_equal(sums, config.run(weights, activations, first, valid, reset))
    totals = [number_format.values[code] * a * config.depth for code, a in pairs]
    assert sums[-full:][cycles - 1 :: cycles].tolist() == totals
    assert max(totals) == number_format.largest_product(8) * config.depth  # nothing larger exists
    assert max(totals) < 1 << config.accumulator_bits - 1 <= 2 * max(totals)  # and the width is the least that holds it


@pytest.mark.parametrize("number_format", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("pipeline", [1, 2])
def test_pipeline_registers(simulate, number_format, pipeline):
    config = MacConfig(number_format, lanes=3, pipeline=pipeline)
    operands = stimulus(config, 400, seed=2)
    assert np.array_equal(simulate(config, *operands), config.run(*operands))


@pytest.mark.parametrize(("name", "architecture"), DECODING)
def test_registered_select_lines(simulate, name, architecture):
    """Every product for itself, and in a random sequence with holds, restarts and resets."""
    number_format = FORMATS[name]
    config = MacConfig(number_format, lanes=2, depth=4, pipeline=1, architecture=architecture, decoded=True)
    weights, activations = (column[:, None].repeat(2, axis=1) for column in pairs(number_format))
    always = np.ones(len(weights), dtype=bool)
    sums = simulate(config, weights, activations, always, always)
    assert np.array_equal(sums, config.run(weights, activations, always, always))
    assert sums.tolist() == (2 * np.array(number_format.values)[weights[:, 0]] * activations[:, 0]).tolist()
    for lanes in (1, 16) if architecture == number_format.architecture else (1,):  # both ways to hold
        config = MacConfig(number_format, lanes=lanes, pipeline=2, architecture=architecture, decoded=True)
        operands = stimulus(config, 200, seed=3)
        assert np.array_equal(simulate(config, *operands), config.run(*operands))


@pytest.mark.parametrize(("name", "architecture"), EVERY)
def test_registered_rows(simulate, name, architecture):
    """Every product for itself, then sums to the accumulator's extremes: the rows' offset is taken off, and no sign is lost."""
    number_format = FORMATS[name]
    config = MacConfig(number_format, lanes=2, depth=4, pipeline=2, architecture=architecture)
    weights, activations = (column[:, None].repeat(2, axis=1) for column in pairs(number_format))
    weights[::2, 1] = number_format.zero_code
    first, always = np.ones(len(weights), dtype=bool), np.ones(len(weights), dtype=bool)
    extremes = [number_format.encode_one(value) for value in (number_format.minimum, number_format.maximum)]
    last = [(code, activation) for code in extremes for activation in (-128, 127) for _ in range(2)]
    weights[-8:], activations[-8:] = ([[pair[i]] * 2 for pair in last] for i in (0, 1))
    first[-8:] = np.arange(8) % 2 == 0
    sums = simulate(config, weights, activations, first, always)
    assert np.array_equal(sums, config.run(weights, activations, first, always))
    assert max(sums) == number_format.largest_product(8) * config.depth


# Both ways to hold (few and many weight bits per accumulator bit), and counts that are no power of two.
@pytest.mark.parametrize(
    ("number_format", "lanes"),
    [(DINT4, 1), (DINT4, 16), (DINT4, 64), (INT8, 7), (INT8, 64), (INT4, 33), (DINT3, 64)],
)
def test_lane_counts(simulate, number_format, lanes):
    config = MacConfig(number_format, lanes=lanes)
    operands = stimulus(config, 60, seed=lanes)
    assert np.array_equal(simulate(config, *operands), config.run(*operands))


@pytest.mark.parametrize("number_format", FORMATS.values(), ids=FORMATS)
def test_each_lane_alone(simulate, number_format):
    """Lane i multiplies its own operands, at the bits that the interface says, and no other."""
    config = MacConfig(number_format, lanes=64)
    code = number_format.encode_one(number_format.minimum)
    weights = np.where(np.eye(64, dtype=bool), code, number_format.zero_code)
    activations = np.tile(np.arange(64) - 100, (64, 1))
    always = np.ones(64, dtype=bool)
    sums = simulate(config, weights, activations, always, always)
    assert sums.tolist() == [number_format.minimum * (lane - 100) for lane in range(64)]


def test_hold_first_and_reset_by_hand(simulate):
    """The interface in one sequence, with sums worked out by hand."""
    config = MacConfig(DINT4)
    one, half, minus_seven = DINT4.encode_one(2), DINT4.encode_one(1), DINT4.encode_one(-14)
    steps = [  # weight, activation, first, valid, reset, sum in half-steps
        (one, 10, 1, 1, 0, 20),
        (half, 3, 0, 1, 0, 23),
        (one, 99, 0, 0, 0, 23),  # not valid: holds
        (one, 99, 1, 0, 0, 23),  # `first` means nothing without `valid`
        (minus_seven, -128, 0, 1, 0, 23 + 1792),
        (minus_seven, -128, 1, 1, 0, 1792),  # a new sum
        (one, 5, 1, 1, 1, 0),  # reset wins
        (one, 5, 0, 1, 0, 10),  # and a sum may go on from there
        (one, 5, 0, 0, 1, 0),
    ]
    weights, activations, first, valid, reset, expected = (np.array(column) for column in zip(*steps, strict=True))
    operands = (weights[:, None], activations[:, None], first, valid, reset)
    for pipeline in (0, 1, 2):
        assert simulate(MacConfig(DINT4, pipeline=pipeline), *operands).tolist() == expected.tolist()
    assert config.run(*operands).tolist() == expected.tolist()


def test_sums_wrap_as_the_register_does(simulate):
    config = MacConfig(INT8, depth=2)
    weights, activations = np.full((9, 1), 128), np.full((9, 1), -128)
    first = np.arange(9) == 0
    operands = (weights, activations, first, np.ones(9, dtype=bool))
    sums = simulate(config, *operands)
    assert sums[1] == 2 * 16384  # the depth
    assert np.array_equal(sums, config.run(*operands))
    assert sums.min() < 0
