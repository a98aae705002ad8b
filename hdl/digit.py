"""One digit of a weight: it selects a multiple of the activation, or none, and adds it to the bit heap.

A multiple is plus or minus a power of two, so that every bit of the row is a choice among bits of the activation or their
inverses: and-or, one cell. The row X is built for *minus* the digit and added inverted, -X = ~X + 1, because the and-or that a
library has is an and-or-invert: the inverter is saved in every column, and the + 1 in the bit that completes a negative X.

    multiple in X    bit j of X    negative
         0              0             0
        +2^k          a[j-k]          0       X is in ones' complement, `negative` makes it two's complement;
        -2^k         ~a[j-k]          1       a is sign-extended to the left, a[-1], a[-2], ... are 0
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import C, Cat, Value

from .bit_heap import BitHeap

__all__ = ["add_digit"]

# When bits are stable, in gate delays; the compressor only needs the order. A shared sign costs an exclusive or.
_NEGATIVE, _ROW, _SIGNED_ROW = 2, 4, 6


def add_digit(
    heap: BitHeap, name: str, activation: Value, code: Value, digits: Sequence[int], *, shared_sign: bool, column: int = 0
) -> None:
    """Add digits[code] x activation x 2^`column` to `heap`.

    `digits` are 0 or plus or minus a power of two. With `shared_sign` the activation is inverted once for all multiples, which
    is smaller where several of them are negative; without it each multiple is selected for itself, and no bit waits for an
    exclusive or, which saves glitches. `name` prefixes the signals.
    """
    rows = [-digit for digit in digits]
    multiples = sorted(set(rows) - {0}, key=lambda multiple: (abs(multiple), multiple < 0))
    low = abs(multiples[0]).bit_length() - 1
    top = len(activation) - 1 + abs(multiples[-1]).bit_length() - 1 - low

    def one_of(chosen: Sequence[int]) -> Value:
        """Whether the multiple is among `chosen`: a truth table over the code, which synthesis minimizes."""
        return C(sum(1 << c for c, row in enumerate(rows) if row in chosen), len(rows)).bit_select(code, 1)

    def shifted(source: Value, fill: Value, shift: int) -> Value:
        sign = source[-1]
        return Cat(fill.replicate(shift), source, sign.replicate(top + 1 - shift - len(source)))

    has_negative = any(multiple < 0 for multiple in multiples)
    negative = heap.named(f"{name}_negative", one_of([m for m in multiples if m < 0])) if has_negative else C(0, 1)
    terms = []
    if shared_sign:
        source = heap.named(f"{name}_activation", activation ^ negative.replicate(len(activation)))
        for magnitude in sorted({abs(multiple) for multiple in multiples}):
            select = heap.named(f"{name}_times_{magnitude}", one_of([magnitude, -magnitude]))
            shift = magnitude.bit_length() - 1 - low
            terms.append(select.replicate(top + 1) & shifted(source, negative, shift))
    else:
        inverse = heap.named(f"{name}_inverse", ~activation) if has_negative else activation
        for multiple in multiples:
            select = heap.named(f"{name}_times_{'minus_' * (multiple < 0)}{abs(multiple)}", one_of([multiple]))
            shift = abs(multiple).bit_length() - 1 - low
            source = inverse if multiple < 0 else activation
            terms.append(select.replicate(top + 1) & shifted(source, C(multiple < 0, 1), shift))
    row = heap.named(f"{name}_row", ~reduce(or_, terms))

    arrival = _SIGNED_ROW if shared_sign else _ROW
    for j in range(top):
        heap.add(column + low + j, row[j], arrival)
    # X's sign has the weight -2^top, so that of -X has +2^top and is not inverted; ~X + 1 below it lacks 2^top.
    heap.add(column + low + top, ~row[top], arrival)
    heap.constant += (1 - (1 << top)) << (column + low)
    heap.subtract(column + low, negative, _NEGATIVE)
