# SPDX-License-Identifier: Apache-2.0
"""The multiply-accumulate unit of a `golden.MacConfig` as an Amaranth component.

    weights, activations ─► partial products of each lane ─┐
                                                           ├─► compressor ═► final adder ─► accumulator ─┐
                              ┌─► unless a new sum starts ─┘     (two rows)                              │
                              └──────────────────────────────────────────────────────────────────────────┘

The accumulator is one more row of the compressor, so that only one addition in the loop propagates a carry. Reset and the start
of a new sum share the gates that clear this row. A cycle without `valid`, or in reset, adds nothing, in one of two ways: its
weights are replaced by zeros (a gate per weight bit), or the sum is not stored (a multiplexer per accumulator bit). The second
costs more area where lanes are few; it is faster and has fewer glitches.

Pipeline registers can be put behind the inputs, and behind those, between the compressor of the products and the accumulator
(`hdl.product_sum`): two rows whose sum is added to the accumulator a cycle later. The loop then has a full adder and the
final adder in it, whatever the number of lanes.
"""

from __future__ import annotations

from amaranth.hdl import C, ClockDomain, Module, Mux, Signal, Value

from golden import MacConfig

from .architectures import architecture_of
from .assembly import Assembly, ports_of, registered
from .product_sum import ProductSum

__all__ = ["Mac"]

# What a multiplexer costs, in gates per weight bit: the areas of the two ways break even between 2.2 and 4 on the libraries
# measured. Where speed counts, there are multiplexers always: `valid` then has no part in the longest path, and an INT8 unit
# with one lane is up to a tenth faster. They save energy, too: gates make weights later than activations, and each glitch that
# comes of it is added up.
_MULTIPLEXER = 2.0

# When the accumulator is there, in gate delays: clock to output, and the gate that clears it. Operands at the ports are there
# at once, registered ones as late as the accumulator.
_REGISTER, _CLEAR = 4, 2

_ROWS_REGISTERED = 2  # of `MacConfig.pipeline`


class Mac(Assembly):
    """A MAC unit; the ports are the same for all formats, architectures and lane counts.

    Ports
    -----
    clk : in, 1
        Rising edge.
    rst : in, 1
        Synchronous, active high: clears the sum.
    valid : in, 1
        This cycle's operands take part; otherwise the sum holds.
    first : in, 1
        With `valid`: a new sum starts with these operands.
    activations : in, activation bits x lanes
        Lane i at bits 8i+7..8i, two's complement.
    weights : in, b x lanes
        Lane i's code at bits b i + b - 1..b i.
    accumulator : out, `config.accumulator_bits`
        Two's complement, in units of the format, after the `config.latency_cycles`-th rising edge, the edge that takes the
        operands being the first. With pipeline registers weights (gated by `valid`, or as select lines), activations, and what
        `rst`, `valid` and `first` decide are registered.

    Parameters
    ----------
    config
        What to build.
    parts
        Prefix of the modules' names, for Verilog; None for all in one component (`hdl.assembly`).

    Raises
    ------
    InputError
        If the architecture does not exist or cannot do the format.
    """

    def __init__(self, config: MacConfig, *, parts: str | None = None) -> None:
        self.config = config
        self._for_speed = architecture_of(config).for_speed
        super().__init__(ports_of(config), parts)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.domains.sync = domain = ClockDomain(reset_less=True, local=True)
        domain.clk = self.clk

        pipeline, weights, activations = self.config.pipeline, self.weights, self.activations
        take, keep = Signal(name="take"), Signal(name="keep")
        m.d.comb += [take.eq(self.valid & ~self.rst), keep.eq(~(self.rst | (self.valid & self.first)))]
        if self._gates_weights:
            taken = Signal.like(weights, name="taken")
            zeros = C(self.config.weight_format.zero_code, self.config.weight_format.bits).replicate(self.config.lanes)
            m.d.comb += taken.eq(Mux(take, weights, zeros))
            weights = taken

        products = ProductSum(self, m, self.config, decoded=self.config.decoded)
        in_use: Value = products.selects(weights) if self.config.decoded else weights
        if pipeline:
            in_use, activations = registered(m, weights=in_use, activations=activations)
        for _ in range(pipeline):
            (keep,) = registered(m, **{keep.name: keep})
            if not self._gates_weights:
                (take,) = registered(m, **{take.name: take})
        kept = Signal.like(self.accumulator, name="kept")
        m.d.comb += kept.eq(self.accumulator & keep.replicate(len(kept)))
        if pipeline == _ROWS_REGISTERED:
            total = products.total_of_rows(products.registered_rows(in_use, activations), kept, _CLEAR)
        else:
            total = products.total(in_use, activations, kept, _CLEAR + (0 if pipeline else _REGISTER))
        if not self._gates_weights:
            total = Mux(take, total, kept)
        m.d.sync += self.accumulator.eq(total)
        return m

    @property
    def _gates_weights(self) -> bool:
        return not self._for_speed and len(self.weights) <= _MULTIPLEXER * len(self.accumulator)
