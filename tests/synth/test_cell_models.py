# SPDX-License-Identifier: Apache-2.0
"""Boolean expressions, and cell models simulated by Icarus against the functions that they were made from."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from golden.errors import InputError
from synth.boolean import parse
from synth.cell_models import cell_models, paths
from synth.liberty import Cell, Library, load

TINY = Path(__file__).with_name("tiny.lib")
OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("A", "a"),
        ("!A", "not a"),
        ("A'", "not a"),
        ("(A B)'", "not (a and b)"),
        ("!A'", "a"),
        ("A B + C", "(a and b) or c"),
        ("A * B | !C", "(a and b) or (not c)"),
        ("A&B'&C", "a and (not b) and c"),
        ("A ^ B ^ C", "a ^ b ^ c"),
        ("A B ^ C", "a and (b ^ c)"),  # exclusive or binds tighter than and
        ("!(A ^ B) + C", "(not (a ^ b)) or c"),
        ("!((A+B) (B+C))", "not ((a or b) and (b or c))"),
        ("A+1", "True"),
        ("A*0", "False"),
    ],
)
def test_expression(text: str, python: str) -> None:
    expected = [eval(python, {"a": bool(s & 1), "b": bool(s & 2), "c": bool(s & 4)}) for s in range(8)]
    assert parse(text).truth_table(["A", "B", "C"]).tolist() == expected


@pytest.mark.parametrize("text", ["", "A +", "(A", "A)", "A ? B", "!", "+ A", "A !", "a b 2", "(" * 5000 + "A" + ")" * 5000])
def test_not_an_expression(text: str) -> None:
    with pytest.raises(InputError, match="not a Liberty expression"):
        parse(text)


def test_inversions_of_inversions() -> None:
    assert parse("!" * 5001 + "A" + "'" * 5000) == parse("!A")
    assert parse("!" * 5000 + "(A B)''").verilog() == "(A & B)"


def test_names_and_verilog() -> None:
    expression = parse("!(A B) + CI^1")
    assert expression.names == {"A", "B", "CI"}
    assert expression.verilog() == "(~(A & B) | (CI ^ 1'b1))"


def simulate(folder: Path, text: str) -> list[str]:
    (folder / "bench.v").write_text(text)
    subprocess.run(["iverilog", "-g2012", "-o", "sim", "bench.v"], cwd=folder, check=True, timeout=60)
    run = subprocess.run(["vvp", "-n", "sim"], cwd=folder, check=True, timeout=60, capture_output=True, text=True)
    return run.stdout.split()


def truth_in_icarus(folder: Path, library: Library, cell: Cell) -> list[str]:
    """Outputs of the model for every input state, as one word of bits per state."""
    inputs, outputs = [pin.name for pin in cell.inputs], [pin.name for pin in cell.outputs]
    pins = [f".{name}(i[{k}])" for k, name in enumerate(inputs)] + [f".{name}(o[{k}])" for k, name in enumerate(outputs)]
    bench = f"""{cell_models(library, [cell.name])}
module bench;
  reg [{len(inputs)}:0] i;
  wire [{len(outputs) - 1}:0] o;
  {cell.name} dut({", ".join(pins)});
  initial for (i = 0; i < {1 << len(inputs)}; i = i + 1) begin #1; $display("%b", o); end
endmodule
"""
    return simulate(folder, bench)


def expected_truth(cell: Cell) -> list[str]:
    names = [pin.name for pin in cell.inputs]
    columns = [parse(pin.function or "").truth_table(names) for pin in cell.outputs]
    return ["".join("1" if bit else "0" for bit in row[::-1]) for row in np.stack(columns, axis=1)]


@needs_icarus
@pytest.mark.parametrize("name", ["INV", "NAND2", "FA", "TIE1", "TIE0"])
def test_logic_in_icarus(tmp_path: Path, name: str) -> None:
    library = load(TINY)
    assert truth_in_icarus(tmp_path, library, library.cell(name)) == expected_truth(library.cell(name))


@needs_icarus
def test_full_adders_of_real_libraries(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Sum and carry, against addition itself rather than against the library's expressions."""
    cells = [(OSU018, "FAX1", ("A", "B", "C"), "YS", "YC", False)] if OSU018.exists() else []
    reference = request.getfixturevalue("reference")
    cells += [
        (
            next((reference / "platforms/sky130hd/lib").glob("*")),
            "sky130_fd_sc_hd__fa_1",
            ("A", "B", "CIN"),
            "SUM",
            "COUT",
            False,
        ),
        (
            next((reference / "platforms/asap7/lib/NLDM").glob("*SIMPLE*")),
            "FAx1_ASAP7_75t_R",
            ("A", "B", "CI"),
            "SN",
            "CON",
            True,
        ),
    ]
    for path, name, inputs, total, carry, inverted in cells:
        others = sorted(path.parent.glob("*.lib.gz")) if "asap7" in path.name else []
        library = load([path, *(other for other in others if other != path)])
        cell = library.cell(name)
        order = [pin.name for pin in cell.inputs]
        rows = truth_in_icarus(tmp_path, library, cell)
        outputs = [pin.name for pin in cell.outputs]
        for state, row in enumerate(rows):
            bits = dict(zip(outputs, row[::-1], strict=True))
            ones = sum(state >> order.index(pin) & 1 for pin in inputs)
            assert int(bits[total]) ^ inverted == ones & 1
            assert int(bits[carry]) ^ inverted == ones >> 1


