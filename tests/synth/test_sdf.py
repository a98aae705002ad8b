# SPDX-License-Identifier: Apache-2.0
"""Delays: read from SDF as OpenSTA writes it, written as Icarus applies them, and proved to be applied."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest

from golden.errors import ToolError
from synth import activity
from synth.activity import read_activity, share_at_delays
from synth.cell_models import cell_models
from synth.liberty import load
from synth.netlist import Netlist, read_netlist
from synth.sdf import Arc, for_icarus, read_delays

LIBRARY = load(Path(__file__).with_name("tiny.lib"))
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")

NETLIST = r"""
module chain(a, b, y, s);
  input a, b;
  output y, s;
  wire n, \t.n[1] ;
  INV u1 (.A(a), .Y(n));
  NAND2 \u.two[2] (.A(n), .B(b), .Y(\t.n[1] ));
  NAND2 u3 (.A(\t.n[1] ), .B(\t.n[1] ), .Y(y));
  FA u4 (.A(n), .B(b), .CI(1'b0), .S(s));
endmodule
"""
# The faults of the real thing: empty typical values, conditions, twice the same pair, an output as source, escaped names.
SDF = r"""
(DELAYFILE (SDFVERSION "3.0") (DESIGN "chain") (DIVIDER /) (TIMESCALE 1ps)
 (CELL (CELLTYPE "chain") (INSTANCE) (DELAY (ABSOLUTE (INTERCONNECT a u1/A (0.0::0.0)))))
 (CELL (CELLTYPE "INV") (INSTANCE u1) (DELAY (ABSOLUTE (IOPATH A Y (300.04::310.06) (200::210)))))
 (CELL (CELLTYPE "NAND2") (INSTANCE u\.two\[2\]) (DELAY (ABSOLUTE
   (IOPATH A Y (100::120) (90::95)) (IOPATH (posedge B) Y (130::140) (70::80)) (IOPATH (negedge B) Y (110::150) (60::65)))))
 (CELL (CELLTYPE "NAND2") (INSTANCE u3) (DELAY (ABSOLUTE (IOPATH A Y (50::60) (40::45)) (IOPATH B Y (50::70) (-5::-3)))))
 (CELL (CELLTYPE "FA") (INSTANCE u4)
  (DELAY (ABSOLUTE
   (COND (B & ~CI) (IOPATH A S (400::500) (300::350)))
   (COND (~B & CI) (IOPATH A S (450::460) (300::390)))
   (IOPATH A S (410::420) (310::320))
   (IOPATH B S (410::420)) (IOPATH CI S (410::420) (310::320)) (IOPATH CO S (1::1) (1::1))))
  (TIMINGCHECK (SETUP (posedge A) (posedge B) (1::1)))))
"""


def files(folder: Path, sdf: str = SDF) -> tuple[Netlist, Path]:
    (folder / "n.v").write_text(NETLIST)
    (folder / "raw.sdf").write_text(sdf)
    return read_netlist(folder / "n.v", "chain"), folder / "raw.sdf"


def test_maxima_in_ticks(tmp_path: Path) -> None:
    netlist, path = files(tmp_path)
    ticks = read_delays(path, netlist, LIBRARY).ticks
    assert ticks[Arc("u1", "A", "Y")] == (3101, 2100)  # rounded to 100 fs
    assert ticks[Arc("u.two[2]", "A", "Y")] == (1200, 950)
    assert ticks[Arc("u.two[2]", "B", "Y")] == (1500, 800)  # maximum over the edges of B
    assert ticks[Arc("u3", "B", "Y")] == (700, 0)  # a negative delay counts as none
    assert ticks[Arc("u4", "A", "S")] == (5000, 3900)  # maximum over conditions
    assert ticks[Arc("u4", "B", "S")] == (4200, 4200)  # one value serves both edges
    assert Arc("u4", "CO", "S") not in ticks


def test_the_longest_path(tmp_path: Path) -> None:
    netlist, path = files(tmp_path)
    delays = read_delays(path, netlist, LIBRARY)
    assert delays.longest_path_ns(netlist) == pytest.approx(0.3101 + 0.5)  # u1, then A to S of u4
    assert delays.scaled(0.5).longest_path_ns(netlist) == pytest.approx(0.1550 + 0.25)


def test_written_for_icarus(tmp_path: Path) -> None:
    netlist, path = files(tmp_path)
    delays = read_delays(path, netlist, LIBRARY)
    text = for_icarus(delays, netlist.with_plain_names(), netlist)
    assert "(IOPATH A Y (0.3101:0.3101:0.3101) (0.2100:0.2100:0.2100))" in text
    assert "(TIMESCALE 1ns)" in text
    assert not any(word in text for word in ("COND", "posedge", "::", "\\", "INTERCONNECT", "TIMINGCHECK"))
    # Nothing is lost but the arc from a pin at a constant.
    assert text.count("IOPATH") == len(delays.ticks) - 1
    (tmp_path / "again.sdf").write_text(text.replace("u_two_2_", r"u\.two\[2\]"))
    again = read_delays(tmp_path / "again.sdf", netlist, LIBRARY).ticks
    assert again == {arc: edges for arc, edges in delays.ticks.items() if arc != Arc("u4", "CI", "S")}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("(IOPATH A Y (300.04::310.06) (200::210))", "", "no delay for INV u1 from A to Y"),
        ("(INSTANCE u1)", "(INSTANCE u9)", "no delay for INV u1"),
        ("(IOPATH CO S", "(IOPATH D S", "u4 from D to S has no place"),
        ("(INTERCONNECT a u1/A (0.0::0.0))", "(INTERCONNECT a u1/A (0.0::0.1))", "wire delays"),
        ("ABSOLUTE (IOPATH A Y (300", "INCREMENT (IOPATH A Y (300", "INCREMENT"),
        ("(TIMESCALE 1ps)", "(TIMESCALE soon)", "TIMESCALE"),
        ("(DELAYFILE", "(DELAY", "no SDF"),
        ("(300.04::310.06)", "(soon)", "could not convert"),
        ("(300.04::310.06)", "(nan::1)", "a delay is nan::1"),
        ("(300.04::310.06)", "(1e300)", "a delay is 1e300"),
        ("(TIMESCALE 1ps)", "(TIMESCALE 1 (ps))", "TIMESCALE"),
        ("(INSTANCE u1)", "(INSTANCE u1" + "(" * 5000 + ")" * 5001, "nests more than"),
        ("(IOPATH A Y (300", "(IOPATH () Y (300", "from a pin to a pin"),
        ("(TIMINGCHECK (SETUP (posedge A) (posedge B) (1::1)))))", "", "truncated"),
    ],
)
def test_faulty_files(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SDF
    netlist, path = files(tmp_path, SDF.replace(old, new))
    with pytest.raises(ToolError, match=message) as error:
        read_delays(path, netlist, LIBRARY)
    assert "\n" not in str(error.value)


BENCH = """`timescale 1ns/100fs
module bench;
  reg a = 0, b = 1; wire y, s;
  chain dut(.a(a), .b(b), .y(y), .s(s));
  initial begin
    $sdf_annotate("{sdf}", dut);
    #5 $dumpfile("{vcd}"); $dumpvars(0, dut);
    #5 a = 1; #5 a = 0;
    #5 a = 1; #0.1 a = 0;  // a pulse shorter than the delay of u1
    #5 b = 0; #5 b = 1; #5 $finish;
  end
endmodule
"""


def simulate(folder: Path, netlist: Netlist, sdf: Path) -> Path:
    plain = netlist.with_plain_names()
    (folder / "design.v").write_text(cell_models(LIBRARY, netlist.cells) + plain.verilog)
    (folder / "bench.v").write_text(BENCH.format(sdf=sdf.name, vcd="waves.vcd"))
    subprocess.run(["iverilog", "-g2012", "-gspecify", "-o", "sim", "bench.v", "design.v"], cwd=folder, check=True, timeout=60)
    subprocess.run(["vvp", "-n", "sim"], cwd=folder, check=True, timeout=60, capture_output=True)
    return folder / "waves.vcd"


@needs_icarus
def test_icarus_applies_them(tmp_path: Path) -> None:
    """A known cell switches at its own delay and swallows a shorter pulse; all changes fall on arc delays."""
    netlist, path = files(tmp_path)
    delays = read_delays(path, netlist, LIBRARY)
    plain = netlist.with_plain_names()
    (tmp_path / "applied.sdf").write_text(for_icarus(delays, plain, netlist))
    vcd = simulate(tmp_path, netlist, tmp_path / "applied.sdf")
    activity = read_activity(vcd, "bench.dut", netlist, LIBRARY, plain.instances)
    # a rises at 10 ns and falls at 15 ns; u1 falls 0.2100 ns and rises 0.3101 ns later; the pulse at 20 ns is gone.
    assert activity.waves["n"].changes.tolist() == [102100, 153101]
    assert activity.annotated == 1
    assert share_at_delays(activity, netlist, delays) == 1
    assert share_at_delays(activity, netlist, delays.scaled(2)) < 0.2


@needs_icarus
def test_raw_file_is_ignored_by_icarus_and_that_shows(tmp_path: Path) -> None:
    """Icarus takes OpenSTA's own form without any effect; the share on arc delays tells."""
    netlist, path = files(tmp_path)
    delays = read_delays(path, netlist, LIBRARY)
    vcd = simulate(tmp_path, netlist, path)
    activity = read_activity(vcd, "bench.dut", netlist, LIBRARY, netlist.with_plain_names().instances)
    assert len(activity.waves["n"].changes) == 4  # with the default of 10 ps the pulse passes
    assert share_at_delays(activity, netlist, delays) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe\x00 no waves", "cannot be read"),
        (b"$scope module bench $end $var wire 2147483648 ! a $end $enddefinitions $end\n#0\n", "a variable of 2147483648 bits"),
    ],
)
def test_waveforms_that_are_none(tmp_path: Path, content: bytes, message: str) -> None:
    netlist, _ = files(tmp_path)
    (tmp_path / "w.vcd").write_bytes(content)
    with pytest.raises(ToolError, match=message) as error:
        read_activity(tmp_path / "w.vcd", "bench.dut", netlist, LIBRARY)
    assert "\n" not in str(error.value)


def test_a_panic_of_the_reader_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its Rust code raises then is no Exception; Ctrl-C is none either, and stays what it is."""

    class Panic(BaseException):
        pass

    netlist, _ = files(tmp_path)
    (tmp_path / "w.vcd").write_bytes(b"$enddefinitions $end\n#0\n")
    for raised, expected in ((Panic("index out of bounds"), ToolError), (KeyboardInterrupt(), KeyboardInterrupt)):
        monkeypatch.setattr(activity.pywellen, "Waveform", Mock(side_effect=raised))
        with pytest.raises(expected, match="w.vcd: cannot be read .index out" if expected is ToolError else "^$"):
            read_activity(tmp_path / "w.vcd", "bench.dut", netlist, LIBRARY)


@pytest.mark.parametrize("pdk", ["sky130hd", "asap7"])
def test_reference_delays_apply(reference: Path, tmp_path: Path, pdk: str) -> None:
    """Recorded simulations of other people's netlists: with delays every change falls on one, without none."""
    library = load(sorted((reference / "platforms" / pdk).rglob("*.lib.gz")))
    netlist = read_netlist(reference / f"reference/power/{pdk}_dint4.v", "top")
    for kind in ("sdf", "sdf.vcd", "zero-delay.vcd"):
        (tmp_path / kind).write_bytes(gzip.decompress((reference / f"reference/power/{pdk}_dint4.{kind}.gz").read_bytes()))
    delays = read_delays(tmp_path / "sdf", netlist, library)
    with_delays = read_activity(tmp_path / "sdf.vcd", "tb.dut", netlist, library)
    without = read_activity(tmp_path / "zero-delay.vcd", "tb.dut", netlist, library)
    assert share_at_delays(with_delays, netlist, delays) > 0.99
    assert share_at_delays(with_delays, netlist, delays.scaled(2)) < 0.01
    assert share_at_delays(without, netlist, delays) < 0.01
