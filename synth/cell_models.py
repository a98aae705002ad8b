# SPDX-License-Identifier: Apache-2.0
"""Verilog models of library cells, made from the functions in the Liberty file: what a gate-level simulation needs.

Every timing arc from an input to an output becomes one unconditional path `(in => out)`, so that delay annotation has exactly
one place for each pair; conditional arcs (full adders, exclusive ors) are not left to a simulator's reading of COND.
"""

from __future__ import annotations

from collections.abc import Iterable

from golden.errors import InputError

from .boolean import Expression, parse
from .liberty import Cell, FlipFlop, Library, Pin

__all__ = ["DEFAULT_DELAY_NS", "cell_models", "paths"]

# Delay of every path until it is annotated; a path that kept it was not.
DEFAULT_DELAY_NS = 0.01


def cell_models(library: Library, names: Iterable[str]) -> str:
    """Verilog modules of the cells `names`, in alphabetical order: logic, flip-flops with clear and preset, constants.

    Time unit 1 ns, precision 100 fs. Flip-flops start unknown, as in silicon, and load at the edge by a non-blocking
    assignment.

    Raises
    ------
    InputError
        If the library lacks a cell, or a cell has no function or one that is not modelled (latches, state tables, three-state
        outputs).
    """
    modules = [_module(library.cell(name)) for name in sorted(set(names))]
    return "`timescale 1ns/100fs\n\n" + "\n".join(modules)


def paths(cell: Cell) -> list[tuple[str, str]]:
    """Pairs (input, output) that the model has a path for: those with a timing arc, or else a role in the function."""
    result = []
    for output in cell.outputs:
        causes = {
            pin for arc in output.timing if not any("constraint" in table for table in arc.tables) for pin in arc.related_pins
        }
        if cell.flip_flops:
            causes |= _support(cell)
        else:
            causes |= parse(output.function or "0").names
        result += [(pin.name, output.name) for pin in cell.inputs if pin.name in causes]
    return result


def _support(cell: Cell) -> set[str]:
    """Pins that move the state of a flip-flop without waiting for another: clock, clear and preset."""
    texts = [text for group in cell.flip_flops for text in (group.clocked_on, group.clear, group.preset) if text]
    return {name for text in texts for name in parse(text).names}


def _module(cell: Cell) -> str:
    _check(cell)
    inputs, outputs = [pin.name for pin in cell.inputs], [pin.name for pin in cell.outputs]
    lines = [f"module {cell.name}({', '.join(inputs + outputs)});"]
    lines += [f"  input {name};" for name in inputs]
    lines += [f"  output {name};" for name in outputs]
    for group in cell.flip_flops:
        lines += _flip_flop(group)
    known = set(inputs) | set(outputs) | {name for group in cell.flip_flops for name in (group.state, group.inverted_state)}
    for pin in cell.outputs:
        lines.append(f"  assign {pin.name} = {_verilog(cell, pin, known)};")
    if pairs := paths(cell):
        lines.append("  specify")
        lines += [f"    ({source} => {target}) = ({DEFAULT_DELAY_NS}, {DEFAULT_DELAY_NS});" for source, target in pairs]
        lines.append("  endspecify")
    return "\n".join([*lines, "endmodule", ""])


def _check(cell: Cell) -> None:
    if cell.latches or cell.has_state_table:
        raise InputError(f"cell {cell.name} is a latch or has a state table: only flip-flops are modelled; exclude the cell")
    for pin in cell.outputs:
        if pin.function is None:
            raise InputError(f"cell {cell.name} has no function for pin {pin.name}: it cannot be simulated; exclude the cell")
        if pin.three_state is not None:
            raise InputError(f"cell {cell.name} has the three-state output {pin.name}: not modelled; exclude the cell")


def _verilog(cell: Cell, pin: Pin, known: set[str]) -> str:
    function: Expression = parse(pin.function or "")
    if unknown := function.names - known:
        raise InputError(f"cell {cell.name}: the function of {pin.name} names {min(unknown)}, which the cell does not have")
    return function.verilog()


def _flip_flop(group: FlipFlop) -> list[str]:
    """The state as a register.

    Clear and preset are levels, so that the state is right also after the first of the two has gone; `clear_preset_state` is
    Liberty's `clear_preset_var1`: the state while both are active.
    """
    lines = [
        f"  reg {group.state};",
        f"  wire {group.inverted_state} = ~{group.state};",
        f"  wire clocked_ = {parse(group.clocked_on).verilog()};",
    ]
    load = f"{group.state} <= {parse(group.next_state).verilog()};"
    if group.clear is None and group.preset is None:
        return [*lines, f"  always @(posedge clocked_) {load}"]
    both = {"L": "1'b0", "H": "1'b1", "N": group.state, "T": f"~{group.state}"}.get(group.clear_preset_state, "1'bx")
    return [
        *lines,
        f"  wire clear_ = {parse(group.clear or '0').verilog()};",
        f"  wire preset_ = {parse(group.preset or '0').verilog()};",
        f"  always @(posedge clocked_) if (!clear_ && !preset_) {load}",
        "  always @(clear_ or preset_)",
        f"    if (clear_ && preset_) {group.state} <= {both};",
        f"    else if (clear_) {group.state} <= 1'b0;",
        f"    else if (preset_) {group.state} <= 1'b1;",
    ]
