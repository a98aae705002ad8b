# SPDX-License-Identifier: Apache-2.0
"""Adding up a bit heap until two rows are left: full adders, column by column, earliest bits first.

A full adder takes three bits of a column and gives one of the same column and one of the next, so their number is the number of
bits that must vanish, in whatever order. The order decides the delay: taking the three earliest bits of a column is the
"three-greedy" method (Oklobdzija, Villeger, Liu, IEEE Trans. Computers 45, 1996). Half adders remove no bit and are not used.
Ones of the constant are spent where they cost least:

* beside a single bit they are the other row;
* where nothing but one bit a column (the accumulator) and ones are left above, a carry c into ones in all places is c - 1, so
  that ~c is subtracted from the accumulator's upper part: half the gates of a second row there, but one more carry chain in
  series (`borrow`);
* elsewhere a full adder with a constant 1 is two gates, the sum ~(a ^ b) and the carry a | b.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from amaranth.hdl import C, Cat, Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["FULL_ADDER", "Compressor"]

FULL_ADDER = "dint_full_adder"

# Gate delays of a full adder, an exclusive or being two: the sum is a ^ b ^ c, the carry a & b | c & (a | b). c comes last: to
# the sum it has one exclusive or, to the carry an and gate and an or gate.
_SUM, _CARRY, _LAST = 4, 3, 2

_Entry = tuple[int, int, Value]  # arrival, order of creation (makes the choice deterministic), bit


class Compressor(wiring.Component):
    """Two rows whose sum is that of a bit heap, modulo 2^`width`.

    Ports: `bits` (in), one per entry of `columns`; `row_0` and `row_1` (out), `width` wide.

    Parameters
    ----------
    width
        Bits of a row. Columns from `width` on are dropped.
    columns
        Column of each bit of the port `bits`.
    arrivals
        When each of them is stable, in gate delays.
    constant
        Added as well, modulo 2^`width`.
    borrow
        Whether a borrow is subtracted from the upper part where that can be.
    cells
        Whether a full adder is an instance of the module `dint_full_adder`, which synthesis can map to a library's cell, or
        logic.
    """

    def __init__(
        self,
        width: int,
        columns: Sequence[int],
        arrivals: Sequence[int],
        constant: int,
        *,
        borrow: bool = True,
        cells: bool = False,
    ) -> None:
        super().__init__({"bits": In(len(columns)), "row_0": Out(width), "row_1": Out(width)})
        self._width = width
        self._columns = tuple(columns)
        self._arrivals = tuple(arrivals)
        self._constant = constant % (1 << width)
        self._borrow = borrow
        self._cells = cells

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        heaps: list[list[_Entry]] = [[] for _ in range(self._width + 1)]
        for i, (column, arrival) in enumerate(zip(self._columns, self._arrivals, strict=True)):
            if column < self._width:
                heaps[column].append((arrival, i, self.bits[i]))
        order = len(self._columns)
        ones = [bool(self._constant >> column & 1) for column in range(self._width)]
        rows: tuple[list[Value], list[Value]] = ([], [])

        for column in range(self._width):
            entries = heaps[column]
            heapq.heapify(entries)
            while len(entries) > 2:
                taken = [heapq.heappop(entries) for _ in range(3)]
                second, last = taken[1][0], taken[2][0]
                total, carry = self._full_adder(m, f"{column}_{order}", *(entry[2] for entry in taken))
                heapq.heappush(entries, (max(second + _SUM, last + _LAST), order, total))
                heaps[column + 1].append((max(second + _CARRY, last + _LAST), order, carry))
                order += 1
            if ones[column] and len(entries) == 2:
                alone = all(len(above) <= 1 for above in heaps[column + 1 : self._width])
                if self._borrow and all(ones[column:]) and alone:
                    kept, borrow = (entry[2] for entry in sorted(entries, key=lambda entry: entry[1]))
                    upper = Cat(kept, *(above[0][2] if above else C(0, 1) for above in heaps[column + 1 : self._width]))
                    lowered = Signal(len(upper), name="lowered")
                    m.d.comb += lowered.eq(upper - ~borrow)
                    rows[0].append(lowered)
                    rows[1].append(C(0, len(upper)))
                    break
                taken = [heapq.heappop(entries) for _ in range(2)]
                arrival = max(entry[0] for entry in taken) + _LAST
                total, carry = self._incremented(m, f"{column}_{order}", taken[0][2], taken[1][2])
                heapq.heappush(entries, (arrival, order, total))
                heaps[column + 1].append((arrival, order, carry))
                order += 1
                ones[column] = False
            pair = [entry[2] for entry in sorted(entries, key=lambda entry: entry[:2])]
            pair += [C(ones[column], 1)] if len(pair) < 2 else []
            pair += [C(0, 1)] if len(pair) < 2 else []
            rows[0].append(pair[0])
            rows[1].append(pair[1])

        m.d.comb += [self.row_0.eq(Cat(rows[0])), self.row_1.eq(Cat(rows[1]))]
        return m

    def _full_adder(self, m: Module, name: str, a: Value, b: Value, c: Value) -> tuple[Value, Value]:
        total, carry = Signal(name=f"sum_{name}"), Signal(name=f"carry_{name}")
        if self._cells:
            m.submodules[f"adder_{name}"] = Instance(FULL_ADDER, i_a=a, i_b=b, i_c=c, o_sum=total, o_carry=carry)
        else:
            m.d.comb += [total.eq(a ^ b ^ c), carry.eq((a & b) | (c & (a | b)))]
        return total, carry

    def _incremented(self, m: Module, name: str, a: Value, b: Value) -> tuple[Value, Value]:
        total, carry = Signal(name=f"sum_{name}"), Signal(name=f"carry_{name}")
        m.d.comb += [total.eq(~(a ^ b)), carry.eq(a | b)]
        return total, carry
