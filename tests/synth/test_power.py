# SPDX-License-Identifier: Apache-2.0
"""The power estimator against figures worked out by hand from the tables of tiny.lib: internal, switching, leakage.

The library: V = 2 V, time in ns, capacitance in pF, energy in pJ (pF x V^2), leakage in nW; every table is a plane, so that a
value is (first corner) + (slope) x slew + (slope) x load. Waves are given directly, in ticks of 100 fs, over 10 ns.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from golden.errors import InputError, ToolError
from synth.activity import Activity, Wave
from synth.cell_power import cell_power
from synth.electrical import electrical
from synth.liberty import Library, load
from synth.netlist import Netlist, read_netlist
from synth.power import Power, PowerModel, total

TINY = Path(__file__).with_name("tiny.lib")
NS = 10_000  # ticks
T = 10e-9  # recorded time in s
SLEW = 0.1  # ns, at every input port
LIBRARY = load(TINY)


def netlist(folder: Path, body: str, inputs: str, outputs: str = "y") -> Netlist:
    (folder / "n.v").write_text(
        f"module n({inputs}, {outputs});\n  input {inputs};\n  output {outputs};\n  wire n1, n2;\n{body}\nendmodule\n"
    )
    return read_netlist(folder / "n.v", "n")


def wave(initial: int, *changes_ns: float) -> Wave:
    return Wave(bool(initial), np.array([round(change * NS) for change in changes_ns], dtype=np.int64))


def activity(annotated: float = 1.0, **waves: Wave) -> Activity:
    return Activity(waves, 0, 10 * NS, annotated)


def power(one: Netlist, library: Library = LIBRARY, annotated: float = 1.0, **waves: Wave) -> dict[str, Power]:
    return PowerModel(one, library, SLEW * 1e-9).estimate(activity(annotated, **waves))


# Inverters: u1 drives u2, u2 drives the output port.
TWO_INVERTERS = "  INV u1 (.A(a), .Y(n1));\n  INV u2 (.A(n1), .Y(y));"
# a is high from 1 to 3 ns, n1 low from 1.1 to 3.1 ns, y high from 1.2 to 3.2 ns.
TWO_INVERTERS_WAVES = {"a": wave(0, 1, 3), "n1": wave(1, 1.1, 3.1), "y": wave(0, 1.2, 3.2)}


def test_loads_and_slews(tmp_path: Path) -> None:
    environment = electrical(netlist(tmp_path, TWO_INVERTERS, "a"), LIBRARY, SLEW * 1e-9)
    assert environment.loads["n1"] == (0.012, 0.008)  # A of u2: rise and fall capacitance
    assert environment.load("n1") == 0.012  # the larger of the two
    assert environment.load("y") == 0  # no load at output ports
    # A rising n1 follows a falling a: 0.20 + 0.1 x slew + 4 x load; a falling one 0.10 + 0.1 x slew + 2 x load.
    assert environment.slews["n1"] == pytest.approx((0.20 + 0.1 * SLEW + 4 * 0.012, 0.10 + 0.1 * SLEW + 2 * 0.012))


def test_inverter_switching(tmp_path: Path) -> None:
    result = power(netlist(tmp_path, TWO_INVERTERS, "a"), **TWO_INVERTERS_WAVES)
    # Two changes of n1: 2 x 1/2 C V^2 with C = 0.012 pF and V = 2 V, over 10 ns.
    assert result["u1"].switching == pytest.approx(2 * 0.5 * 0.012e-12 * 2**2 / T)
    assert result["u2"].switching == 0  # y has no load
    # The net of the input port is driven from outside and counted nowhere.
    assert total(result).switching == result["u1"].switching


def test_inverter_internal(tmp_path: Path) -> None:
    result = power(netlist(tmp_path, TWO_INVERTERS, "a"), **TWO_INVERTERS_WAVES)
    # u1: rise 0.10 + 0.2 x slew + 0.4 x load, fall 0.04 + 0.1 x slew + 0.2 x load, one of each.
    rise, fall = 0.10 + 0.2 * SLEW + 0.4 * 0.012, 0.04 + 0.1 * SLEW + 0.2 * 0.012
    assert result["u1"].internal == pytest.approx((rise + fall) * 1e-12 / T)
    # u2: its input's slews are those of n1; y rises when n1 falls.
    n1_rise, n1_fall = 0.20 + 0.1 * SLEW + 4 * 0.012, 0.10 + 0.1 * SLEW + 2 * 0.012
    assert result["u2"].internal == pytest.approx(((0.10 + 0.2 * n1_fall) + (0.04 + 0.1 * n1_rise)) * 1e-12 / T)


def test_inverter_leakage(tmp_path: Path) -> None:
    result = power(netlist(tmp_path, TWO_INVERTERS, "a"), **TWO_INVERTERS_WAVES)
    # 2 nW while A is high, 5 nW while it is low; a is high for 2 of 10 ns, n1 for 8.
    assert result["u1"].leakage == pytest.approx((0.2 * 2 + 0.8 * 5) * 1e-9)
    assert result["u2"].leakage == pytest.approx((0.8 * 2 + 0.2 * 5) * 1e-9)
    assert result["u2"].total == pytest.approx(result["u2"].internal + result["u2"].leakage)


def test_power_goes_with_the_number_of_changes(tmp_path: Path) -> None:
    """A glitch costs what any other pair of edges costs."""
    one = netlist(tmp_path, TWO_INVERTERS, "a")
    once = power(one, **TWO_INVERTERS_WAVES)
    quiet = {"a": wave(0), "n1": wave(1), "y": wave(0)}
    twice = power(one, a=wave(0, 1, 3, 5, 5.5), n1=wave(1, 1.1, 3.1, 5.1, 5.6), y=wave(0, 1.2, 3.2, 5.2, 5.7))
    assert twice["u1"].switching == pytest.approx(2 * once["u1"].switching)
    assert twice["u2"].internal == pytest.approx(2 * once["u2"].internal)
    assert total(power(one, **quiet)).switching == total(power(one, **quiet)).internal == 0


NAND = "  NAND2 g (.A(a), .B(b), .Y(y));"
# Output energies of the NAND, no load. By A: the two supplies added; by B.
A_RISE, A_FALL = 0.10 + 0.01, 0.02 + 0.03
B_RISE, B_FALL = 0.20, 0.06
# B's own energy, only while A is low: rise 0.010 + 0.020 x slew, fall 0.020 + 0.020 x slew.
OWN_RISE, OWN_FALL = 0.010 + 0.020 * SLEW, 0.020 + 0.020 * SLEW


def nand_energy(folder: Path, a: Wave, b: Wave, y: Wave) -> float:
    """Internal energy in pJ."""
    return power(netlist(folder, NAND, "a, b"), a=a, b=b, y=y)["g"].internal * T * 1e12


def test_nand_edges_by_the_pin_that_caused_them(tmp_path: Path) -> None:
    # B is high: A moves the output; the energies of both supplies add up.
    assert nand_energy(tmp_path, wave(0, 1, 3), wave(1), wave(1, 1.1, 3.1)) == pytest.approx(A_FALL + A_RISE)
    # A is high: B moves it, and B's own group (A low) does not count.
    assert nand_energy(tmp_path, wave(1), wave(0, 1, 3), wave(1, 1.1, 3.1)) == pytest.approx(B_FALL + B_RISE)
    # A is low: B moves nothing, only its own group counts.
    assert nand_energy(tmp_path, wave(0), wave(0, 1, 3), wave(1)) == pytest.approx(OWN_RISE + OWN_FALL)
    # First B rises while A is low, then A makes the output fall.
    assert nand_energy(tmp_path, wave(0, 2), wave(0, 1), wave(1, 2.1)) == pytest.approx(OWN_RISE + A_FALL)


def test_nand_inputs_at_the_same_instant(tmp_path: Path) -> None:
    """Both inputs rise together: the output follows both, each is charged half; B's edge sees the new A, which is high."""
    assert nand_energy(tmp_path, wave(0, 1), wave(0, 1), wave(1, 1)) == pytest.approx((A_FALL + B_FALL) / 2)


