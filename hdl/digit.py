# SPDX-License-Identifier: Apache-2.0
"""One digit of a weight: it selects a multiple of the activation, or none, and adds it to the bit heap.

A multiple is plus or minus a power of two, so that every bit of the row X is a choice among bits of the activation or their
inverses: and-or, one cell or two.

    multiple    bit j of X    negative
       0            0            0
      +2^k        a[j-k]         0       X is in ones' complement, `negative` makes it two's complement;
      -2^k       ~a[j-k]         1       a is sign-extended to the left, a[-1], a[-2], ... are 0

A row may also be built for minus the digit and added inverted, -X = ~X + 1: the same number of bits, but each is and-or-invert.
Which of the two is smaller depends on the library, by up to 6% of a unit: three products are one and-or-invert cell where
there is one, and three nands into a nand otherwise. Multiples that are all negative are better subtracted in this way: nothing
has to be made negative then, and the row has one bit less.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import C, Cat, Value

from .bit_heap import BitHeap
from .truth_table import literals, one_of

__all__ = ["add_digit"]

# When bits are stable, in gate delays; the compressor only needs the order. A shared sign costs an exclusive or, and a row of a
# single multiple is an and gate, whose select is perhaps a bit of the code itself.
_PLAIN_ROW, _NEGATIVE, _GATED_ROW, _ROW, _SIGNED_ROW = 1, 2, 3, 4, 6


def add_digit(
    heap: BitHeap,
    name: str,
    activation: Value,
    code: Value,
    digits: Sequence[int],
    *,
    shared_sign: bool,
    inverted: bool = False,
    column: int = 0,
) -> None:
    """Add digits[code] x activation x 2^`column` to `heap`.

    `digits` are 0 or plus or minus a power of two. With `shared_sign` the activation is inverted once for all multiples, which
    is smaller where several of them are negative; without it each multiple is selected for itself, and no bit waits for an
    exclusive or, which saves glitches. `inverted` builds the row for minus the digit. `name` prefixes the signals.
    """
    rows = [-digit for digit in digits] if inverted else list(digits)
    multiples = sorted(set(rows) - {0}, key=lambda multiple: (abs(multiple), multiple < 0))
    low = abs(multiples[0]).bit_length() - 1
    top = len(activation) - 1 + abs(multiples[-1]).bit_length() - 1 - low

    def chosen(*wanted: int) -> Value:
        """Whether the row's multiple is one of `wanted`."""
        return one_of(code, [c for c, row in enumerate(rows) if row in wanted])

    def shifted(source: Value, fill: Value, shift: int) -> Value:
        return Cat(fill.replicate(shift), source, source[-1].replicate(top + 1 - shift - len(source)))

    has_negative = any(multiple < 0 for multiple in multiples)
    negative = None
    if has_negative:
        negative = heap.named(f"{name}_negative", chosen(*(m for m in multiples if m < 0)), selects=True)
    terms = []
    if shared_sign and negative is not None:
        source = heap.named(f"{name}_activation", activation ^ negative.replicate(len(activation)))
        for magnitude in sorted({abs(multiple) for multiple in multiples}):
            select = heap.named(f"{name}_times_{magnitude}", chosen(magnitude, -magnitude), selects=True)
            shift = magnitude.bit_length() - 1 - low
            terms.append(select.replicate(top + 1) & shifted(source, negative, shift))
    else:
        inverse = heap.named(f"{name}_inverse", ~activation) if has_negative else activation
        for multiple in multiples:
            select = heap.named(f"{name}_times_{'minus_' * (multiple < 0)}{abs(multiple)}", chosen(multiple), selects=True)
            shift = abs(multiple).bit_length() - 1 - low
            terms.append(
                select.replicate(top + 1) & shifted(inverse if multiple < 0 else activation, C(multiple < 0, 1), shift)
            )
    any_term = reduce(or_, terms)
    row = heap.named(f"{name}_row", ~any_term if inverted else any_term)

    # The sign of X has the weight -2^top: BitHeap.subtract. With -X = ~X + 1 it is +2^top, and the bits below lack 2^top.
    least, arrival = column + low, _SIGNED_ROW if shared_sign else _ROW
    if len(multiples) == 1:
        wanted = frozenset(c for c, row in enumerate(rows) if row)
        arrival = _PLAIN_ROW if literals(len(code), wanted) == 1 else _GATED_ROW
    for j in range(top):
        heap.add(least + j, row[j], arrival)
    if inverted:
        heap.add(least + top, ~row[top], arrival)
        heap.constant += (1 - (1 << top)) << least
        if negative is not None:
            heap.subtract(least, negative, _NEGATIVE)
    else:
        heap.subtract(least + top, row[top], arrival)
        if negative is not None:
            heap.add(least, negative, _NEGATIVE)
