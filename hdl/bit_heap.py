"""A sum of products before it is added up: bits, each with a weight and an arrival time, and one constant.

"Bit heap" is the term of de Dinechin and others (FloPoCo). Negative weights don't occur: a bit b of weight -2^k is kept as the
bit ~b of weight +2^k and -2^k in the constant, so that signs never need to be extended, and the constants of all rows and
lanes become one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Signal, Value

__all__ = ["Bit", "BitHeap"]


@dataclass(frozen=True)
class Bit:
    """One bit of a heap: `value` has the weight 2^`column` and is stable `arrival` gate delays after the operands."""

    column: int
    value: Value
    arrival: int


@dataclass
class BitHeap:
    """The partial products of one lane: the sum of value x 2^column over `bits`, plus `constant`.

    `statements` drive the named signals that the bits are made of.
    """

    bits: list[Bit] = field(default_factory=list)
    constant: int = 0
    statements: list[Any] = field(default_factory=list)

    def named(self, name: str, value: Value) -> Signal:
        """A signal called `name` that is driven by `value`: for what is used more than once or deserves a name."""
        signal = Signal(len(value), name=name)
        self.statements.append(signal.eq(value))
        return signal

    def add(self, column: int, value: Value, arrival: int) -> None:
        """Add `value` x 2^`column`."""
        self.bits.append(Bit(column, value, arrival))

    def subtract(self, column: int, value: Value, arrival: int) -> None:
        """Subtract `value` x 2^`column`: its inverse is added, and 2^`column` subtracted from the constant."""
        self.bits.append(Bit(column, ~value, arrival))
        self.constant -= 1 << column
