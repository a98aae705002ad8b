# SPDX-License-Identifier: Apache-2.0
"""Proofs of MAC units: they hold for what is generated, and every one fails where its property is broken."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from golden import DINT3, DINT4, FORMATS, INT4, INT8, MacConfig
from hdl.verilog import generate
from synth import liberty_text, yosys
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


def name(config: MacConfig) -> str:
    return config.name


@pytest.mark.parametrize("config", UNITS, ids=name)
def test_every_unit_is_right_in_every_cycle(config: MacConfig) -> None:
    assert every_cycle(config, verilog(config)) == sum(len(claim.becomes or ()) for claim in transitions(config))
    if not config.pipeline:
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
    "a short accumulator": (
        r"accumulator <= final_adder_total;",
        "accumulator <= {final_adder_total[26], final_adder_total[26:0]};",
    ),
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


def test_induction_from_reset() -> None:
    config = MacConfig(DINT3)
    assert from_reset(config, verilog(config)) == 1
    with pytest.raises(Refuted):
        from_reset(config, broken(verilog(config), *FAULTS["first without valid"]))


@pytest.mark.parametrize("number_format", FORMATS.values(), ids=lambda f: f.name)
@pytest.mark.parametrize("depth", [1, 7, 65536, 1 << 24])
def test_no_overflow(number_format: object, depth: int) -> None:
    config = MacConfig(number_format, depth=depth)  # type: ignore[arg-type]
    assert no_overflow(config) == len(config.weight_format.values) * 256
    for more in (-1, 1):
        with pytest.raises(Refuted, match=str(config.accumulator_bits + more)):
            no_overflow(config, more)


@pytest.mark.parametrize("config", [MacConfig(DINT4, lanes=4), MacConfig(INT8)], ids=name)
def test_a_netlist_is_its_verilog(config: MacConfig, tmp_path: Path) -> None:
    kit = find("osu018")
    liberty = liberty_text.unpacked(kit.liberty, tmp_path)
    mapped = yosys.map_verilog(verilog(config), config.name, kit, liberty, Recipe(complement=True)).verilog
    assert netlist(config, verilog(config), mapped, liberty) > 100
    with pytest.raises(Refuted, match="netlist"):
        netlist(config, verilog(config), broken(mapped, r"\bNAND2X1\b", "NOR2X1"), liberty)
