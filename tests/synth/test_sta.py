# SPDX-License-Identifier: Apache-2.0
"""OpenSTA against a calculation by hand, and what it must refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden.errors import ToolError
from synth import sta
from synth.liberty import load
from synth.pdk import QFLOW

LIBERTY = QFLOW / "osu018/osu018_stdcells.lib"
# d -> first -> inverter -> second; the slowest path is first/CLK -> first/Q -> inverter -> second/D.
NETLIST = """
module top (clk, d, q);
  input clk, d;
  output q;
  wire a, b;
  DFFPOSX1 first (.CLK(clk), .D(d), .Q(a));
  INVX1 inverter (.A(a), .Y(b));
  DFFPOSX1 second (.CLK(clk), .D(b), .Q(q));
endmodule
"""
SLEW = 0.1


@pytest.fixture
def netlist(tmp_path: Path) -> Path:
    path = tmp_path / "netlist.v"
    path.write_text(NETLIST)
    return path


def by_hand() -> float:
    """Clock-to-output, inverter and setup of both edges, from the tables; ns."""
    library = load(LIBERTY)
    flop, inverter = library.cell("DFFPOSX1"), library.cell("INVX1")
    q = next(pin for pin in flop.outputs if pin.name == "Q")
    clock = next(arc for arc in q.timing if "rise_transition" in arc.tables and "CLK" in arc.related_pins)
    gate = inverter.outputs[0].timing[0]
    data = next(pin for pin in flop.inputs if pin.name == "D")
    setup = next(arc for arc in data.timing if arc.timing_type == "setup_rising")
    worst = 0.0
    for edge, other in (("rise", "fall"), ("fall", "rise")):
        load_a = getattr(inverter.inputs[0], f"{edge}_capacitance")
        load_b = getattr(data, f"{other}_capacitance")
        delay = clock.tables[f"cell_{edge}"].at(SLEW, load_a)
        slew = clock.tables[f"{edge}_transition"].at(SLEW, load_a)
        delay += gate.tables[f"cell_{other}"].at(slew, load_b)
        slew = gate.tables[f"{other}_transition"].at(slew, load_b)
        constraint = setup.tables[f"{other}_constraint"]
        worst = max(worst, delay + _at(constraint, SLEW, slew))
    return worst


def _at(table: object, clock_slew: float, data_slew: float) -> float:
    """Bilinear, by axis order: the setup table's first axis is the clock's transition, the second the data's."""
    import numpy as np

    first, second = (np.asarray(index) for index in table.indices)  # type: ignore[attr-defined]
    values = np.asarray(table.values)  # type: ignore[attr-defined]
    rows = [np.interp(data_slew, second, row) for row in values]
    return float(np.interp(clock_slew, first, rows))


def test_critical_path_by_hand(netlist: Path) -> None:
    timing = sta.analyze(netlist, "top", [LIBERTY], SLEW)
    assert timing.delay_ns == pytest.approx(by_hand(), abs=2e-3)
    assert timing.startpoint == "first"
    assert timing.endpoint == "second"


def test_setup_slack(netlist: Path) -> None:
    """Of the slowest flip-flop, at any period."""
    delay_ns = sta.analyze(netlist, "top", [LIBERTY], SLEW).delay_ns
    for period_ns in (delay_ns, 1.5 * delay_ns, 0.98 * delay_ns):
        slack = sta.setup_slack_ns(netlist, "top", [LIBERTY], period_ns, SLEW)
        assert slack == pytest.approx(period_ns - delay_ns, abs=2e-5)
        assert slack == pytest.approx(period_ns - by_hand(), abs=0.01)


def test_input_transition_counts(netlist: Path) -> None:
    fast, slow = (sta.analyze(netlist, "top", [LIBERTY], slew).delay_ns for slew in (0.06, 0.3))
    assert slow > fast


def test_ps_libraries_give_ns(reference: Path, tmp_path: Path) -> None:
    """ASAP7 counts in ps; its delays must come out in ns: an inverter between two flip-flops takes some 0.06 ns."""
    from synth import liberty_text
    from synth.pdk import find

    kit = find("asap7", platforms=reference / "platforms")
    path = tmp_path / "n.v"
    path.write_text(
        "module top (clk, d, q); input clk, d; output q; wire a, b; DFFHQNx1_ASAP7_75t_R f (.CLK(clk), .D(d), .QN(a));"
        " INVx1_ASAP7_75t_R i (.A(a), .Y(b)); DFFHQNx1_ASAP7_75t_R g (.CLK(clk), .D(b), .QN(q)); endmodule\n"
    )
    timing = sta.analyze(path, "top", liberty_text.unpacked(kit.liberty, tmp_path), 0.02)
    assert 0.02 < timing.delay_ns < 0.2


def test_sdf(netlist: Path, tmp_path: Path) -> None:
    texts = []
    for name in ("a.sdf", "b.sdf"):
        sta.write_sdf(netlist, "top", [LIBERTY], SLEW, tmp_path / name)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    assert "DATE" not in texts[0]
    assert all(f"(INSTANCE {name})" in texts[0] for name in ("first", "inverter", "second"))


def test_refusals(netlist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = tmp_path / "unknown.v"
    unknown.write_text(NETLIST.replace("INVX1", "NOSUCHX1"))
    with pytest.raises(ToolError, match="NOSUCHX1"):
        sta.analyze(unknown, "top", [LIBERTY], SLEW)
    with pytest.raises(ToolError, match="OpenSTA"):
        sta.analyze(netlist, "other", [LIBERTY], SLEW)
    with pytest.raises(ToolError, match="OpenSTA"):
        sta.analyze(tmp_path / "none.v", "top", [LIBERTY], SLEW)
    combinational = tmp_path / "c.v"
    combinational.write_text("module top (clk, d, q); input clk, d; output q; INVX1 i (.A(d), .Y(q)); endmodule\n")
    with pytest.raises(ToolError, match="no path to a flip-flop"):
        sta.analyze(combinational, "top", [LIBERTY], SLEW)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="OpenSTA: 'sta' not found; install the apt package opensta"):
        sta.analyze(netlist, "top", [LIBERTY], SLEW)
