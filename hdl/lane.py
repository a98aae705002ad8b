"""What one lane contributes to the sum: a bit heap, or, in the behavioural description, a product."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden import MacConfig, NumberFormat

from .bit_heap import BitHeap

__all__ = ["PartialProducts", "Product"]


class PartialProducts(wiring.Component):
    """The bit heap of one weight times one activation.

    Ports: `weight` (in), a code; `activation` (in), two's complement; `bits` (out).

    Attributes: `columns` and `arrivals`, per bit its weight 2^column and when it is stable; the product is the sum of the
    weighted bits plus `constant`.
    """

    def __init__(self, config: MacConfig, build: Callable[[NumberFormat, Value, Value], BitHeap]) -> None:
        number_format = config.weight_format
        # The ports cannot be made before their number is known, and the heap refers to the ports: it is built twice.
        plan = build(number_format, Signal(number_format.bits), Signal(config.activation_bits))
        self.columns = tuple(bit.column for bit in plan.bits)
        self.arrivals = tuple(bit.arrival for bit in plan.bits)
        self.constant = plan.constant
        super().__init__(
            {"weight": In(number_format.bits), "activation": In(config.activation_bits), "bits": Out(len(plan.bits))}
        )
        self._heap = build(number_format, self.weight, self.activation)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.d.comb += self._heap.statements
        m.d.comb += self.bits.eq(Cat(bit.value for bit in self._heap.bits))
        return m


class Product(wiring.Component):
    """Weight times activation as a behavioural description: a table decodes the weight, synthesis finds the multiplier.

    Ports: `weight` (in), a code; `activation` (in) and `product` (out), two's complement.
    """

    def __init__(self, config: MacConfig) -> None:
        self._format = config.weight_format
        self._bits = config.activation_bits
        super().__init__(
            {
                "weight": In(self._format.bits),
                "activation": In(self._bits),
                "product": Out(self._format.product_bits(self._bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        magnitude = max(-self._format.minimum, self._format.maximum)
        value = Signal(signed(magnitude.bit_length() + 1))
        with m.Switch(self.weight):
            for code, decoded in enumerate(self._format.values):
                with m.Case(code):
                    m.d.comb += value.eq(decoded)
        m.d.comb += self.product.eq(value * self.activation.as_signed())
        return m
