# SPDX-License-Identifier: Apache-2.0
"""Radix-4 recoding of a two's complement weight: half as many rows as bits.

`booth`: each digit looks at its pair of bits and the bit below (MacSorley, "High-speed arithmetic in binary computers", Proc.
IRE 49, 1961, after Booth 1951).

    w[2i+1] w[2i] w[2i-1]    000  001  010  011  100  101  110  111
    digit                      0   +1   +1   +2   -2   -1   -1    0

`booth_direct`: the same digits, each multiple selected for itself: no exclusive or, for a select line more.

`booth_carry`: below the top, digits -1 to 2 and a carry into the next pair. One multiple only is negative, so that the rows
need no exclusive or; but the carry ripples through the pairs.

    pair + carry in            0    1    2    3    4
    digit                      0   +1   +2   -1    0
    carry out                  0    0    0    1    1

`booth_carry_inverted`: the same with and-or-invert cells in these rows.
"""

from __future__ import annotations

from amaranth.hdl import C, Cat, Value

from golden import NumberFormat

from .bit_heap import BitHeap
from .digit import add_digit

__all__ = ["booth", "booth_carry", "booth_carry_inverted", "booth_direct"]

# By pair and the bit below or the carry in, which is the lowest of the three.
_BOOTH = (0, 1, 1, 2, -2, -1, -1, 0)
_CARRYING = (0, 1, 1, 2, 2, -1, -1, 0)


def booth(number_format: NumberFormat, weight: Value, activation: Value) -> BitHeap:
    """Rows of weight x activation for the digits -2 to 2."""
    return _rows(number_format, weight, activation, shared_sign=True)


def booth_direct(number_format: NumberFormat, weight: Value, activation: Value) -> BitHeap:
    """The rows of `booth`, one and gate per multiple and bit: as `digit_grid.direct_grid` has them for up to 4 bits."""
    return _rows(number_format, weight, activation, shared_sign=False)


def _rows(number_format: NumberFormat, weight: Value, activation: Value, shared_sign: bool) -> BitHeap:
    heap = BitHeap()
    _add(heap, 0, activation, weight[:2], _BOOTH[::2], shared_sign)
    for i in range(1, number_format.bits // 2):
        _add(heap, i, activation, weight[2 * i - 1 : 2 * i + 2], _BOOTH, shared_sign)
    return heap


def booth_carry(number_format: NumberFormat, weight: Value, activation: Value) -> BitHeap:
    """Rows of weight x activation for the digits -1 to 2, and -2 to 2 at the top."""
    return _carrying(number_format, weight, activation, inverted=False)


def booth_carry_inverted(number_format: NumberFormat, weight: Value, activation: Value) -> BitHeap:
    """The rows of `booth_carry`, those below the top built inverted."""
    return _carrying(number_format, weight, activation, inverted=True)


def _carrying(number_format: NumberFormat, weight: Value, activation: Value, inverted: bool) -> BitHeap:
    heap = BitHeap()
    carry: Value = C(0, 1)
    top = number_format.bits // 2 - 1
    for i in range(top):
        pair = weight[2 * i : 2 * i + 2]
        if i == 0:
            _add(heap, i, activation, pair, _CARRYING[::2], shared_sign=False, inverted=inverted)
        else:
            _add(heap, i, activation, Cat(carry, pair), _CARRYING, shared_sign=False, inverted=inverted)
        carry = heap.named(f"carry_{i}", pair[1] & (pair[0] | carry) if i else pair[1] & pair[0], decodes=True)
    _add(heap, top, activation, Cat(carry, weight[2 * top :]), _BOOTH, shared_sign=True)
    return heap


def _add(
    heap: BitHeap,
    i: int,
    activation: Value,
    code: Value,
    digits: tuple[int, ...],
    shared_sign: bool,
    inverted: bool = False,
) -> None:
    add_digit(heap, f"digit_{i}", activation, code, digits, shared_sign=shared_sign, inverted=inverted, column=2 * i)
