# SPDX-License-Identifier: Apache-2.0
"""How a design is mapped: the choices, and the Yosys commands that they mean.

A recipe says whether full adders become library cells or gates, how carries are propagated, which script ABC runs, and for
which delay it sizes gates. Recipes are data, so that both sides of a comparison get the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import polarity
from .pdk import Pdk

__all__ = ["ADDERS", "SCRIPTS", "Recipe", "after_full_adders", "before_full_adders", "map_files"]

# What ABC runs; {D} stands for the delay target. From small to fast: the smallest gates; the same, buffered and sized; `&nf`,
# which maps the logic as it is; `&if -g` before it rebuilds the logic for depth, which is worth 10 to 15% of the delay; the
# older mapper behind that is the fastest, with a quarter more area.
SCRIPTS = {
    "area": "strash;ifraig;scorr;dc2;dc2;dch,-f;amap,-m;topo;dnsize,{D}",
    "buffered": "strash;ifraig;scorr;dc2;dc2;dch,-f;amap,-m;topo;buffer;upsize,{D};dnsize,{D}",
    "balanced": "&get,-n;&st;&dch;&nf;&put;buffer;upsize,{D};dnsize,{D}",
    "speed": "&get,-n;&st;&if,-g,-K,6;&dch;&nf;&put;buffer;upsize,{D};dnsize,{D}",
    "delay": "strash;ifraig;scorr;dc2;&get,-n;&if,-g,-K,6;&put;dch,-f;map,-B,1.3,{D};topo;buffer;upsize,{D};dnsize,{D}",
}

# Carry propagation of every adder that is left to synthesis; the first is what Yosys does by itself.
ADDERS = ("brent-kung", "kogge-stone", "sklansky", "han-carlson", "ripple")
_CHOICES = ("kogge-stone", "sklansky", "han-carlson")

# An adder as a chain of full adders. Yosys's $alu: Y = A + (BI ? ~B : B) + CI, X = A ^ B, CO = carries.
_RIPPLE = """
(* techmap_celltype = "$alu" *)
module dint_ripple (A, B, CI, BI, X, Y, CO);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 1;
    parameter B_WIDTH = 1;
    parameter Y_WIDTH = 1;
    (* force_downto *) input [A_WIDTH-1:0] A;
    (* force_downto *) input [B_WIDTH-1:0] B;
    input CI, BI;
    (* force_downto *) output [Y_WIDTH-1:0] X, Y, CO;
    (* force_downto *) wire [Y_WIDTH-1:0] a, b;
    \\$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_a (.A(A), .Y(a));
    \\$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_b (.A(B), .Y(b));
    wire [Y_WIDTH-1:0] c = b ^ {Y_WIDTH{BI}};
    assign X = a ^ c;
    genvar i;
    generate for (i = 0; i < Y_WIDTH; i = i + 1) begin : bits
        dint_full_adder adder (.a(a[i]), .b(c[i]), .c(i == 0 ? CI : CO[i - 1]), .sum(Y[i]), .carry(CO[i]));
    end endgenerate
