# SPDX-License-Identifier: Apache-2.0
"""The MAC unit of a `golden.BlockMacConfig` as an Amaranth component.

    weights, activations ─► MAC unit that sums a block ─► x significand, << shift ─► (register) ─► final adder ─► accumulator ─┐
                                                             ▲                                        ▲                        │
    scale, activation_scale, base ─► decoder ─► registers ───┘                  unless a sum starts ──┴────────────────────────┘

Where there are codebooks, codes are decoded to integers before (`hdl.codebook`).

The sum of a block is complete in its register while the next block's first products are added up; in that one cycle it is
scaled, and added to the accumulator. In all others the multiplier and the shifter are given zero, so that they are quiet.
With a pipeline register the scaled sum is kept in it for a cycle before it is added.
"""

from __future__ import annotations

from functools import partial

from amaranth.hdl import C, Cat, ClockDomain, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden import BlockMacConfig

from .architectures import architecture_of
from .assembly import Assembly, ports_of
from .bit_heap import BitHeap
from .codebook import Codebook, CodebookRegisters, Codeword
from .compressor import Compressor
from .final_adder import FinalAdder
from .mac import Mac
from .truth_table import lookup, one_of

__all__ = ["BlockMac"]


class BlockMac(Assembly):
    """A MAC unit of a block format.

    Ports
    -----
    clk, rst, valid : in
        As those of `hdl.Mac`.
    first : in, 1
        With `valid`: a new sum, and a new block, start with these operands.
    last : in, 1
        With `valid`: a block ends with these operands; what comes next starts another.
    activations : in, activation bits x lanes
        Two's complement, or codes of the block format.
    weights : in, b x lanes
        Codes of the elements.
    selectors, activation_selectors : in, selector bits x `config.selectors`
        Numbers of codebooks, one for as many lanes as share it; where there are fewer lanes, one for all of them, which is
        given with each cycle's operands. Only where there are codebooks.
    scale, activation_scale : in
        With `last`: codes of the block's scales, with a sign where these have one; the second only where activations are in the
        block format.
    codebook_write, codebook_address, codebook_word : in
        With `codebook_write`, whatever `valid`: `codebook_word`, two's complement, is written to the place
        selector x 2^b + code, and counts from the next cycle on. Only where codebooks are writable.
    base : in
        With `last`: what is taken off the (sum of the) scales' exponents, counted from the least on; shifts go from there. Only
        where not all exponents are in reach; it stays what it is as long as a sum lasts.
    accumulator : out, `config.accumulator_bits`
        Two's complement, the sum of all blocks that have ended, `config.latency_cycles` edges after their last operands.
    exact : out, 1
        Nothing was left out of that sum: blocks whose scale is NaN or out of reach (`config.span`) are.

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

    def __init__(self, config: BlockMacConfig, *, parts: str | None = None) -> None:
        self.config = config
        self._held: dict[str, Value] = {}  # codebooks that are writable
        architecture_of(config.block_sum)
        super().__init__(ports_of(config), parts)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m, config = Module(), self.config
        m.domains.scaled = domain = ClockDomain(reset_less=True, local=True)  # the unit inside has one, too
        domain.clk = self.clk

        fresh, opening = Signal(name="fresh", init=1), Signal(name="opening")
        take, begins, done = Signal(name="take"), Signal(name="begins"), Signal(name="done")
        m.d.comb += [take.eq(self.valid & ~self.rst), begins.eq(self.first | fresh)]
        m.d.scaled += [
            fresh.eq(self.rst | Mux(self.valid, self.last, fresh)),
            opening.eq(Mux(take, self.first | (opening & ~begins), opening)),
            done.eq(take & self.last),
        ]
        if config.writable_codebooks:
            names = ("clk", "rst", "codebook_write", "codebook_address", "codebook_word")
            inputs = {name: getattr(self, name) for name in names}
            create = partial(CodebookRegisters, config)
            (self._held["codebooks"],) = self.place(m, "codebook_registers", "codebook_registers", create, inputs)
        inputs = {"clk": self.clk, "rst": self.rst, "valid": self.valid, "first": begins}
        inputs |= {"weights": self._factors(m), "activations": self._integers(m)}
        (block,) = self.place(m, "block", "block", lambda: Mac(config.block_sum, parts=self.name_of("block")), inputs)

        decoded = {name: getattr(self, name) for name in (*config.scale_ports, *(["base"] if config.base_bits else []))}
        meant = self.place(m, "scale_decoder", "scale_decoder", lambda: ScaleDecoder(config), decoded)
        registers = [Signal.like(one, name=f"{one.name}_1") for one in meant]
        m.d.scaled += [register.eq(one) for register, one in zip(registers, meant, strict=True)]
        shift, reached, *factor = registers

        due = Signal(name="due")
        m.d.comb += due.eq(done & reached & ~self.rst)
        operands = {"block": block, "due": due, "shift": shift, **dict(zip(("significand", "sign"), factor, strict=False))}
        (addend,) = self.place(m, "scaler", "scaler", lambda: Scaler(config, self.name_of("scaler")), operands)
        if config.pipeline:
            addend, done, opening, reached = self._registered(m, addend, done, opening, reached)
        keep, kept = Signal(name="keep"), Signal(len(self.accumulator), name="kept")
        m.d.comb += [keep.eq(~(self.rst | (done & opening))), kept.eq(self.accumulator & keep.replicate(len(kept)))]
        rows = {"row_0": kept, "row_1": addend}
        (total,) = self.place(m, "final_adder", "final_adder", lambda: FinalAdder(len(kept)), rows)
        m.d.scaled += [
            self.accumulator.eq(total),
            self.exact.eq(self.rst | Mux(done, (self.exact | opening) & reached, self.exact)),
        ]
        return m

    def _registered(self, m: Module, addend: Value, done: Value, opening: Value, reached: Value) -> tuple[Value, ...]:
        """What is added, whether that is so, opens a sum, and was in reach, an edge later; nothing is added in reset."""
        kept = Signal.like(addend, name="addend_1")
        later = [kept, *(Signal(name=name) for name in ("done_1", "opening_1", "reached_2"))]
        now = (addend, done & ~self.rst, opening, reached)
        m.d.scaled += [register.eq(one) for register, one in zip(later, now, strict=True)]
        counts, counted = Signal(name="counts"), Signal.like(kept, name="counted")
        added = Signal(self.config.accumulator_bits, name="added")
        m.d.comb += [counts.eq(~self.rst), counted.eq(kept & counts.replicate(len(kept))), added.eq(counted.as_signed())]
        return (added, *later[1:])

    def _factors(self, m: Module) -> Value:
        """The weights as the multipliers take them: codes, or integers that codebooks gave."""
        return self._codewords(m, "weight", self.weights, self.selectors) if self.config.selectors else self.weights

    def _integers(self, m: Module) -> Value:
        """The activations as two's complement integers."""
        config, decoded = self.config, []
        if not config.scaled_activations:
            return self.activations
        if config.selectors:
            return self._codewords(m, "activation", self.activations, self.activation_selectors)
        for i in range(config.lanes):
            inputs = {"code": self.activations.word_select(i, config.activation_bits)}
            decoded += self.place(m, "activation_decoder", f"activation_decoder_{i}", lambda: ElementDecoder(config), inputs)
        return Cat(decoded)

    def _codewords(self, m: Module, operand: str, codes: Value, selectors: Value) -> Value:
        """The codewords of all lanes of an operand."""
        config, decoded = self.config, []
        for i in range(config.selectors):
            inputs = self._held | {"selector": selectors.word_select(i, config.blocks.selector_bits)}
            decoded += self.place(m, "codebook", f"{operand}_codebook_{i}", lambda: Codebook(config), inputs)
        values = []
        for i in range(config.lanes):
            codebook = decoded[i * config.selectors // config.lanes]
            inputs = {"code": codes.word_select(i, config.blocks.bits), "codewords": codebook}
            values += self.place(m, "codeword", f"{operand}_{i}", lambda: Codeword(config), inputs)
        return Cat(values)


class ElementDecoder(wiring.Component):
    """The value of an element's code: `code` (in), `value` (out), two's complement, in units."""

    def __init__(self, config: BlockMacConfig) -> None:
        self._values = config.weight_format.values
        super().__init__({"code": In(config.weight_format.bits), "value": Out(config.operand_bits)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m, bits = Module(), len(self.value)
        m.d.comb += self.value.eq(lookup(self.code, [value % (1 << bits) for value in self._values]))
        return m


class ScaleDecoder(wiring.Component):
    """What scales mean for a block's sum.

    Ports: `scale`, `activation_scale`, `base` (in), those that there are; `shift` (out); `reached` (out), whether the shift is
    one that there is, and no scale is NaN; `significand` (out), the product of the scales', where they have a mantissa, without
    its `sign` (out), where they have one.
    """

    def __init__(self, config: BlockMacConfig) -> None:
        assert config.span is not None
        self._config = config
        self._names = config.scale_ports
        ports = {name: In(config.scale_bits) for name in self._names}
        if config.base_bits:
            ports["base"] = In(config.base_bits)
        ports |= {"shift": Out(max(1, config.span.bit_length())), "reached": Out(1)}
        mantissa = config.blocks.scales.mantissa_bits
        if mantissa:
            ports["significand"] = Out((mantissa + 1) * config.scale_factors)
        if config.blocks.scales.negative:
            ports["sign"] = Out(1)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m, span, mantissa = Module(), self._config.span, self._config.blocks.scales.mantissa_bits
        assert span is not None
        codes = [getattr(self, name) for name in self._names]
        if self._config.blocks.scales.negative:
            m.d.comb += self.sign.eq(Cat(code[-1] for code in codes).xor())
            codes = [code[:-1] for code in codes]
        numbers, exponent, significand = ~codes[0].all(), Value.cast(0), Value.cast(1)
        for i, code in enumerate(codes):
            numbers = numbers & ~code.all() if i else numbers
            field: Value = code[mantissa:]
            if mantissa:  # subnormals have the exponent of the least normal numbers
                normal = Signal(name=f"normal_{i}")
                m.d.comb += normal.eq(field.any())
                significand = significand * Cat(code[:mantissa], normal) if i else Cat(code[:mantissa], normal)
                field = (field - normal)[: len(field)]
            exponent = exponent + field if i else field
        if self._config.base_bits:
            over = Signal(signed(len(self.base) + 1), name="over")
            m.d.comb += over.eq(exponent - self.base)
            numbers = numbers & one_of(over, range(span + 1))  # of those below zero, the highest bit is one
            exponent = over
        m.d.comb += [self.shift.eq(exponent), self.reached.eq(numbers)]
        if mantissa:
            m.d.comb += self.significand.eq(significand)
        return m


class Scaler(Assembly):
    """A block's sum times its significand, shifted; zero where it is not `due`.

    The product is an array of and gates and full adders, as those of the elements; one addition propagates carries. A negative
    one is -b x s = ~b x s + s: the block inverted, and the significand a row more.

    Ports: `block` (in), two's complement; `due`, `shift`, `significand`, `sign` (in), the third where scales have a mantissa,
    the last where they have a sign; `addend` (out), as wide as what takes it.
    """

    def __init__(self, config: BlockMacConfig, parts: str | None) -> None:
        assert config.span is not None
        ports = {"block": In(config.block_sum.accumulator_bits), "due": In(1), "shift": In(max(1, config.span.bit_length()))}
        self._mantissa = config.blocks.scales.mantissa_bits
        if self._mantissa:
            ports["significand"] = In((self._mantissa + 1) * config.scale_factors)
        if config.blocks.scales.negative:
            ports["sign"] = In(1)
        self._signed = config.blocks.scales.negative
        super().__init__({**ports, "addend": Out(config.addend_bits)}, parts)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        # What is not due is made zero where that takes the fewest gates.
        gated = self.significand if self._mantissa else self.block
        used = Signal(len(gated), name="used")
        m.d.comb += used.eq(gated & self.due.replicate(len(gated)))
        number: Value = self._product(m, used) if self._mantissa else used
        for i, far in enumerate(self.shift):  # the smallest shifts first, of few places
            places = 1 << i
            shifted = Signal(min(len(number) + places, len(self.addend)), name=f"shifted_{places}")
            m.d.comb += shifted.eq(Mux(far, Cat(C(0, places), number), Cat(number, number[-1].replicate(places))))
            number = shifted
        m.d.comb += self.addend.eq(number.as_signed())
        return m

    def _product(self, m: Module, significand: Value) -> Signal:
        """`block`, or its opposite, times a number without a sign (Baugh and Wooley, of which one operand has none)."""
        heap, top = BitHeap(), len(self.block) - 1
        block = self.block
        if self._signed:
            block = Signal(len(self.block), name="turned")
            m.d.comb += block.eq(self.block ^ self.sign.replicate(len(self.block)))
        for i in range(len(significand)):
            row = Signal(len(block), name=f"row_{i}")
            m.d.comb += row.eq(block & significand[i].replicate(len(block)))
            for j in range(len(block)):
                (heap.subtract if j == top else heap.add)(i + j, row[j], 1)
            if self._signed:
                heap.add(i, significand[i] & self.sign, 0)
        columns, arrivals = ([getattr(bit, name) for bit in heap.bits] for name in ("column", "arrival"))
        width, cells = len(self.block) + len(significand), self.for_verilog

        def compressor() -> Compressor:
            return Compressor(width, columns, arrivals, heap.constant, cells=cells)

        row_0, row_1 = self.place(m, "compressor", "compressor", compressor, {"bits": Cat(bit.value for bit in heap.bits)})
        rows = {"row_0": row_0, "row_1": row_1}
        (product,) = self.place(m, "final_adder", "final_adder", lambda: FinalAdder(width), rows)
        return product
