# SPDX-License-Identifier: Apache-2.0
"""The only carry-propagating addition: a plain `+`, for which synthesis chooses the adder."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["FinalAdder", "Summation"]


class FinalAdder(wiring.Component):
    """`total` = `row_0` + `row_1`, modulo 2^`width`."""

    def __init__(self, width: int) -> None:
        super().__init__({"row_0": In(width), "row_1": In(width), "total": Out(width)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.d.comb += self.total.eq(self.row_0 + self.row_1)
        return m


class Summation(wiring.Component):
    """`total` = `start` + the sum of `products`, modulo 2^`width`: the behavioural description's adder.

    `products` holds `lanes` two's complement numbers of `product_bits`, the first in the lowest bits.
    """

    def __init__(self, width: int, lanes: int, product_bits: int) -> None:
        self._product_bits = product_bits
        super().__init__({"start": In(width), "products": In(lanes * product_bits), "total": Out(width)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        bits, width = self._product_bits, len(self.total)
        total: Value = self.start
        for i in range(len(self.products) // bits):
            product = Signal(signed(width), name=f"product_{i}")
            m.d.comb += product.eq(self.products.word_select(i, bits).as_signed())
            total = (total + product.as_unsigned())[:width]
        m.d.comb += self.total.eq(total)
        return m
