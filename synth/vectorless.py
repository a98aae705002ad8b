# SPDX-License-Identifier: Apache-2.0
"""Vectorless power: activities as tools assume them when they are told nothing, propagated through the gates; no simulation.

A net has a probability of being high, and a number of transitions per clock cycle, its density.

- Every input port but the clock is high half of the time and makes 0.1 transitions a cycle, the defaults of OpenSTA
  (`set_power_activity`). That holds for `rst` too: a tool that is told nothing takes the unit as reset in half of the cycles.
- The inputs of a gate are taken as independent. Its output is high with the probability P of its function, and has the density
  sum of P(df/dx) D(x) over the inputs x, where df/dx holds in the states in which the output follows x (F. N. Najm, "Transition
  density: a new measure of activity in digital circuits", IEEE Trans. CAD, February 1993).
- That sum counts glitches as if no two inputs ever changed at once and no gate swallowed a pulse: through a tree of full adders
  it grows without end, to hundreds of transitions a cycle. So the output of a gate or a register is given no more than a value
  drawn anew in each cycle has, 2 P (1 - P): nets that change once a cycle at most, as in a simulation without delays.
- A register is high with the probability of its next state. Registers feed themselves through gates, so that their rates are
  found by iteration, from P = 1/2.

Power follows from the same tables as in `synth.power`, with the expected number of events in place of the recorded ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from golden.errors import InputError, ToolError

from .boolean import parse
from .cell_power import Cause, CellPower, PinPower, cell_power
from .electrical import Electrical, electrical
from .liberty import Cell, Library
from .netlist import ONE, ZERO, Instance, Netlist
from .power import Power
from .sta import CLOCK

__all__ = ["DEFAULT_INPUT", "Rate", "estimate", "propagate"]

_TOLERANCE = 1e-6
_MOST_PASSES = 10_000


@dataclass(frozen=True)
class Rate:
    """Probability of being high, and transitions per clock cycle."""

    probability: float
    density: float


DEFAULT_INPUT = Rate(0.5, 0.1)
_CLOCK_RATE = Rate(0.5, 2.0)
_QUIET = Rate(0.0, 0.0)


def propagate(netlist: Netlist, library: Library, inputs: Mapping[str, Rate] | None = None) -> dict[str, Rate]:
    """The rate of every net, and of every register's state as `instance/state`.

    `inputs` are the rates of input ports that are told, by net; the others have `DEFAULT_INPUT`.

    Raises
    ------
    InputError
        If a cell is neither gate nor flip-flop, a net has no driver, or gates form a loop.
    ToolError
        If the iteration through the registers does not settle.
    """
    rates = {net: DEFAULT_INPUT for port in netlist.ports.values() if port.direction == "input" for net in port.bits}
    rates |= {CLOCK: _CLOCK_RATE, **(inputs or {}), ZERO: _QUIET, ONE: Rate(1.0, 0.0)}
    logic = {name: _logic(library.cell(name)) for name in netlist.cells}
    registers = [instance for instance in netlist.instances if logic[instance.cell].states]
    for register in registers:
        rates |= {f"{register.name}/{state}": Rate(0.5, 0.5) for state in logic[register.cell].states}
        rates |= dict.fromkeys(_driven(register, logic), _QUIET)
    gates = _in_order(netlist, logic, rates)
    rates |= {net: _QUIET for gate in gates for net in _driven(gate, logic)}
    for _ in range(_MOST_PASSES):
        for instance in (*registers, *gates):
            _drive(instance, logic[instance.cell], rates)
        if max((_clock(register, logic[register.cell], rates) for register in registers), default=0.0) < _TOLERANCE:
            return rates
    raise ToolError(f"vectorless: the activities of the registers of {netlist.name} did not settle in {_MOST_PASSES} passes")


def estimate(
    netlist: Netlist, library: Library, rates: Mapping[str, Rate], period_s: float, input_transition_s: float
) -> dict[str, Power]:
    """Average power of every instance, by name, at the rates of `propagate`; for the rest as `synth.power.PowerModel`."""
    library.require_power()
    environment = electrical(netlist, library, input_transition_s)
    return {instance.name: _instance_power(instance, library, rates, environment, period_s) for instance in netlist.instances}


# Rates


@dataclass(frozen=True)
class _Logic:
    """A cell as truth tables over its inputs and, of a register, its states; bit i of a column's number is name i.

    `values` are 1.0 where a function holds, (functions, 2^names); `follows` where flipping a name flips it, (functions, names,
    2^names). The functions are the outputs, in the cell's order, then the next states.
    """

    inputs: tuple[str, ...]
    states: tuple[str, ...]
    outputs: tuple[str, ...]
    values: NDArray[np.float64]
    follows: NDArray[np.float64]


@lru_cache(maxsize=4096)
def _logic(cell: Cell) -> _Logic:
    if cell.latches or cell.has_state_table:
        raise InputError(f"cell {cell.name} is a latch or has a state table: only flip-flops have vectorless activity")
    inputs, states = [pin.name for pin in cell.inputs], [group.state for group in cell.flip_flops]
    names = [*inputs, *states]
    columns = np.arange(1 << len(names))
    known = {name: (columns >> i & 1).astype(bool) for i, name in enumerate(names)}
    known |= {group.inverted_state: ~known[group.state] for group in cell.flip_flops}
    tables = []
    for pin in cell.outputs:
        if pin.function is None or not parse(pin.function).names <= set(known):
            raise InputError(f"cell {cell.name} has no function of its inputs for pin {pin.name}: exclude the cell")
        tables.append(parse(pin.function).evaluate(known))
    for group in cell.flip_flops:
        clear, preset = (parse(text or "0").evaluate(known) for text in (group.clear, group.preset))
        tables.append(parse(group.next_state).evaluate(known) & ~clear | preset)
    values = np.array([np.broadcast_to(table, columns.shape) for table in tables], dtype=bool)
    flipped = [values ^ values[:, columns ^ 1 << i] for i in range(len(names))]
    follows = np.stack(flipped, axis=1) if flipped else np.empty((len(values), 0, 1))
    outputs = tuple(pin.name for pin in cell.outputs)
    return _Logic(tuple(inputs), tuple(states), outputs, values.astype(float), follows.astype(float))


def _given(instance: Instance, logic: _Logic, rates: Mapping[str, Rate]) -> list[Rate]:
    """Rates of a cell's inputs and states; what is not connected is quiet."""
    pins = [rates[instance.pins[pin]] if pin in instance.pins else _QUIET for pin in logic.inputs]
    return pins + [rates[f"{instance.name}/{state}"] for state in logic.states]


