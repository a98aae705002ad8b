# SPDX-License-Identifier: Apache-2.0
"""The units of a `golden.AsymmetricConfig` as an Amaranth component: MAC units and the zero-point correction that they share.

    weights, zero_points ─► recoder ─► MAC unit ─┐
    activations ───────────────────────►┤        │   (a unit for each output channel)
        │                               :        ▼
        │                                   read_unit chooses
        ▼                                        │
    sum of activations ─► x read_zero_point ─► subtracted ─► register ─► accumulator

Recoders are there for formats with special codes only; the MAC units of other formats are those for symmetric weights. A unit
is a part of its own, and so is what is shared, so that they can also be put together differently.
"""

from __future__ import annotations

from amaranth.hdl import C, Cat, ClockDomain, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden import INT4, INT8, AsymmetricConfig, CorrectionConfig, OffsetConfig

from .architectures import architecture_of
from .assembly import Assembly, ports_of
from .bit_heap import BitHeap
from .booth import booth_carry
from .compressor import Compressor
from .final_adder import FinalAdder
from .mac import Mac
from .truth_table import lookup, one_of

__all__ = ["Asymmetric", "Correction", "OffsetMac"]


_ACTIVATION, _SUM, _REGISTER = 0, 6, 4  # when bits are stable, in gate delays: ports; registers, without and with a gate


