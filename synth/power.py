# SPDX-License-Identifier: Apache-2.0
"""Power of a mapped netlist from recorded activity: for each event the actual edge, the pin that caused it, the actual state.

Three parts, defined as in Liberty and in OpenSTA:

- switching: 1/2 C V^2 for each change of a cell's output, C the pin capacitance of its net (the larger of the sums for rising
  and falling edges). No wires. Nets of input ports, the clock among them, are driven from outside and not counted.
- internal: the energy of the cell's tables for each edge. An edge of an input or clock pin takes the groups of that pin; an
  edge of an output those related to the pin that caused it. Energies of different supplies (`related_pg_pin`) add up.
- leakage: the power of each state, weighted by the time spent in it.

OpenSTA multiplies probabilities of pins instead, as if they were independent; that is where the two differ (registers whose
tables ask for the states of two pins together, data pins that glitch while the clock is high, and leakage by state).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.errors import ToolError

from .activity import Activity, Wave
from .cell_power import Cause, PinPower, cell_power
from .electrical import electrical
from .liberty import Library
from .netlist import Instance, Netlist

__all__ = ["REQUIRED_ANNOTATION", "Power", "PowerModel", "total"]

REQUIRED_ANNOTATION = 0.99

# Weight of an input that changed but that the output does not follow: counts only where there is no other.
UNLIKELY = 1e-9


@dataclass(frozen=True)
class Power:
    """Average powers, in W."""

    internal: float
    switching: float
    leakage: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.internal + self.switching + self.leakage

    def __add__(self, other: Power) -> Power:
        return Power(self.internal + other.internal, self.switching + other.switching, self.leakage + other.leakage)


class PowerModel:
    """What a netlist's events cost, for any number of recordings of it.

    The tables of an instance are read at its load and transition times when an event first needs them, and kept.

    Parameters
    ----------
    input_transition_s
        Transition time at the input ports and the clock pins, between the library's slew thresholds.

    Raises
    ------
    InputError
        If the library has no power tables.
    """

    def __init__(self, netlist: Netlist, library: Library, input_transition_s: float) -> None:
        library.require_power()
        self._netlist = netlist
        self._library = library
        self._environment = electrical(netlist, library, input_transition_s)
        self._types = {name: cell_power(library.cell(name)) for name in netlist.cells}
        self._by_state: dict[tuple[int, float, float], NDArray[np.float64]] = {}

    def estimate(self, activity: Activity) -> dict[str, Power]:
        """Average power of every instance, by name, over the recorded time.

        Raises
        ------
        ToolError
            If less than `REQUIRED_ANNOTATION` of the nets have activity: a net without is not a quiet net.
        """
        if activity.annotated < REQUIRED_ANNOTATION:
            raise ToolError(
                f"power: only {activity.annotated:.1%} of the nets of {self._netlist.name} have known activity, at least "
                f"{REQUIRED_ANNOTATION:.0%} are needed; was every level recorded, and every register reset?"
            )
        return {instance.name: self._instance_power(instance, activity) for instance in self._netlist.instances}

    def _instance_power(self, instance: Instance, activity: Activity) -> Power:
        kind = self._types[instance.cell]
        nets = [instance.pins.get(pin, "") for pin in kind.pins]
        # What is not connected or (rarely, see REQUIRED_ANNOTATION) not recorded counts as quiet.
        waves = [activity.waves.get(net, _QUIET) for net in nets]
        events = _Events(waves, activity.start, activity.end)
        internal = switching = 0.0
        for power in kind.powers:
            if not len(waves[power.pin].changes):
                continue
            if power.is_output:
                load = self._environment.load(nets[power.pin])
                switching += 0.5 * load * self._library.voltage**2 * len(waves[power.pin].changes)
                internal += self._output_energy(power, events, nets, load)
            if len(power.weights):
                internal += self._pin_energy(power, events, nets[power.pin])
        units, seconds = self._library.units, activity.duration_s
        # The unit of table energies is that of C V^2.
        switching *= units.capacitance_f
        return Power(
            internal * units.energy_j / seconds, switching / seconds, float(kind.leakage @ events.time_shares) * units.leakage_w
        )

    def _pin_energy(self, power: PinPower, events: _Events, net: str) -> float:
        """Energy of an input's edges in the groups of the pin itself.

        Where the state changes at the very instant of the edge, as without delays, the order of causes decides: a register
        meets its clock edge in the old state, everything else meets the new one.
        """
        where, edges = events.edges(power.pin)
        states = events.before[where] if power.is_clock else events.after[where]
        total, load = 0.0, self._environment.load(net)
        for edge in (0, 1):
            total += float(self._energies(power, edge, self._environment.slew(net, edge), load)[states[edges == edge]].sum())
        return total

    def _output_energy(self, power: PinPower, events: _Events, nets: list[str], load: float) -> float:
        """Energy of an output's edges: each is charged to the inputs that changed last before it and that it follows."""
        if not power.causes:
            return 0.0
        where, edges = events.edges(power.pin)
        mask = sum(1 << cause.pin for cause in power.causes)
        origin = events.last(mask, where)
        known = origin >= 0  # else the cause lies before the recording: charged to all inputs alike
        safe = np.maximum(origin, 0)
        after, before = events.after[safe], events.before[safe]
        changed = np.where(known, events.changed[safe], mask)
        shares: list[NDArray[np.float64]] = []
        energies: list[NDArray[np.float64]] = []
        for cause in power.causes:
            moved = (changed >> cause.pin & 1).astype(bool)
            # A change of several inputs at once may only be followed through one of them in the old or the new state.
            now, then = cause.sensitized[after], cause.sensitized[before]
            shares.append(moved * np.where(now | then, 1.0, UNLIKELY))
            state = np.where(now | ~then, after, before)
            energies.append(self._cause_energies(cause, state, edges, (after >> cause.pin & 1), nets, load))
        share = np.array(shares)
        return float((share * np.array(energies) / share.sum(axis=0)).sum())

    def _cause_energies(
        self,
        cause: Cause,
        states: NDArray[np.int64],
        edges: NDArray[np.int64],
        values: NDArray[np.int64],
        nets: list[str],
        load: float,
    ) -> NDArray[np.float64]:
        """Energy of each output edge if this input had caused it; `values` are the input's, after its own edge."""
        result = np.zeros(len(edges))
        for edge in (0, 1):
            for input_edge in (0, 1):
                chosen = (edges == edge) & (values == 1 - input_edge)
                if chosen.any():
                    slew = self._environment.slew(nets[cause.pin], input_edge)
                    result[chosen] = self._energies(cause, edge, slew, load)[states[chosen]]
        return result

    def _energies(self, groups: Cause | PinPower, edge: int, slew: float, load: float) -> NDArray[np.float64]:
        """Energy of an edge by state, shape (states,)."""
        tables = groups.energies[edge]
        key = id(tables), slew, load  # the tables live as long as `_types`
        if key not in self._by_state:
            self._by_state[key] = tables.at(slew, load) @ groups.weights
        return self._by_state[key]


