# SPDX-License-Identifier: Apache-2.0
"""The MAC unit of a block format, cycle by cycle: against sums that are put together block by block, and the exact dot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden import (
    CODEBOOK_FORMATS,
    FP4_E2M1,
    GROUP_FORMATS,
    INT4,
    MXFP4,
    NVFP4,
    BlockCodes,
    BlockMacConfig,
    InputError,
    dot,
)
from golden.lobcq import lobcq_format

from .test_block_format import CLUSTERED

LOBCQ = CODEBOOK_FORMATS["lobcq_c8_g64"]
#: A number of codebooks that is no power of two.
THREE = lobcq_format([one.values for one in LOBCQ.elements[:3]], 16)
GROUPS = GROUP_FORMATS["int4_g128"], GROUP_FORMATS["dint4_g128"]
EVERY = pytest.mark.parametrize(
    ("block_format", "activation_bits"),
    [(one, bits) for one in (MXFP4, NVFP4, *GROUPS, LOBCQ, THREE, CLUSTERED) for bits in (8, one.bits)],
    ids=lambda one: getattr(one, "name", one),
)


def random_inputs(config: BlockMacConfig, cycles: int, seed: int) -> dict[str, np.ndarray]:
    """Blocks of all lengths, sums of all lengths, idle cycles, resets; scales in reach, and at times beyond, or NaN."""
    random = np.random.default_rng(seed)
    blocks = config.blocks
    codes = random.integers(0, 1 << blocks.bits, (2, cycles, config.lanes))
    selectors = random.integers(0, len(blocks.elements), (2, cycles, config.selectors))
    powers = not config.blocks.scales.mantissa_bits
    base = 127 * config.scale_factors if powers else config.exponents // 3 if config.base_bits else 0
    low, high = (120, 139) if powers else (0, config.blocks.scales.nan_code)
    scales = random.integers(low, high, (2, cycles, 1))
    scales = np.where(random.random(scales.shape) < 0.05, config.blocks.scales.nan_code, scales)
    if config.blocks.scales.negative:
        scales += random.integers(0, 2, scales.shape) * config.blocks.scales.sign_bit
    given = {
        "rst": random.random((cycles, 1)) < 0.03,
        "valid": random.random((cycles, 1)) < 0.8,
        "first": random.random((cycles, 1)) < 0.08,
        "last": random.random((cycles, 1)) < 0.3,
        "activations": codes[0] if config.scaled_activations else random.integers(-128, 128, codes[0].shape),
        "weights": codes[1],
        "selectors": selectors[0],
        "activation_selectors": selectors[1],
        "codebook_write": random.random((cycles, 1)) < 0.3,
        "codebook_address": random.integers(0, blocks.codewords, (cycles, 1)),
        "codebook_word": random.integers(-config.largest_value, config.largest_value + 1, (cycles, 1)),
        "scale": scales[0],
        "activation_scale": scales[1],
        "base": np.full((cycles, 1), base),
    }
    return {port.name: given[port.name].astype(np.int64) for port in config.inputs}


def by_blocks(config: BlockMacConfig, inputs: dict[str, np.ndarray]) -> list[tuple[int, bool]]:
    """What is shown after each edge, put together from the blocks that have ended by the edge before."""
    shown: list[tuple[int, bool]] = []
    # Blocks that have ended, the next to be added first: whether one opens a sum, and what it adds.
    nothing: list[Any] = [None] * config.pipeline
    pending = [*nothing, None]
    block, opens, total, exact = 0, False, 0, True
    inside = False
    scales, elements, written = config.blocks.scales, config.blocks.elements, {}

    def integers(now: dict[str, list[int]], codes: str, selectors: str) -> list[int]:
        shared = config.blocks.selector_block or config.lanes
        chosen = now.get(selectors, [0])
        places = [(chosen[lane // shared], code) for lane, code in enumerate(now[codes])]
        return [written.get(place, elements[place[0]].decode_one(place[1])) for place in places]

    for cycle in range(len(inputs["rst"])):
        now = {name: column[cycle].tolist() for name, column in inputs.items()}
        if now["rst"][0]:
            written = {}
            block, opens, total, exact, inside, pending = 0, False, 0, True, False, [*nothing, None]
            shown.append((total, exact))
            continue
        if due := pending.pop(0):
            opening, addend = due
            total, exact = (0, True) if opening else (total, exact)
            total, exact = total + (addend or 0), exact and addend is not None
        pending.append(None)
        if now["valid"][0]:
            if now["first"][0] or not inside:
                block, opens = 0, bool(now["first"][0])
            others = now["activations"]
            if config.scaled_activations:
                others = integers(now, "activations", "activation_selectors")
            products = zip(integers(now, "weights", "selectors"), others, strict=True)
            block += sum(one * other for one, other in products)
            inside = not now["last"][0]
            if now["last"][0]:
                numbers = [scales.decode_one(now[name][0]) for name in ("scale", "activation_scale") if name in now]
                addend = None
                if None not in numbers:
                    unit = config.sum_unit / config.blocks.unit ** len(numbers) * 2 ** now.get("base", [0])[0]
                    exact_value = block * np.prod(numbers) / unit
                    codes = sum(now[name][0] for name in ("scale", "activation_scale") if name in now)
                    reached = not config.base_bits or 0 <= codes - now["base"][0] <= (config.span or 0)
                    addend = int(exact_value) if reached else None
                pending[-1] = (opens, addend)
        if now.get("codebook_write", [0])[0]:
            written[divmod(now["codebook_address"][0], 1 << config.blocks.bits)] = now["codebook_word"][0]
        shown.append((total, exact))
    return shown


@EVERY
@pytest.mark.parametrize(("lanes", "pipeline"), [(1, 0), (4, 0), (4, 1)])
def test_sums_of_blocks(block_format: Any, activation_bits: int, lanes: int, pipeline: int) -> None:
    config = BlockMacConfig.of(block_format, activation_bits, lanes=lanes, pipeline=pipeline)
    inputs = random_inputs(config, 500, lanes)
    outputs = config.respond(inputs)
    shown = list(zip(outputs["accumulator"][:, 0].tolist(), outputs["exact"][:, 0].astype(bool).tolist(), strict=True))
    assert shown == by_blocks(config, inputs)
    assert len({total for total, _ in shown}) > 30
    assert {exact for _, exact in shown} == {True, False}


@pytest.mark.parametrize(("block_format", "activation_bits"), [(LOBCQ, 8), (LOBCQ, 4), (THREE, 4), (CLUSTERED, 2)])
def test_codebooks_that_are_written(block_format: Any, activation_bits: int) -> None:
    """Words count from the next cycle on, until reset puts the format's back."""
    config = BlockMacConfig.of(block_format, activation_bits, lanes=2, writable_codebooks=True)
    inputs = random_inputs(config, 600, 8)
    outputs = config.respond(inputs)
    shown = by_blocks(config, inputs)
    assert outputs["accumulator"][:, 0].tolist() == [total for total, _ in shown]
    frozen = config.varied(writable_codebooks=False).respond(inputs)["accumulator"]
    assert not np.array_equal(outputs["accumulator"], frozen)
    unwritten = config.respond(inputs | {"codebook_write": np.zeros((600, 1), int)})["accumulator"]
    assert np.array_equal(unwritten, frozen)
    assert config.name.endswith("_x2_writable")
    assert config.describe()["writable_codebooks"] is True