def and_or_energy(folder: Path, a1: Wave, a2: Wave, b: Wave, y: Wave) -> float:
    """Internal energy of an AND-OR cell in pJ."""
    one = netlist(folder, "  AO21 g (.A1(a1), .A2(a2), .B(b), .Y(y));", "a1, a2, b")
    return power(one, a1=a1, a2=a2, b=b, y=y)["g"].internal * T * 1e12


def test_input_that_cannot_be_the_cause(tmp_path: Path) -> None:
    """A1 and B rise at the same instant, A2 is low: the output follows B alone, whose group is that of the new state."""
    assert and_or_energy(tmp_path, wave(0, 1), wave(0), wave(0, 1), wave(0, 1)) == pytest.approx(0.30)
    assert and_or_energy(tmp_path, wave(0), wave(0), wave(0, 1), wave(0, 1)) == pytest.approx(0.50)
    # B has fallen, later A1 falls: it was A1.
    assert and_or_energy(tmp_path, wave(1, 2), wave(1), wave(1, 1), wave(1, 2.1)) == pytest.approx(0.20)


def test_all_inputs_at_the_same_instant(tmp_path: Path) -> None:
    energy = and_or_energy(tmp_path, wave(1, 1), wave(1, 1), wave(1, 1), wave(1, 1))
    # In the new state (all low) the output follows B only; in the old one (all high) none alone.
    assert energy == pytest.approx(0.60)
    # A1 and A2 fall with B low: the output followed each of them in the old state.
    assert and_or_energy(tmp_path, wave(1, 1), wave(1, 1), wave(0), wave(1, 1)) == pytest.approx(0.20)