_QUIET = Wave(False, np.empty(0, np.int64))


class _Events:
    """The instants at which any pin of a cell changes, and the cell's state before and after each."""

    def __init__(self, waves: list[Wave], start: int, end: int) -> None:
        self.ticks = np.unique(np.concatenate([wave.changes for wave in waves]))
        initial = sum(int(wave.initial) << i for i, wave in enumerate(waves))
        self.after = np.zeros(len(self.ticks), dtype=np.int64)
        for i, wave in enumerate(waves):
            self.after |= wave.at(self.ticks).astype(np.int64) << i
        self.before = np.concatenate([[initial], self.after[:-1]]) if len(self.after) else self.after
        self.changed = self.before ^ self.after
        states = np.concatenate([[initial], self.after])
        lasting = np.diff(np.concatenate([[start], self.ticks, [end]])).astype(np.float64)
        self.time_shares = np.bincount(states, weights=lasting, minlength=1 << len(waves)) / (end - start)

    def edges(self, pin: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indices of the events at which `pin` changes, and the kind of edge: 0 rises, 1 falls."""
        where = np.flatnonzero(self.changed >> pin & 1)
        return where, 1 - (self.after[where] >> pin & 1)

    def last(self, mask: int, until: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the latest event, up to each of `until`, at which a pin of `mask` changes; -1 if there is none."""
        where = np.flatnonzero(self.changed & mask)
        places = np.searchsorted(where, until, side="right") - 1
        return np.where(places >= 0, where[places], -1) if len(where) else np.full(len(until), -1)


def total(powers: Mapping[str, Power]) -> Power:
    """Sum over instances."""
    result = Power(0.0, 0.0, 0.0)
    for power in powers.values():
        result += power
    return result
