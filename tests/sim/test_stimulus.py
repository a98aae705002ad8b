# SPDX-License-Identifier: Apache-2.0
"""Stimuli: what they contain, what they refuse, and that they are the same every time."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from golden import DINT4, FORMATS, INT4, INT8, InputError, MacConfig
from sim import Stimulus

ALL = [MacConfig(f, lanes=lanes) for f in FORMATS.values() for lanes in (1, 3, 16)]


def rows(values: list[list[int]], **more: object) -> Stimulus:
    cycles = len(values)
    arguments = {"weights": values, "activations": np.zeros_like(values), "first": np.zeros(cycles), "valid": np.ones(cycles)}
    return Stimulus(**(arguments | more), source="corners")  # type: ignore[arg-type]


@pytest.mark.parametrize("config", ALL, ids=lambda c: c.name)
def test_sums_of_a_file_are_complete_real_and_stated(config: MacConfig, make_operands) -> None:
    operands = make_operands(config.weight_format)
    stimulus = Stimulus.from_operands(operands, config, cycles=600, seed=1)
    assert stimulus.cycles == 600
    assert stimulus.valid.all()
    expected = stimulus.expected(config)
    assert stimulus.completed.sum() >= 600 * config.lanes // (50 + config.lanes) - 1
    assert np.array_equal(expected[stimulus.completed], stimulus.stated[stimulus.completed])
    layer = operands.layers[0]
    starts = np.flatnonzero(stimulus.first)
    for start in starts[:5]:
        length = -(-50 // config.lanes)
        codes = stimulus.weights[start : start + length].reshape(-1)
        assert any(np.array_equal(codes[:50], row) for row in layer.weights)
        assert (codes[50:] == config.weight_format.zero_code).all()
    assert set(stimulus.stated[stimulus.completed]) <= set(layer.accumulators.flat)


def test_the_whole_file_is_drawn_from(make_operands) -> None:
    operands = make_operands(DINT4)
    stimulus = Stimulus.from_operands(operands, MacConfig(DINT4, lanes=16), cycles=1000, seed=0)
    assert set(stimulus.stated[stimulus.completed]) == set(operands.layers[0].accumulators.flat)


@pytest.mark.parametrize("config", ALL, ids=lambda c: c.name)
def test_uniform_operands_take_every_code_and_every_activation(config: MacConfig) -> None:
    stimulus = Stimulus.uniform(config, 20_000 // config.lanes, seed=0)
    assert len(np.unique(stimulus.weights)) == 1 << config.weight_format.bits
    assert len(np.unique(stimulus.activations)) == 256
    assert np.diff(np.flatnonzero(stimulus.first)).max() * config.lanes <= 256


@pytest.mark.parametrize("depth", [16, 50, 65536])
@pytest.mark.parametrize("number_format", FORMATS.values(), ids=lambda f: f.name)
def test_corners_meet_extremes_in_every_lane_and_stay_within_the_depth(number_format, depth: int) -> None:
    config = MacConfig(number_format, lanes=16, depth=depth)
    stimulus = Stimulus.corners(config)
    extremes = {
        number_format.minimum,
        number_format.maximum,
        *(number_format.decode_one(c) for c in number_format.special_codes),
    }
    wanted = set(itertools.product(extremes, (-128, -127, -1, 0, 1, 127)))
    for lane in range(config.lanes):
        values = number_format.decode(stimulus.weights[:, lane]).tolist()
        assert wanted <= set(zip(values, stimulus.activations[:, lane].tolist(), strict=True))
    # Sums never exceed the depth, and reach what it can hold.
    in_sum = longest = 0
    for first, valid, reset in zip(stimulus.first, stimulus.valid, stimulus.reset, strict=True):
        in_sum = 0 if reset else in_sum if not valid else config.lanes if first else in_sum + config.lanes
        longest = max(longest, in_sum)
    assert longest == depth // 16 * 16
    sums = stimulus.expected(config)
    assert sums.max() == number_format.largest_product(8) * longest


def test_corners_have_every_order_of_three_control_inputs() -> None:
    stimulus = Stimulus.corners(MacConfig(DINT4, lanes=3))
    control = list(zip(stimulus.first, stimulus.valid, stimulus.reset, strict=True))
    assert len(set(zip(control, control[1:], control[2:], strict=False))) == 8**3


@pytest.mark.parametrize("make", [lambda c, s: Stimulus.uniform(c, 100, s), lambda c, _: Stimulus.corners(c)])
def test_equal_seeds_give_equal_stimuli_and_hashes(make) -> None:
    config = MacConfig(DINT4, lanes=3)
    one = make(config, 7)
    assert one.sha256 == make(config, 7).sha256
    assert one.sha256 != Stimulus.uniform(config, 100, 8).sha256
    changed = one.activations.copy()
    changed[50, 1] ^= 1
    assert dataclasses.replace(one, activations=changed).sha256 != one.sha256


def test_macs_are_products_that_take_part() -> None:
    stimulus = rows([[1, 2], [3, 4], [5, 6]], valid=[1, 0, 1], reset=[0, 0, 1])
    assert stimulus.macs == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [[256, 0]]}, "weights of a stimulus holds 256, which does not fit uint8"),
        ({"weights": [[-1, 0]]}, "weights of a stimulus holds -1"),
        ({"activations": [[128, 0]]}, "activations of a stimulus holds 128, which does not fit int8"),
        ({"activations": [[0.5, 0]]}, "activations of a stimulus holds 0.5"),
        ({"activations": [[0]]}, "activations of a stimulus has shape"),
        ({"first": [2]}, "first of a stimulus holds 2"),
        ({"valid": [1, 1]}, "valid of a stimulus has shape"),
        ({"weights": []}, "weights of a stimulus have shape"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows([[0, 0]], **change)


def test_another_unit_is_refused() -> None:
    stimulus = Stimulus.uniform(MacConfig(INT8, lanes=3), 100, 0)
    with pytest.raises(InputError, match="code 255 is not one of int4"):
        rows([[255]]).expected(MacConfig(INT4))
    with pytest.raises(InputError, match="3 lanes, mac_int8_x4 has 4"):
        stimulus.expected(MacConfig(INT8, lanes=4))


def test_unusable_operand_files_are_refused(make_operands) -> None:
    operands = make_operands(DINT4)
    with pytest.raises(InputError, match="the operands are dint4, the unit takes int8: use --format dint4"):
        Stimulus.from_operands(operands, MacConfig(INT8), 100, 0)
    with pytest.raises(InputError, match="sums of 50 products, mac_dint4_x1_d49 holds 49"):
        Stimulus.from_operands(operands, MacConfig(DINT4, depth=49), 100, 0)
    layer = operands.layers[0]
    asymmetric = dataclasses.replace(layer, zero_points=np.zeros(5, np.int64))
    with pytest.raises(InputError, match="zero-points"):
        Stimulus.from_operands(dataclasses.replace(operands, layers=(asymmetric,)), MacConfig(DINT4), 100, 0)
    wide = dataclasses.replace(layer, weights=layer.weights | 16)
    with pytest.raises(InputError, match="is not one of dint4"):
        Stimulus.from_operands(dataclasses.replace(operands, layers=(wide,)), MacConfig(DINT4), 100, 0)
    with pytest.raises(InputError, match="no sums"):
        Stimulus.from_operands(dataclasses.replace(operands, layers=()), MacConfig(DINT4), 100, 0)
    with pytest.raises(InputError, match="cycles is 0"):
        Stimulus.from_operands(operands, MacConfig(DINT4), 0, 0)
