# SPDX-License-Identifier: Apache-2.0
"""A sum of products before it is added up: bits, each with a weight and an arrival time, and one constant.

"Bit heap" is the term of de Dinechin and others (FloPoCo). Negative weights don't occur: a bit b of weight -2^k is kept as the
bit ~b of weight +2^k and -2^k in the constant, so that signs never need to be extended, and the constants of all rows and
lanes become one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from amaranth.hdl import Signal, Value

__all__ = ["Bit", "BitHeap", "Named"]


@dataclass(frozen=True)
class Bit:
    """One bit of a heap: `value` has the weight 2^`column` and is stable `arrival` gate delays after the operands."""

    column: int
    value: Value
    arrival: int


@dataclass(frozen=True, eq=False)
class Named:
    """A signal and what drives it.

    `decodes`: it depends on the code of the weight alone. `selects`: and the rest of the heap uses it; all such signals are 0
    for a weight of zero, and together they may take the place of the code.
    """

    signal: Signal
    value: Value
    decodes: bool
    selects: bool


@dataclass
class BitHeap:
    """The partial products of one lane: the sum of value x 2^column over `bits`, plus `constant`.

    `signals` are what the bits are made of, each after those that it depends on.
    """

    bits: list[Bit] = field(default_factory=list)
    constant: int = 0
    signals: list[Named] = field(default_factory=list)

    def named(self, name: str, value: Value, *, decodes: bool = False, selects: bool = False) -> Signal:
        """A signal called `name` that is driven by `value`: for what is used more than once or deserves a name."""
        signal = Signal(len(value), name=name)
        self.signals.append(Named(signal, value, decodes or selects, selects))
        return signal

    def add(self, column: int, value: Value, arrival: int) -> None:
        """Add `value` x 2^`column`."""
        self.bits.append(Bit(column, value, arrival))

    def subtract(self, column: int, value: Value, arrival: int) -> None:
        """Subtract `value` x 2^`column`: its inverse is added, and 2^`column` subtracted from the constant."""
        self.bits.append(Bit(column, ~value, arrival))
        self.constant -= 1 << column