def test_cause_before_the_recording(tmp_path: Path) -> None:
    """The output changes first of all: charged to all inputs alike, in the state that was."""
    energy = and_or_energy(tmp_path, wave(1), wave(0), wave(1), wave(0, 0.1))
    assert energy == pytest.approx(0.30)  # in this state the output follows only B


def test_nand_switching_and_default_leakage(tmp_path: Path) -> None:
    body = "  NAND2 g (.A(a), .B(b), .Y(n1));\n  NAND2 h (.A(n1), .B(n1), .Y(y));"
    one = netlist(tmp_path, body, "a, b")
    result = power(one, a=wave(0, 1, 3), b=wave(1), n1=wave(1, 1.1, 3.1), y=wave(0, 1.2, 3.2))
    # n1 feeds both inputs of h: 0.010 + 0.020 pF.
    assert result["g"].switching == pytest.approx(2 * 0.5 * 0.030e-12 * 4 / T)
    assert result["g"].leakage == pytest.approx(3e-9)  # only cell_leakage_power is given


FLOP = "  DFF f (.CLK(clk), .D(d), .Q(n1));\n  INV u (.A(n1), .Y(y));"


def test_flip_flop(tmp_path: Path) -> None:
    one = netlist(tmp_path, FLOP, "clk, d")
    # Two clock periods of 4 ns, rising at 1 and 5 ns. d rises at 3 ns, in time for the second edge; Q follows 0.2 ns after it.
    result = power(one, clk=wave(0, 1, 3, 5, 7), d=wave(0, 4), n1=wave(0, 5.2), y=wave(1, 5.3))["f"]
    clock = (
        (0.20 + 0.40 * SLEW)  # rises at 1 ns, D low
        + (0.06 + 0.20 * SLEW)  # falls at 3 ns, D low
        + (0.40 + 0.40 * SLEW)  # rises at 5 ns, D high
        + (0.10 + 0.20 * SLEW)  # falls at 7 ns, D high
    )
    data = 0.02 + 0.02 * SLEW  # d rises
    output = 0.50 + 0.10 * SLEW + 0.40 * 0.012  # Q rises, on a rising clock, into the inverter
    assert result.internal == pytest.approx((clock + data + output) * 1e-12 / T)
    assert result.switching == pytest.approx(0.5 * 0.012e-12 * 4 / T)
    # 7 nW while CLK and Q are high: 5.2 to 7 ns. Else 11 nW.
    assert result.leakage == pytest.approx((0.18 * 7 + 0.82 * 11) * 1e-9)


