# SPDX-License-Identifier: Apache-2.0
"""Energy of a mapped MAC unit from end to end: Yosys, OpenSTA, Icarus, power; and every way in which it must be refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from flows.saif import saif
from golden import INT4, InputError, MacConfig, ToolError
from hdl.verilog import generate
from sim.gate_level import GateLevelRun, run_gate_level
from sim.stimulus import Stimulus
from synth import energy, liberty_text, sta
from synth.electrical import electrical
from synth.energy import FULL_ADDERS, OTHER_LOGIC, REGISTERS, SDF, ZERO_DELAY, Energy
from synth.liberty import Library, load
from synth.netlist import Netlist, PlainNetlist
from synth.pdk import QFLOW, Pdk, find
from synth.recipe import Recipe
from synth.sdf import Delays, for_icarus
from synth.yosys import map_verilog
from tests.flows.saif_reader import read_saif

pytestmark = [
    pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed"),
    pytest.mark.skipif(not sta.available(), reason="opensta is not installed"),
    pytest.mark.skipif(not (QFLOW / "osu018").is_dir(), reason="qflow-tech-osu018 is not installed"),
]

PERIOD_NS = 20.0  # far above the critical path


@dataclass(frozen=True)
class Unit:
    """A mapped INT4 unit with one lane, its delays, and what else a measurement takes."""

    folder: Path
    config: MacConfig
    library: Library
    pdk: Pdk
    netlist: Path
    sdf: Path
    stimulus: Stimulus

    def measure(self, sdf: bool, period_ns: float = PERIOD_NS, **changes: object) -> Energy:
        unit = replace(self, **changes)  # type: ignore[arg-type]
        mapped = energy.Unit(unit.netlist, unit.config.name, unit.config, unit.library, unit.pdk, unit.sdf)
        return mapped.measure(unit.stimulus, period_ns, SDF if sdf else ZERO_DELAY, unit.folder)


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Unit:
    folder = tmp_path_factory.mktemp("energy")
    config, pdk = MacConfig(INT4), find("osu018")
    liberty = liberty_text.unpacked(pdk.liberty, folder)
    mapped = map_verilog(generate(config), config.name, pdk, liberty, Recipe())
    (folder / "unit.v").write_text(mapped.verilog)
    sta.write_sdf(folder / "unit.v", config.name, liberty, pdk.input_transition_ns, folder / "unit.sdf")
    (folder / "work").mkdir()
    stimulus = Stimulus.uniform(config, 120, seed=7)
    return Unit(folder / "work", config, load(pdk.liberty), pdk, folder / "unit.v", folder / "unit.sdf", stimulus)


@pytest.fixture(scope="module")
def with_delays(unit: Unit) -> Energy:
    return unit.measure(sdf=True)


@pytest.fixture(scope="module")
def without_delays(unit: Unit) -> Energy:
    return unit.measure(sdf=False)


def test_figures_hang_together(unit: Unit, with_delays: Energy) -> None:
    result = with_delays
    assert result.activity == "sdf"
    assert result.sums_compared == 120
    assert result.cycles == 116
    assert result.period_ns == pytest.approx(PERIOD_NS)
    assert result.annotated_fraction == 1
    assert result.at_delays_fraction is not None
    assert result.at_delays_fraction > 0.99
    assert min(result.internal_w, result.switching_w, result.leakage_w) > 0
    assert result.total_w == pytest.approx(result.internal_w + result.switching_w + result.leakage_w)
    assert result.energy_per_cycle_j == pytest.approx(result.total_w * 20e-9)
    assert result.energy_per_mac_j == result.energy_per_cycle_j  # one lane
    assert set(result.by_part) == {REGISTERS, FULL_ADDERS, OTHER_LOGIC}
    assert sum(result.by_part_j.values()) == pytest.approx(result.energy_per_mac_j)
    assert list(unit.folder.iterdir()) == []  # nothing is left behind


def test_delays_add_glitches(with_delays: Energy, without_delays: Energy) -> None:
    assert without_delays.activity == "zero-delay"
    assert without_delays.at_delays_fraction is None
    assert with_delays.switching_w > 1.1 * without_delays.switching_w


def test_same_inputs_same_figures(unit: Unit, with_delays: Energy) -> None:
    assert unit.measure(sdf=True) == with_delays


def test_idle_unit_costs_its_clock_pins(unit: Unit) -> None:
    """Nothing but the clock moves: one rising and one falling edge a cycle at each flip-flop, as its table says."""
    cycles = 40
    idle = replace(unit.stimulus.head(cycles), valid=np.zeros(cycles, bool), weights=np.zeros((cycles, 1), np.uint8))
    idle = replace(idle, activations=np.zeros((cycles, 1), np.int8), first=np.zeros(cycles, bool))
    result = unit.measure(sdf=False, stimulus=idle)
    assert result.switching_w == 0
    assert result.by_part[FULL_ADDERS].internal == 0
    flops = len(re.findall(r"^  DFF\w+ ", unit.netlist.read_text(), re.MULTILINE))
    assert flops == unit.config.accumulator_bits
    (clock,) = unit.library.cell("DFFPOSX1").pins["CLK"].internal_power
    assert clock.rise is not None
    assert clock.fall is not None
    slew = unit.pdk.input_transition_ns
    per_cycle_pj = flops * (clock.rise.at(slew) + clock.fall.at(slew))
    assert result.internal_w == pytest.approx(per_cycle_pj * 1e-12 / (PERIOD_NS * 1e-9), rel=1e-9)


def test_leakage_counts_for_the_whole_period(unit: Unit) -> None:
    """Twice the period: the same energy of events, twice that of leakage."""
    one, two = unit.measure(sdf=False), unit.measure(sdf=False, period_ns=2 * PERIOD_NS)
    events = [(e.internal_w + e.switching_w) * e.period_ns for e in (one, two)]
    assert events[1] == pytest.approx(events[0], rel=1e-9)
    assert two.leakage_w == pytest.approx(one.leakage_w, rel=1e-9)  # osu018 gives one figure per cell, whatever its state
    names = re.findall(r"^  ([A-Z]\w*) \S+ +\($", unit.netlist.read_text(), re.MULTILINE)
    by_hand_nw = sum(unit.library.cell(name).cell_leakage or 0 for name in names)
    assert one.leakage_w == pytest.approx(by_hand_nw * 1e-9)


# Refusals


def doubled(delays: Delays, plain: PlainNetlist, netlist: Netlist) -> str:
    return for_icarus(delays.scaled(2), plain, netlist)


def as_opensta_writes(delays: Delays, plain: PlainNetlist, netlist: Netlist) -> str:
    """Without typical values, which Icarus takes without a word, and applies nothing."""
    return re.sub(r"\(([\d.]+):[\d.]+:([\d.]+)\)", r"(\1::\2)", for_icarus(delays, plain, netlist))


@pytest.mark.parametrize("fault", [doubled, as_opensta_writes])
def test_delays_that_do_not_apply(unit: Unit, monkeypatch: pytest.MonkeyPatch, fault: Callable[..., str]) -> None:
    monkeypatch.setattr(energy, "for_icarus", fault)
    with pytest.raises(ToolError, match="the delays were not applied"):
        unit.measure(sdf=True)


def test_delays_of_another_netlist(unit: Unit, tmp_path: Path) -> None:
    text = unit.sdf.read_text()
    cell = re.search(r"\n \(CELL\n  \(CELLTYPE \"\w+\"\)\n  \(INSTANCE _\w+_\)", text)
    assert cell is not None
    (tmp_path / "x.sdf").write_text(text.replace(cell[0], cell[0].replace("(INSTANCE ", "(INSTANCE x")))
    with pytest.raises(ToolError, match="no delay for"):
        replace(unit, sdf=tmp_path / "x.sdf").measure(sdf=True)


def test_period_below_the_critical_path(unit: Unit) -> None:
    with pytest.raises(ToolError, match="the period of 1 ns may be shorter than the critical path"):
        unit.measure(sdf=True, period_ns=1.0)


def test_wrong_netlist(unit: Unit, tmp_path: Path) -> None:
    """One cell replaced by another with the same pins: the sums tell."""
    text = unit.netlist.read_text()
    for old, new in (("XNOR2X1", "XOR2X1"), ("XOR2X1", "XNOR2X1"), ("NAND2X1", "NOR2X1")):
        if (changed := re.sub(rf"\b{old}\b", new, text, count=1)) != text:
            break
    (tmp_path / "x.v").write_text(changed)
    with pytest.raises(ToolError, match="accumulator of mac_int4_x1"):
        unit.measure(sdf=False, netlist=tmp_path / "x.v")
    assert list(unit.folder.iterdir()) == []


def test_wrong_ports(unit: Unit) -> None:
    with pytest.raises(InputError, match="its ports are not those of mac_int4_x1; they differ in"):
        unit.measure(sdf=False, config=_narrow(unit.config))


def _narrow(config: MacConfig) -> MacConfig:
    """A configuration of the same name with a narrower accumulator."""

    class Narrow(MacConfig):
        @property
        def accumulator_bits(self) -> int:
            return super().accumulator_bits - 1

    return Narrow(config.weight_format)


def test_activity_that_is_missing(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A netlist of which only the top level is recorded, as a forgotten level of `$dumpvars` does."""

    def shallow(*args: object, **options: object) -> GateLevelRun:
        run = run_gate_level(*args, **options)  # type: ignore[arg-type]
        text = run.vcd.read_text()
        scopes = re.compile(r"\$scope module _\w+_ \$end.*?\$upscope \$end\n", re.DOTALL)
        run.vcd.write_text(scopes.sub("", text, count=20))
        return run

    monkeypatch.setattr(energy, "run_gate_level", shallow)
    with pytest.raises(ToolError, match="of the nets of mac_int4_x1 have known activity"):
        unit.measure(sdf=False)


