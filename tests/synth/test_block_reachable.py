# SPDX-License-Identifier: Apache-2.0
"""What counts of a unit of a block format: all that it is made for, and no state that it will not look at."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from benchmarks import mutation
from benchmarks.mutation import Fault, broken
from golden import CODEBOOK_FORMATS, GROUP_FORMATS, MXFP4, NVFP4, BlockMacConfig
from hdl.verilog import generate
from sim import block_columns, block_stimulus
from sim.replay import PortStimulus
from synth import yosys
from synth.block_reachable import BlockLimits
from synth.gates import Network
from synth.reachable import Logic

NVFP4_UNIT = BlockMacConfig.of(NVFP4, depth=32)
UNITS = [
    NVFP4_UNIT,
    BlockMacConfig.of(MXFP4, 4, depth=64, lanes=2),
    BlockMacConfig.of(NVFP4, depth=32, pipeline=1),
    BlockMacConfig.of(GROUP_FORMATS["int4_g32"], 4, depth=64, lanes=2, pipeline=1),
    BlockMacConfig.of(GROUP_FORMATS["dint4_g32"], depth=64),
    BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], depth=32, lanes=4),
    BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], depth=32, lanes=4, writable_codebooks=True),
]
EVERY = pytest.mark.parametrize("config", UNITS, ids=lambda one: one.name)


@cache
def network_of(config: BlockMacConfig) -> Network:
    return mutation.settled(yosys.gates(generate(config), config.name)[config.name])


def possible(config: BlockMacConfig, stimulus: PortStimulus) -> str:
    """Whether what the unit is in, and is given, is taken for possible: "1" or "0" for each cycle after a reset."""
    network = network_of(config)
    logic, limits = Logic(network), BlockLimits(network, config)
    counts = logic.all([*limits._possible(logic, limits._counting(logic, {net: net for net in network.flip_flops}))])
    rows, lead = stimulus.rows_from_reset(config)
    columns = {port.name: port.levels(rows.inputs[port.name]) for port in config.inputs}
    levels = dict.fromkeys((*network.flip_flops, *network.inputs["clk"]), 0)
    words = dict.fromkeys((*levels, *(net for bits in network.inputs.values() for net in bits)), 0)
    for cycle in range(lead + stimulus.cycles):
        for name, column in columns.items():
            levels |= zip(network.inputs[name], column[cycle].tolist(), strict=True)
        if cycle >= lead:
            words = {net: word | levels[net] << cycle - lead for net, word in words.items()}
        nets = network.evaluate(levels, 1)
        levels |= {register: nets[taken] for register, taken in network.flip_flops.items()}
    extended = replace(network, gates=(*network.gates, *logic.gates))
    return format(extended.evaluate(words, stimulus.cycles)[counts], f"0{stimulus.cycles}b")[::-1]


@EVERY
def test_all_that_a_unit_is_made_for_is_possible(config: BlockMacConfig) -> None:
    pieces = [block_stimulus._every_order(config), dict(block_stimulus.uniform(config, 200, 1).columns)]
    chosen = {name: np.concatenate([piece[name][:600] for piece in pieces]) for name in pieces[0]}
    assert "0" not in possible(config, PortStimulus(chosen, "orders"))
    rows = config.depth // config.lanes
    whole = next(block_stimulus._every_operand(config))
    row = {name: column[[np.argmax(np.abs(column[:, 0]))]] for name, column in whole.items()}
    step, block = np.arange(rows), config.blocks.block // config.lanes
    scales = block_columns.scales_of_one(config, config.blocks.scales.nan_code - 1, config.span or 0)
    same = {name: column.repeat(rows, axis=0) for name, column in row.items()}
    given = {**same, "first": step == 0, "last": step % block == block - 1, **scales}
    assert "0" not in possible(config, PortStimulus(block_columns.columns(config, given), "longest"))


@pytest.mark.parametrize("last", [0, 1], ids=["block", "sum"])
def test_what_is_too_long_is_not_possible(last: int) -> None:
    """The greatest products, in a block that does not end, and in blocks of one product, in a sum that does not."""
    config = NVFP4_UNIT
    largest = config.blocks.scales.nan_code - 1
    cycles = 2 + (config.depth if last else config.blocks.block)
    given = {"weights": 7, "activations": 127, "scale": largest, "last": last, "first": np.arange(cycles) == 0}
    shown = possible(config, PortStimulus(block_columns.columns(config, given), "long"))
    assert "0" not in shown[: cycles - 2]
    assert "0" in shown


@EVERY
def test_what_does_not_count_changes_nothing(config: BlockMacConfig) -> None:
    network = network_of(config)
    assert mutation._same_within(BlockLimits(network, config), network)


def test_faults_of_what_counts_are_told_from_others() -> None:
    network = network_of(NVFP4_UNIT)
    limits = BlockLimits(network, NVFP4_UNIT)

    def same(fault: Fault) -> bool:
        assert not mutation._same(network, broken(network, fault))
        return mutation._same_within(limits, broken(network, fault))

    (take,) = network.wires["block.take"]
    assert same(Fault(take, 1, "1"))  # a block's sum is not reset, and does not matter until the next begins
    assert not same(Fault(take, 0, "1"))  # it takes operands that are not valid
    for name, held in (("fresh", "0"), ("opening", "0"), ("opening", "1"), ("done", "1")):
        assert not same(Fault(network.wires[name][0], None, held))
