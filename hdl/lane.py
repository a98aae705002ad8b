# SPDX-License-Identifier: Apache-2.0
"""What one lane contributes to the sum: a bit heap, or, in the behavioural description, a product."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden import MacConfig, NumberFormat

from .baugh_wooley import twos_complement
from .bit_heap import BitHeap
from .truth_table import lookup

__all__ = ["Decoder", "PartialProducts", "Product"]

Build = Callable[[NumberFormat, Value, Value], BitHeap]


class PartialProducts(wiring.Component):
    """The bit heap of one weight times one activation.

    Ports: `weight` (in), a code, or, if it is decoded, the select lines of a `Decoder`; `activation` (in), two's complement;
    `bits` (out).

    Attributes: `columns` and `arrivals`, per bit its weight 2^column and when it is stable; the product is the sum of the
    weighted bits plus `constant`.
    """

    def __init__(self, config: MacConfig, build: Build, *, decoded: bool = False) -> None:
        # The ports cannot be made before their number is known, and the heap refers to the ports: it is built twice.
        plan = _heap(config, build)
        self._decoded = decoded
        self.columns = tuple(bit.column for bit in plan.bits)
        self.arrivals = tuple(bit.arrival for bit in plan.bits)
        self.constant = plan.constant
        weight_bits = len(_selects(plan)) if decoded else config.weight_format.bits
        super().__init__({"weight": In(weight_bits), "activation": In(config.activation_bits), "bits": Out(len(plan.bits))})
        code = Signal(config.weight_format.bits) if decoded else self.weight
        self._heap = build(config.weight_format, code, self.activation)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.d.comb += [one.signal.eq(one.value) for one in self._heap.signals if not (self._decoded and one.decodes)]
        if self._decoded:
            for i, signals in enumerate(_selects(self._heap)):
                m.d.comb += [signal.eq(self.weight[i]) for signal in signals]
        m.d.comb += self.bits.eq(Cat(bit.value for bit in self._heap.bits))
        return m


class Decoder(wiring.Component):
    """The select lines of a weight's digits: what of `PartialProducts` depends on the code alone.

    Ports: `weight` (in), a code; `selects` (out), all 0 for a weight of zero. There are none where nothing is decoded.
    """

    def __init__(self, config: MacConfig, build: Build) -> None:
        super().__init__({"weight": In(config.weight_format.bits), "selects": Out(len(_selects(_heap(config, build))))})
        self._heap = build(config.weight_format, self.weight, Signal(config.activation_bits))

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.d.comb += [one.signal.eq(one.value) for one in self._heap.signals if one.decodes]
        m.d.comb += self.selects.eq(Cat(signals[0] for signals in _selects(self._heap)))
        return m


def _heap(config: MacConfig, build: Build) -> BitHeap:
    return build(config.weight_format, Signal(config.weight_format.bits), Signal(config.activation_bits))


def _selects(heap: BitHeap) -> list[list[Signal]]:
    """The select lines, each with all signals that it is: those of the same function of the code, for registers cost area."""
    lines: dict[str, list[Signal]] = {}
    for one in heap.signals:
        if one.selects:
            lines.setdefault(repr(one.value), []).append(one.signal)
    return list(lines.values())


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
        integer = twos_complement(self._format)  # whose code is its value
        m.d.comb += value.eq(self.weight.as_signed() if integer else lookup(self.weight, self._format.values))
        m.d.comb += self.product.eq(value * self.activation.as_signed())
        return m
