# SPDX-License-Identifier: Apache-2.0
"""The second golden model of formats with block scales (`block_tables`) against the first: units, dot products, quantizers.

Operands are drawn half from the ends of ranges and around zero; scales from the ends, subnormals, zeros of either sign, NaN
and the ends of the reach; control in any order, accumulators often as narrow as can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import chain, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import SCALED_FORMATS, BlockCodes, BlockFormat, BlockMacConfig, CodedBlock
from golden.block_dot import dot, dot_one
from golden.scale_encoding import E4M3, E8M0, SIGNED_E4M3, ScaleEncoding

from .block_tables import (
    DEFINITIONS,
    POWERS,
    SIGNED,
    UNSIGNED,
    Definition,
    Quantized,
    Scale,
    TableUnit,
    decoded,
    table_elements,
    table_quantize,
    table_scale,
    table_tensor,
)

EVERY = pytest.mark.parametrize("name", DEFINITIONS)
SCALED = pytest.mark.parametrize("scaled", [False, True], ids=["int8", "in the format"])

Rows = list[dict[str, list[int]]]

# What is drawn


def ends_first(every: Sequence[int], ends: Sequence[int]) -> st.SearchStrategy[int]:
    """One of `every`, or as often one of `ends`."""
    return st.sampled_from([*(list(ends) * (len(every) // len(ends) + 1))[: max(len(every), len(ends))], *every])


def codes_of(of: Definition) -> st.SearchStrategy[int]:
    ranked = sorted(range(16), key=lambda code: of.books[-1][code])
    small = sorted(range(16), key=lambda code: abs(of.books[-1][code]))
    return ends_first(range(16), [*ranked[:2], *ranked[-2:], *small[:3]])


ACTIVATIONS = ends_first(range(-128, 128), [-128, -127, -1, 0, 1, 126, 127])
BITS = st.sampled_from([0, 1])
OFTEN, SELDOM = st.sampled_from([1, 1, 1, 0]), st.sampled_from([0] * 7 + [1])


def scale_codes(of: Definition) -> st.SearchStrategy[int]:
    """Zero of either sign, subnormals, ends and NaN, or any."""
    ends = [0, 1, 127, 253, 254, 255] if of.scales is POWERS else [0, 1, 7, 8, 9, 125, 126, 127]
    signs = (0, 128) if of.scales is SIGNED else (0,)
    return ends_first(range(len(of.scales)), [end + sign for end in ends for sign in signs])


@st.composite
def scales_in_reach(draw: Any, of: Definition, factors: int, base: int, span: int) -> list[int]:
    """Codes whose exponents are at an end of the reach, next to it, or inside."""
    most = 254 if of.scales is POWERS else 14
    near = [base - 1, base, base + 1, base + span - 1, base + span, base + span + 1]
    wanted = draw(ends_first(range(base, base + span + 1), near))
    counts = [min(max(wanted, 0), most)]
    if factors == 2:
        counts = [draw(st.integers(min(max(wanted - most, 0), most), counts[0]))]
        counts.append(min(max(wanted - counts[0], 0), most))
    return [draw(st.sampled_from([code for code, one in enumerate(of.scales) if one.exponent == count])) for count in counts]


@st.composite
def unit_and_rows(draw: Any, name: str, scaled: bool) -> tuple[BlockMacConfig, TableUnit, Rows]:
    """A unit, often with the narrowest accumulator, and its ports cycle by cycle in any order of control."""
    of, factors = DEFINITIONS[name], 1 + scaled
    exponents = (254 if of.scales is POWERS else 14) * factors
    whole = 15 if of.scales is POWERS else exponents
    span = draw(st.sampled_from([whole, whole, 0, 1, 9]))
    depth = draw(st.sampled_from([of.block, of.block, 2 * of.block, 65536 if span == whole else of.block]))
    lanes, writable = draw(st.sampled_from([1, 2, 16])), of.shared is not None and draw(st.booleans())
    chosen = {"lanes": lanes, "depth": depth, "span": span, "writable_codebooks": writable, "pipeline": draw(BITS)}
    config = BlockMacConfig.of(SCALED_FORMATS[name], 4 if scaled else 8, **chosen)
    unit = TableUnit(of, scaled, depth, span, writable, config.pipeline)
    base = 0 if span == exponents else draw(ends_first(range(exponents + 1), [0, 1, exponents // 2, exponents - 1, exponents]))
    codes, special = codes_of(of), scale_codes(of)
    pairs = st.tuples(codes, codes if scaled else ACTIVATIONS)
    operands = st.lists(pairs, min_size=lanes, max_size=lanes) | pairs.map(lambda pair: [pair] * lanes)
    nothing = st.sampled_from([code for code, one in enumerate(of.scales) if not one.value])  # NaN, zeros
    odd = [st.lists(kind, min_size=factors, max_size=factors) for kind in (special, st.one_of(nothing, special))]
    scales = st.one_of(*odd, *[scales_in_reach(of, factors, base, span)] * 3)
    selected = st.lists(st.integers(0, len(of.books) - 1), min_size=-(-lanes // 8), max_size=-(-lanes // 8))
    words = ends_first(range(-31, 32), [-31, -1, 0, 1, 31])
    ports = {port.name for port in config.inputs}
    rows = []
    for _ in range(draw(st.integers(1, 10))):
        drawn, own = draw(operands), draw(scales)
        now = {"rst": [draw(SELDOM)], "valid": [draw(OFTEN)], "first": [draw(BITS)], "last": [draw(BITS)]}
        now |= {"weights": [one for one, _ in drawn], "activations": [other for _, other in drawn], "scale": own[:1]}
        now |= {"activation_scale": own[1:], "base": [base]}
        if of.shared is not None:
            now |= {"selectors": draw(selected), "activation_selectors": draw(selected), "codebook_write": [draw(BITS)]}
            now |= {"codebook_address": [draw(st.integers(0, 16 * len(of.books) - 1))], "codebook_word": [draw(words)]}
        rows += [{port: now[port] for port in now if port in ports}] * draw(st.sampled_from([1, 1, 1, 1, 2, 40 // lanes]))
    return config, unit, [*rows, *[rows[-1] | {"valid": [0]}] * (1 + config.pipeline)]


def responded(config: BlockMacConfig, rows: Rows) -> list[tuple[int, int]]:
    outputs = config.respond({name: np.array([row[name] for row in rows]) for name in rows[0]})
    return list(zip(outputs["accumulator"][:, 0].tolist(), outputs["exact"][:, 0].tolist(), strict=True))


@st.composite
def blocks_of_numbers(draw: Any, of: Definition, blocks: int) -> list[float]:
    """float32 numbers: simple multiples of a power of two, so that ties occur, of any size; now and then only zeros."""
    numbers: list[float] = []
    multiples = ends_first(range(-64, 65), [-64, -48, -31, -6, -1, 0, 1, 6, 31, 48, 64])
    for _ in range(blocks):
        exponent = draw(ends_first(range(-12, 12), [-149, -140, -20, -3, 0, 3, 20, 121]))
        some = draw(st.lists(multiples, min_size=1, max_size=5))
        count = draw(st.integers(0, of.block))
        numbers += [float(some[place % len(some)]) * 2.0**exponent if place < count else 0.0 for place in range(of.block)]
    return numbers


# Comparisons, each a property that can be run with the golden model broken, too


def units_agree(name: str, scaled: bool, examples: int = 15, **options: Any) -> None:
    @settings(deadline=None, max_examples=examples, **options)
    @given(unit_and_rows(name, scaled))
    def agree(drawn: tuple[BlockMacConfig, TableUnit, Rows]) -> None:
        config, unit, rows = drawn
        assert (config.accumulator_bits, config.block_sum.accumulator_bits) == (unit.bits, unit.block_bits)
        assert config.sum_unit == unit.sum_unit
        assert responded(config, rows) == unit.run(rows)

    agree()


def scales_of_units_agree(name: str, scaled: bool) -> None:
    """Every code of a scale, with activations in the format every pair with some; each a block and a sum of its own."""
    of, blocks = DEFINITIONS[name], SCALED_FORMATS[name]
    config = BlockMacConfig.of(blocks, 4 if scaled else 8, depth=of.block)
    unit, all_codes = TableUnit(of, scaled, of.block, config.span or 0), range(len(of.scales))
    rows = [
        {
            "rst": [0],
            "valid": [1],
            "first": [1],
            "last": [1],
            "weights": [7],
            "activations": [3],
            "scale": [one],
            "base": [base],
        }
        | {"activation_scale": [other], "selectors": [1], "activation_selectors": [1]}
        for base, one, other in product(
            (0, 120) if of.scales is POWERS else (0,), all_codes, all_codes[:: 11 if scaled else 256]
        )
    ]
    ports = {port.name for port in config.inputs}
    rows = [{name: value for name, value in row.items() if name in ports} for row in rows]
    rows += rows[:1]  # the last one's sum shows after another edge
    assert responded(config, rows) == unit.run(rows)


def longest_sums_agree(name: str, scaled: bool) -> None:
    """Blocks and sums that are longer than their registers are made for."""
    of = DEFINITIONS[name]
    config = BlockMacConfig.of(SCALED_FORMATS[name], 4 if scaled else 8, lanes=16, depth=of.block)
    unit = TableUnit(of, scaled, of.block, config.span or 0)
    _, book, code = min((value, book, code) for book, values in enumerate(of.books) for code, value in enumerate(values))
    largest = [len(of.magnitudes) - 1]
    row = {"rst": [0], "valid": [1], "first": [0], "last": [0], "weights": [code] * 16, "scale": largest}
    row |= {"activations": [code if scaled else -128] * 16, "selectors": [book] * 2, "activation_selectors": [book] * 2}
    row |= {"activation_scale": largest, "base": [config.exponents - (config.span or 0)]}
    row = {port.name: row[port.name] for port in config.inputs}
    for length in (of.block // 16, 3 * of.block // 16):
        rows = [row | {"last": [int(turn % length == length - 1)]} for turn in range(48)]
        shown = unit.run(rows)
        assert min(shown)[0] < 0 < max(shown)[0]  # products of one sign have wrapped
        assert responded(config, rows) == shown


def dots_agree(name: str, scaled: bool, examples: int = 15, **options: Any) -> None:
    of, blocks, factors = DEFINITIONS[name], SCALED_FORMATS[name], 1 + scaled
    known = scale_codes(of).filter(lambda code: of.scales[code].value is not None)

    @settings(deadline=None, max_examples=examples, **options)
    @given(st.data())
    def agree(data: st.DataObject) -> None:
        count = data.draw(st.integers(1, 2))
        operands: list[list[Quantized]] = []
        for _ in range(factors):
            row = []
            for _ in range(count):
                some = data.draw(st.lists(codes_of(of), min_size=1, max_size=6))
                codes = tuple(some[place % len(some)] for place in range(of.block))
                chosen = st.lists(st.integers(0, len(of.books) - 1), min_size=of.block // 8, max_size=of.block // 8)
                row.append(Quantized(codes, data.draw(known), tuple(data.draw(chosen)) if of.shared else ()))
            operands.append(row)
        values = [[decoded(of, block) for block in row] for row in operands]
        integers = [data.draw(st.lists(ACTIVATIONS, min_size=1, max_size=5)) for _ in range(count)]
        plain = [[some[place % len(some)] for place in range(of.block)] for some in integers]
        others: Any = values[1] if scaled else plain
        expected = sum(one * other for one, other in zip(chain(*values[0]), chain(*others), strict=True))
        coded = [_matrix(blocks, row) for row in operands]
        found = dot(coded[0], coded[1] if scaled else np.array([list(chain(*plain))]))
        assert found.integers[0, 0] * found.unit == expected
        left, *right = ([CodedBlock(*one) for one in row] for row in operands)
        assert dot_one(blocks, left, right[0] if scaled else plain, blocks if scaled else None) == expected

    agree()


def _matrix(blocks: BlockFormat, row: Sequence[Quantized]) -> BlockCodes:
    """One row, with the tensor scale 1."""
    codes = np.array([list(chain(*(one.codes for one in row)))], np.uint8)
    scales = np.array([[one.scale for one in row]], np.uint8)
    selectors = np.array([list(chain(*(one.selectors for one in row)))], np.uint8)
    tensor = np.ones((), np.float32) if blocks.tensor_scale else None
    return BlockCodes(blocks, codes, scales, selectors if selectors.size else None, tensor)


def quantizers_agree(name: str, examples: int, **options: Any) -> None:
    of, blocks = DEFINITIONS[name], SCALED_FORMATS[name]

    @settings(deadline=None, max_examples=examples, **options)
    @given(blocks_of_numbers(of, 2))
    def agree(numbers: list[float]) -> None:
        parts = [numbers[: of.block], numbers[of.block :]]
        for part in parts:  # given the tensor scale 1, with which simple numbers tie
            expected = table_quantize(of, [Fraction(one) for one in part], Fraction(1))
            assert blocks.quantize_one(part) == CodedBlock(*expected)
        tensor = table_tensor(of, numbers)
        made = blocks.quantize(np.array([numbers], np.float32))
        assert (made.tensor_scales is not None) == of.tensor
        assert made.tensor_scales is None or float(made.tensor_scales) == tensor
        for place, part in enumerate(parts):
            exact = [Fraction(one) for one in part]
            found = made.codes[0, place * of.block :][: of.block].tolist()
            expected = table_quantize(of, exact, Fraction(tensor))
            assert made.scales[0, place] == expected.scale
            if made.selectors is None:
                assert tuple(found) == expected.codes
                continue
            factor = (of.scales[expected.scale].value or 0) * Fraction(tensor)
            steps = [one / factor if factor else Fraction(0) for one in exact]
            for run, chosen in enumerate(made.selectors[0].reshape(2, -1)[place].tolist()):
                inside = slice(8 * run, 8 * run + 8)
                errors = table_elements(of, steps[inside])[1]  # golden's are rounded
                assert float(errors[chosen]) <= float(min(errors)) * (1 + 1e-9)
                alone = of._replace(books=[of.books[chosen]])
                assert found[inside] == table_elements(alone, steps[inside])[0]

    agree()


def scales_agree(encoding: ScaleEncoding, table: Sequence[Scale], examples: int = 40, **options: Any) -> None:
    """Every code, and numbers at thresholds, next to them and anywhere."""
    of = DEFINITIONS["mxfp4" if table is POWERS else "nvfp4" if table is UNSIGNED else "int4_g32"]
    for code, (value, count) in enumerate(table):
        assert encoding.decode_one(code) == value
        assert bool(encoding.is_nan(code)) == (value is None)
        if value is not None:
            assert Fraction(float(encoding.decode(code))) == value
            significand, exponent = (int(one) for one in encoding.parts(code))
            assert (significand * Fraction(2) ** exponent, exponent - encoding.least_exponent) == (value, count)
    known = of.magnitudes

    @settings(deadline=None, max_examples=examples, **options)
    @given(
        ends_first(range(len(known) - 1), [0, 1, 6, 7, 8, len(known) - 2]),
        st.integers(-2, 4),
        st.integers(-1, 1),
        st.booleans(),
    )
    def agree(place: int, quarters: int, beside: int, below: bool) -> None:
        exact = max(known[place] + (known[place + 1] - known[place]) * Fraction(quarters, 4), Fraction(0))
        x = max(float(np.nextafter(float(exact), beside * np.inf)) if beside else float(exact), 0.0)
        negative = below and encoding.negative
        numbers = [Fraction(x) if negative else -Fraction(x)]
        expected = table_scale(of, numbers, Fraction(1, of.full))
        assert int(encoding.encode(-x if negative else x)) == expected
        assert encoding.encode_one(-x if negative else x) == expected

    agree()


@pytest.mark.parametrize(
    ("encoding", "table"), [(E4M3, UNSIGNED), (SIGNED_E4M3, SIGNED), (E8M0, POWERS)], ids=lambda one: getattr(one, "name", "")
)
def test_scales(encoding: ScaleEncoding, table: list[Scale]) -> None:
    scales_agree(encoding, table)
    assert len(table) == 1 << encoding.used_bits


@EVERY
def test_elements(name: str) -> None:
    blocks, of = SCALED_FORMATS[name], DEFINITIONS[name]
    assert [[value * one.unit for value in one.values] for one in blocks.elements] == of.books
    assert (blocks.unit, blocks.block, blocks.full_scale, blocks.selector_block) == (of.unit, of.block, of.full, of.shared)
    assert blocks.tensor_scale is of.tensor


@EVERY
@SCALED
def test_units(name: str, scaled: bool) -> None:
    units_agree(name, scaled)


@EVERY
@SCALED
def test_scales_of_units(name: str, scaled: bool) -> None:
    scales_of_units_agree(name, scaled)


@EVERY
@SCALED
def test_registers_wrap(name: str, scaled: bool) -> None:
    longest_sums_agree(name, scaled)


@EVERY
@SCALED
def test_dot_products(name: str, scaled: bool) -> None:
    dots_agree(name, scaled)


@EVERY
def test_quantizer(name: str) -> None:
    quantizers_agree(name, examples=24 // (2 + len(DEFINITIONS[name].books)))
