# SPDX-License-Identifier: Apache-2.0
"""Two's complement multiplication by sign and magnitude of the weight.

With the sign s and the magnitude m of the weight, and ~a = -a - 1,

    w a = sum_i m_i 2^i (a xor s) + s m

so that a negative weight costs one exclusive or for every bit of the activation, and one more row. Small weights of either sign
leave the upper rows quiet, which in two's complement negative ones do not. The magnitude's bits are those of the weight,
inverted above the lowest one if it is negative; -2^(b-1) has a magnitude too.
"""

from __future__ import annotations

from amaranth.hdl import Value

from golden import NumberFormat

from .bit_heap import BitHeap

__all__ = ["sign_magnitude"]

# Gate delays: an or gate for every bit below, the exclusive or, and the gate of the array.
_XOR, _AND = 2, 1


def sign_magnitude(number_format: NumberFormat, weight: Value, activation: Value) -> BitHeap:
    """One row per bit of the magnitude, and the magnitude itself for a negative weight."""
    heap = BitHeap()
    sign = heap.named("negative", weight[number_format.bits - 1], selects=True)
    top = len(activation) - 1
    negated = heap.named("activation_or_inverse", activation ^ sign.replicate(len(activation)))
    below = weight[0]
    for i in range(number_format.bits):
        arrival = i - 1 + _XOR if i else 0
        if i == 0:
            bit = heap.named("magnitude_0", weight[0], selects=True)
        elif i < number_format.bits - 1:
            bit = heap.named(f"magnitude_{i}", weight[i] ^ (sign & below), selects=True)
            below = heap.named(f"any_to_{i}", below | weight[i], decodes=True)
        else:
            bit = heap.named(f"magnitude_{i}", sign & ~below, selects=True)
        row = heap.named(f"row_{i}", bit.replicate(len(activation)) & negated)
        for j in range(len(activation)):
            (heap.subtract if j == top else heap.add)(i + j, row[j], max(arrival, _XOR) + _AND)
        heap.add(i, heap.named(f"one_{i}", sign & bit), arrival + _AND)
    return heap