endmodule
"""


@dataclass(frozen=True)
class Recipe:
    """One way to map a design.

    Parameters
    ----------
    full_adders
        `cells`: the library's full-adder cell; `logic`: gates that ABC may restructure.
    complement
        With `cells`: prefer complemented partial products (see `synth.polarity`).
    allowance
        With `cells`: time for the longest path through full adders, from that of gates (0) to that of cells (1). Cells that
        would be later become gates, which ABC may restructure (see `synth.late_adders`).
    adder
        One of `ADDERS`.
    script
        One of `SCRIPTS`.
    delay_ps
        Delay that ABC sizes gates for, in ps; 0 for none (`area`).
    booth
        Yosys's own Booth multipliers for multiplications that the Verilog leaves to synthesis.
    """

    full_adders: str = "cells"
    complement: bool = False
    allowance: float = 1.0
    adder: str = "brent-kung"
    script: str = "area"
    delay_ps: int = 0
    booth: bool = False

    def describe(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def in_words(self) -> str:
        """The recipe in a few words."""
        share = f" {self.allowance:g}" if self.full_adders == "cells" else ""
        return f"{self.full_adders}{share}, {self.script}, {self.adder}"


def before_full_adders(recipe: Recipe, top: str, verilog: Path, maps: Path, flatten: bool) -> list[str]:
    """Commands from Verilog to a netlist of coarse cells and full adders."""
    commands = [f"read_verilog {verilog}", f"hierarchy -check -top {top}"]
    if recipe.full_adders == "cells":
        commands.append(f"blackbox {polarity.FULL_ADDER}")
    commands += ["proc -norom", "setattr -unset init w:*"]
    if flatten:
        commands.append("flatten")
    commands += ["delete t:$scopeinfo", "opt_expr", "opt_clean", "opt -nodffe -nosdff", "wreduce", "peepopt", "opt_clean"]
    if recipe.booth:
        commands.append("booth")
    commands += ["alumacc", "share", "opt -nodffe -nosdff", "opt -fast -full -nodffe -nosdff"]
    if recipe.adder == "ripple":
        commands.append(f"techmap -map {maps / 'ripple.v'}")
        if recipe.full_adders == "logic":
            commands.append(f"techmap -map {maps / 'full_adder_logic.v'}")
        commands += ["opt -nodffe -nosdff"]
    return commands


def after_full_adders(recipe: Recipe, pdk: Pdk, liberty: Sequence[Path], maps: Path, netlist: Path) -> list[str]:
    """Commands from there to the mapped netlist."""
    libraries = " ".join(f"-liberty {path}" for path in liberty)
    dont_use = " ".join(f"-dont_use {pattern}" for pattern in pdk.dont_use)
    target = f"-D {recipe.delay_ps} " if recipe.delay_ps else ""
    commands = [f"techmap -map {maps / 'full_adder.v'}"]
    choice = f" -map +/choices/{recipe.adder}.v" if recipe.adder in _CHOICES else ""
    # Enables and resets become gates that ABC merges with what makes the next state.
    legal = ["opt -fast -nodffe -nosdff", "dfflegalize -cell $_DFF_P_ x", "opt -fast -nodffe -nosdff"]
    commands += [f"techmap -map +/techmap.v{choice}", *legal]
    if pdk.flip_flop is not None:
        commands.append(f"techmap -map {maps / 'flip_flop.v'}")
    else:
        commands.append(f"dfflibmap {dont_use} {libraries}")
    commands += ["opt -fast -nodffe -nosdff", f"abc {libraries} {dont_use} {target}-script +{SCRIPTS[recipe.script]}"]
    if pdk.tie_high and pdk.tie_low:
        high, low = " ".join(pdk.tie_high), " ".join(pdk.tie_low)
        commands.append(f"hilomap -singleton -hicell {high} -locell {low}")
    commands += ["splitnets", "opt_clean -purge", "check -mapped", f"write_verilog -noattr -noexpr -nohex {netlist}"]
    return commands


def map_files(pdk: Pdk) -> dict[str, str]:
    """Verilog that `techmap` reads, by file name: full adders, the flip-flop, the ripple-carry adder."""
    ports = "(input a, input b, input c, output sum, output carry);"
    logic = "assign sum = a ^ b ^ c; assign carry = (a & b) | (c & (a | b)); endmodule"
    files = {"ripple.v": _RIPPLE, "full_adder_logic.v": f"module {polarity.FULL_ADDER} {ports} {logic}\n"}
    modules = [f"module {polarity.LOGIC} {ports} {logic}"]
    if cell := pdk.full_adder:
        for name, complemented in ((polarity.TRUE, False), (polarity.COMPLEMENT, True)):
            sign = "~" if complemented else ""
            out = "~" if complemented != cell.inverted else ""
            modules.append(
                f"module {name} {ports} wire s, k; assign sum = {out}s; assign carry = {out}k; {cell.cell} _TECHMAP_REPLACE_ "
                f"(.{cell.a}({sign}a), .{cell.b}({sign}b), .{cell.c}({sign}c), .{cell.sum}(s), .{cell.carry}(k)); endmodule"
            )
    files["full_adder.v"] = "\n".join(modules) + "\n"
    if flop := pdk.flip_flop:
        # An inverted output is undone before the flip-flop, where the inverter merges with the logic that makes its input.
        before = "\\$_NOT_ inverter (.A(D), .Y(d));" if flop.inverted else "assign d = D;"
        files["flip_flop.v"] = (
            f"module \\$_DFF_P_ (input C, input D, output Q); wire d; {before} {flop.cell} _TECHMAP_REPLACE_ "
            f"(.{flop.clock}(C), .{flop.data}(d), .{flop.output}(Q)); endmodule\n"
        )
    return files
