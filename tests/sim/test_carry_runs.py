# SPDX-License-Identifier: Apache-2.0
"""Carries run as far as `sim.carry_runs` and `block_carries` say: in scaled sums, and between any two places of a sum."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from golden import FORMATS, GROUP_FORMATS, MXFP4, NVFP4, BlockMacConfig, MacConfig
from sim import Stimulus, block_carries, block_stimulus
from sim.replay import PortStimulus

EVERY = pytest.mark.parametrize(
    "config",
    [BlockMacConfig.of(one, bits, lanes=4, depth=512) for one in (MXFP4, NVFP4, GROUP_FORMATS["int4_g32"]) for bits in (8, 4)],
    ids=lambda config: config.name,
)


def sums_of(config: BlockMacConfig, inputs: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """The sum of each cycle's products."""
    values = np.array(config.weight_format.values)
    right = values[inputs["activations"]] if config.scaled_activations else inputs["activations"]
    return (values[inputs["weights"]] * right).sum(axis=1)


def rows_of(config: BlockMacConfig) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64]]:
    operands = next(block_stimulus._every_operand(config))
    return operands, sums_of(config, operands)


def runs_of(totals: NDArray[np.int64], addends: NDArray[np.int64], bits: int) -> NDArray[np.bool_]:
    """(from, to): whether a carry ever began at one place and ended at the other, in any of these additions."""
    seen = np.zeros((bits, bits), dtype=bool)
    both, either = totals & addends, totals ^ addends
    for begin in range(bits):
        running = both >> begin & 1 == 1
        for end in range(begin + 1, bits):
            passed = either >> end & 1 == 1
            seen[begin, end] = (running & ~passed).any()
            running &= passed
    return seen


@EVERY
def test_sums_of_blocks_lie_anywhere(config: BlockMacConfig) -> None:
    operands, products = rows_of(config)
    inputs = block_carries.sums_anywhere(config, operands, products)
    block = config.blocks.block // 4
    sums = sums_of(config, inputs).reshape(-1, block).sum(axis=1)
    shares = np.histogram(sums, 10, (products.min() * block, products.max() * block))[0] / len(sums)
    assert shares.min() > 0.04
    codes = np.concatenate([inputs[name][::block] for name in config.scale_ports], axis=1)
    base = inputs["base"][::block, 0] if config.base_bits else 0
    significands, shifts, reached = config.scaling(codes, base)
    assert reached.all()
    assert (np.bincount(shifts) >= 8).all()
    scaled = sums * significands
    assert np.isin(scaled % 256, (0, 1, 255)).mean() > 0.1  # of others 1 %


def test_runs_are_broken_in_one_group_of_places() -> None:
    """Of a block's product: zeros, then up to four places with a one, then ones up to the sixteenth, wherever they are."""
    config = BlockMacConfig.of(GROUP_FORMATS["dint4_g32"])
    operands, products = rows_of(config)
    inputs = block_carries.sums_anywhere(config, operands, products)
    codes = np.concatenate([inputs[name][:: config.blocks.block] for name in config.scale_ports], axis=1)
    scaled = sums_of(config, inputs).reshape(-1, config.blocks.block).sum(axis=1) * config.scaling(codes, 0)[0]
    for begin in range(12):
        below, group = scaled & (1 << begin) - 1, scaled >> begin & 15
        above = scaled % (1 << 16) >> begin + 4
        assert ((below == 0) & (group > 0) & (above == (1 << 12 - begin) - 1)).sum() > 2


@EVERY
def test_carries_run_between_any_two_places(config: BlockMacConfig) -> None:
    operands, products = rows_of(config)
    inputs = block_carries.crossing_sums(config, operands, products, 10**6)
    stimulus = PortStimulus(inputs, "corners")
    shown = stimulus.rows(config).outputs
    assert shown["exact"].all()
    totals = shown["accumulator"][:-1, 0]
    addends = np.diff(shown["accumulator"][:, 0])
    going_on = inputs["first"][:, 0] == 0
    seen = runs_of(totals[going_on], addends[going_on], config.accumulator_bits)
    below = np.triu(np.ones_like(seen), 1)[:, : config.accumulator_bits - 3]  # the depth ends before the uppermost are crossed
    assert seen[:, : config.accumulator_bits - 3][below].mean() > 0.8
    random = block_stimulus.uniform(config, len(totals), 0).rows(config).outputs["accumulator"][:, 0]
    assert runs_of(random[:-1], np.diff(random), config.accumulator_bits).sum() < seen.sum() / 2


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("name", ["int8", "dint4", "int3"])
def test_corner_cases_of_mac_units_too(name: str, lanes: int) -> None:
    """Among them sums above half of the greatest that go down again, on which the uppermost carries depend."""
    config = MacConfig(FORMATS[name], lanes=lanes)
    stimulus = Stimulus.corners(config)
    shown = stimulus.expected(config)
    going_on = (stimulus.valid & ~stimulus.first & ~stimulus.reset)[1:]
    seen = runs_of(shown[:-1][going_on], np.diff(shown)[going_on], config.accumulator_bits)
    reached = config.accumulator_bits - 3
    assert seen[:reached, :reached][np.triu_indices(reached, 1)].mean() > 0.8
    highest = 1 << config.accumulator_bits - 3
    assert ((shown[:-1] >= highest) & (shown[1:] < shown[:-1]) & going_on).any()
    assert ((shown[:-1] <= -highest) & (shown[1:] > shown[:-1]) & going_on).any()


@pytest.mark.parametrize(
    ("config", "share"),
    [
        (BlockMacConfig.of(NVFP4, lanes=16, depth=64), 0.15),
        (BlockMacConfig.of(NVFP4, depth=16), 0.5),
        (BlockMacConfig.of(MXFP4, lanes=4, span=0, depth=64), 0.5),
        (BlockMacConfig.of(MXFP4, 4, lanes=32, depth=32), 0),
    ],
    ids=lambda one: getattr(one, "name", one),
)
@pytest.mark.parametrize("longest_sum", [0, 1, 7, 10**6])
def test_few_cycles_have_fewer_crossings(config: BlockMacConfig, share: float, longest_sum: int) -> None:
    inputs = block_carries.crossing_sums(config, *rows_of(config), longest_sum)
    shown = PortStimulus(inputs, "corners").rows(config).outputs["accumulator"][:, 0]
    seen = runs_of(shown[:-1], np.diff(shown), config.accumulator_bits)
    if longest_sum > config.depth:
        assert seen[np.triu(np.ones_like(seen), 1)].mean() >= share
    assert block_stimulus.corners(config, longest_sum).cycles > 5000


@EVERY
def test_no_sum_is_longer_than_the_depth(config: BlockMacConfig) -> None:
    inputs = block_carries.crossing_sums(config, *rows_of(config), 10**6)
    starts = np.flatnonzero(inputs["first"][:, 0])
    assert np.diff([*starts, len(inputs["first"])]).max() == config.depth // config.lanes
