# SPDX-License-Identifier: Apache-2.0
"""Proofs of units of block formats: they hold for what is generated, and every one fails where its property is broken."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache

import pytest

from golden import (
    CODEBOOK_FORMATS,
    GROUP_FORMATS,
    INT4,
    MXFP4,
    NVFP4,
    SCALED_FORMATS,
    SIGNED_E4M3,
    BlockFormat,
    BlockMacConfig,
    ToolError,
)
from hdl.verilog import generate
from synth import block_proof, proof
from synth.block_proof import left_open, scaled_sums, scales
from synth.gates import Instance, Network
from synth.proof import Refuted, every_cycle, no_overflow
from synth.specification import transitions

verilog = cache(generate)

UNITS = [BlockMacConfig.of(one, bits, lanes=2) for one in (MXFP4, NVFP4) for bits in (8, 4)]
IN_SCALES = UNITS[3]  # NVFP4 x NVFP4
IN_BASES = UNITS[0]
IN_REGISTERS = BlockMacConfig.of(NVFP4, 4, lanes=2, pipeline=1)
IN_GROUPS = BlockMacConfig.of(GROUP_FORMATS["dint4_g32"], 4, lanes=2)
IN_CODEBOOKS = BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], 4, lanes=16)  # eight lanes share a selector
IN_CODEBOOKS_OF_16 = BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c16_g64"], lanes=2)
OTHERS = [
    IN_REGISTERS,
    IN_GROUPS,
    BlockMacConfig.of(GROUP_FORMATS["int4_g128"], lanes=4),
    IN_CODEBOOKS,
    IN_CODEBOOKS_OF_16,
]


#: Scales of either sign, in blocks that are short, so that all sums of one are soon tried.
SIGNED = BlockFormat("signed", "Signed", (INT4,), 2, SIGNED_E4M3, Fraction(8), tensor_scale=True)
OF_EITHER_SIGN = [BlockMacConfig.of(SIGNED, bits, lanes=2) for bits in (8, 4)]


def broken(text: str, pattern: str, by: str) -> str:
    result, count = re.subn(pattern, by, text, count=1)
    assert count, pattern
    return result


@pytest.mark.parametrize(
    "config",
    [*UNITS, BlockMacConfig.of(NVFP4, 4, lanes=16, architecture="direct-grid-fast"), *OTHERS],
    ids=lambda one: one.name,
)
def test_every_unit_is_right_in_every_cycle(config: BlockMacConfig) -> None:
    assert every_cycle(config, verilog(config)) > 500


@pytest.mark.parametrize("config", [*UNITS, IN_REGISTERS, IN_GROUPS], ids=lambda one: one.name)
def test_every_scale_and_every_sum_of_a_block(config: BlockMacConfig) -> None:
    """All but the 2^25 scales and bases of MXFP4 x MXFP4, which take ten seconds."""
    bits = config.scale_bits * config.scale_factors + config.base_bits
    if bits <= 16:
        assert scales(config, verilog(config)) == 1 << bits
    significands = 1 if config.blocks is MXFP4 else 16**config.scale_factors << config.blocks.scales.negative
    states = significands << config.block_sum.accumulator_bits
    assert scaled_sums(config, verilog(config)) == states * ((config.span or 0) + 1)


SAME = [
    IN_SCALES,
    IN_SCALES.varied(lanes=16),
    IN_SCALES.varied(architecture="baugh-wooley-fast"),
]


def test_what_is_left_open_is_told_by_its_structure() -> None:
    """Not by lanes or architecture; but by any gate, or by what it is to mean."""
    (digests,) = {tuple(sorted(left_open(one, verilog(one)).items())) for one in SAME}
    text = verilog(IN_SCALES)
    for fault in ("NaN is a number", "a significand's first bit"):
        _, _, pattern, by = SCALE_FAULTS[fault]
        other = left_open(IN_SCALES, broken(text, pattern, by))
        assert [other[name] == digest for name, digest in digests] == [True, False]  # scaled sums, scales
    for fault in ("the sign", "a shift cut", "a factor"):
        pattern, by, _ = SUM_FAULTS[fault]
        other = left_open(IN_SCALES, broken(text, pattern, by))
        assert [other[name] == digest for name, digest in digests] == [False, True]
    assert left_open(IN_REGISTERS, verilog(IN_REGISTERS))["scaled sums"] != dict(digests)["scaled sums"]


def test_structures_tell_operands_apart() -> None:
    """a + 2 b is not a + b, though the same bits are read."""
    parts = []
    for pins in ({"A": (2,), "B": (0, 3)}, {"A": (2, 0), "B": (3,)}):
        adder = Instance("$add", "adder", {**pins, "Y": (4, 5)})
        parts.append(Network("top", {"a": (2,), "b": (3,)}, {"y": (4, 5)}, (), {}, (adder,)))
    one, other = (block_proof._structure({"top": network}, "top") for network in parts)
    assert one != other


def test_a_specification_with_gaps_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an output nor a register may be passed over."""
    whole = list(transitions(IN_SCALES))
    for left_out, message in (
        ("exact", "nothing is claimed of exact"),
        ("opening", "nothing is claimed of 1 bits of registers"),
    ):
        some = [claim for claim in whole if claim.register != left_out]
        assert len(some) == len(whole) - 1
        monkeypatch.setattr(proof, "transitions", lambda _, some=some: some)
        with pytest.raises(ToolError, match=message):
            every_cycle(IN_SCALES, verilog(IN_SCALES))


