# SPDX-License-Identifier: Apache-2.0
"""Proofs of codebooks, fixed and written: they hold for what is generated, and every one fails where its property is broken."""

from __future__ import annotations

import pytest

from golden import CODEBOOK_FORMATS, BlockMacConfig, ToolError
from synth.block_proof import codewords, left_open
from synth.proof import Refuted, every_cycle, no_overflow
from tests.golden.test_block_mac import THREE
from tests.synth.test_block_proof import IN_CODEBOOKS, IN_CODEBOOKS_OF_16, broken, verilog

WRITTEN = BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], 4, lanes=2, writable_codebooks=True)
WRITTEN_THREE = BlockMacConfig.of(THREE, 4, lanes=2, writable_codebooks=True)


@pytest.mark.parametrize("config", [IN_CODEBOOKS, IN_CODEBOOKS_OF_16], ids=lambda one: one.name)
def test_every_codeword(config: BlockMacConfig) -> None:
    operands = 1 + config.scaled_activations
    assert codewords(config, verilog(config)) == operands * config.lanes * len(config.blocks.elements) * 16


@pytest.mark.parametrize("config", [WRITTEN, WRITTEN_THREE], ids=lambda one: one.blocks.name)
def test_codebooks_that_are_written(config: BlockMacConfig) -> None:
    """Three leave an address and a selector without a codebook."""
    assert every_cycle(config, verilog(config)) > 500
    assert codewords(config, verilog(config)) == 2 * 2 * len(config.blocks.elements) * 16
    assert no_overflow(config) > 500
    assert set(left_open(config, verilog(config))) == {"scales", "scaled sums"}


WRITE_FAULTS = {
    "reset forgets a word": (r"rst \? 6'h3b", "rst ? 6'h3a", "a wrong codebook_registers.word_7 with"),
    "a place that reset spares": (r"rst \? 6'h3b", "rst ? word_7", "a wrong codebook_registers.word_7 with"),
    "always written": (r"codebook_write & (_\w+_)", r"\1", "a wrong codebook_registers.word_0 with"),
    "at two places": (r"~ codebook_address\[4\]", "1'h1", "a wrong codebook_registers.word_0 with"),
    "a bit stays": (
        r"codebook_word : word_7",
        "{codebook_word[5:1], word_7[0]} : word_7",
        "wrong codebook_registers.word_7 with",
    ),
}


@pytest.mark.parametrize("fault", WRITE_FAULTS)
def test_a_codebook_that_is_written_wrongly_is_refuted(fault: str) -> None:
    pattern, by, message = WRITE_FAULTS[fault]
    with pytest.raises(Refuted, match=message):
        every_cycle(WRITTEN, broken(verilog(WRITTEN), pattern, by))


def test_a_codeword_of_another_register_is_refuted() -> None:
    text = broken(verilog(WRITTEN), r"assign codebooks = \{ word_31, word_30,", "assign codebooks = { word_30, word_31,")
    with pytest.raises(Refuted, match="lane 0: codebook 1, code 14: the weight is not what register 30 holds"):
        codewords(WRITTEN, text)
    text = broken(verilog(WRITTEN), r"\.code\(weights\[7:4\]\)", ".code({weights[6], weights[7], weights[5:4]})")
    with pytest.raises(Refuted, match="lane 1: codebook 0, code 4: the weight is not what register 4 holds"):
        codewords(WRITTEN, text)


CODEWORD_FAULTS = {
    "a codeword": (r"6'h34", "6'h35", "lane 0: codebook 0, code 4: the weight is not -12"),
    "codebooks exchanged": (
        r"selector \? 6'h21 : 6'h22",
        "selector ? 6'h22 : 6'h21",
        "codebook 0, code 0: the weight is not -30",
    ),
    "a bit of a code": (r"assign value = code\[3\] \?", "assign value = code[2] ?", "codebook 0, code 4: the weight is not"),
    "bits of a code exchanged": (
        r"\.code\(activations\[7:4\]\)",
        ".code({activations[6], activations[7], activations[5:4]})",
        "lane 1: codebook 0, code 4: the activation is not -12",
    ),
}


@pytest.mark.parametrize("fault", CODEWORD_FAULTS)
def test_a_broken_codebook_is_refuted(fault: str) -> None:
    pattern, by, message = CODEWORD_FAULTS[fault]
    with pytest.raises(Refuted, match=message):
        codewords(IN_CODEBOOKS, broken(verilog(IN_CODEBOOKS), pattern, by))


def test_what_depends_on_more_is_no_proof() -> None:
    text = verilog(IN_CODEBOOKS)
    own = r"weight_1_value depends on more than weights\[4\], weights\[5\], weights\[6\], weights\[7\], selectors\[0\]"
    with pytest.raises(ToolError, match=own):
        codewords(IN_CODEBOOKS, broken(text, r"\.code\(weights\[7:4\]\)", ".code(weights[3:0])"))
    with pytest.raises(ToolError, match=r"activation_8_value depends on more than .*, activation_selectors\[1\]$"):
        codewords(IN_CODEBOOKS, broken(text, r"\.selector\(activation_selectors\[1\]\)", ".selector(activation_selectors[0])"))
