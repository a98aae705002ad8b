# SPDX-License-Identifier: Apache-2.0
"""Reading gate-level Verilog, and writing it again with plain names."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden.errors import InputError
from synth.netlist import ONE, ZERO, read_netlist

TEXT = r"""
/* a comment */
(* top = 1 *)
module other(a); input a; endmodule
module unit(clk, x, \strange.port , y, z);
  input clk;
  wire clk;
  input [2:0] x;
  input \strange.port ;
  output [3:0] y; // vector
  output z;
  wire n1, n2;
  wire \deep.name[3] ;
  wire [1:0] v;
  INV u1 (.A(x[0]), .Y(n1));
  INV \deep.cell[2] (.A(n1), .Y(\deep.name[3] ));
  NAND2 u3 (.A(1'h1), .B(v[1]), .Y(n2));
  NAND2 u4 (.A(n2), .B(n2), .Y(y[3]));
  NAND2 u5 (.A(n2), .B(\strange.port ), .Y());
  assign v = { \deep.name[3] , n1 };
  assign y[2:0] = { v[0], 2'b10 };
  assign z = n2;
endmodule
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "n.v"
    path.write_text(text)
    return path


def test_read(tmp_path: Path) -> None:
    netlist = read_netlist(write(tmp_path, TEXT), "unit")
    assert {name: (port.direction, len(port.bits)) for name, port in netlist.ports.items()} == {
        "clk": ("input", 1),
        "x": ("input", 3),
        "strange.port": ("input", 1),
        "y": ("output", 4),
        "z": ("output", 1),
    }
    pins = {instance.name: instance.pins for instance in netlist.instances}
    assert pins["u3"]["A"] == ONE
    assert pins["deep.cell[2]"]["Y"] == pins["u3"]["B"]  # through the vector v
    assert "Y" not in pins["u5"]
    assert netlist.ports["y"].bits[:2] == (ZERO, ONE)
    assert netlist.ports["y"].bits[2] == pins["u1"]["Y"]
    assert netlist.ports["z"].bits[0] == pins["u3"]["Y"]
    assert netlist.cells == ("INV", "NAND2")
    assert not {ZERO, ONE} & netlist.nets


def test_plain_names_give_the_same_netlist(tmp_path: Path) -> None:
    netlist = read_netlist(write(tmp_path, TEXT.replace(r"\strange.port ", "strange")), "unit")
    plain = netlist.with_plain_names()
    assert "\\" not in plain.verilog
    again = read_netlist(write(tmp_path, plain.verilog), "unit")
    assert [instance.cell for instance in again.instances] == [instance.cell for instance in netlist.instances]
    assert again.ports.keys() == netlist.ports.keys()

    def shape(one):  # type: ignore[no-untyped-def]
        """Which pins and port bits are on one net, without the names of the nets."""
        groups: dict[str, set[tuple[int, str]]] = {}
        for i, instance in enumerate(one.instances):
            for pin, net in instance.pins.items():
                groups.setdefault(net, set()).add((i, pin))
        for name, port in one.ports.items():
            for bit, net in enumerate(port.bits):
                groups.setdefault(net, set()).add((bit, name))
        return {frozenset(group) for net, group in groups.items() if net not in (ZERO, ONE)}

    assert shape(again) == shape(netlist)


def test_two_pins_on_one_net_get_names_of_their_own(tmp_path: Path) -> None:
    netlist = read_netlist(write(tmp_path, TEXT.replace(r"\strange.port ", "strange")), "unit")
    line = next(line for line in netlist.with_plain_names().verilog.splitlines() if " u4 (" in line)
    first, second = line.split(".A(")[1].split(")")[0], line.split(".B(")[1].split(")")[0]
    assert first != second


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("module unit", "module units"), "no module unit"),
        (("endmodule\n", ""), "truncated"),
        (("INV u1", "INV #(3) u1"), "parameters"),
        (("1'h1", "1'hx"), "setundef"),
        ((".A(x[0])", ".A(x)"), "pin A of INV u1 is a vector"),
        (("assign z = n2;", "assign z = n2 & n1;"), "has no place"),
        (("INV u1 (", "INV u1 "), r"'\(' is missing"),
        (("input [2:0] x;", "input [2:n] x;"), "'n' stands where a number belongs"),
        (("input [2:0] x;", "input [99999999:0] x;"), "at most 65536 bits"),
        (("x[0]", "x[3]"), r"x\[3:3\] is not in the vector x"),
        (("2'b10", "{" * 5000 + "2'b10" + "}" * 5000), "nests more than 20 concatenations"),
        (("2'b10", "99999999'b10"), "has 1 to 65536 bits"),
        (("2'b10", "2'b12"), "digits that are none of its base"),
    ],
)
def test_what_is_no_netlist(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    old, new = change
    head, tail = TEXT.split("module unit")
    text = head + ("module unit" + tail).replace(old, new)
    with pytest.raises(InputError, match=message) as error:
        read_netlist(write(tmp_path, text), "unit")
    assert str(tmp_path) in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_netlist(tmp_path / "none.v", "unit")


def test_text_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "n.v").write_bytes(b"\xff\xfe module unit")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_netlist(tmp_path / "n.v", "unit")


def test_escaped_names_of_ports_stay_no_plain_names(tmp_path: Path) -> None:
    netlist = read_netlist(write(tmp_path, TEXT), "unit")
    with pytest.raises(InputError, match=r"'strange\.port' is the name of a port"):
        netlist.with_plain_names()
