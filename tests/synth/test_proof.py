# SPDX-License-Identifier: Apache-2.0
"""Proofs of MAC units: they hold for what is generated, and every one fails where its property is broken."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from golden import (
    DINT3,
    DINT4,
    FORMATS,
    INT4,
    INT8,
    MXFP4,
    AsymmetricConfig,
    BlockMacConfig,
    InputError,
    MacConfig,
    NumberFormat,
    PeConfig,
    UnitConfig,
)
from golden.errors import ToolError
from hdl.verilog import generate
from synth import algebra, liberty_text, yosys
from synth.pdk import find
from synth.proof import Refuted, every_cycle, from_reset, netlist, no_overflow, products
from synth.recipe import Recipe
from synth.specification import transitions

verilog = cache(generate)

UNITS = [
    *(MacConfig(number_format, lanes=2) for number_format in FORMATS.values()),
    MacConfig(INT8, architecture="sign-magnitude-fast", pipeline=1),
    MacConfig(INT8, lanes=2, architecture="baugh-wooley", pipeline=2),
    MacConfig(DINT4, lanes=2, architecture="direct-grid", pipeline=1, decoded=True),
    MacConfig(DINT4, architecture="multiply"),
]
OTHERS = [
    PeConfig(INT8),
    PeConfig(DINT4),
    PeConfig(INT8, decoded=True),
    PeConfig(INT8, pipeline=1),
    PeConfig(DINT4, decoded=True, pipeline=1),
    AsymmetricConfig(INT8, units=2),
    AsymmetricConfig(DINT3, lanes=2, units=3, pipeline=1),
]


def name(config: UnitConfig) -> str:
    return config.name


@pytest.mark.parametrize("config", [*UNITS, *OTHERS], ids=name)
def test_every_unit_is_right_in_every_cycle(config: UnitConfig) -> None:
    claimed = [claim.becomes for claim in transitions(config)]
    assert every_cycle(config, verilog(config)) >= sum(len(form) for form in claimed if form) > 0
    if isinstance(config, MacConfig) and not config.pipeline:
        bits = config.weight_format.bits + 8
        assert products(config, verilog(config)) == config.lanes << bits


def broken(text: str, pattern: str, by: str) -> str:
    result, count = re.subn(pattern, by, text, count=1)
    assert count, pattern
    return result


FAULTS = {
    "decoder": (r"assign low_times_4 = (\S+) & ", r"assign low_times_4 = \1 | "),
    "row": (r"(assign high_inverse = )~ ", r"\1"),
    "wrong column": (r"\.a\(bits\[38\]\)", ".a(bits[37])"),
    "lost carry": (r"\.c\(carry_9_\d+\)", ".c(1'b0)"),
    "final adder": (r"= row_0 \+ row_1", "= row_0 + row_1 + 1'b1"),
    "reset ignored": (r"= rst \| (\w+);", r"= \1;"),
    "valid ignored": (r"assign take = valid & ", "assign take = "),
    "first without valid": (r"= valid & first", "= first"),
    "two lanes with one weight": (r"\.weight\(taken\[7:4\]\)", ".weight(taken[3:0])"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_unit_is_refuted_with_a_counterexample(fault: str) -> None:
    config = MacConfig(DINT4, lanes=2)
    text = broken(verilog(config), *FAULTS[fault])
    with pytest.raises(Refuted, match=r"a wrong accumulator with .* at 1 and all else at 0"):
        every_cycle(config, text)
    if fault in ("decoder", "row", "lost carry", "two lanes with one weight"):
        with pytest.raises(Refuted, match="weight codes"):
            products(config, text)


def test_bits_of_an_addition_that_stay_are_neither_proof_nor_refutation() -> None:
    """A sum that is extended by its sign, where that is right as where it is not."""
    short = broken(
        verilog(config := MacConfig(DINT4, lanes=2)),
        r"accumulator <= final_adder_total;",
        "accumulator <= {final_adder_total[26], final_adder_total[26:0]};",
    )
    right = MacConfig(DINT3, lanes=2, architecture="multiply", pipeline=2)
    for unit, text in ((config, short), (right, verilog(right))):
        with pytest.raises(ToolError, match="neither proof nor counterexample for accumulator"):
            every_cycle(unit, text)


@pytest.mark.parametrize(
    ("times", "limit"), [(100, "100 uses of each term that replaces a net"), (10**6, "150000 terms")], ids=["uses", "terms"]
)
def test_a_form_that_grows_without_end_is_given_up(times: int, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an adder tree loses cancels no more: without limits this form has a million terms after 1.5 million uses."""
    monkeypatch.setattr(algebra, "_MOST_TIMES", times)
    text = broken(verilog(config := MacConfig(INT8, lanes=4)), r"\.c\((sum|carry)_15_\d+\)", ".c(1'b0)")
    with pytest.raises(ToolError, match=f"neither proof nor counterexample: a form grows beyond {limit}$"):
        every_cycle(config, text)


