# SPDX-License-Identifier: Apache-2.0
"""The MAC unit of a block format: its facts, the limits of its parameters, sums beyond its depth, elements of unequal reach."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from golden import E4M3, E8M0, FP4_E2M1, INT8, MXFP4, NVFP4, BlockFormat, BlockMacConfig, Codebook, InputError, Port
from golden.block_mac import BlockSumConfig

from .test_block_format import CLUSTERED

UPWARDS, DOWNWARDS = (
    BlockFormat(name, name, (Codebook(name, name, 2, values),), 4, E4M3, Fraction(9))
    for name, values in (("upwards", (-2, 0, 1, 9)), ("downwards", (-9, -1, 0, 2)))
)


def test_facts() -> None:
    config = BlockMacConfig.of(MXFP4)
    assert config == BlockMacConfig(FP4_E2M1, block_format=MXFP4, activation_bits=8, lanes=1, depth=65536, span=15)
    assert (config.pipeline, config.latency_cycles, config.shape, config.decoded) == (0, 2, "mac", False)
    registered = config.varied(pipeline=1)
    assert registered.name == f"{config.name}_p1"
    assert [registered.describe()[key] for key in ("pipeline", "latency_cycles")] == [1, 3]
    assert [config.describe()[key] for key in ("pipeline", "latency_cycles")] == [0, 2]
    assert dict(config.reset) == {"rst": 1, "valid": 1, "first": 0}
    assert config.sum_port == config.ports[-2]
    inside = config.block_sum
    assert (inside.activation_bits, inside.lanes, inside.depth, inside.accumulator_bits) == (8, 1, 32, 17)


def test_what_a_block_adds() -> None:
    """As wide as the accumulator; with a pipeline register as a block sum times significands, shifted as far as that goes."""
    for blocks, bits, plain, registered in ((MXFP4, 8, 43, 17 + 15), (NVFP4, 8, 46, 16 + 4 + 14), (NVFP4, 4, 60, 13 + 8 + 28)):
        configs = [BlockMacConfig.of(blocks, bits, pipeline=count) for count in (0, 1)]
        assert [one.addend_bits for one in configs] == [plain, registered]
        assert [one.accumulator_bits for one in configs] == [plain, plain]
        assert BlockMacConfig.of(blocks, bits, pipeline=1, depth=blocks.block).addend_bits <= registered
    narrow = BlockMacConfig.of(DOWNWARDS, 2, pipeline=1, depth=4)
    assert narrow.addend_bits == narrow.accumulator_bits


def test_codebooks_that_are_written() -> None:
    """Words are as wide as those of the format, and may be anything that their bits hold of either sign."""
    plain, written = (BlockMacConfig.of(CLUSTERED, 2, writable_codebooks=choice) for choice in (False, True))
    assert plain.largest_value == 9
    assert (written.value_bits, written.largest_value) == (5, 15)
    assert written.ports[-5:-2] == (Port("codebook_write"), Port("codebook_address", 3), Port("codebook_word", 5, signed=True))
    assert (plain.write_ports, len(written.ports) - len(plain.ports)) == ((), 3)


def test_elements_as_wide_as_integer_activations_are_refused() -> None:
    blocks = BlockFormat("mxint8", "MXINT8", (INT8,), 32, E8M0, Fraction(127))
    with pytest.raises(InputError, match="block_format mxint8 has elements of 8 bits: units take up to 7"):
        BlockMacConfig.of(blocks)
    codewords = Codebook("seven", "Seven", 7, tuple(range(-64, 64)))
    assert BlockMacConfig.of(BlockFormat("seven", "Seven", (codewords,), 32, E8M0, Fraction(63))).weight_format.bits == 7


def test_ports() -> None:
    assert BlockMacConfig.of(NVFP4, 4, lanes=2).ports == (
        Port("rst", 1), Port("valid", 1), Port("first", 1), Port("last", 1), Port("activations", 4, 2), Port("weights", 4, 2),
        Port("scale", 7), Port("activation_scale", 7), Port("accumulator", 60, signed=True, output=True),
        Port("exact", 1, output=True, initial=1),
    )  # fmt: skip
    plain = {port.name: port for port in BlockMacConfig.of(MXFP4, lanes=4).ports}
    assert plain["activations"] == Port("activations", 8, 4, signed=True)
    assert plain["base"] == Port("base", 8)
    assert "activation_scale" not in plain


def test_description() -> None:
    told = BlockMacConfig.of(NVFP4, 4, lanes=2).describe()
    assert {key: told[key] for key in ("activation_bits", "activation_format", "block", "scale", "span", "element")} == {
        "activation_bits": 4, "activation_format": "nvfp4", "block": 16, "scale": "e4m3", "span": 28, "element": "fp4_e2m1",
    }  # fmt: skip
    assert (told["sum_unit"], told["bits_per_scalar"], told["accumulator_bits"]) == (2.0**-20, 4.5, 60)
    assert (told["depth"], told["latency_cycles"], len(told["ports"])) == (65536, 2, 11)
    plain = BlockMacConfig.of(MXFP4)
    assert plain.describe()["activation_format"] == "int8"
    assert "values" in plain.describe()
    assert "codebooks" not in plain.describe()
    assert plain.operand_titles == ("MXFP4", "INT8")
    assert BlockMacConfig.of(NVFP4, 4).operand_titles == ("NVFP4", "NVFP4")


def test_limits_that_are_just_kept() -> None:
    shortest = BlockMacConfig.of(MXFP4, depth=32, span=0, lanes=32)
    assert (shortest.accumulator_bits, shortest.base_bits, shortest.name) == (17, 8, "mac_mxfp4_x32_s0_d32")
    assert BlockMacConfig.of(MXFP4, depth=1 << 24).accumulator_bits == 43 + 8
    assert BlockMacConfig.of(MXFP4, span=36).accumulator_bits == 64
    for bits in (2, 8):
        assert BlockSumConfig(FP4_E2M1, bits).activation_bits == bits
        assert BlockSumConfig(FP4_E2M1, bits).accumulator_bits == 1  # of products that are all zero


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"span": 37}, "depth 65536 and span 37 need 65 bits"),
        ({"depth": (1 << 24) + 32}, "depth is 16777248"),
        ({"depth": 0}, "depth is 0"),
        ({"lanes": 64}, "lanes is 64"),
        ({"pipeline": 2}, "pipeline is 2: units of MXFP4 have 0"),
        ({"span": 2.0}, "span is 2.0: an integer"),
        ({"weight_format": "fp4"}, "weight_format is 'fp4': a NumberFormat is needed"),
    ],
)
def test_limits_that_are_just_passed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BlockMacConfig(**{"weight_format": FP4_E2M1, "block_format": MXFP4, **given})


@pytest.mark.parametrize("bits", [1, 9])
def test_activations_of_the_unit_inside(bits: int) -> None:
    with pytest.raises(InputError, match=f"activation_bits is {bits}: 2 to 8 are supported"):
        BlockSumConfig(FP4_E2M1, bits)


@pytest.mark.parametrize("activation_bits", [8, 4])
def test_sums_beyond_the_depth_wrap(activation_bits: int) -> None:
    """As two's complement of the accumulator's bits, whatever was added: both ways, several times over."""
    config = BlockMacConfig.of(MXFP4, activation_bits, depth=32, span=0, lanes=32)
    cycles, half = 24, 1 << config.accumulator_bits - 1
    least = FP4_E2M1.encode_one(-12)
    weights = np.where(np.arange(cycles) < 12, least, FP4_E2M1.encode_one(12))[:, None].repeat(32, axis=1)
    activations = np.full_like(weights, least if config.scaled_activations else -128)
    scales = np.full((cycles, config.scale_factors), 127)
    always = np.ones(cycles, bool)
    shown = config.run(weights, activations, scales, np.arange(cycles) == 0, always, always, 127 * scales.shape[1] * always)
    block = 32 * 12 * (12 if config.scaled_activations else 128)
    exact = [0, *np.cumsum([block] * 12 + [-block] * 11).tolist()]
    assert shown.accumulator.tolist() == [(one + half) % (2 * half) - half for one in exact]
    assert max(exact) > 4 * half
    assert shown.exact.all()


@pytest.mark.parametrize("blocks", [UPWARDS, DOWNWARDS], ids=lambda one: one.name)
@pytest.mark.parametrize("activation_bits", [8, 2])
def test_widths_are_those_of_the_longer_side(blocks: BlockFormat, activation_bits: int) -> None:
    """Operands of magnitude 9 need 5 bits, on whichever side of zero; the widest sum fits, without a bit to spare."""
    config = BlockMacConfig.of(blocks, activation_bits, depth=8, lanes=4)
    assert config.operand_bits == (8 if activation_bits == 8 else 5)
    own = blocks.elements[0]
    largest = max(range(4), key=lambda code: abs(own.values[code]))
    operand = largest if config.scaled_activations else -128
    cycles = 3
    ends = np.arange(cycles) < 2
    codes = np.full((cycles, config.scale_factors), E4M3.nan_code - 1)
    given = np.full((cycles, 4), largest), np.full((cycles, 4), operand)
    shown = config.run(*given, codes, np.arange(cycles) == 0, ends, ends)
    product = abs(own.values[largest]) * (9 if config.scaled_activations else 128)
    sum_of_eight = 8 * product * (14 << 14) ** config.scale_factors
    assert abs(int(shown.accumulator[-1])) == sum_of_eight < 1 << config.accumulator_bits - 1 < 4 * sum_of_eight


def test_controls_need_not_be_booleans() -> None:
    """Ports of 0 and 1; `valid` 0 keeps a block open over idle cycles, and `last` without `valid` ends none."""
    config = BlockMacConfig.of(NVFP4)
    ones = np.full((6, 1), FP4_E2M1.encode_one(2))
    scales = np.full((6, 1), E4M3.encode_one(1))
    shown = config.run(ones, np.full((6, 1), 5), scales, [1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0], [1, 0, 0, 1, 0, 0])
    assert shown.accumulator.tolist() == [0, 0, 0, 0, 2 * 2 * 5 * 8 << 6, 2 * 2 * 5 * 8 << 6]
