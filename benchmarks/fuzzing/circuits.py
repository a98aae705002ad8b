# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed of mapped units: netlists, delays, waveforms."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from synth import liberty
from synth.activity import Activity, read_activity
from synth.liberty import Library
from synth.netlist import Netlist, PlainNetlist, read_netlist
from synth.sdf import Delays, for_icarus, read_delays

from . import mutations
from .engine import Case, Target, garbage

__all__ = ["TARGETS"]

_ROOT = Path(__file__).resolve().parents[2]

_NETLIST = r"""
/* a comment */
module chain(a, b, y, s);
  input [1:0] a;
  input b;
  output [2:0] y;
  output s;
  wire n, \t.n[1] ;
  wire [1:0] v;
  (* src = "x" *)
  INV u1 (.A(a[0]), .Y(n));
  NAND2 \u.two[2] (.A(n), .B(b), .Y(\t.n[1] ));
  NAND2 u3 (.A(\t.n[1] ), .B(1'h1), .Y(y[0]));
  FA u4 (.A(n), .B(a[1]), .CI(1'b0), .S(s));
  assign v = { \t.n[1] , n };
  assign y[2:1] = { v[0], 1'b0 };
endmodule
"""
_SDF = r"""
(DELAYFILE (SDFVERSION "3.0") (DESIGN "chain") (DIVIDER /) (TIMESCALE 1ps)
 (CELL (CELLTYPE "chain") (INSTANCE) (DELAY (ABSOLUTE (INTERCONNECT a u1/A (0.0::0.0)))))
 (CELL (CELLTYPE "INV") (INSTANCE u1) (DELAY (ABSOLUTE (IOPATH A Y (300.04::310.06) (200::210)))))
 (CELL (CELLTYPE "NAND2") (INSTANCE u\.two\[2\]) (DELAY (ABSOLUTE
   (IOPATH A Y (100::120) (90::95)) (IOPATH (posedge B) Y (130::140) (70::80)) (IOPATH (negedge B) Y (110::150) (60::65)))))
 (CELL (CELLTYPE "NAND2") (INSTANCE u3) (DELAY (ABSOLUTE (IOPATH A Y (50::60) (40::45)) (IOPATH B Y (50::70) (-5::-3)))))
 (CELL (CELLTYPE "FA") (INSTANCE u4)
  (DELAY (ABSOLUTE (COND (B & ~CI) (IOPATH A S (400::500) (300::350)))
   (IOPATH A S (410::420) (310::320)) (IOPATH B S (410::420)) (IOPATH CI S (410::420) (310::320))))))
"""
_WAVES = """
$timescale 100fs $end
$scope module bench $end $scope module dut $end
$var wire 2 a a [1:0] $end
$var wire 1 b b $end
$scope module u1 $end $var wire 1 c Y $end $upscope $end
$scope module u3 $end $var wire 1 d Y $end $upscope $end
$scope module u4 $end $var wire 1 e S $end $upscope $end
$upscope $end $upscope $end
$enddefinitions $end
#0
b01 a
0b
xc
1d
0e
#100
1c
0d
#250
b10 a
1b
1e
#1000
0c
"""


@dataclass(frozen=True)
class _Circuit:
    library: Library
    netlist: Netlist
    netlist_words: list[str]
    sdf_words: list[str]
    wave_words: list[str]


def _circuit(folder: Path) -> _Circuit:
    (folder / "chain.v").write_text(_NETLIST)
    words = [mutations.tokens(one) for one in (_NETLIST, _SDF, _WAVES)]
    library = liberty.load(_ROOT / "tests/synth/tiny.lib")
    return _Circuit(library, read_netlist(folder / "chain.v", "chain"), *words)


def _netlist(circuit: _Circuit, rng: Random, folder: Path) -> Case:
    path = folder / "n.v"
    mutations.spoilt_file(path, circuit.netlist_words, rng, astray=0.03)

    def run() -> tuple[Netlist, PlainNetlist]:
        netlist = read_netlist(path, "chain")
        return netlist, netlist.with_plain_names()

    def check(read: tuple[Netlist, PlainNetlist]) -> None:
        netlist, plain = read
        path.unlink()
        path.write_text(plain.verilog)
        again = read_netlist(path, netlist.name)
        kinds = [(instance.cell, len(instance.pins)) for instance in netlist.instances]
        garbage([(one.cell, len(one.pins)) for one in again.instances] != kinds, "plain names: other cells")
        widths = [(port.direction, len(port.bits)) for port in netlist.ports.values()]
        garbage([(port.direction, len(port.bits)) for port in again.ports.values()] != widths, "plain names: other ports")
        garbage(any("\n" in name or not name for name in (*netlist.nets, *netlist.ports)), "names: empty or broken")

    return Case(run, check)


def _delays(circuit: _Circuit, rng: Random, folder: Path) -> Case:
    path = folder / "d.sdf"
    mutations.spoilt_file(path, circuit.sdf_words, rng, astray=0.03)

    def check(delays: Delays) -> None:
        plain = circuit.netlist.with_plain_names()
        text = for_icarus(delays, plain, circuit.netlist)
        garbage(re.search(r"nan|inf|-", text) is not None, "delays: not finite")
        garbage(any(not 0 <= tick < 1 << 62 for edges in delays.ticks.values() for tick in edges), "delays: out of range")

    return Case(lambda: read_delays(path, circuit.netlist, circuit.library), check)


def _waves(circuit: _Circuit, rng: Random, folder: Path) -> Case:
    path = folder / "w.vcd"
    mutations.spoilt_file(path, circuit.wave_words, rng, astray=0.03)

    def check(activity: Activity) -> None:
        garbage(not 0 <= activity.annotated <= 1, f"annotated: {activity.annotated}")
        for wave in activity.waves.values():
            garbage(bool((np.diff(wave.changes) <= 0).any()), "changes: not ascending")

    return Case(lambda: read_activity(path, "bench.dut", circuit.netlist, circuit.library), check)


TARGETS = (
    Target("netlists", 10, _circuit, _netlist),
    Target("delay files", 10, _circuit, _delays),
    Target("waveforms", 5, _circuit, _waves),
)