def test_another_clock_is_refused() -> None:
    config = MacConfig(DINT3)
    other = broken(verilog(config), "posedge clk", "posedge valid")
    for prove in (every_cycle, products):
        with pytest.raises(ToolError, match="clocked by something else"):
            prove(config, other)


ELEMENT_FAULTS = {
    "load ignored": ("weight_out", r"= load \? weight : weight_out", "= weight"),
    "swap not handed on": ("swap_out", r"swap_out <= swap", "swap_out <= swap_out"),
    "activation not handed on": ("activation_out", r"activation_out <= activation", "activation_out <= activation_out"),
    "swap ignored": ("selects_in_use", r"(_2_ = )swap \? (\w+) : selects_in_use", r"\1\2"),
    "never swapped": ("partial_sum_out", r"(_2_ = )swap \? (\w+) : selects_in_use", r"\1selects_in_use"),
    "the weight that comes in is swapped in": ("partial_sum_out", r"\.weight\(weight_out\)", ".weight(weight)"),
    "the next activation": ("partial_sum_out", r"\.activation\(activation_out\)", ".activation(activation)"),
    "no partial sum": ("partial_sum_out", r"(lane_0_bits, )partial_sum( \})", r"\g<1>partial_sum_out\2"),
    "decoder": ("partial_sum_out", r"assign high_times_4 = weight\[1\] &", "assign high_times_4 = weight[1] |"),
    "what only swap_out tells": (
        "partial_sum_out",
        r"\.activation\(activation_out\)",
        ".activation(activation_out ^ ~swap_out)",
    ),
}


@pytest.mark.parametrize("fault", ELEMENT_FAULTS)
def test_a_broken_element_is_refuted(fault: str) -> None:
    config = PeConfig(DINT3, decoded=True)
    register, pattern, by = ELEMENT_FAULTS[fault]
    with pytest.raises(Refuted, match=f"a wrong {register} with"):
        every_cycle(config, broken(verilog(config), pattern, by))


@pytest.mark.parametrize(
    ("pattern", "by"),
    [
        (r"row_1_1 <= compressor_row_1\[", "row_1_1 <= 1 ^ compressor_row_1["),
        (r"\.bits\(\{ row_1_1, row_0_1,", ".bits({ row_1, row_0,"),
        (r"\.activation\(activation_out\)", ".activation(activation)"),
    ],
    ids=["a bit of a row", "rows without registers", "the next activation"],
)
def test_a_broken_element_with_a_pipeline_register_is_refuted(pattern: str, by: str) -> None:
    config = PeConfig(DINT3, pipeline=1)
    with pytest.raises(Refuted, match="a wrong partial_sum_out with"):
        every_cycle(config, broken(verilog(config), pattern, by))


ASYMMETRIC_FAULTS = {
    "two units with one weight": (r"unit_1.accumulator", r"\.weights\(weights\[5:3\]\)", ".weights(weights[2:0])"),
    "two units with one zero-point": ("unit_2.accumulator", r"\(zero_points\[8:6\]\)", "(zero_points[5:3])"),
    "special codes exchanged": ("unit_0.accumulator", r"= negative \? below : at", "= negative ? at : below"),
    "half a step lost": ("unit_0.accumulator", r"code = \{ \S+ +,", "code = { 1'b0,"),
    "near zero, greatest zero-point": ("unit_0.accumulator", r"zero_point\[0\] \? 3'h6 : 3'h7", "3'h7"),
    "activations without valid": ("correction.activation_sum", r"_98_ = valid & ", "_98_ = "),
    "an activation bit that is never cleared": ("correction.activation_sum", r"& \{ _72_,", "& { 1'b1,"),
    "another unit read": ("accumulator", r"read = read_unit\[1\] \?", "read = read_unit[0] ?"),
    "the offset": ("accumulator", r"zero_point \+ 3'h5", "zero_point + 3'h6"),
    "a sign": ("accumulator", r"(activation_sum\[)23(\], activation_sum)", r"\g<1>22\2"),
    "added, not subtracted": ("accumulator", r"(_100_ = )~ product_adder_total", r"\1product_adder_total"),
}


@pytest.mark.parametrize("fault", ASYMMETRIC_FAULTS)
def test_broken_units_for_asymmetric_weights_are_refuted(fault: str) -> None:
    config = AsymmetricConfig(DINT3, units=3)
    register, pattern, by = ASYMMETRIC_FAULTS[fault]
    with pytest.raises(Refuted, match=rf"a wrong {register} with"):
        every_cycle(config, broken(verilog(config), pattern, by))


def test_nothing_is_claimed_for_numbers_that_are_no_zero_points() -> None:
    """What a unit makes of 6 and 7, where dINT3 takes 0 to 5, may be anything."""
    config = AsymmetricConfig(DINT3, units=3)
    text = broken(verilog(config), r"(_3_ = _1_ \? )3'h6( : _2_;)", r"\g<1>3'h0\2")
    assert every_cycle(config, text) == every_cycle(config, verilog(config))