def test_what_stands_elsewhere_is_not_left_open() -> None:
    text = verilog(IN_SCALES)
    for pattern, by, message in (
        (
            r"\.shift\(scale_decoder_shift_1\)",
            ".shift(scale_decoder_shift_1 ^ {5{last}})",
            "shift of the scaler is not scale_decoder_shift_1",
        ),
        (r"\.scale\(scale\)", ".scale(activation_scale)", "scale of the scale_decoder is not scale"),
        (r"(assign due = \w+) & \w+;", r"\1;", "due at another time"),
    ):
        with pytest.raises(Refuted, match=message):
            left_open(IN_SCALES, broken(text, pattern, by))


@pytest.mark.parametrize("config", OF_EITHER_SIGN, ids=lambda one: one.name)
def test_scales_of_either_sign(config: BlockMacConfig) -> None:
    """The least sum of a block among all, whose opposite its bits do not hold."""
    text = verilog(config)
    assert every_cycle(config, text) > 100
    assert scales(config, text) == 1 << 8 * config.scale_factors
    significand_bits = 4 * config.scale_factors
    assert scaled_sums(config, text) == (2 << significand_bits + config.block_sum.accumulator_bits) * (config.exponents + 1)
    assert no_overflow(config) > 256


SIGN_FAULTS = {
    "a sign ignored": (scales, r"assign sign = .*;", "assign sign = scale[7];", r"scales \[.*\], base 0: a sign that is not"),
    "a sign that makes NaN": (scales, r"(assign reached = ).*;", r"\1 ~& scale;", "a reached that is not"),
    "a block that is not turned": (scaled_sums, r"assign turned = .*;", "assign turned = block;", "scaled wrongly"),
    "no row more": (scaled_sums, r"used\[0\] & sign\b", "1'b0", "scaled wrongly"),
}


@pytest.mark.parametrize("fault", SIGN_FAULTS)
def test_a_wrong_sign_is_refuted(fault: str) -> None:
    show, pattern, by, message = SIGN_FAULTS[fault]
    config = OF_EITHER_SIGN[1]
    with pytest.raises(Refuted, match=message):
        show(config, broken(verilog(config), pattern, by))


CYCLE_FAULTS = {
    "a block never begins": ("fresh", r"\bfresh <= \w+;", "fresh <= 1'b0;"),
    "an older sum forgotten": ("opening", r"\bopening <= \w+;", "opening <= first;"),
    "last without valid": ("done", r"\bdone <= \w+;", "done <= last;"),
    "what was left out forgotten": ("exact", r"\bexact <= \w+;", "exact <= scale_decoder_reached_1;"),
    "blocks run into each other": ("block.accumulator", r"\.first\(begins\)", ".first(first)"),
    "two lanes with one activation": (
        "block.accumulator",
        r"\.code\(activations\[7:4\]\)",
        ".code(activations[3:0])",
    ),
    "an element's value": ("block.accumulator", r"5'h14", "5'h15"),
    "a sum that goes on forever": ("accumulator", r"\{60\{keep\}\}", "{60{1'b1}}"),
    "a bit not added": ("accumulator", r"\.row_1\(scaler_addend\)", ".row_1({ scaler_addend[48:1], 1'b0 })"),
    "a shift never taken": ("scale_decoder_shift_1", r"(shift_1 <= )scale_decoder_shift;", r"\1 5'h0;"),
    "a significand held": ("scale_decoder_significand_1", r"(significand_1 <= )\w+;", r"\1 scale_decoder_significand_1;"),
}


@pytest.mark.parametrize("fault", CYCLE_FAULTS)
def test_a_broken_unit_is_refuted(fault: str) -> None:
    register, pattern, by = CYCLE_FAULTS[fault]
    with pytest.raises(Refuted, match=f"a wrong {register} with"):
        every_cycle(IN_SCALES, broken(verilog(IN_SCALES), pattern, by))