def test_words_that_cannot_be_written_are_refused() -> None:
    config = BlockMacConfig.of(THREE, writable_codebooks=True)
    one, scale = np.ones(1, bool), np.zeros((1, 1), int)
    for write, message in (
        ([[1, 48, 0]], "codebook address is 48: LO-BCQ c3 g16 has 0 to 47"),
        ([[1, -1, 0]], "codebook address is -1"),
        ([[1, 0, -32]], "codeword is -32: codewords of LO-BCQ c3 g16 are -31 to 31"),
        ([[1, 0]], r"writes of codebooks have shape \(1, 2\): \(1, 3\) is needed"),
    ):
        with pytest.raises(InputError, match=message):
            config.run([[0]], [[0]], scale, one, one, one, selectors=[[[0]]], writes=write)
    with pytest.raises(InputError, match="writes are given: mac_lobcq_c3_g16_x1 has no codebooks that are writable"):
        config.varied(writable_codebooks=False).run([[0]], [[0]], scale, one, one, one, selectors=[[[0]]], writes=[[0, 0, 0]])
    with pytest.raises(InputError, match="writable_codebooks: NVFP4 has no codebooks; leave it out"):
        BlockMacConfig.of(NVFP4, writable_codebooks=True)


@EVERY
def test_whole_rows_are_the_exact_dot_product(block_format: Any, activation_bits: int) -> None:
    """A row, streamed through the unit, leaves the integer of `golden.dot`, less what the base takes off."""
    config = BlockMacConfig.of(block_format, activation_bits, lanes=8)
    random = np.random.default_rng(9)
    columns, size = 8 * block_format.block, block_format.block
    sizes = np.repeat(2.0 ** random.integers(-3, 4, (2, 8)), size, axis=1)
    drawn = (random.normal(size=(2, columns)) * sizes).astype(np.float32)
    weights = block_format.quantize(drawn[:1])
    tokens: Any = random.integers(-128, 128, (1, columns))
    if config.scaled_activations:
        tokens = block_format.quantize(drawn[1:])
    codes = tokens.codes if isinstance(tokens, BlockCodes) else tokens
    scales = [weights.scales[0], *([tokens.scales[0]] if isinstance(tokens, BlockCodes) else [])]
    cycles = columns // 8
    coded = [weights, *([tokens] if isinstance(tokens, BlockCodes) else [])]
    selectors = [one.selectors.reshape(cycles, -1) for one in coded if one.selectors is not None]
    per_block = size // 8
    least = sum(int(one.min()) for one in scales) if config.base_bits else 0
    outputs = config.run(
        weights.codes.reshape(cycles, 8),
        codes.reshape(cycles, 8),
        np.repeat(np.stack(scales, axis=1), per_block, axis=0),
        np.arange(cycles) == 0,
        np.arange(cycles) % per_block == per_block - 1,
        np.arange(cycles) >= 0,
        np.full(cycles, least) if config.base_bits else None,
        selectors=selectors,
    )
    nothing = [np.zeros_like(one[:1]) for one in selectors]
    idle = config.run(
        *(np.zeros((1, 8), np.int64),) * 2, np.zeros((1, len(scales)), np.int64), [0], [0], [0], selectors=nothing
    )
    assert idle.accumulator.tolist() == [0]
    products = dot(weights, tokens)
    assert products.unit == config.sum_unit
    whole = int(products.integers[0, 0])
    last = [block_format.values(one)[0, -size:] for one in coded]
    values = last[0] @ (last[1] if config.scaled_activations else codes[0, -size:])
    significands, shifts, reached = config.scaling(np.stack(scales, axis=1)[-1:], [least])
    assert reached.all()
    assert outputs.exact.all()
    assert int(outputs.accumulator[-1]) + (int(values) * int(significands[0]) << int(shifts[0])) == whole >> least
    assert whole % (1 << least) == 0


