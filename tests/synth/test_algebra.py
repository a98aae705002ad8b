# SPDX-License-Identifier: Apache-2.0
"""Polynomials: unique forms, of small networks those of their truth tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.errors import ToolError
from synth import yosys
from synth.algebra import Polynomial, bits_of, next_word, of_table, product, total, word


def evaluate(polynomial: Polynomial, ones: set[str]) -> int:
    return sum(coefficient for monomial, coefficient in polynomial.items() if monomial <= ones)


@given(st.lists(st.integers(-1000, 1000), min_size=16, max_size=16), st.lists(st.integers(-9, 9), min_size=16, max_size=16))
def test_forms_are_functions(left: list[int], right: list[int]) -> None:
    names = list("abcd")
    f, g = of_table(names, left), of_table(names, right)
    for i in range(16):
        ones = {name for place, name in enumerate(names) if i >> place & 1}
        assert evaluate(f, ones) == left[i]
        assert evaluate(total(f, g), ones) == left[i] + right[i]
        assert evaluate(product(f, g), ones) == left[i] * right[i]
    assert (f == g) == (left == right)


def test_words() -> None:
    names = list("abc")
    assert word(names) == of_table(names, range(8))
    assert word(names, signed=True) == of_table(names, [0, 1, 2, 3, -4, -3, -2, -1])


UNIT = """
module top(input clk, input go, input [2:0] a, input [2:0] b, output reg [5:0] sum);
  wire [5:0] p;
  times t(.a(a), .b(b), .p(p));
  {registers}
  always @(posedge clk) if (now) sum <= {expression};
endmodule
module times(input [2:0] a, input [2:0] b, output [5:0] p);
  assign p = a * b;
endmodule
"""
SAME_CYCLE = "wire now = go; wire [5:0] q = p;"
DELAYED = "reg now; reg [5:0] q; always @(posedge clk) begin now <= go; q <= p; end"


def wanted(delay: int) -> Polynomial:
    before, go = word(bits_of("sum", 6)), word(bits_of("go", 1, delay))
    products = product(word(bits_of("a", 3, delay)), word(bits_of("b", 3, delay)))
    return modulo(total(before, product(go, products)))


def modulo(form: Polynomial) -> Polynomial:
    return {monomial: c % 64 for monomial, c in form.items()}


@pytest.mark.parametrize(("registers", "delay"), [(SAME_CYCLE, 0), (DELAYED, 1)])
@pytest.mark.parametrize(
    ("expression", "right"), [("sum + q", True), ("q - ~sum - 1", True), ("sum - q", False), ("sum ^ q", False)]
)
def test_what_a_register_becomes(registers: str, delay: int, expression: str, right: bool) -> None:
    modules = yosys.gates(UNIT.format(registers=registers, expression=expression), "top", keep=("times",))
    assert (next_word(modules, "top", "sum", delay) == wanted(delay)) == right


def test_what_is_expressed_otherwise_keeps_another_name() -> None:
    modules = yosys.gates(UNIT.format(registers=DELAYED, expression="sum + q"), "top", keep=("times",))
    variables = frozenset[str]().union(*next_word(modules, "top", "sum", delay=0))
    assert any(name.startswith("net ") for name in variables)
    assert not any(name.startswith("a[") for name in variables)


def test_what_a_register_becomes_through_another() -> None:
    """Only the one named is replaced by what it took; another, which an output shows, stays."""
    text = UNIT.format(registers=DELAYED, expression="sum + q")
    top = yosys.gates(text, "top", keep=("times",))
    top["top"] = top["top"].showing(["now", "q"])
    before, now = word(bits_of("sum", 6)), word(["now"])
    products = product(word(bits_of("a", 3, 1)), word(bits_of("b", 3, 1)))
    assert next_word(top, "top", "sum") == modulo(total(before, product(now, word(bits_of("q", 6)))))
    assert next_word(top, "top", "sum", 1, "q") == modulo(total(before, product(now, products)))
    with pytest.raises(ToolError, match="no wire called nothing"):
        top["top"].showing(["nothing"])


def test_a_port_without_registers() -> None:
    modules = yosys.gates("module top(input [3:0] a, output [3:0] y); assign y = a + 1; endmodule", "top", keep=("none",))
    with pytest.raises(ToolError, match="not made of registers"):
        next_word(modules, "top", "y")


@given(st.integers(0, 255), st.integers(0, 255))
def test_signed_words_of_any_width(left: int, right: int) -> None:
    """Sums of words of different widths, as numbers: what the form of an addition rests on."""
    a, b = np.int8(left - 128), np.int8(right - 128)
    ones = {f"a{i}" for i in range(8) if int(a) >> i & 1} | {f"b{i}" for i in range(8) if int(b) >> i & 1}
    form = total(word([f"a{i}" for i in range(8)], signed=True), word([f"b{i}" for i in range(8)], signed=True))
    assert evaluate(form, ones) == int(a) + int(b)
