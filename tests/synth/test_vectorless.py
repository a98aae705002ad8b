# SPDX-License-Identifier: Apache-2.0
"""Vectorless activities and powers, against calculations by hand from tiny.lib and against OpenSTA where the two must agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from golden import DINT4, INT8, InputError, MacConfig, ToolError
from synth import energy, liberty_text, sta, vectorless
from synth.liberty import Library, load
from synth.mapping import map_design
from synth.netlist import Netlist, read_netlist
from synth.pdk import QFLOW, find
from synth.power import Power
from synth.recipe import Recipe
from synth.vectorless import DEFAULT_INPUT, Rate, estimate, propagate

LIBRARY = load(Path(__file__).with_name("tiny.lib"))
SLEW = 0.1  # ns, at every input port
T = 10e-9  # clock period in s


def netlist(folder: Path, body: str, inputs: str = "a, b", outputs: str = "y") -> Netlist:
    text = (
        f"module n(clk, {inputs}, {outputs});\n  input clk, {inputs};\n  output {outputs};\n  wire n1, n2;\n{body}\nendmodule\n"
    )
    (folder / "n.v").write_text(text)
    return read_netlist(folder / "n.v", "n")


def rates(folder: Path, body: str, **inputs: Rate) -> dict[str, Rate]:
    return propagate(netlist(folder, body), LIBRARY, inputs)


def powers(folder: Path, body: str, library: Library = LIBRARY, **inputs: Rate) -> dict[str, Power]:
    one = netlist(folder, body)
    return estimate(one, library, propagate(one, library, inputs), T, SLEW * 1e-9)


def same(rate: Rate, probability: float, density: float) -> bool:
    return (rate.probability, rate.density) == pytest.approx((probability, density), rel=1e-4)


# Activities

NAND = "  NAND2 g (.A(a), .B(b), .Y(y));"


def test_nand(tmp_path: Path) -> None:
    found = rates(tmp_path, NAND, a=Rate(0.5, 0.1), b=Rate(0.25, 0.3))
    # High unless both are; follows a where b is high, and b where a is high.
    assert same(found["y"], 1 - 0.5 * 0.25, 0.25 * 0.1 + 0.5 * 0.3)


def test_inputs_are_half_high_and_move_every_tenth_cycle(tmp_path: Path) -> None:
    found = rates(tmp_path, NAND)
    assert Rate(0.5, 0.1) == DEFAULT_INPUT == found["a"] == found["b"]
    assert found["clk"] == Rate(0.5, 2.0)
    assert same(found["y"], 0.75, 0.1)


def test_exclusive_or_adds_densities(tmp_path: Path) -> None:
    found = rates(tmp_path, "  FA g (.A(a), .B(b), .CI(1'b0), .S(y), .CO(n1));", a=Rate(0.5, 0.1), b=Rate(0.25, 0.3))
    assert same(found["y"], 0.5, 0.4)
    assert same(found["n1"], 0.125, 0.25 * 0.1 + 0.5 * 0.3)  # without a carry in, the carry is a and b


def test_order_of_the_gates_does_not_matter(tmp_path: Path) -> None:
    lines = ["  NAND2 g (.A(a), .B(b), .Y(n1));", "  INV i (.A(n1), .Y(n2));", "  NAND2 h (.A(n2), .B(a), .Y(y));"]
    there, back = (rates(tmp_path, "\n".join(order)) for order in (lines, lines[::-1]))
    assert there == back
    assert same(there["n2"], 0.25, 0.1)
    assert same(there["y"], 1 - 0.125, 0.5 * 0.1 + 0.25 * 0.1)


def test_register_follows_its_data(tmp_path: Path) -> None:
    found = rates(tmp_path, "  DFF f (.CLK(clk), .D(a), .Q(y));", a=Rate(0.2, 0.1))
    assert same(found["y"], 0.2, 0.1)
    # Data that glitches three times a cycle: the register moves as a value drawn anew in every cycle.
    found = rates(tmp_path, "  DFF f (.CLK(clk), .D(a), .Q(y));", a=Rate(0.2, 3.0))
    assert same(found["y"], 0.2, 2 * 0.2 * 0.8)


def test_register_that_feeds_itself(tmp_path: Path) -> None:
    """q becomes nand(a, q): P = 1 - P/2 gives 2/3; D = P D(a) + D/2 gives 2 P D(a)."""
    found = rates(
        tmp_path, "  NAND2 g (.A(a), .B(n1), .Y(n2));\n  DFF f (.CLK(clk), .D(n2), .Q(n1));\n  INV i (.A(n1), .Y(y));"
    )
    assert same(found["n1"], 2 / 3, 2 * (2 / 3) * 0.1)
    assert same(found["f/IQ"], 2 / 3, 2 * (2 / 3) * 0.1)
    assert same(found["y"], 1 / 3, 2 * (2 / 3) * 0.1)


def test_accumulator_moves_every_other_cycle(tmp_path: Path) -> None:
    """q becomes a xor q, whose density would grow without end: both are bound by that of a value drawn anew."""
    found = rates(tmp_path, "  FA g (.A(a), .B(n1), .CI(1'b0), .S(n2));\n  DFF f (.CLK(clk), .D(n2), .Q(n1));")
    assert same(found["n1"], 0.5, 0.5)
    assert same(found["n2"], 0.5, 0.5)


def test_no_data_net_moves_more_than_a_value_drawn_anew(tmp_path: Path) -> None:
    lines = [
        f"  FA g{i} (.A({x}), .B(b), .CI(c), .S({y}), .CO());" for i, (x, y) in enumerate(zip("adef", "defy", strict=True))
    ]
    one = netlist(tmp_path, "\n".join(["  wire d, e, f;", *lines]), "a, b, c")
    found = propagate(one, LIBRARY)
    assert [found[net].density for net in "adefy"] == pytest.approx([0.1, 0.3, 0.5, 0.5, 0.5])


def test_clock_passes_through_inverters(tmp_path: Path) -> None:
    found = rates(tmp_path, "  INV i (.A(clk), .Y(n1));\n  INV j (.A(n1), .Y(n2));\n  DFF f (.CLK(n2), .D(a), .Q(y));")
    assert same(found["n2"], 0.5, 2.0)
    assert same(found["y"], 0.5, 0.1)


def test_constants_are_quiet(tmp_path: Path) -> None:
    body = "  TIE1 t (.Y(n1));\n  NAND2 g (.A(n1), .B(1'b0), .Y(n2));\n  NAND2 h (.A(n1), .B(a), .Y(y));"
    found = rates(tmp_path, body)
    assert found["n1"] == found["n2"] == Rate(1.0, 0.0)
    assert same(found["y"], 0.5, 0.1)


def test_clear_and_inverted_output(tmp_path: Path) -> None:
    body = "  DFFSR f (.CLK(clk), .D(a), .RN(b), .SN(1'b1), .Q(y), .QN(n1));"
    found = rates(tmp_path, body, a=Rate(0.5, 0.1), b=Rate(0.9, 0.02))
    assert same(found["y"], 0.45, 0.9 * 0.1 + 0.5 * 0.02)
    assert same(found["n1"], 0.55, 0.9 * 0.1 + 0.5 * 0.02)


# Powers


def test_inverter(tmp_path: Path) -> None:
    result = powers(tmp_path, "  INV u1 (.A(a), .Y(n1));\n  INV u2 (.A(n1), .Y(y));", a=Rate(0.25, 0.1))
    assert result["u1"].switching == pytest.approx(0.1 * 0.5 * 0.012e-12 * 2**2 / T)
    rise, fall = 0.10 + 0.2 * SLEW + 0.4 * 0.012, 0.04 + 0.1 * SLEW + 0.2 * 0.012
    assert result["u1"].internal == pytest.approx(0.1 * (rise + fall) / 2 * 1e-12 / T)
    assert result["u1"].leakage == pytest.approx((0.25 * 2 + 0.75 * 5) * 1e-9)
    # A rising y comes with a falling n1: both slews are those of the right edge.
    n1_rise, n1_fall = 0.20 + 0.1 * SLEW + 4 * 0.012, 0.10 + 0.1 * SLEW + 2 * 0.012
    assert result["u2"].internal == pytest.approx(0.1 * ((0.10 + 0.2 * n1_fall) + (0.04 + 0.1 * n1_rise)) / 2 * 1e-12 / T)


def test_nand_energy_by_cause(tmp_path: Path) -> None:
    result = powers(tmp_path, NAND, a=Rate(0.5, 0.1), b=Rate(0.25, 0.3))["g"]
    by_a, by_b = (0.10 + 0.01 + 0.02 + 0.03) / 2, (0.20 + 0.06) / 2  # means of rise and fall
    own = ((0.010 + 0.020 * SLEW) + (0.020 + 0.020 * SLEW)) / 2  # of b, while a is low
    expected = 0.25 * 0.1 * by_a + 0.5 * 0.3 * by_b + 0.5 * 0.3 * own
    assert result.internal == pytest.approx(expected * 1e-12 / T)
    assert result.leakage == pytest.approx(3e-9)


def test_states_of_and_or(tmp_path: Path) -> None:
    body = "  AO21 g (.A1(a), .A2(n1), .B(b), .Y(y));\n  INV i (.A(a), .Y(n1));"
    result = powers(tmp_path, body, a=Rate(0.25, 0.0), b=Rate(0.5, 0.2))["g"]
    # Only b moves; the output follows it unless a1 and a2 (independent here) are both high: 0.1875 of the time. a1 and not a2
    # is 0.0625, neither 0.1875, a2 and not a1 0.5625, for which there is no group: the mean of the two.
    rise = (0.0625 * 0.30 + 0.1875 * 0.50 + 0.5625 * 0.40) / 0.8125
    fall = (0.0625 * 0.40 + 0.1875 * 0.60 + 0.5625 * 0.50) / 0.8125
    assert result.internal == pytest.approx(0.2 * 0.8125 * (rise + fall) / 2 * 1e-12 / T)


def test_flip_flop(tmp_path: Path) -> None:
    result = powers(tmp_path, "  DFF f (.CLK(clk), .D(a), .Q(n1));\n  INV u (.A(n1), .Y(y));", a=Rate(0.25, 0.1))["f"]
    clock = 0.25 * (0.40 + 0.10) + 0.75 * (0.20 + 0.06) + (0.40 + 0.20) * SLEW  # one rise, one fall
    data = 0.1 * ((0.02 + 0.03) / 2 + 0.02 * SLEW)
    output = 0.1 * ((0.50 + 0.30) / 2 + 0.10 * SLEW + (0.40 + 0.20) / 2 * 0.012)
    assert result.internal == pytest.approx((clock + data + output) * 1e-12 / T)
    assert result.leakage == pytest.approx((0.5 * 0.25 * 7 + (1 - 0.5 * 0.25) * 11) * 1e-9)


# Refusals


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="combinational loop through"):
        rates(tmp_path, "  NAND2 g (.A(a), .B(n1), .Y(n2));\n  INV i (.A(n2), .Y(n1));")
    with pytest.raises(InputError, match="net n1 has no driver"):
        rates(tmp_path, "  INV i (.A(n1), .Y(y));")
    (tmp_path / "x.lib").write_text(Path(LIBRARY.paths[0]).read_text().replace("internal_power", "other"))
    with pytest.raises(InputError, match="no internal_power tables"):
        powers(tmp_path, NAND, load(tmp_path / "x.lib"))
    monkeypatch.setattr(vectorless, "_MOST_PASSES", 1)
    with pytest.raises(ToolError, match="the registers of n did not settle in 1 passes"):
        rates(tmp_path, "  NAND2 g (.A(a), .B(n1), .Y(n2));\n  DFF f (.CLK(clk), .D(n2), .Q(n1));")


# Against OpenSTA, and a whole unit

needs_kit = pytest.mark.skipif(
    not sta.available() or not (QFLOW / "osu018").is_dir(), reason="needs opensta and qflow-tech-osu018"
)


@needs_kit
def test_opensta_propagates_alike(tmp_path: Path) -> None:
    """Switching and leakage of gates and a register, to the six digits that OpenSTA prints.

    Not compared: exclusive ors and internal power, for which OpenSTA 2.0.17 takes half and twice what it should.
    """
    kit = find("osu018")
    body = """  NAND2X1 g (.A(a), .B(b), .Y(n1));
  NOR2X1 h (.A(n1), .B(a), .Y(n2));
  DFFPOSX1 f (.CLK(clk), .D(n2), .Q(n3));
  INVX1 i (.A(n3), .Y(y));"""
    one = netlist(tmp_path, f"  wire n3;\n{body}")
    library = load(kit.liberty)
    ours = estimate(one, library, propagate(one, library), 10e-9, kit.input_transition_ns * 1e-9)
    plain = liberty_text.unpacked(kit.liberty, tmp_path)
    commands = sta._design(tmp_path / "n.v", "n", plain, kit.input_transition_ns, 10.0)
    log = sta._run([*commands, "report_power -instances [get_cells *] -digits 6"])
    for name, power in ours.items():
        row = re.search(rf"^ +(\S+) +(\S+) +(\S+) +\S+ {name}$", log, re.MULTILINE)
        assert row is not None
        assert (power.switching, power.leakage) == pytest.approx((float(row[2]), float(row[3])), rel=2e-6, abs=1e-20)


@needs_kit
def test_energy_of_a_unit(tmp_path: Path) -> None:
    kit, found = find("osu018"), {}
    for number_format in (INT8, DINT4):
        mapped = map_design(MacConfig(number_format), kit, Recipe(), tmp_path)
        result = energy.Unit(mapped.netlist, mapped.design, mapped.config, load(kit.liberty), kit).assume(10.0)
        assert result.activity == "vectorless"
        assert result.cycles == result.sums_compared == 0
        assert result.total_w == pytest.approx(result.energy_per_mac_j / 10e-9)
        assert sum(result.by_part_j.values()) == pytest.approx(result.energy_per_mac_j)
        found[number_format.name] = result.energy_per_mac_j
        with pytest.raises(InputError, match="period is 0 ns"):
            energy.Unit(mapped.netlist, mapped.design, mapped.config, load(kit.liberty), kit).assume(0.0)
    assert found["dint4"] < found["int8"]
