"""Two's complement multiplication by an array of and gates (Baugh and Wooley, IEEE Trans. Computers C-22, 1973).

Bit i of the weight times bit j of the activation has the weight 2^(i+j), negative where exactly one of the two is a sign. The
negative ones are added inverted (nand) and corrected in the constant. No digit has to be decoded: every bit is one gate away
from the operands, and a zero operand keeps the array quiet.
"""

from __future__ import annotations

from amaranth.hdl import Value

from golden import NumberFormat

from .bit_heap import BitHeap

__all__ = ["baugh_wooley"]

_ARRIVAL = 1


def baugh_wooley(number_format: NumberFormat, weight: Value, activation: Value) -> BitHeap:
    """The array of weight x activation, one row per bit of the weight."""
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
