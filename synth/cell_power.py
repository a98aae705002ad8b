# SPDX-License-Identifier: Apache-2.0
"""What the power groups of a cell say in each of its states, prepared once per cell type as arrays over the states.

A state is the values of all pins of the cell, inputs and outputs, as a number: bit i is pin i. For every edge of a pin, the
energy is a sum over supplies (`related_pg_pin`) of one group's table, the one whose `when` holds. Here that choice is a matrix
of weights, groups by states; the tables, which depend on the load and the transition times of an instance, come in later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from golden.errors import InputError

from .boolean import parse
from .liberty import Cell, InternalPower, Leakage, Pin
from .lookup_table import TableStack

__all__ = ["Cause", "CellPower", "PinPower", "cell_power"]

_MAX_PINS = 14  # 2^14 states; the widest cell of the libraries met so far has 10


@dataclass(frozen=True)
class Cause:
    """The power of an output whose edge a given input causes."""

    pin: int  # index of the input
    energies: tuple[TableStack, TableStack]  # of the groups, for a rising and a falling output
    weights: NDArray[np.float64]  # (groups, states)
    sensitized: NDArray[np.bool_]  # (states,): flipping the input flips the output


@dataclass(frozen=True)
class PinPower:
    """The power of a pin's edges: in groups of its own, as inputs and clocks have, and for an output by cause."""

    pin: int
    name: str
    is_output: bool
    is_clock: bool
    energies: tuple[TableStack, TableStack]  # of the pin's own groups, for a rising and a falling edge
    weights: NDArray[np.float64]  # (groups, states)
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class CellPower:
    """A cell type: its pins in the order of the state's bits, power by pin, leakage by state (library units)."""

    cell: Cell
    pins: tuple[str, ...]
    inputs: int  # the first `inputs` pins are inputs
    powers: tuple[PinPower, ...]
    leakage: NDArray[np.float64]  # (states,)


@lru_cache(maxsize=4096)
def cell_power(cell: Cell) -> CellPower:
    """Prepare a cell.

    Raises
    ------
    InputError
        If it has too many pins for a table of its states.
    """
    inputs, outputs = cell.inputs, cell.outputs
    pins = tuple(pin.name for pin in (*inputs, *outputs))
    if len(pins) > _MAX_PINS:
        raise InputError(f"cell {cell.name} has {len(pins)} pins: its states cannot be tabulated (at most {_MAX_PINS} pins)")
    powers = []
    for index, pin in enumerate((*inputs, *outputs)):
        own = tuple(group for group in pin.internal_power if not group.related_pins)
        causes = tuple(_causes(cell, pin, pins)) if index >= len(inputs) else ()
        powers.append(
            PinPower(
                pin=index,
                name=pin.name,
                is_output=index >= len(inputs),
                is_clock=_is_clock(cell, pin),
                energies=_energies(own),
                weights=_weights(own, pins, otherwise_mean=False),
                causes=causes,
            )
        )
    return CellPower(cell, pins, len(inputs), tuple(powers), _leakage(cell, pins))


def _is_clock(cell: Cell, pin: Pin) -> bool:
    return pin.is_clock or any(pin.name in parse(group.clocked_on).names for group in cell.flip_flops)


def _causes(cell: Cell, output: Pin, pins: Sequence[str]) -> list[Cause]:
    related = {name: None for group in output.internal_power for name in group.related_pins}
    causes = []
    for name in related:
        if name not in pins:
            continue
        groups = tuple(group for group in output.internal_power if name in group.related_pins)
        index = pins.index(name)
        weights = _weights(groups, pins, otherwise_mean=True)
        causes.append(Cause(index, _energies(groups), weights, _sensitized(cell, output, index, pins)))
    return causes


def _energies(groups: Sequence[InternalPower]) -> tuple[TableStack, TableStack]:
    return TableStack([group.rise for group in groups]), TableStack([group.fall for group in groups])


def _sensitized(cell: Cell, output: Pin, index: int, pins: Sequence[str]) -> NDArray[np.bool_]:
    """Where flipping pin `index` flips the output; everywhere for outputs of a register, whose clock causes every edge."""
    states = np.arange(1 << len(pins))
    function = parse(output.function or "0")
    if cell.is_sequential or not function.names <= set(pins):
        return np.ones(len(states), dtype=bool)
    table = function.truth_table(pins)
    return np.asarray(table[states] != table[states ^ (1 << index)])


def _weights(groups: Sequence[InternalPower], pins: Sequence[str], otherwise_mean: bool) -> NDArray[np.float64]:
    """How much of each group's table counts in each state, for each supply separately: 1 for the group whose `when` holds.

    Where several hold, they share; where none does, the unconditional group counts, and without one either their mean
    (`otherwise_mean`, for an edge that did happen) or nothing (an input in a state that was not characterized, because there
    the edge moves an output and is in that output's table).
    """
    states = 1 << len(pins)
    weights = np.zeros((len(groups), states))
    for supply in dict.fromkeys(group.related_pg_pin for group in groups):
        members = [i for i, group in enumerate(groups) if group.related_pg_pin == supply]
        conditional = [i for i in members if groups[i].when is not None]
        unconditional = [i for i in members if groups[i].when is None]
        for i in conditional:
            weights[i] = parse(groups[i].when or "").truth_table(pins)
        holding = weights[conditional].sum(axis=0) if conditional else np.zeros(states)
        fallback = unconditional or (members if otherwise_mean else [])
        for i in conditional:
            weights[i] /= np.maximum(holding, 1)
        for i in fallback:
            weights[i] += (holding == 0) / len(fallback)
    return weights


def _leakage(cell: Cell, pins: Sequence[str]) -> NDArray[np.float64]:
    """Leakage power per state: by supply, the group whose `when` holds, else the one without `when`, else the cell's own."""
    states = 1 << len(pins)
    result = np.zeros(states)
    known = [group for group in cell.leakage if group.when is None or parse(group.when).names <= set(pins)]
    if not known:
        return result + (cell.cell_leakage or 0.0)
    for supply in dict.fromkeys(group.related_pg_pin for group in known):
        members = [group for group in known if group.related_pg_pin == supply]
        result += _leakage_of_supply(members, pins, cell.cell_leakage)
    return result


def _leakage_of_supply(groups: Sequence[Leakage], pins: Sequence[str], otherwise: float | None) -> NDArray[np.float64]:
    states = 1 << len(pins)
    total, holding = np.zeros(states), np.zeros(states)
    for group in groups:
        if group.when is not None:
            here = parse(group.when).truth_table(pins)
            total += here * group.value
            holding += here
    default = [group.value for group in groups if group.when is None]
    conditional = [group.value for group in groups if group.when is not None]
    rest = default[0] if default else otherwise if otherwise is not None else float(np.mean(conditional))
    return np.where(holding > 0, total / np.maximum(holding, 1), rest)
