# SPDX-License-Identifier: Apache-2.0
"""From a selector and codes to integers: a codebook for all lanes that share the selector, a codeword for each lane.

    codebooks, selector ─► codebook: 2^b codewords ─┬─► codeword of lane 0 ◄─ code
                                                    ├─► codeword of lane 1 ◄─ code
                                                    └─► ...

The first multiplexers are shared, so that a lane has those of 2^b codewords alone, however many codebooks there are. A decoder
of its own in each lane takes more gates: with 8 codebooks of 16 codewords and 8 lanes 29 % more, as sums of products 64 % more.
So does one that makes select lines of digits at once, which are more than the bits of a codeword (`docs/block-formats.md`).

With codebooks that are writable, those of all lanes are in one set of registers.
"""

from __future__ import annotations

from amaranth.hdl import C, Cat, ClockDomain, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden import BlockMacConfig

from .truth_table import lookup, one_of

__all__ = ["Codebook", "CodebookRegisters", "Codeword"]


class Codebook(wiring.Component):
    """The codebook that is selected.

    Ports: `selector` (in); `codebooks` (in), all of them, only where they are writable; `codewords` (out), by code, the first
    in the lowest bits, two's complement.
    """

    def __init__(self, config: BlockMacConfig) -> None:
        self._config = config
        codewords = config.value_bits << config.blocks.bits
        ports = {"selector": In(config.blocks.selector_bits), "codewords": Out(codewords)}
        if config.writable_codebooks:
            ports["codebooks"] = In(codewords * len(config.blocks.elements))
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m, bits, count = Module(), self._config.value_bits, len(self._config.blocks.elements)
        if self._config.writable_codebooks:
            held = [self.codebooks.word_select(i, len(self.codewords)) for i in range(count)]
            m.d.comb += self.codewords.eq(lookup(self.selector, held))
            return m
        tables = [[C(value, signed(bits)) for value in one.values] for one in self._config.blocks.elements]
        m.d.comb += self.codewords.eq(Cat(lookup(self.selector, column) for column in zip(*tables, strict=True)))
        return m


class Codeword(wiring.Component):
    """A codeword of the selected codebook: `code`, `codewords` (in), `value` (out), two's complement."""

    def __init__(self, config: BlockMacConfig) -> None:
        bits = config.value_bits
        super().__init__({"code": In(config.blocks.bits), "codewords": In(bits << config.blocks.bits), "value": Out(bits)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m, bits = Module(), len(self.value)
        m.d.comb += self.value.eq(
            lookup(self.code, [self.codewords.word_select(code, bits) for code in range(1 << len(self.code))])
        )
        return m


class CodebookRegisters(wiring.Component):
    """All codebooks in registers, a word of which is written with a rising edge; `rst` puts the format's there.

    Ports: `clk`, `rst`, `codebook_write`, `codebook_address`, `codebook_word` (in); `codebooks` (out), the first in the lowest
    bits.
    """

    def __init__(self, config: BlockMacConfig) -> None:
        self._config = config
        codes, bits = config.blocks.codewords, config.value_bits
        ports = {"clk": In(1), "rst": In(1), "codebook_write": In(1), "codebook_word": In(bits)}
        ports |= {"codebook_address": In(config.blocks.selector_bits + config.blocks.bits), "codebooks": Out(bits * codes)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m, bits, words = Module(), self._config.value_bits, []
        m.domains.sync = domain = ClockDomain(reset_less=True, local=True)
        domain.clk = self.clk
        for place, value in enumerate(value for one in self._config.blocks.elements for value in one.values):
            word = Signal(bits, name=f"word_{place}", init=value % (1 << bits))
            written = self.codebook_write & one_of(self.codebook_address, [place])
            m.d.sync += word.eq(Mux(self.rst, word.init, Mux(written, self.codebook_word, word)))
            words.append(word)
        m.d.comb += self.codebooks.eq(Cat(words))
        return m