def test_library_without_power(unit: Unit, tmp_path: Path) -> None:
    (tmp_path / "x.lib").write_text(unit.pdk.liberty[0].read_text().replace("internal_power", "other_power"))
    with pytest.raises(InputError, match="no internal_power tables"):
        unit.measure(sdf=False, library=load(tmp_path / "x.lib"))


def test_library_without_leakage_says_so(unit: Unit, tmp_path: Path) -> None:
    text = re.sub(r"cell_leakage_power : [\d.]+;", "", unit.pdk.liberty[0].read_text())
    (tmp_path / "x.lib").write_text(text)
    result = unit.measure(sdf=False, library=load(tmp_path / "x.lib"))
    assert not result.leakage_in_library
    assert result.leakage_w == 0


def test_saif_states_what_the_power_was_worked_out_from(unit: Unit, with_delays: Energy) -> None:
    mapped = energy.Unit(unit.netlist, unit.config.name, unit.config, unit.library, unit.pdk, unit.sdf)
    activity, gates = mapped.record(unit.stimulus, PERIOD_NS, SDF, unit.folder)
    file = read_saif(saif(activity, gates))
    top = file.instances[unit.config.name]
    assert file.duration * 1e-13 == pytest.approx(with_delays.cycles * PERIOD_NS * 1e-9)
    assert len(top.instances) == len(gates.instances)
    assert top.ports["clk"].changes == 2 * with_delays.cycles
    assert top.ports["clk"].high == top.ports["clk"].low == file.duration / 2
    assert {len(port.bits) for port in gates.ports.values()} > {1}
    assert sum(len(port.bits) for port in gates.ports.values()) == len(top.ports)
    assert top.ports.keys() | top.nets.keys() >= gates.nets
    # 1/2 C V^2 of every change of a cell's output, from the numbers in the file alone.
    loads = electrical(gates, unit.library, unit.pdk.input_transition_ns * 1e-9)
    charge = 0.0
    for instance in gates.instances:
        for pin, net in instance.pins.items():
            state = top.instances[instance.name].ports[pin]
            assert state.low + state.high + state.unknown == file.duration
            if pin in {output.name for output in unit.library.cell(instance.cell).outputs}:
                charge += loads.load(net) * unit.library.units.capacitance_f * state.changes
    switching_w = 0.5 * charge * unit.library.voltage**2 / (file.duration * 1e-13)
    assert switching_w == pytest.approx(with_delays.switching_w, rel=1e-9)