REGISTERED_FAULTS = {
    "added in reset": ("accumulator", r"addend_1 & \{49\{counts\}\}", "addend_1"),
    "a sign that is not": ("accumulator", r"\{11\{counted\[48\]\}\}", "11'h0"),
    "a block that a reset leaves": ("done_1", r"\bdone_1 <= \w+;", "done_1 <= done;"),
    "a sum that begins too soon": ("opening_1", r"\bopening_1 <= \w+;", "opening_1 <= opening | first;"),
    "a reach too early": ("exact", r"& reached_2;", "& (reached_2 | scale_decoder_reached_1);"),
    "a bit not kept": ("addend_1", r"\baddend_1 <= [^;]*;", "addend_1 <= { scaler_addend[48:1], 1'b0 };"),
}


@pytest.mark.parametrize("fault", REGISTERED_FAULTS)
def test_a_broken_pipeline_register_is_refuted(fault: str) -> None:
    register, pattern, by = REGISTERED_FAULTS[fault]
    with pytest.raises(Refuted, match=f"a wrong {register} with"):
        every_cycle(IN_REGISTERS, broken(verilog(IN_REGISTERS), pattern, by))


BLOCK_FAULTS = {
    "a block never begins": ("fresh", r"\bfresh <= \w+;", "fresh <= 1'b0;"),
    "blocks run into each other": ("block.accumulator", r"\.first\(begins\)", ".first(first)"),
    "not reset": (
        "block.accumulator",
        r"= rst \| (\w+);(?=\n  assign keep = ~ \w+;\n(  assign taken .*\n)?  mac_\w+_block_compressor)",
        r"= \1;",
    ),
    "a sum that goes on forever": ("accumulator", r"\{6\d\{keep\}\}", "{64{1'b1}}"),
}
OWN_FAULTS = {
    "a lost carry": (IN_GROUPS, r"\.c\(carry_5_\d+\)", ".c(1'b0)"),
    "an element's value": (IN_GROUPS, r"5'h1f : 5'h01", "5'h1f : 5'h02"),
    "zeros that are not": (IN_GROUPS, r"take \? weights : 8'h00", "weights"),
    "codewords when not valid": (IN_CODEBOOKS, r"take \? final_adder_total : kept", "final_adder_total"),
    "two lanes with one codeword": (IN_CODEBOOKS, r"weight_1_value, weight_0_value \}", "weight_0_value, weight_0_value }"),
    "operands exchanged": (IN_CODEBOOKS, r"weight_1_value, weight_0_value \}", "weight_1_value, activation_0_value }"),
}


@pytest.mark.parametrize("config", [IN_GROUPS, IN_CODEBOOKS], ids=lambda one: one.name)
@pytest.mark.parametrize("fault", BLOCK_FAULTS)
def test_a_broken_unit_of_groups_or_codebooks_is_refuted(config: BlockMacConfig, fault: str) -> None:
    register, pattern, by = BLOCK_FAULTS[fault]
    with pytest.raises(Refuted, match=f"a wrong {register} with"):
        every_cycle(config, broken(verilog(config), pattern, by))


@pytest.mark.parametrize("fault", OWN_FAULTS)
def test_a_block_that_is_summed_wrongly_is_refuted(fault: str) -> None:
    config, pattern, by = OWN_FAULTS[fault]
    with pytest.raises(Refuted, match=r"a wrong block\.accumulator with"):
        every_cycle(config, broken(verilog(config), pattern, by))


SCALE_FAULTS = {
    "NaN is a number": (IN_SCALES, "reached", r"assign reached = .*;", "assign reached = 1'b1;"),
    "subnormals are normal": (IN_SCALES, "shift", r"assign normal_1 = .*;", "assign normal_1 = 1'b1;"),
    "a significand's first bit": (IN_SCALES, "significand", r"\{ normal_0, scale\[2:0\] \}", "{ 1'b0, scale[2:0] }"),
    "base ignored": (IN_BASES, "reached", r"\.base\(base\)", ".base(8'h00)"),
    "one scale for both": (IN_SCALES, "reached", r"\.activation_scale\(activation_scale\)", ".activation_scale(scale)"),
}


@pytest.mark.parametrize("fault", SCALE_FAULTS)
def test_a_broken_decoder_of_scales_is_refuted(fault: str) -> None:
    config, what, pattern, by = SCALE_FAULTS[fault]
    with pytest.raises(Refuted, match=rf"scales \[.*\], base \d+: a {what} that is not"):
        scales(config, broken(verilog(config), pattern, by))


SUM_FAULTS = {
    "the sign": (r"\{ final_adder_total\[\d+\], final_adder_total \}", "{ 1'h0, final_adder_total }", "scaled wrongly"),
    "a shift cut": (r"shift\[4\] \?", "1'h0 ?", "shifted by 16, due: scaled wrongly"),
    "added when none is due": (
        r"(assign used = significand & )\{8\{due\}\};",
        r"\1{ {7{due}}, 1'b1 };",
        "shifted by 0, not due: scaled wrongly",
    ),
    "a factor": (r"\{13\{used\[7\]\}\}", "{13{used[6]}}", "scaled wrongly"),
    "in reset": (r"(assign due = \w+) & \w+;", r"\1;", "due at another time"),
    "out of reach": (r"(= done) & scale_decoder_reached_1;", r"\1;", "due at another time"),
}


