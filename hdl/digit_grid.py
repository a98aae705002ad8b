"""dINT as a grid of two digits: the low two bits of a code and the bits above each select one multiple of the activation.

    value(code) = high digit + low digit            for the ordinary codes
    value(code) = low digit, of one unit            for the special codes, whose high digit is 0

Which digits these are is read from the format's table (`golden.catalogue` shows the grids of dINT4 and dINT3): row 0 of the
grid gives the low digits, the rest the high ones. In half-steps dINT4 has the high digits 0, 8, -8, -16 and the low digits
0, 2, 4, -2, and +1 and -1 in the places of two sums that the format has no use for. That makes two rows and 21 bits a lane,
all sixteen codes included; a radix-4 Booth row pair of INT4 has 20.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Value

from golden import InputError, NumberFormat

from .bit_heap import BitHeap
from .digit import add_digit

__all__ = ["Grid", "digit_grid", "direct_grid", "grid_of", "has_grid"]

_LOW_BITS = 2


@dataclass(frozen=True)
class Grid:
    """The two digits of every code, in units: `high[code]` + `low[code]` is its value."""

    high: tuple[int, ...]
    low: tuple[int, ...]


def grid_of(number_format: NumberFormat) -> Grid:
    """Split every code of a format into two digits that are 0 or plus or minus a power of two.

    Raises
    ------
    InputError
        If the format's table is no such grid.
    """
    columns = 1 << _LOW_BITS
    values, special = number_format.values, number_format.special_codes
    lows = values[:columns]
    high, low = [], []
    for code, value in enumerate(values):
        row = code - code % columns
        digits = {values[c] - lows[c % columns] for c in range(row, row + columns) if c not in special}
        if code in special:
            high.append(0)
            low.append(value)
        elif len(digits) == 1:
            high.append(digits.pop())
            low.append(lows[code % columns])
        else:
            raise InputError(f"{number_format.name} has no digit grid: codes {row} to {row + columns - 1} share no high digit")
    for digit in (*high, *low):
        if abs(digit) & (abs(digit) - 1):
            raise InputError(f"{number_format.name} has no digit grid: digit {digit} is not a power of two")
    return Grid(tuple(high), tuple(low))


def has_grid(number_format: NumberFormat) -> bool:
    """Whether the format's codes are a grid of two digits."""
    try:
        grid_of(number_format)
    except InputError:
        return False
    return True


def digit_grid(number_format: NumberFormat, weight: Value, activation: Value) -> BitHeap:
    """Rows of weight x activation, the smaller way: the low digit inverts the activation once."""
    return _rows(number_format, weight, activation, shared_sign=True)


def direct_grid(number_format: NumberFormat, weight: Value, activation: Value) -> BitHeap:
    """Rows of weight x activation, the quieter way: one and gate per multiple and bit, no exclusive or."""
    return _rows(number_format, weight, activation, shared_sign=False)


def _rows(number_format: NumberFormat, weight: Value, activation: Value, shared_sign: bool) -> BitHeap:
    heap = BitHeap()
    grid = grid_of(number_format)
    for name, digits in (("low", grid.low), ("high", grid.high)):
        # An exclusive or pays where it serves more than one pair of multiples.
        pairs = sum(digit > 0 and -digit in digits for digit in set(digits))
        # Measured on several libraries: the high row is smaller inverted, the low one is not.
        add_digit(heap, name, activation, weight, digits, shared_sign=shared_sign and pairs > 1, inverted=name == "high")
    return heap