@EVERY
def test_the_widest_sums_fit(block_format: Any, activation_bits: int) -> None:
    """All operands and scales at their extremes for a whole depth: no bit too few."""
    lanes = min(block_format.block, 64)
    per_block = block_format.block // lanes
    config = BlockMacConfig.of(block_format, activation_bits, depth=4 * block_format.block, lanes=lanes)
    cycles = 4 * per_block + 2
    nan = block_format.scales.nan_code
    base = np.full(cycles, config.scale_factors * (nan - 1) - (config.span or 0)) if config.base_bits else None
    reach, number, least = max(
        (abs(value), number, code) for number, one in enumerate(block_format.elements) for code, value in enumerate(one.values)
    )
    highest = least if config.scaled_activations else -128
    operands = np.full((cycles, lanes), least), np.full((cycles, lanes), highest)
    selectors = [np.full((cycles, config.selectors), number)] * len(config.selector_ports)
    scales = np.full((cycles, config.scale_factors), nan - 1)
    valid = np.arange(cycles) < 4 * per_block
    ends = np.arange(cycles) % per_block == per_block - 1
    outputs = config.run(*operands, scales, np.arange(cycles) == 0, ends, valid, base, selectors=selectors)
    significand = ((2 << block_format.scales.mantissa_bits) - 2) ** config.scale_factors  # the largest is NaN's
    if not block_format.scales.mantissa_bits:
        significand = 1
    product = reach * (reach if config.scaled_activations else 128)
    assert abs(int(outputs.accumulator[-1])) == product * significand * config.depth << (config.span or 0)
    assert config.block_sum.accumulator_bits == (product * block_format.block).bit_length() + 1
    assert outputs.exact.all()


