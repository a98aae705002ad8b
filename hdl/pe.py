# SPDX-License-Identifier: Apache-2.0
"""The processing element of a `golden.PeConfig` as an Amaranth component.

                     weight, load
                          │
                     next weight ──────────────────► weight_out
             swap ──►     │  (decoded)
                     weight in use ─┐
    activation ─► activation ───────┼──────────────► activation_out
                                    ▼
    partial_sum ──────────► compressor, final adder ─► register ─► partial_sum_out

With a pipeline register the compressor takes the product alone, and its two rows are registered; the partial sum, which is
taken a cycle later then, is a row of full adders away from the final adder (`hdl.product_sum`).

Neighbours in a row hand on activations and `swap`, so that new weights come into use in step with the first activations that
they belong to; neighbours in a column hand on weights while `load` is set, and partial sums.
"""

from __future__ import annotations

from amaranth.hdl import ClockDomain, Module, Mux, Signal, Value

from golden import PeConfig

from .architectures import architecture_of
from .assembly import Assembly, ports_of
from .product_sum import ProductSum

__all__ = ["Pe"]


class Pe(Assembly):
    """A processing element; the ports are the same for all formats and architectures.

    Ports
    -----
    clk : in, 1
        Rising edge. There is no reset: what the registers hold does not matter until a weight is loaded and swapped in.
    weight : in, b
        A code.
    load : in, 1
        The next weight takes `weight`; otherwise it stays.
    swap : in, 1
        The weight in use takes the next weight, as it was before this cycle's `load`; otherwise it stays.
    activation : in, activation bits
        Two's complement; multiplied in the following cycle, by the weight that is in use then.
    partial_sum : in, `config.accumulator_bits`
        Two's complement, in units of the format; the product of the previous cycle's activation is added to it, with a
        pipeline register that of the one before.
    weight_out : out, b
        The next weight, for the following element of the column.
    swap_out, activation_out : out
        What came in, a cycle later, for the following element of the row.
    partial_sum_out : out, `config.accumulator_bits`
        The sum, a cycle later, for the following element of the column.

    Parameters
    ----------
    config
        What to build.
    parts
        Prefix of the modules' names, for Verilog; None for all in one component (`hdl.assembly`).

    Raises
    ------
    InputError
        If the architecture does not exist, cannot do the format, or has nothing to decode for a `decoded` element.
    """

    def __init__(self, config: PeConfig, *, parts: str | None = None) -> None:
        self.config = config
        architecture_of(config)
        super().__init__(ports_of(config), parts)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.domains.sync = domain = ClockDomain(reset_less=True, local=True)
        domain.clk = self.clk

        products = ProductSum(self, m, self.config.mac, decoded=self.config.decoded)
        following: Value = self.weight_out
        if self.config.decoded:
            following = products.selects(self.weight_out)
            in_use = Signal(len(following), name="selects_in_use")
        else:
            in_use = Signal.like(self.weight_out, name="weight_in_use")
        if self.config.pipeline:
            total = products.total_of_rows(products.registered_rows(in_use, self.activation_out), self.partial_sum, 0)
        else:
            total = products.total(in_use, self.activation_out, self.partial_sum, 0)
        m.d.sync += [
            self.weight_out.eq(Mux(self.load, self.weight, self.weight_out)),
            in_use.eq(Mux(self.swap, following, in_use)),
            self.swap_out.eq(self.swap),
            self.activation_out.eq(self.activation),
            self.partial_sum_out.eq(total),
        ]
        return m