def _joint(rates: Sequence[Rate]) -> NDArray[np.float64]:
    """Probability of every combination of independent values, (2^rates,); bit i of its number is value i."""
    joint = np.ones(1)
    for rate in rates:
        joint = np.concatenate([joint * (1 - rate.probability), joint * rate.probability])
    return joint


def _evaluated(instance: Instance, logic: _Logic, rates: Mapping[str, Rate]) -> list[Rate]:
    given = _given(instance, logic, rates)
    joint = _joint(given)
    probabilities = logic.values @ joint
    densities = logic.follows @ joint @ np.array([rate.density for rate in given])
    if len(given) > 1:  # buffers and inverters pass on what they get, be it a clock
        densities = np.minimum(densities, 2 * probabilities * (1 - probabilities))
    return [Rate(float(p), float(d)) for p, d in zip(probabilities, densities, strict=True)]


def _drive(instance: Instance, logic: _Logic, rates: dict[str, Rate]) -> None:
    """Set the rates of the nets at a cell's outputs."""
    for pin, rate in zip(logic.outputs, _evaluated(instance, logic, rates), strict=False):
        if pin in instance.pins:
            rates[instance.pins[pin]] = rate


def _clock(register: Instance, logic: _Logic, rates: dict[str, Rate]) -> float:
    """Set the rates of a register's states; returns the largest change."""
    change = 0.0
    for state, new in zip(logic.states, _evaluated(register, logic, rates)[len(logic.outputs) :], strict=True):
        name = f"{register.name}/{state}"
        change = max(change, abs(new.probability - rates[name].probability), abs(new.density - rates[name].density))
        rates[name] = new
    return change


def _driven(instance: Instance, logic: Mapping[str, _Logic]) -> list[str]:
    return [instance.pins[pin] for pin in logic[instance.cell].outputs if pin in instance.pins]


