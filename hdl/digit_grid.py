# SPDX-License-Identifier: Apache-2.0
"""Weights of up to 4 bits as a few digits, each of which selects one multiple of the activation.

Which digits these are is found from the format's table (`hdl.split`). dINT4's are, in half-steps, 0, 8, -8, -16 and 0, 2, 4,
-2, and +1 and -1 where the first digit is 0: two rows, 21 bits a lane, all sixteen codes included; a radix-4 Booth row pair of
INT4 has 20.

A fifth bit that adds a unit to the value of the other four (`golden.AsymmetricConfig.offset_format`) is a row of and gates.
"""

from __future__ import annotations

from dataclasses import replace

from amaranth.hdl import Value

from golden import NumberFormat

from .bit_heap import BitHeap
from .digit import add_digit
from .split import ARRAY, DIRECT, GRID, split_of

__all__ = ["and_rows", "digit_grid", "direct_grid", "has_and_rows", "has_grid"]


def has_grid(number_format: NumberFormat) -> bool:
    """Whether the format's values are sums of two digits."""
    return split_of(_without_unit_bit(number_format), GRID) is not None


def has_and_rows(number_format: NumberFormat) -> bool:
    """Whether the format's values are sums of powers of two, each there or not."""
    return split_of(_without_unit_bit(number_format), ARRAY) is not None


def digit_grid(number_format: NumberFormat, weight: Value, activation: Value) -> BitHeap:
    """Rows of weight x activation, the smaller way: a digit of many signs inverts the activation once."""
    return _rows(number_format, weight, activation, GRID)


def direct_grid(number_format: NumberFormat, weight: Value, activation: Value) -> BitHeap:
    """Rows of weight x activation, the quieter way: one and gate per multiple and bit, no exclusive or."""
    return _rows(number_format, weight, activation, DIRECT)


def and_rows(number_format: NumberFormat, weight: Value, activation: Value) -> BitHeap:
    """Rows of weight x activation, the quietest way: an and gate per bit, so that a zero operand keeps all of them quiet."""
    return _rows(number_format, weight, activation, ARRAY)


def _without_unit_bit(number_format: NumberFormat) -> NumberFormat:
    """The format of the codes without their top bit, if they have more than four and the top one just adds a unit."""
    half = len(number_format.values) // 2
    low, high = number_format.values[:half], number_format.values[half:]
    if number_format.bits <= 4 or any(above != below + 1 for below, above in zip(low, high, strict=True)):
        return number_format
    return replace(number_format, bits=number_format.bits - 1, values=low)


def _rows(number_format: NumberFormat, weight: Value, activation: Value, style: str) -> BitHeap:
    grid = _without_unit_bit(number_format)
    split = split_of(grid, style)
    assert split is not None, "architecture_of refuses formats without"
    heap = BitHeap()
    code = weight[: grid.bits]
    names = ("low", "high") if len(split.rows) == 2 else [f"row_{index}" for index in range(len(split.rows))]
    for name, row in zip(names, split.rows, strict=True):
        add_digit(heap, name, activation, code, row.digits, shared_sign=row.shared_sign, inverted=row.inverted)
    if grid is not number_format:
        add_digit(heap, "unit", activation, weight[-1], (0, 1), shared_sign=False)
    return heap
