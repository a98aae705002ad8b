# SPDX-License-Identifier: Apache-2.0
"""Networks of gates: right values, right registers, and nothing that has no meaning."""

from __future__ import annotations

from itertools import product

import pytest

from golden.errors import InputError, ToolError
from synth import abc, yosys
from synth.gates import FUNCTIONS, PINS, matched, read_network

COUNTER = """
module top(input clk, input up, input [1:0] x, output reg [2:0] q, output not_q0);
  assign not_q0 = ~q[0];
  always @(posedge clk) q <= up ? q + x : q;
endmodule
"""


def test_every_gate_is_what_yosys_means_by_it() -> None:
    verilog = {"not": "~a", "and": "a&b", "or": "a|b", "xor": "a^b", "nand": "~(a&b)", "nor": "~(a|b)", "xnor": "~(a^b)"}
    verilog |= {"andnot": "a&~b", "ornot": "a|~b", "mux": "b if s else a", "buf": "a"}  # Yosys's simcells.v
    nets = {"A": [2], "B": [3], "S": [4]}
    for kind in FUNCTIONS:
        cell = {"type": f"$_{kind.upper()}_", "connections": {pin: nets[pin] for pin in PINS[kind]} | {"Y": [5]}}
        ports = {"x": {"direction": "input", "bits": [2, 3, 4]}, "y": {"direction": "output", "bits": [5]}}
        table = read_network({"ports": ports, "cells": {"one": cell}}, "top").truth_tables()[5]
        for s, b, a in product((0, 1), repeat=3):
            assert table >> (4 * s + 2 * b + a) & 1 == eval(verilog[kind], {"a": a, "b": b, "s": s}) & 1, kind


def test_gates_of_verilog() -> None:
    text = "module top(input a, b, s, output [3:0] y); assign y = {s ? b : a, a ^ ~b, ~(a & b & s), a | ~s}; endmodule"
    network = yosys.gates(text, "top")["top"]
    tables = network.truth_tables()
    order = list(network.inputs)
    for case in range(8):
        a, b, s = (case >> order.index(name) & 1 for name in "abs")
        assert [tables[net] >> case & 1 for net in network.outputs["y"]] == [
            a | 1 - s,
            1 - (a & b & s),
            a ^ (1 - b),
            b if s else a,
        ]


def test_a_clock_cycle() -> None:
    network = yosys.gates(COUNTER, "top")["top"]
    assert set(network.registers) >= {"q[0]", "q[1]", "q[2]"}
    for up, x, q in product(range(2), range(4), range(8)):
        values = {network.inputs["up"][0]: up, network.inputs["clk"][0]: 0}
        values |= {net: x >> i & 1 for i, net in enumerate(network.inputs["x"])}
        values |= {net: q >> i & 1 for i, net in enumerate(network.outputs["q"])}
        nets = network.evaluate(values, 1)
        after = sum(nets[network.flip_flops[net]] << i for i, net in enumerate(network.outputs["q"]))
        assert after == (q + up * x) % 8


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("module top(input clk, input [1:0] x, input up, output reg [2:0] q); always @(posedge clk) if (up) q <= x + q;", True),
        (
            "module top(input clk, input [1:0] x, input up, output reg [2:0] q); always @(posedge clk) if (up) q <= x + 1 + q;",
            False,
        ),
        (
            "module top(input clk, input up, input [1:0] x, output [2:0] q); reg [2:0] n; assign q = ~n;"
            "always @(posedge clk) n <= ~(q + (up ? x : 0));",
            True,
        ),
    ],
)
def test_equal_is_told_from_unequal(other: str, same: bool) -> None:
    text = COUNTER.replace(", output not_q0", "").replace("assign not_q0 = ~q[0];", "")
    networks = [yosys.gates(verilog, "top")["top"] for verilog in (text, f"{other} endmodule")]
    assert abc.equal(*networks) == same


@pytest.mark.parametrize(("taken", "same"), [("a", True), ("a & d", False)])
def test_registers_that_no_output_shows_are_paired_by_name(taken: str, same: bool) -> None:
    """One network keeps the inverse; that its wire of the same name shows it is what makes them a pair."""
    ports, clock = "module top(input clk, d, output reg q);", "always @(posedge clk) begin"
    plain = f"{ports} reg a; {clock} a <= d; q <= a; end endmodule"
    inverse = f"{ports} reg n; wire a = ~n; {clock} n <= ~d; q <= {taken}; end endmodule"
    networks = [yosys.gates(verilog, "top")["top"] for verilog in (plain, inverse)]
    assert [set(network.hidden) for network in networks] == [{"a"}, {"a", "n"}]
    assert abc.equal(*matched(*networks)) == same
    with pytest.raises(InputError, match="not shown"):
        abc.equal(*networks)


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(ToolError, match="undefined"):
        yosys.gates("module top(input a, output y); assign y = a ? 1'bx : 1'b0; endmodule", "top")
    with pytest.raises(ToolError, match="no place in a network"):
        yosys.gates("module top(input a, d, output reg q); always @* if (a) q = d; endmodule", "top")
    hidden = (
        "module top(input clk, d, output q); reg a, b; assign q = b; always @(posedge clk) begin a <= d; b <= a; end endmodule"
    )
    with pytest.raises(InputError, match="not shown"):
        yosys.gates(hidden, "top")["top"].blif()


def test_abc_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    network = yosys.gates(COUNTER.replace(", output not_q0", "").replace("assign not_q0 = ~q[0];", ""), "top")["top"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # noqa: ARG005
    with pytest.raises(ToolError, match="pyosys is missing"):
        abc.equal(network, network)
