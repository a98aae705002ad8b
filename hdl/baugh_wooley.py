# SPDX-License-Identifier: Apache-2.0
"""Two's complement multiplication by an array of and gates (Baugh and Wooley, IEEE Trans. Computers C-22, 1973).

Bit i of the weight times bit j of the activation has the weight 2^(i+j), negative where exactly one of the two is a sign. The
negative ones are added inverted (nand) and corrected in the constant. No digit has to be decoded: every bit is one gate away
from the operands, and a zero operand keeps the array quiet.

A format of up to four bits whose codes are not two's complement has an array too, a row for each of the powers of two that its
values are sums of (`hdl.split`). dINT4's, in half-steps, are 16, -8, -4, -2 and 1, and three of the five are bits of the code.
"""

from __future__ import annotations

from amaranth.hdl import Value

from golden import NumberFormat

from .bit_heap import BitHeap
from .digit_grid import and_rows, has_and_rows

__all__ = ["baugh_wooley", "has_array", "twos_complement"]

_ARRIVAL = 1


def twos_complement(number_format: NumberFormat) -> bool:
    """Whether the format's codes are integers in two's complement."""
    half = 1 << (number_format.bits - 1)
    return all(value == (code if code < half else code - 2 * half) for code, value in enumerate(number_format.values))


def has_array(number_format: NumberFormat) -> bool:
    """Whether a few rows of and gates give every value of the format."""
    return twos_complement(number_format) or has_and_rows(number_format)


def baugh_wooley(number_format: NumberFormat, weight: Value, activation: Value) -> BitHeap:
    """The array of weight x activation: one row per bit of the weight, or of what is decoded of it."""
    if not twos_complement(number_format):
        return and_rows(number_format, weight, activation)
    heap = BitHeap()
    weight_sign, activation_sign = number_format.bits - 1, len(activation) - 1
    for i in range(number_format.bits):
        row = heap.named(f"row_{i}", weight[i].replicate(len(activation)) & activation)
        for j in range(len(activation)):
            if (i == weight_sign) != (j == activation_sign):
                heap.subtract(i + j, row[j], _ARRIVAL)
            else:
                heap.add(i + j, row[j], _ARRIVAL)
    return heap
