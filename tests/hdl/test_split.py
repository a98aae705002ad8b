# SPDX-License-Identifier: Apache-2.0
"""Splits: every code's digits add up to its value, in rows as the style says, and nothing cheaper was overlooked."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from amaranth.hdl import Signal

from golden import DINT4, FORMATS, FP4_E2M1, INT3, INT4, INT8, VARIANTS, NumberFormat
from hdl.baugh_wooley import baugh_wooley
from hdl.digit_grid import and_rows, digit_grid, direct_grid
from hdl.split import ARRAY, COEFFICIENTS, DIRECT, GRID, Row, Split, split_of, splits

SMALL = [number_format for number_format in FORMATS.values() if number_format.bits <= 4]
BUILD = {GRID: digit_grid, DIRECT: direct_grid, ARRAY: and_rows}
EVERY = pytest.mark.parametrize("number_format", [*SMALL, *VARIANTS.values()], ids=lambda one: one.name)


@EVERY
@pytest.mark.parametrize("style", BUILD)
def test_splits_are_splits(number_format: NumberFormat, style: str) -> None:
    found = splits(number_format, style)
    assert found
    assert [split.cost for split in found] == sorted(split.cost for split in found)
    for split in found:
        assert [sum(row.digits[code] for row in split.rows) for code in range(len(number_format.values))] == list(
            number_format.values
        )
        for row in split.rows:
            assert all(abs(digit) & (abs(digit) - 1) == 0 for digit in row.digits)
            assert not (row.shared_sign and style != GRID)
        if style == ARRAY:
            assert all(len(row.multiples) == 1 for row in split.rows)
        else:
            assert len(split.rows) <= 2


@EVERY
@pytest.mark.parametrize("style", BUILD)
def test_the_bits_counted_are_those_of_the_heap(number_format: NumberFormat, style: str) -> None:
    split = split_of(number_format, style)
    assert split is not None
    heap = BUILD[style](number_format, Signal(number_format.bits), Signal(8))
    assert len(heap.bits) == split.counts["bits"]


def test_what_is_found() -> None:
    """Figures worked out by hand: heap bits of a lane, and dINT4's digits, which its codes were made for."""
    bits = {(f.name, style): split.counts["bits"] for f in SMALL for style in BUILD if (split := split_of(f, style))}
    assert (bits["dint4", GRID], bits["int4", GRID], bits["fp4_e2m1", GRID]) == (21, 20, 21)
    assert (bits["int3", GRID], bits["int3", ARRAY]) == (18, 24)  # a row of 8 and one of 10; Baugh and Wooley's array
    assert (bits["dint4", ARRAY], bits["dint3", ARRAY]) == (5 * 8, 4 * 8)
    split = split_of(DINT4)
    assert split is not None
    low, high = split.rows
    assert low.digits == (0, -2, 4, 2, 0, -2, 4, 2, 1, -1, 4, 2, 0, -2, 4, 2)
    assert high.digits == (0, 0, -8, -8, -8, -8, -16, -16, 0, 0, 8, 8, 8, 8, 0, 0)
    array = split_of(DINT4, ARRAY)
    assert array is not None
    assert [row.multiples for row in array.rows] == [(1,), (-2,), (-4,), (-8,), (16,)]
    for bit, row in enumerate(array.rows[1:4]):  # a bit of the code each
        assert [digit != 0 for digit in row.digits] == [bool(code >> bit & 1) for code in range(16)]


def test_the_array_of_twos_complement_is_that_of_the_table() -> None:
    """The search finds Baugh and Wooley's rows, and where it is asked for them nothing is decoded."""
    for number_format in (INT3, INT4):
        split = split_of(number_format, ARRAY)
        assert split is not None
        sign = 1 << (number_format.bits - 1)
        assert [row.multiples for row in split.rows] == [*((1 << bit,) for bit in range(number_format.bits - 1)), (-sign,)]
        heap = baugh_wooley(number_format, Signal(number_format.bits), Signal(8))
        assert len(heap.bits) == split.counts["bits"]
        assert not any(one.decodes for one in heap.signals)


@pytest.mark.parametrize("number_format", [INT3, INT4, DINT4, FP4_E2M1], ids=lambda one: one.name)
def test_no_pair_of_digit_sets_is_smaller(number_format: NumberFormat) -> None:
    """All pairs of up to three and five digits, by sets of sums: none that has every value costs less, decoders apart."""
    found = min(split.cost - COEFFICIENTS["literals"] * split.counts["literals"] for split in splits(number_format, DIRECT))
    digits = [sign << k for k in range(5) for sign in (1, -1)]
    small = [(0, *chosen) for count in (1, 2, 3) for chosen in combinations(digits, count)]
    large = [(0, *chosen) for count in (1, 2, 3, 4, 5) for chosen in combinations(digits, count)]
    values = set(number_format.values)

    def cost(multiples: tuple[int, ...]) -> float:
        shifts = [abs(multiple).bit_length() - 1 for multiple in multiples if multiple]
        width = 8 + max(shifts) - min(shifts)
        signed = min(multiples) < 0 < max(multiples)
        legs = 0
        for place in range(min(shifts), min(shifts) + width):
            sources = set()
            for multiple in multiples:
                if multiple and (bit := place - abs(multiple).bit_length() + 1) >= 0:
                    inverse = "~" if signed and multiple < 0 else ""
                    sources.add(f"{inverse}a[{min(bit, 7)}]")
            legs += len(sources)
        return COEFFICIENTS["bits"] * (width + signed) + COEFFICIENTS["legs"] * legs

    costs = {one: cost(one) for one in large}
    covering = (
        costs[one] + costs[other]
        for one, other in product(small, large)
        if costs[one] + costs[other] < found + 5 and values <= {a + b for a in one for b in other}
    )
    assert min(covering) == pytest.approx(found)


def test_equal_tables_equal_splits() -> None:
    first = [(split.rows, split.cost) for split in splits(DINT4)]
    split_of.cache_clear()
    assert [(split.rows, split.cost) for split in splits(DINT4)] == first


def test_costs_are_counts_of_what_is_built() -> None:
    """-2 by hand: 8 bits, each an and gate, subtracted, selected by two literals; 1, -1: 8 bits and a carry, two legs each."""
    one = Row((0, 0, 0, -2), inverted=True)
    assert one.counts() == {"bits": 8, "legs": 8, "exclusive_ors": 0, "literals": 2}
    both = Row((0, 1, 0, -1))
    assert both.counts() == {"bits": 9, "legs": 16, "exclusive_ors": 0, "literals": 4}  # negative is the select of -1
    shared = Row((0, 1, 0, -1), shared_sign=True)
    assert shared.counts() == {"bits": 9, "legs": 8, "exclusive_ors": 8, "literals": 1 + 2}  # the odd codes, and 3
    assert Split((one, both)).cost == pytest.approx(
        COEFFICIENTS["bits"] * 17 + COEFFICIENTS["legs"] * 24 + COEFFICIENTS["literals"] * 6
    )


def test_wide_formats_have_none() -> None:
    assert splits(INT8) == []
    assert split_of(INT8) is None
