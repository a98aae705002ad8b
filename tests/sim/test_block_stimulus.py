# SPDX-License-Identifier: Apache-2.0
"""Units of block formats in the bench: what they are given covers what it says, and faults are found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from golden import GROUP_FORMATS, MXFP4, NVFP4, BlockMacConfig, InputError, Port
from hdl.verilog import generate
from sim import SimulationMismatch, block_stimulus, find_simulator
from sim.command import simulate, simulate_verilog
from tests.golden.test_block_mac import THREE

SIGNED = GROUP_FORMATS["int4_g32"]
EVERY = pytest.mark.parametrize(
    "config",
    [BlockMacConfig.of(one, bits, lanes=4, depth=256) for one in (MXFP4, NVFP4, SIGNED) for bits in (8, 4)],
    ids=lambda config: config.name,
)


@pytest.mark.parametrize(("name", "activations"), [("mxfp4", "int8"), ("nvfp4", "nvfp4")])
def test_units_agree_with_the_golden_model(name: str, activations: str) -> None:
    own = name if activations == "int8" else f"{name}_a4"
    results = simulate(name, 8, "icarus", cycles=100, depth=64, activations=activations, quiet=True)
    assert [(one["format"], one["design"], one["source"]) for one in results] == [
        (own, f"mac_{own}_x8_d64", source) for source in ("uniform", "corners")
    ]
    assert all(one["sums_compared"] == one["cycles"] for one in results)
    assert results[0]["macs_compared"] == 800


@EVERY
def test_uniform_operands_are_whole_blocks_in_reach(config: BlockMacConfig) -> None:
    stimulus = block_stimulus.uniform(config, 3000, 1)
    inputs, outputs = stimulus.inputs, config.respond(stimulus.inputs)
    per_block = config.blocks.block // 4
    assert np.flatnonzero(inputs["last"][:, 0]).tolist() == list(range(per_block - 1, 3000, per_block))
    assert np.flatnonzero(inputs["first"][:, 0]).tolist() == list(range(0, 3000, 64))
    assert outputs["exact"].all()
    codes = np.concatenate([inputs[name] for name in ("scale", "activation_scale") if name in inputs], axis=1)
    base = inputs["base"][:, 0] if config.base_bits else np.zeros(3000)
    significands, shifts, reached = config.scaling(codes, base)
    assert reached.all()
    assert set(np.sign(significands[significands != 0])) == ({-1, 1} if config.blocks is SIGNED else {1})
    assert set(shifts) == set(range((config.span or 0) + 1))
    assert all(len(set(inputs["base"][start : start + 64, 0])) == 1 for start in range(0, 3000, 64) if config.base_bits)


@EVERY
def test_corners(config: BlockMacConfig) -> None:
    stimulus = block_stimulus.corners(config)
    inputs, outputs = stimulus.inputs, config.respond(stimulus.inputs)
    activations = range(16) if config.scaled_activations else (-128, -1, 0, 127)
    for lane in range(4):
        pairs = set(zip(inputs["weights"][:, lane].tolist(), inputs["activations"][:, lane].tolist(), strict=True))
        assert {(code, activation) for code in range(16) for activation in activations} <= pairs
    for name in ("scale", "activation_scale"):
        assert name not in inputs or set(inputs[name][:, 0]) == set(range(1 << config.scale_bits))
    # The extremes of the accumulator: all products and scales at theirs, for the whole depth.
    significand = {0: 1, 3: 14}[config.blocks.scales.mantissa_bits] ** config.scale_factors
    largest = 8 if config.blocks is SIGNED else 12
    greatest = largest * (largest if config.scaled_activations else 128)
    least = -greatest  # INT4's least product is nearer to zero: times a negative scale, the greatest is less
    shown = outputs["accumulator"][:, 0]
    assert shown.max() == greatest * 256 * significand << (config.span or 0)
    assert shown.min() == least * 256 * significand << (config.span or 0)
    assert set(outputs["exact"][:, 0]) == {0, 1}
    names = ("first", "last", "valid", "rst")
    controls = np.concatenate([inputs[name] for name in names], axis=1).tolist()
    seen = {tuple(map(tuple, controls[cycle : cycle + 3])) for cycle in range(len(controls) - 2)}
    assert len(seen) > 0.8 * 16**3  # a block that would be too long ends, a sum that would be begins again
    inside = 0
    resets_in_block = 0
    for first, last, valid, reset in controls:
        resets_in_block += bool(reset and inside)
        taken = valid and not reset
        inside = 0 if reset or (taken and last) else 1 if taken and first else inside + 1 if taken else inside
        assert inside <= config.blocks.block // 4
    assert resets_in_block > 50


# Signals stuck at a level: what follows from each is what a real unit could get wrong.
STUCK = {"opening": 0, "fresh": 0, "done": 1, "exact": 1, "due": 1}


def broken(text: str, name: str) -> str:
    """The Verilog `text` with the assignment of one signal of the top module replaced."""
    found, count = re.subn(rf"^( *(?:assign )?{name} <?=) [^;]*;", rf"\1 1'h{STUCK[name]};", text, flags=re.MULTILINE)
    assert count == 1, text[-6000:]
    return found


@pytest.mark.parametrize("stuck", STUCK)
def test_broken_units_fail(stuck: str) -> None:
    config = BlockMacConfig.of(NVFP4, lanes=4, depth=64)
    text = broken(generate(config), stuck)
    with pytest.raises(SimulationMismatch, match=r"^mac_nvfp4_x4_d64, corners operands, "):
        simulate_verilog(text, config, [block_stimulus.corners(config)], find_simulator("icarus"), quiet=True)


def test_what_was_left_out_is_remembered_to_the_end_of_the_sum() -> None:
    """Where all scales are in reach, only NaN is left out: often enough that a block follows in the same sum."""
    config = BlockMacConfig.of(NVFP4, lanes=4, depth=64)
    text, count = re.subn(r"exact \| opening", "1'h1", generate(config))
    assert count == 1
    with pytest.raises(SimulationMismatch):
        simulate_verilog(text, config, [block_stimulus.corners(config)], find_simulator("icarus"), quiet=True)


@dataclass(frozen=True)
class Selecting(BlockMacConfig):
    """A unit with a port more, which changes no sum: codebooks would be selected there."""

    @property
    def ports(self) -> tuple[Port, ...]:
        return (*super().ports, Port("selectors", 3, 2))


def test_selectors_without_a_codebook_are_not_given() -> None:
    config = BlockMacConfig.of(THREE, 4, lanes=2, depth=64)
    for stimulus in (block_stimulus.uniform(config, 500, 0), block_stimulus.corners(config)):
        stimulus.rows(config)
        assert all(set(stimulus.inputs[name][:, 0]) == {0, 1, 2} for name in config.selector_ports)


def test_ports_that_are_not_known_are_driven() -> None:
    config = Selecting.of(NVFP4, lanes=4, depth=64)
    for stimulus in (block_stimulus.uniform(config, 500, 0), block_stimulus.corners(config)):
        stimulus.check(config)
        assert all(set(column) == set(range(8)) for column in stimulus.inputs["selectors"].T)
    pairs = np.concatenate([stimulus.inputs[name] for name in ("selectors", "weights", "activations")], axis=1)[:, [0, 2, 6]]
    assert len(set(map(tuple, pairs.tolist()))) >= 8 * 16 * 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "nvfp4", "lanes": 3}, "lanes is 3: give a divisor of NVFP4's block, 16"),
        ({"format": "nvfp4", "pipeline": 2}, r"pipeline is 2: units of NVFP4 have 0 \(none\) or 1 \(scaled sums registered\)"),
        ({"format": "nvfp4", "decoded": True}, "--decoded: units of NVFP4 have no such choice"),
        ({"format": "nvfp4", "activations": "mxfp4"}, r"--activations mxfp4: .*known are int8, nvfp4"),
        ({"format": "int4", "activations": "nvfp4"}, "--activations nvfp4: with --format int4 they are int8"),
        ({"format": "nvfp4", "cycles": 0}, "cycles is 0"),
    ],
)
def test_choices_that_there_are_not(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate(**options, quiet=True)
