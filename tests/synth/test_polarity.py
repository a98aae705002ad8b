# SPDX-License-Identifier: Apache-2.0
"""Polarities of full adders: alternating or uniform, and gates where a cell would be a waste."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from synth.polarity import COMPLEMENT, FULL_ADDER, LOGIC, TRUE, assign

Bit = int | str


def adder(a: Bit, b: Bit, c: Bit, total: Bit, carry: Bit) -> dict[str, Any]:
    connections = {"a": [a], "b": [b], "c": [c], "sum": [total], "carry": [carry]}
    return {"type": FULL_ADDER, "port_directions": {}, "connections": connections}


def gate(kind: str, a: Bit, y: Bit) -> dict[str, Any]:
    return {"type": kind, "port_directions": {"A": "input", "Y": "output"}, "connections": {"A": [a], "Y": [y]}}


def chain(length: int) -> dict[str, Any]:
    """Full adders in a row, sum to `a`; every other input from a gate, and every output read by one."""
    cells: dict[str, Any] = {}
    for i in range(length):
        cells[f"adder_{i}"] = adder(100 + i, 200 + i, 300 + i, 101 + i, 400 + i)
        for j, bit in enumerate((200 + i, 300 + i)):
            cells[f"gate_{i}_{j}"] = gate("$and", 1, bit)
        cells[f"reader_{i}"] = gate("$not", 400 + i, 500 + i)
    cells["start"] = gate("$and", 1, 100)
    cells["end"] = gate("$not", 100 + length, 600)
    return {"cells": cells, "ports": {"x": {"direction": "input", "bits": [1]}}}


def types(module: dict[str, Any]) -> list[str]:
    return [cell["type"] for name, cell in module["cells"].items() if name.startswith("adder")]


@pytest.mark.parametrize("prefer", [False, True])
def test_plain_cells_agree(prefer: bool) -> None:
    module = chain(6)
    assign(module, inverted=False, prefer_complement=prefer)
    assert types(module) == [COMPLEMENT if prefer else TRUE] * 6


@pytest.mark.parametrize("prefer", [False, True])
def test_inverted_cells_alternate(prefer: bool) -> None:
    """No inverter between cells, at the cost of leaves in the other polarity, as long as each cell has one or two of them."""
    module = chain(6)
    for i in range(1, 6):  # one leaf each but for the first
        module["cells"][f"adder_{i}"]["connections"]["c"] = [400 + i - 1]
        module["cells"][f"reader_{i - 1}"]["connections"]["A"] = [1]
    assign(module, inverted=True, prefer_complement=prefer)
    assert all(one != other for one, other in pairwise(types(module)))


def test_inverted_cells_in_a_tree_need_no_inverters() -> None:
    """Two cells feed a third by all its inputs: their polarities are the opposite of its own."""
    module = chain(0)
    module["cells"] |= {
        "adder_a": adder(10, 11, 12, 20, 21),
        "adder_b": adder(13, 14, 15, 22, 23),
        "adder_c": adder(20, 21, 22, 30, 31),
        "reader": gate("$not", 30, 40),
        "other": gate("$not", 31, 41),
        "third": gate("$not", 23, 42),
    } | {f"gate_{i}": gate("$and", 1, i) for i in range(10, 16)}
    assign(module, inverted=True, prefer_complement=True)
    first, second, last = types(module)
    assert first == second != last


def test_ports_and_registers_give_true_bits() -> None:
    module = chain(0)
    module["cells"] = {
        "adder_a": adder(1, 2, 3, 20, 21),
        "x": gate("$not", 20, 30),
        "y": gate("$not", 21, 31),
        "d": {"type": "$dff", "port_directions": {"D": "input", "Q": "output"}, "connections": {"D": [30], "Q": [3]}},
    }
    module["ports"] = {"x": {"direction": "input", "bits": [1, 2]}}
    assign(module, inverted=False, prefer_complement=True)
    assert types(module) == [TRUE]


def test_constant_inputs_and_unused_outputs_become_gates() -> None:
    module = chain(2)
    module["cells"]["adder_0"]["connections"]["b"] = ["0"]
    module["cells"]["adder_1"]["connections"]["carry"] = [999]
    assign(module, inverted=False, prefer_complement=False)
    assert types(module) == [LOGIC, LOGIC]