def _in_order(netlist: Netlist, logic: Mapping[str, _Logic], rates: Mapping[str, Rate]) -> list[Instance]:
    """The gates, each after those that drive it; `rates` are of the nets that none drives."""
    waiting: dict[str, int] = {}
    readers: dict[str, list[Instance]] = {}
    ready: list[Instance] = []
    driven = {net for instance in netlist.instances for net in _driven(instance, logic)}
    gates = [instance for instance in netlist.instances if not logic[instance.cell].states]
    if undriven := netlist.nets - driven - rates.keys():
        raise InputError(f"netlist {netlist.name}: net {min(undriven)} has no driver")
    for gate in gates:
        sources = [gate.pins[pin] for pin in logic[gate.cell].inputs if gate.pins.get(pin, ZERO) not in rates]
        waiting[gate.name] = len(sources)
        for net in sources:
            readers.setdefault(net, []).append(gate)
        if not sources:
            ready.append(gate)
    for gate in ready:  # grows while it is gone through
        for net in _driven(gate, logic):
            for reader in readers.get(net, []):
                waiting[reader.name] -= 1
                if not waiting[reader.name]:
                    ready.append(reader)
    if len(ready) < len(gates):
        stuck = next(gate.name for gate in gates if waiting[gate.name])
        raise InputError(f"netlist {netlist.name}: combinational loop through {stuck}")
    return ready


# Power


def _instance_power(
    instance: Instance, library: Library, rates: Mapping[str, Rate], environment: Electrical, period_s: float
) -> Power:
    kind = cell_power(library.cell(instance.cell))
    nets = [instance.pins.get(pin, "") for pin in kind.pins]
    found = _pin_states(instance, kind, rates)
    internal = switching = 0.0
    for power in kind.powers:
        density = rates.get(nets[power.pin], _QUIET).density
        load = environment.load(nets[power.pin])
        for edge in (0, 1):  # as many rise as fall
            energies = power.energies[edge].at(environment.slew(nets[power.pin], edge), load)
            internal += density / 2 * float(energies @ power.weights @ found)
        if power.is_output:
            switching += 0.5 * load * library.voltage**2 * density
            internal += density * _output_energy(power, found, nets, rates, environment, load)
    units = library.units
    return Power(
        internal * units.energy_j / period_s,
        switching * units.capacitance_f / period_s,
        float(kind.leakage @ found) * units.leakage_w,
    )


def _pin_states(instance: Instance, kind: CellPower, rates: Mapping[str, Rate]) -> NDArray[np.float64]:
    """Probability of each state of the cell's pins: inputs and registers are independent, outputs follow."""
    logic = _logic(kind.cell)
    columns = np.arange(logic.values.shape[1])
    states = columns & (1 << kind.inputs) - 1
    for i in range(len(logic.outputs)):
        states |= logic.values[i].astype(np.int64) << kind.inputs + i
    result = np.zeros(1 << len(kind.pins))
    np.add.at(result, states, _joint(_given(instance, logic, rates)))
    return result


def _output_energy(
    power: PinPower,
    found: NDArray[np.float64],
    nets: Sequence[str],
    rates: Mapping[str, Rate],
    environment: Electrical,
    load: float,
) -> float:
    """Mean energy of an output's edge, shared among the inputs by how often the output follows each."""
    share = total = 0.0
    for cause in power.causes:
        followed = found * cause.sensitized
        chance = float(followed.sum()) * rates.get(nets[cause.pin], _QUIET).density
        if chance > 0:
            share += chance
            total += chance * _cause_energy(power.pin, cause, followed / followed.sum(), nets, environment, load)
    return total / share if share else 0.0


def _cause_energy(
    output: int, cause: Cause, found: NDArray[np.float64], nets: Sequence[str], environment: Electrical, load: float
) -> float:
    """Mean energy of an output's edge that a given input causes, in the states `found` in which the output follows it."""
    states = np.arange(len(found))
    alike = (states >> cause.pin & 1) == (states >> output & 1)  # then both rise or both fall
    total = 0.0
    for same in (True, False):
        weights = cause.weights @ (found * (alike == same))
        for edge in (0, 1):
            slew = environment.slew(nets[cause.pin], edge if same else 1 - edge)
            total += 0.5 * float(cause.energies[edge].at(slew, load) @ weights)
    return total