@pytest.mark.parametrize("fault", SUM_FAULTS)
def test_a_block_that_is_scaled_wrongly_is_refuted(fault: str) -> None:
    pattern, by, message = SUM_FAULTS[fault]
    with pytest.raises(Refuted, match=message):
        scaled_sums(IN_SCALES, broken(verilog(IN_SCALES), pattern, by))


def test_what_depends_on_more_is_no_proof() -> None:
    """Trying all there is would say nothing if something else had a part in it."""
    text = verilog(IN_SCALES)
    with pytest.raises(ToolError, match="scaler_addend depends on more than"):
        scaled_sums(IN_SCALES, broken(text, r"\.shift\(scale_decoder_shift_1\)", ".shift(scale_decoder_shift_1 ^ {5{last}})"))
    with pytest.raises(ToolError, match=r"depends on more than scale, activation_scale$"):
        scales(IN_SCALES, broken(text, r"\.scale\(scale\)", r".scale(scale ^ {7{valid}})"))
    with pytest.raises(ToolError, match="there is no wire called due"):
        scaled_sums(IN_SCALES, re.sub(r"\bdue\b", "now", text))


@pytest.mark.parametrize(
    "config",
    [IN_BASES, *UNITS[2:], *(BlockMacConfig.of(one, 4) for one in SCALED_FORMATS.values() if one not in (MXFP4, NVFP4))],
    ids=lambda one: one.name,
)
@pytest.mark.parametrize("depth", [65536, 128])
def test_no_overflow(config: BlockMacConfig, depth: int) -> None:
    """Of the sum of a block, and of all blocks; each with a bit more or less is refuted."""
    config = config.varied(depth=depth)
    assert no_overflow(config) > 256
    for more, message in ((-1, "beyond"), (1, "bits are too many")):
        with pytest.raises(Refuted, match=rf"{config.blocks.block} products reach .*{message}"):
            no_overflow(config, more)


@pytest.mark.parametrize("config", UNITS[2:], ids=lambda one: one.name)
@pytest.mark.parametrize(("more", "message"), [(-1, "beyond"), (1, "bits are too many")])
def test_an_accumulator_of_another_width_is_refuted(
    config: BlockMacConfig, more: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = config.accumulator_bits
    monkeypatch.setattr(BlockMacConfig, "accumulator_bits", property(lambda _: right + more))
    with pytest.raises(Refuted, match=rf"65536 scaled products reach .*{message}"):
        no_overflow(config)


class Narrow(BlockMacConfig):
    """A pipeline register with a bit too few."""

    @property
    def addend_bits(self) -> int:
        return super().addend_bits - 1


@pytest.mark.parametrize("block_format", [NVFP4, MXFP4, GROUP_FORMATS["dint4_g32"]], ids=lambda one: one.name)
def test_a_pipeline_register_that_is_too_narrow_is_refuted(block_format: BlockFormat) -> None:
    no_overflow(BlockMacConfig.of(block_format, pipeline=1))
    with pytest.raises(Refuted, match=r"1 scaled sum of a block reach from .* beyond"):
        no_overflow(Narrow.of(block_format, pipeline=1))


def test_what_is_out_of_reach_adds_nothing_whatever_its_shift() -> None:
    """NVFP4's shifts end at 14; the register of NaN's may hold 15."""
    config = BlockMacConfig.of(NVFP4)
    leaking = broken(verilog(config), r"assign addend = (.*);", r"assign addend = (& shift & ~ due) ? 46'h1 : \1;")
    with pytest.raises(Refuted, match="shifted by 15, not due: scaled wrongly"):
        scaled_sums(config, leaking)


def test_what_is_tried_is_what_the_sum_takes() -> None:
    """Of two wires, one is what the scaler shows and what is added, the other has the name by which the scaler is tried."""
    text = broken(verilog(IN_SCALES), r"\.addend\(scaler_addend\)", ".addend(other)")
    text = broken(text, r"\.row_1\(scaler_addend\)", ".row_1(other)")
    bits = IN_SCALES.accumulator_bits
    wires = f"wire [{bits - 1}:0] other;\n  assign scaler_addend = ~ other;\n"
    text = broken(text, r"  assign take = ", rf"  {wires}  assign take = ")
    with pytest.raises(Refuted, match="scaler_addend is not what the instance of that name shows"):
        every_cycle(IN_SCALES, text)