def test_a_wrong_table_is_refuted() -> None:
    """The specification follows the format's values: a unit for others does not pass."""
    values = list(INT4.values)
    values[3], values[5] = values[5], values[3]
    other = replace(INT4, values=tuple(values))
    for prove in (products, every_cycle):
        with pytest.raises(Refuted):
            prove(MacConfig(other), verilog(MacConfig(INT4)))


def test_missing_codes_are_refuted() -> None:
    config = MacConfig(DINT4, architecture="multiply")
    text = broken(verilog(config), r"(value = weight\[3\] \? )(\w+) : \w+;", r"\1\2 : \2;")
    with pytest.raises(Refuted):
        products(config, text)


@pytest.mark.parametrize("pipeline", [0, 1, 2])
def test_induction_from_reset(pipeline: int) -> None:
    """Initial values, which silicon does not have, are no part of it: without them, and with others, the proof is the same."""
    config = MacConfig(DINT3, pipeline=pipeline)
    text = verilog(config)
    assert from_reset(config, text) == 1
    without, count = re.subn(r"^(  reg .*) = \d+'h\w+;$", r"\1;", text, flags=re.MULTILINE)
    assert count
    assert from_reset(config, without) == 1


@pytest.mark.parametrize("fault", ["reset ignored", "valid ignored", "first without valid"])
def test_a_broken_unit_is_refuted_from_reset(fault: str) -> None:
    config = MacConfig(DINT3)
    with pytest.raises(Refuted, match="another sum than specified"):
        from_reset(config, broken(verilog(config), *FAULTS[fault]))


@pytest.mark.parametrize(
    ("config", "narrow"),
    [(MacConfig(DINT4, lanes=4), MacConfig(DINT4, lanes=4, depth=32768)), (PeConfig(DINT4), PeConfig(DINT4, depth=32768))],
    ids=["mac", "pe"],
)
def test_a_register_of_a_bit_less_is_refuted(config: UnitConfig, narrow: UnitConfig) -> None:
    assert narrow.accumulator_bits == config.accumulator_bits - 1
    with pytest.raises(Refuted, match="has 27 bits, not 28"):
        every_cycle(config, verilog(narrow).replace(narrow.name, config.name))


@pytest.mark.parametrize("number_format", FORMATS.values(), ids=lambda f: f.name)
@pytest.mark.parametrize("depth", [1, 7, 65536, 1 << 24])
def test_no_overflow(number_format: object, depth: int) -> None:
    config = MacConfig(number_format, depth=depth)  # type: ignore[arg-type]
    assert no_overflow(config) == len(config.weight_format.values) * 256
    for more in (-1, 1):
        with pytest.raises(Refuted, match=str(config.accumulator_bits + more)):
            no_overflow(config, more)


@pytest.mark.parametrize("number_format", [INT8, DINT4])
def test_no_overflow_with_zero_points(number_format: NumberFormat) -> None:
    config = AsymmetricConfig(number_format, depth=7)
    assert no_overflow(config) > 10_000
    with pytest.raises(Refuted, match=rf"less zero-points reach .* beyond {config.accumulator_bits - 1} bits"):
        no_overflow(config, -1)
    with pytest.raises(Refuted, match=rf"less zero-points reach .* {config.accumulator_bits + 1} bits are too many"):
        no_overflow(config, 1)


MAPPED = [
    MacConfig(DINT4, lanes=4),
    MacConfig(INT8),
    PeConfig(DINT4, decoded=True),
    AsymmetricConfig(DINT3, units=2),
    BlockMacConfig.of(MXFP4),
]


@pytest.mark.parametrize("config", MAPPED, ids=name)
def test_a_netlist_is_its_verilog(config: UnitConfig, tmp_path: Path) -> None:
    kit = find("osu018")
    liberty = liberty_text.unpacked(kit.liberty, tmp_path)
    mapped = yosys.map_verilog(verilog(config), config.name, kit, liberty, Recipe(complement=True)).verilog
    assert netlist(config, verilog(config), mapped, liberty) > 100
    with pytest.raises(Refuted, match="netlist"):
        netlist(config, verilog(config), broken(mapped, r"\bNAND2X1\b", "NOR2X1"), liberty)


def test_a_register_that_cannot_be_paired_is_no_proof(tmp_path: Path) -> None:
    config = PeConfig(DINT4, decoded=True)
    kit = find("osu018")
    liberty = liberty_text.unpacked(kit.liberty, tmp_path)
    mapped = yosys.map_verilog(verilog(config), config.name, kit, liberty, Recipe(complement=True)).verilog
    (register,) = set(re.findall(r"\.Q\(\\(\S+)\[2\] \)", mapped))
    with pytest.raises(InputError, match="1 flip-flops are not shown"):
        netlist(config, verilog(config), mapped.replace(f"{register}[2]", "renamed"), liberty)
