# SPDX-License-Identifier: Apache-2.0
"""OpenSTA as power engine: against our own where a new enough OpenSTA is there, and how it is asked where it is not."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from golden import INT4, InputError, MacConfig, ToolError
from sim.workload import STREAMING, UNIFORM, workload
from synth import sta
from synth.energy import FULL_ADDERS, OPENSTA, REGISTERS, SDF, Energy, Unit
from synth.liberty import load
from synth.mapping import Mapped, delays, map_design
from synth.pdk import QFLOW, Pdk
from synth.recipe import Recipe

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None or not sta.available() or not (QFLOW / "osu018").is_dir(),
    reason="needs iverilog, opensta and qflow-tech-osu018",
)

PERIOD_NS = 20.0

# Stands in for an OpenSTA that has `read_vcd`: the form of its answers is that of OpenSTA 3, the powers are made up: every
# instance takes 3, 2 and 1 nW. It notes what it was asked, and what the waveforms that it was given hold.
STAND_IN = """#!{python}
import re, sys
from pathlib import Path
if sys.argv[1:] == ["-version"]:
    print("3.1.0")
    sys.exit()
script = Path(sys.argv[-1]).read_text()
note = Path({note!r})
if vcd := re.search(r"read_vcd -scope (\\S+) {{(.*)}}", script):
    note.write_text(script + Path(vcd[2]).read_text())
    netlist = Path(re.search(r"read_verilog {{(.*)}}", script)[1]).read_text()
    names = re.findall(r"^  [A-Z]\\w* (\\w+) \\(", netlist, re.MULTILINE)
    print("Annotated 300 pin activities.\\nvcd           300\\nunannotated     {missing}")
    print("   Internal  Switching    Leakage      Total\\n" + "-" * 44)
    for name in reversed(names):
        print(f" 3.00000000e-09 2.00000000e-09 1.00000000e-09 6.00000000e-09 {{name}}")
if "info commands" in script:
    print("dint: read_vcd")
print("dint: done")
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Puts the stand-in on the path; gives the file of its notes. The parameter is the number of pins without activity."""
    program, note = tmp_path / "bin/sta", tmp_path / "note"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable, note=str(note), missing=getattr(request, "param", 0)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    for fact in (sta.version, sta.reads_vcd):
        fact.cache_clear()
    yield note
    for fact in (sta.version, sta.reads_vcd):
        fact.cache_clear()


@pytest.fixture(scope="module")
def mapped(kit: Pdk, tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    found = map_design(MacConfig(INT4), kit, Recipe(), tmp_path_factory.mktemp("cache"))
    delays(found, kit)  # beside the netlist from now on
    return found


def run(mapped: Mapped, kit: Pdk, folder: Path, engine: str) -> Energy:
    stimulus = workload(mapped.config, UNIFORM, STREAMING, None, 100, 0)
    unit = Unit(mapped.netlist, mapped.design, mapped.config, load(kit.liberty), kit, delays(mapped, kit))
    return unit.measure(stimulus, PERIOD_NS, SDF, folder, engine=engine)


def test_both_engines_agree(mapped: Mapped, kit: Pdk, tmp_path: Path) -> None:
    if not sta.reads_vcd():
        pytest.skip(f"OpenSTA {sta.version()} has no read_vcd")
    ours, theirs = (run(mapped, kit, tmp_path, engine) for engine in ("dint", OPENSTA))
    assert theirs.switching_w == pytest.approx(ours.switching_w, rel=1e-4)
    assert theirs.total_w == pytest.approx(ours.total_w, rel=0.05)


def test_powers_of_the_instances_are_taken(mapped: Mapped, kit: Pdk, tmp_path: Path, stand_in: Path) -> None:
    result = run(mapped, kit, tmp_path, OPENSTA)
    assert result.internal_w == pytest.approx(mapped.cells * 3e-9)
    assert result.switching_w == pytest.approx(mapped.cells * 2e-9)
    assert result.leakage_w == pytest.approx(mapped.cells * 1e-9)
    flops = sum(count for name, count in mapped.cell_counts.items() if name.startswith("DFF"))
    adders = sum(count for name, count in mapped.cell_counts.items() if name.startswith("FA"))
    assert result.by_part[REGISTERS].total == pytest.approx(flops * 6e-9)
    assert result.by_part[FULL_ADDERS].total == pytest.approx(adders * 6e-9)
    assert result.sums_compared == 100
    asked = stand_in.read_text()
    assert "read_vcd -scope bench/dut {" in asked
    assert f"create_clock -name clk -period {PERIOD_NS:.6f}" in asked
    # The recording ends where Icarus would set every net to unknown.
    assert "$dumpvars" in asked
    assert "$dumpoff" not in asked
    assert asked.endswith(f"#{round((3 + 4 + 96 + 0.5) * PERIOD_NS * 10_000)}\n")


@pytest.mark.parametrize("stand_in", [100], indirect=True)
def test_pins_without_activity_are_an_error(mapped: Mapped, kit: Pdk, tmp_path: Path, stand_in: Path) -> None:
    with pytest.raises(ToolError, match=r"OpenSTA: it found the activity of only 75\.0% of the pins of mac_int4_x1"):
        run(mapped, kit, tmp_path, OPENSTA)
    assert stand_in.is_file()


def test_an_old_opensta_is_refused(mapped: Mapped, kit: Pdk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sta, "reads_vcd", lambda: False)
    with pytest.raises(ToolError, match=r"OpenSTA: version \S+ has no read_vcd, .*; leave out --power-engine, or"):
        run(mapped, kit, tmp_path, OPENSTA)
    with pytest.raises(InputError, match="--power-engine is 'spice': known are dint, opensta"):
        run(mapped, kit, tmp_path, "spice")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not sta.available() or sta.version() != "2.0.17", reason="OpenSTA is not Debian's 2.0.17")
def test_debians_opensta_cannot_read_waveforms() -> None:
    assert not sta.reads_vcd()
