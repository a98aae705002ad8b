# SPDX-License-Identifier: Apache-2.0
"""The sum of a cycle's products and a number, in one step or in two with a register between.

In one step, partial products and the number are rows of one compressor, and one addition propagates carries:

    weights, activations ─► partial products of each lane ─► compressor ═► final adder ─► total
                                                  start ──►─┘

In two, the products alone are compressed to two rows; what is added to them later is a row of full adders away from the final
adder, however many lanes there are:

    weights, activations ─► partial products of each lane ─► compressor ═► (register) ═► accumulation ═► final adder ─► total
                                                                                start ─►─┘
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import C, Cat, Module, Signal, Value
from amaranth.lib import wiring

from golden import MacConfig

from .architectures import architecture_of
from .assembly import Assembly, registered
from .compressor import Compressor
from .final_adder import FinalAdder, Summation
from .lane import Decoder, PartialProducts, Product

__all__ = ["ProductSum"]


class ProductSum:
    """Places the parts of one sum of products in a unit.

    Parameters
    ----------
    unit, m
        Where the parts are placed.
    config
        The weight format, the lanes, the width of the sum, and the architecture.
    decoded
        Weights are given as what `selects` makes of them, not as codes.
    """

    def __init__(self, unit: Assembly, m: Module, config: MacConfig, *, decoded: bool = False) -> None:
        self._unit, self._m, self._config, self._decoded = unit, m, config, decoded
        architecture = architecture_of(config)
        self._build, self._borrow = architecture.partial_products, not architecture.for_speed

    def selects(self, weights: Value) -> Value:
        """The select lines of the weights' digits, lane by lane, for an architecture that has digits."""
        build, bits = self._build, self._config.weight_format.bits
        assert build is not None, "the behavioural description decodes for itself"
        lines: list[Signal] = []
        for i in range(len(weights) // bits):
            operands = {"weight": weights.word_select(i, bits)}
            lines += self._unit.place(self._m, "decoder", f"decoder_{i}", lambda: Decoder(self._config, build), operands)
        return Cat(lines)

    def total(self, weights: Value, activations: Value, start: Value, arrival: int) -> Value:
        """`start`, which is there after `arrival` gate delays, plus the products."""
        config, width = self._config, self._config.accumulator_bits
        lanes, sample = self._lanes(weights, activations)
        if not isinstance(sample, PartialProducts):
            return self._summation("final_adder", width, start, lanes)
        columns = (*range(width), *sample.columns * config.lanes)
        arrivals = (*[arrival] * width, *sample.arrivals * config.lanes)
        constant = sample.constant * config.lanes
        return self._added(*self._compressed("compressor", width, Cat(start, *lanes), columns, arrivals, constant))

    def registered_rows(self, weights: Value, activations: Value) -> list[Signal]:
        """The first of two steps: the products as registered rows for `total_of_rows`."""
        rows = self._rows(weights, activations)
        return registered(self._m, **{f"row_{i}": row for i, row in enumerate(rows)})

    def _rows(self, weights: Value, activations: Value) -> list[Signal]:
        """The products as rows, before they are registered.

        The sum of the products may be negative, and what two rows must be extended by shows only when they are added. So 2^k
        is added that makes it positive, u = products + 2^k, and the second step takes it off: the rows' sum is u, not only
        modulo a power of two, since the heap has no negative weights. The highest bits of both rows are never set together,
        u being below twice their weight, and an or gate makes them one. (The behavioural description has one row, which is
        the sum in two's complement.)
        """
        config = self._config
        lanes, sample = self._lanes(weights, activations)
        if not isinstance(sample, PartialProducts):
            width = len(lanes[0]) + (config.lanes - 1).bit_length()
            return [self._summation("compressor", width, C(0, width), lanes)]
        k = self._offset(sample)
        width = ((1 << k) + config.lanes * config.weight_format.largest_product(config.activation_bits)).bit_length()
        columns, arrivals = sample.columns * config.lanes, sample.arrivals * config.lanes
        constant = sample.constant * config.lanes + (1 << k)
        row_0, row_1 = self._compressed("compressor", width, Cat(*lanes), columns, arrivals, constant, borrow=False)
        rows = [Signal(width, name="row_0", init=1 << k), Signal(width - 1, name="row_1")]  # registers begin with no products
        self._m.d.comb += [rows[0].eq(Cat(row_0[:-1], row_0[-1] | row_1[-1])), rows[1].eq(row_1)]
        return rows

    def total_of_rows(self, rows: Sequence[Value], start: Value, arrival: int) -> Value:
        """The second step: `start`, which is there after `arrival` gate delays, plus the products whose rows are given."""
        width = len(start)
        sample = self._unit.parts["partial_products"]
        if not isinstance(sample, PartialProducts):
            (row,) = rows
            return self._added(start, Cat(row, row[-1].replicate(width - len(row))))
        bits, columns = Cat(start, *rows), [column for row in (start, *rows) for column in range(len(row))]
        arrivals = [arrival] * width + [0] * (len(columns) - width)
        constant = -(1 << self._offset(sample))
        return self._added(*self._compressed("accumulation", width, bits, columns, arrivals, constant))

    def _offset(self, sample: PartialProducts) -> int:
        """The k of `_rows`: 2^k makes the constant of the heap positive."""
        return (-sample.constant * self._config.lanes - 1).bit_length()

    def _lanes(self, weights: Value, activations: Value) -> tuple[list[Value], wiring.Component]:
        """What each lane adds to the sum, and the component of one of them."""
        config, values = self._config, []
        for i in range(config.lanes):
            operands = {
                "weight": weights.word_select(i, len(weights) // config.lanes),
                "activation": activations.word_select(i, config.activation_bits),
            }
            values += self._unit.place(self._m, "partial_products", f"lane_{i}", self._lane, operands)
        return values, self._unit.parts["partial_products"]

    def _lane(self) -> wiring.Component:
        if self._build is None:
            return Product(self._config)
        return PartialProducts(self._config, self._build, decoded=self._decoded)

    def _compressed(
        self,
        part: str,
        width: int,
        bits: Value,
        columns: Sequence[int],
        arrivals: Sequence[int],
        constant: int,
        borrow: bool = True,
    ) -> list[Signal]:
        def create() -> Compressor:
            cells, borrows = self._unit.for_verilog, borrow and self._borrow
            return Compressor(width, columns, arrivals, constant, borrow=borrows, cells=cells)

        return self._unit.place(self._m, part, part, create, {"bits": bits})

    def _added(self, row_0: Value, row_1: Value) -> Signal:
        rows = {"row_0": row_0, "row_1": row_1}
        (total,) = self._unit.place(self._m, "final_adder", "final_adder", lambda: FinalAdder(len(row_0)), rows)
        return total

    def _summation(self, part: str, width: int, start: Value, products: Sequence[Value]) -> Signal:
        inputs = {"start": start, "products": Cat(*products)}
        count, bits = len(products), len(products[0])
        (total,) = self._unit.place(self._m, part, part, lambda: Summation(width, count, bits), inputs)
        return total