class Asymmetric(Assembly):
    """MAC units for asymmetric weights; n of them, with L lanes each.

    Ports
    -----
    clk, rst, valid, first, activations : in
        As those of `hdl.Mac`, for all units.
    weights : in, b x L x n
        Unit u's weights at bits b L (u + 1) - 1..b L u, ordered as those of `hdl.Mac`.
    zero_points : in, z x n (only for formats with special codes)
        Unit u's zero-point at bits z u + z - 1..z u, unsigned, with the weights that it belongs to.
    read_unit : in, as many bits as n - 1 has, at least 1
        Whose sum is shown after the next edge. Beyond the last unit: the last.
    read_zero_point : in, z
        The zero-point of that sum, unsigned.
    accumulator : out, `config.accumulator_bits`
        Two's complement, in units of the format: the sum of weight less zero-point times activation. A unit's sum can be read
        by the edge after the `config.unit.latency_cycles`-th, and until another sum is begun.

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

    def __init__(self, config: AsymmetricConfig, *, parts: str | None = None) -> None:
        self.config = config
        architecture_of(config.unit)
        super().__init__(ports_of(config), parts)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m, config = Module(), self.config
        controls = {"clk": self.clk, "rst": self.rst, "valid": self.valid, "first": self.first}
        shared = {**controls, "activations": self.activations}
        width = config.weight_format.bits * config.lanes
        sums = []
        for u in range(config.units):
            inputs = {**shared, "weights": self.weights.word_select(u, width)}
            if config.weight_format.special_codes:
                inputs["zero_point"] = self.zero_points.word_select(u, config.zero_point_bits)
            sums += self.place(m, "unit", f"unit_{u}", self._unit, inputs)
        read = Signal.like(sums[0], name="read")
        m.d.comb += read.eq(lookup(self.read_unit, sums))
        inputs = {**shared, "accumulator": read, "zero_point": self.read_zero_point}
        (corrected,) = self.place(m, "correction", "correction", self._correction, inputs)
        m.d.comb += self.accumulator.eq(corrected)
        return m

    def _unit(self) -> Assembly:
        parts = self.name_of("unit")
        if self.config.weight_format.special_codes:
            return OffsetMac(OffsetConfig.of(self.config), parts)
        return Mac(self.config.unit, parts=parts)

    def _correction(self) -> Assembly:
        return Correction(CorrectionConfig.of(self.config), self.name_of("correction"))


class OffsetMac(Assembly):
    """A MAC unit whose decoder is given the zero-point: `accumulator` is the sum of `config.recode`d weights times activations.

    Ports: those of `hdl.Mac`, and `zero_point` (in).
    """

    def __init__(self, config: OffsetConfig, parts: str | None) -> None:
        self._config = config.whole
        architecture_of(self._config.unit)
        super().__init__(ports_of(config), parts)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m, config = Module(), self._config
        bits = config.weight_format.bits
        at, below = self.place(m, "near_zero", "near_zero", lambda: NearZero(config), {"zero_point": self.zero_point})
        recoded: list[Value] = []
        for i in range(config.lanes):
            inputs = {"weight": self.weights.word_select(i, bits), "at": at, "below": below}
            recoded += self.place(m, "recoder", f"recoder_{i}", lambda: Recoder(config), inputs)
        inputs = {name: getattr(self, name) for name in ("clk", "rst", "valid", "first", "activations")}
        inputs["weights"] = Cat(recoded)
        (total,) = self.place(m, "mac", "mac", lambda: Mac(config.unit, parts=self.name_of("mac")), inputs)
        m.d.comb += self.accumulator.eq(total)
        return m


class NearZero(wiring.Component):
    """What the special codes are replaced by: codes of the zero-point and of one step less, for all lanes of a unit.

    Ports: `zero_point` (in); `at`, `below` (out), codes of the offset format without its top bit.
    """

    def __init__(self, config: AsymmetricConfig) -> None:
        self._config = config
        bits = config.weight_format.bits
        super().__init__({"zero_point": In(config.zero_point_bits), "at": Out(bits), "below": Out(bits)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        codes = [self._config.near_zero(zero_point) for zero_point in range(self._config.weight_format.steps + 1)]
        for port, column in zip((self.at, self.below), zip(*codes, strict=True), strict=True):
            m.d.comb += port.eq(lookup(self.zero_point, column))
        return m


class Recoder(wiring.Component):
    """A weight of the offset format: the weight itself, or for the special codes what is near zero, and half a step.

    Ports: `weight`, `at`, `below` (in), codes; `code` (out), one bit more.
    """

    def __init__(self, config: AsymmetricConfig) -> None:
        self._format = config.weight_format
        bits = config.weight_format.bits
        super().__init__({"weight": In(bits), "at": In(bits), "below": In(bits), "code": Out(bits + 1)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        special, negative = Signal(), Signal()
        near = Signal.like(self.at)
        m.d.comb += [
            special.eq(one_of(self.weight, self._format.special_codes)),
            negative.eq(one_of(self.weight, {self._format.encode_one(-1)})),
            near.eq(Mux(negative, self.below, self.at)),
            self.code.eq(Cat(Mux(special, near, self.weight), special)),
        ]
        return m


class Correction(Assembly):
    """What the units share: the sum of activations, and a unit's sum less the offset times that.

    The product is subtracted by adding it to the inverted sum and inverting the total: ~(~x + p) = x - p.

    Ports: `clk`, `rst`, `valid`, `first`, `activations` as those of `hdl.Mac`; `accumulator` (in), a unit's, and `zero_point`
    (in); `corrected` (out), after the next edge.
    """

    def __init__(self, config: CorrectionConfig, parts: str | None) -> None:
        self._config = config.whole
        super().__init__(ports_of(config), parts)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.domains.sync = domain = ClockDomain(reset_less=True, local=True)
        domain.clk = self.clk
        total = self._activation_sum(m)
        for stage in range(self._config.pipeline):
            later = Signal.like(total, name=f"activation_sum_{stage + 1}")
            m.d.sync += later.eq(total)
            total = later
        m.d.sync += self.corrected.eq(~self._total(m, total))
        return m

    def _activation_sum(self, m: Module) -> Signal:
        config = self._config
        total = Signal(config.activation_sum_bits, name="activation_sum")
        kept = Signal.like(total, name="kept")
        m.d.comb += kept.eq(total & (~(self.rst | (self.valid & self.first))).replicate(len(total)))
        heap = BitHeap()
        for lane in range(config.lanes):
            activation = self.activations.word_select(lane, config.activation_bits)
            for i in range(config.activation_bits - 1):
                heap.add(i, activation[i], _ACTIVATION)
            heap.subtract(config.activation_bits - 1, activation[-1], _ACTIVATION)
        added = self._added(m, "activation", kept, _SUM, heap)
        m.d.sync += total.eq(Mux(self.valid & ~self.rst, added, kept))
        return total

    def _total(self, m: Module, activation_sum: Signal) -> Signal:
        """The inverted accumulator plus the offset times the sum of activations."""
        config = self._config
        number_format = INT4 if config.zero_point_bits <= 4 else INT8
        bits = config.zero_point_bits
        offset = Signal(bits, name="offset")
        m.d.comb += offset.eq(self.zero_point + C(config.offset(0) % (1 << bits), bits))
        extended = Cat(offset, offset[-1].replicate(number_format.bits - bits))
        product = booth_carry(number_format, extended, activation_sum)
        m.d.comb += [one.signal.eq(one.value) for one in product.signals]
        shift = (config.weight_format.unit.denominator).bit_length() - 1
        heap = BitHeap(constant=product.constant << shift)
        for bit in product.bits:
            heap.add(bit.column + shift, bit.value, _REGISTER + bit.arrival)
        width = config.accumulator_bits
        start = Cat(self.accumulator, self.accumulator[-1].replicate(width - len(self.accumulator)))
        return self._added(m, "product", ~start, _REGISTER, heap)

    def _added(self, m: Module, name: str, start: Value, arrival: int, heap: BitHeap) -> Signal:
        """`start`, which is there after `arrival`, plus the heap, modulo 2^its width."""
        width = len(start)
        columns = (*range(width), *(bit.column for bit in heap.bits))
        arrivals = (*[arrival] * width, *(bit.arrival for bit in heap.bits))

        def compressor() -> Compressor:
            return Compressor(width, columns, arrivals, heap.constant, cells=self.for_verilog)

        bits = {"bits": Cat(start, *(bit.value for bit in heap.bits))}
        row_0, row_1 = self.place(m, f"{name}_compressor", f"{name}_compressor", compressor, bits)
        rows = {"row_0": row_0, "row_1": row_1}
        (total,) = self.place(m, f"{name}_adder", f"{name}_adder", lambda: FinalAdder(width), rows)
        return total