def test_names_and_widths() -> None:
    configs = [BlockMacConfig.of(one, bits, lanes=16) for one in (MXFP4, NVFP4) for bits in (8, 4)]
    assert [one.name for one in configs] == ["mac_mxfp4_x16", "mac_mxfp4_a4_x16", "mac_nvfp4_x16", "mac_nvfp4_a4_x16"]
    assert [(one.accumulator_bits, one.span, one.base_bits) for one in configs] == [
        (43, 15, 8),
        (40, 15, 9),
        (46, 14, 0),
        (60, 28, 0),
    ]
    configs = [BlockMacConfig.of(LOBCQ, bits, lanes=lanes) for bits in (8, 4) for lanes in (2, 16)]
    assert [one.name for one in configs] == [
        "mac_lobcq_c8_g64_x2",
        "mac_lobcq_c8_g64_x16",
        "mac_lobcq_c8_g64_a4_x2",
        "mac_lobcq_c8_g64_a4_x16",
    ]
    assert [(one.accumulator_bits, one.span, one.multiplied.name) for one in configs[::2]] == [
        (47, 14, "int6"),
        (63, 28, "int6"),
    ]
    assert [one.block_sum.accumulator_bits for one in configs[::2]] == [19, 17]
    widths = [{port.name: port.width for port in one.inputs if "selectors" in port.name} for one in configs]
    assert widths == [
        {"selectors": 3},
        {"selectors": 6},
        {"selectors": 3, "activation_selectors": 3},
        {"selectors": 6, "activation_selectors": 6},
    ]
    facts = configs[0].describe()
    assert (facts["weight_bits"], facts["element"], facts["selector_block"]) == (4, "int6", 8)
    assert facts["codebooks"] == [list(one.values) for one in LOBCQ.elements]
    changed = BlockMacConfig.of(MXFP4, lanes=2, span=3, depth=64, architecture="multiply")
    assert changed.name == "mac_mxfp4_x2_multiply_s3_d64"
    assert changed.describe()["sum_unit"] == 2.0**-128
    assert [port.name for port in changed.inputs] == [
        "rst",
        "valid",
        "first",
        "last",
        "activations",
        "weights",
        "scale",
        "base",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"block_format": None}, "block_format is None"),
        ({"block_format": CLUSTERED}, "block_format is 'clustered': a format whose elements are fp4_e2m1 is needed"),
        ({"weight_format": INT4}, "block_format is 'mxfp4': a format whose elements are int4 is needed"),
        ({"activation_bits": 6}, r"activation_bits is 6: 8 \(integers\) or 4"),
        ({"lanes": 3}, "lanes is 3: give a divisor of MXFP4's block, 32"),
        ({"lanes": 0}, "lanes is 0"),
        ({"depth": 100}, "depth is 100: it counts products, whole blocks of 32"),
        ({"depth": 1 << 25}, "depth is 33554432"),
        ({"span": 255}, "span is 255: exponents of scales are at most 254 apart"),
        ({"span": -1}, "span is -1"),
        ({"span": 40}, "depth 65536 and span 40 need 68 bits: 64 are supported"),
    ],
)
def test_units_that_are_none(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BlockMacConfig(**{"weight_format": FP4_E2M1, "block_format": MXFP4, **given})


def test_operands_that_do_not_fit_are_refused() -> None:
    config = BlockMacConfig.of(NVFP4)
    one = np.ones(1, bool)
    for weights, activations, scale, message in (
        (16, 0, 0, "code 16 is not one of fp4_e2m1"),
        (0, 128, 0, "activation 128 does not fit 8 bits"),
        (0, 0, 128, "scale code 128 is none of E4M3"),
    ):
        with pytest.raises(InputError, match=message):
            config.run([[weights]], [[activations]], [[scale]], one, one, one)


def test_selectors_that_there_are_not_are_refused() -> None:
    config = BlockMacConfig.of(THREE)
    one, scale = np.ones(1, bool), np.zeros((1, 1), int)
    for selectors, message in (
        ([[[3]]], "selector 3 is none of LO-BCQ c3 g16: its codebooks are 0 to 2"),
        ([[[-1]]], "selector -1 is none of LO-BCQ c3 g16"),
        ([[[0.5]]], "selectors of LO-BCQ c3 g16 have dtype float64: integers are needed"),
        ([], "0 operands have selectors: mac_lobcq_c3_g16_x1 needs 1"),
        ([[[0]], [[0]]], "2 operands have selectors: mac_lobcq_c3_g16_x1 needs 1"),
    ):
        with pytest.raises(InputError, match=message):
            config.run([[0]], [[0]], scale, one, one, one, selectors=selectors)
    with pytest.raises(InputError, match="1 operands have selectors: mac_mxfp4_x1 needs 0"):
        BlockMacConfig.of(MXFP4).run([[0]], [[0]], scale, one, one, one, selectors=[[[0]]])
    other = lobcq_format([one.values for one in LOBCQ.elements[:2]], 24)
    with pytest.raises(InputError, match="lanes is 12: 8 of LO-BCQ c2 g24 share a selector; give a divisor or multiple"):
        BlockMacConfig.of(other, lanes=12, depth=24)