def test_flip_flop_without_delays(tmp_path: Path) -> None:
    """All at the clock edge: the clock's energy is that of the old D; the clock is charged although Q stays."""
    one = netlist(tmp_path, FLOP, "clk, d")
    result = power(one, clk=wave(0, 1, 3), d=wave(1, 1), n1=wave(0, 1), y=wave(1, 1))["f"]
    clock = (0.40 + 0.40 * SLEW) + (0.06 + 0.20 * SLEW)  # rises with D still high, falls with D low
    data = 0.03 + 0.02 * SLEW  # d falls
    output = 0.50 + 0.10 * SLEW + 0.40 * 0.012
    assert result.internal == pytest.approx((clock + data + output) * 1e-12 / T)
    idle = power(one, clk=wave(0, 1, 3), d=wave(0), n1=wave(0), y=wave(1))["f"]
    assert idle.internal == pytest.approx(((0.20 + 0.40 * SLEW) + (0.06 + 0.20 * SLEW)) * 1e-12 / T)
    assert idle.switching == 0


def test_cell_without_power_groups_costs_only_switching(tmp_path: Path) -> None:
    body = "  FA g (.A(a), .B(b), .CI(1'b0), .S(n1));\n  INV u (.A(n1), .Y(y));"
    one = netlist(tmp_path, body, "a, b")
    recorded = _with_constant(a=wave(0, 1), b=wave(0), n1=wave(0, 1), y=wave(1, 1))
    result = PowerModel(one, LIBRARY, SLEW * 1e-9).estimate(recorded)["g"]
    assert result == Power(0.0, pytest.approx(0.5 * 0.012e-12 * 4 / T), 0.0)  # CO is open


def _with_constant(**waves: Wave) -> Activity:
    return Activity({**waves, "1'b0": wave(0)}, 0, 10 * NS, 1.0)


def test_time_in_each_state_adds_up(tmp_path: Path) -> None:
    for kind in ("NAND2", "DFF", "INV"):
        leakage = cell_power(LIBRARY.cell(kind)).leakage
        assert leakage.shape == (1 << len(LIBRARY.cell(kind).pins),)
    one = netlist(tmp_path, TWO_INVERTERS, "a")
    always = power(one, a=wave(1), n1=wave(0), y=wave(1))
    assert always["u1"].leakage == pytest.approx(2e-9)
    assert always["u2"].leakage == pytest.approx(5e-9)


def test_unknown_activity_is_an_error_not_a_figure(tmp_path: Path) -> None:
    one = netlist(tmp_path, TWO_INVERTERS, "a")
    with pytest.raises(ToolError, match=r"98\.9% of the nets of n have known activity"):
        power(one, annotated=0.989, **TWO_INVERTERS_WAVES)
    power(one, annotated=0.991, **TWO_INVERTERS_WAVES)


def test_library_without_power_tables(tmp_path: Path) -> None:
    (tmp_path / "x.lib").write_text(TINY.read_text().replace("internal_power", "other"))
    with pytest.raises(InputError, match="no internal_power tables"):
        power(netlist(tmp_path, TWO_INVERTERS, "a"), load(tmp_path / "x.lib"), **TWO_INVERTERS_WAVES)


def test_combinational_loop(tmp_path: Path) -> None:
    body = "  INV u1 (.A(n2), .Y(n1));\n  INV u2 (.A(n1), .Y(n2));\n  INV u3 (.A(a), .Y(y));"
    with pytest.raises(InputError, match="combinational loop through u"):
        electrical(netlist(tmp_path, body, "a"), LIBRARY, 0.0)