@needs_icarus
def test_every_osu_cell(tmp_path: Path) -> None:
    if not OSU018.exists():
        pytest.skip("qflow-tech-osu018 is not installed")
    library = load(OSU018)
    done = 0
    for cell in library.cells.values():
        if not cell.is_sequential and not any(pin.three_state for pin in cell.outputs):
            assert truth_in_icarus(tmp_path, library, cell) == expected_truth(cell), cell.name
            done += 1
    assert done >= 25


@needs_icarus
def test_flip_flop_loads_at_the_rising_edge(tmp_path: Path) -> None:
    bench = f"""{cell_models(load(TINY), ["DFF"])}
module bench;
  reg clk = 0, d = 1; wire q;
  DFF dut(.CLK(clk), .D(d), .Q(q));
  initial begin
    #1 $display("%b", q);
    clk = 1; #1 $display("%b", q);
    d = 0; #1 $display("%b", q);
    clk = 0; #1 $display("%b", q);
    clk = 1; #1 $display("%b", q);
  end
endmodule
"""
    assert simulate(tmp_path, bench) == ["x", "1", "1", "1", "0"]


@needs_icarus
def test_clear_and_preset(tmp_path: Path) -> None:
    """Both active gives clear_preset_var1 (L here); when the first goes, the other one still counts."""
    steps = [
        ("0", "1", "1"),
        ("1", "1", "1"),
        ("0", "0", "1"),
        ("0", "1", "0"),
        ("0", "0", "0"),
        ("0", "1", "0"),
        ("1", "1", "1"),
    ]
    drive = "\n".join(f'    clk = {c}; rn = {r}; sn = {s}; #1 $display("%b%b", q, qn);' for c, r, s in steps)
    bench = f"""{cell_models(load(TINY), ["DFFSR"])}
module bench;
  reg clk = 0, d = 1, rn = 1, sn = 1; wire q, qn;
  DFFSR dut(.CLK(clk), .D(d), .RN(rn), .SN(sn), .Q(q), .QN(qn));
  initial begin
{drive}
  end
endmodule
"""
    assert simulate(tmp_path, bench) == ["xx", "10", "01", "10", "01", "10", "10"]


def test_paths_follow_arcs_and_functions() -> None:
    library = load(TINY)
    assert paths(library.cell("NAND2")) == [("A", "Y"), ("B", "Y")]
    assert paths(library.cell("DFF")) == [("CLK", "Q")]
    assert paths(library.cell("FA")) == [(pin, out) for out, pin in itertools.product(("CO", "S"), ("A", "B", "CI"))]
    assert paths(library.cell("TIE1")) == []


def test_models_are_deterministic_and_only_what_is_asked() -> None:
    library = load(TINY)
    text = cell_models(library, ["NAND2", "INV", "INV"])
    assert text == cell_models(library, ["INV", "NAND2"])
    assert text.count("module INV(") == 1
    assert "DFF" not in text


def test_cells_that_are_not_modelled() -> None:
    with pytest.raises(InputError, match="three-state output Y"):
        cell_models(load(TINY), ["TRISTATE"])
    with pytest.raises(InputError, match="XOR9 is not in library"):
        cell_models(load(TINY), ["XOR9"])
    if OSU018.exists():
        with pytest.raises(InputError, match="LATCH is a latch"):
            cell_models(load(OSU018), ["LATCH"])
