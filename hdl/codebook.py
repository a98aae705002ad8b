# SPDX-License-Identifier: Apache-2.0
"""From a selector and codes to integers: a codebook for all lanes that share the selector, a codeword for each lane.

    codebooks, selector ─► codebook: 2^b codewords ─┬─► codeword of lane 0 ◄─ code
                                                    ├─► codeword of lane 1 ◄─ code
                                                    └─► ...

The first multiplexers are shared, so that a lane has those of 2^b codewords alone, however many codebooks there are. A decoder
of its own in each lane takes more gates: with 8 codebooks of 16 codewords and 8 lanes 29 % more, as sums of products 64 % more.
So does one that makes select lines of digits at once, which are more than the bits of a codeword (`docs/block-formats.md`).
"""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden import BlockMacConfig

from .truth_table import lookup

__all__ = ["Codebook", "Codeword"]


class Codebook(wiring.Component):
    """The codebook that is selected.

    Ports: `selector` (in); `codewords` (out), by code, the first in the lowest bits, two's complement.
    """

    def __init__(self, config: BlockMacConfig) -> None:
        self._config = config
        codewords = config.value_bits << config.blocks.bits
        super().__init__({"selector": In(config.blocks.selector_bits), "codewords": Out(codewords)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m, bits = Module(), self._config.value_bits
        columns = zip(*(one.values for one in self._config.blocks.elements), strict=True)
        m.d.comb += self.codewords.eq(Cat(lookup(self.selector, [C(one, signed(bits)) for one in column]) for column in columns))
        return m


class Codeword(wiring.Component):
    """A codeword of the selected codebook: `code`, `codewords` (in), `value` (out), two's complement."""

    def __init__(self, config: BlockMacConfig) -> None:
        bits = config.value_bits
        super().__init__({"code": In(config.blocks.bits), "codewords": In(bits << config.blocks.bits), "value": Out(bits)})

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m, bits = Module(), len(self.value)
        m.d.comb += self.value.eq(lookup(self.code, [self.codewords.word_select(code, bits) for code in range(1 << len(self.code))]))
        return m
