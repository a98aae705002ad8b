# SPDX-License-Identifier: Apache-2.0
"""Loads and transition times of the nets of a netlist, without wires: what the power tables are entered with.

The load of a net is the sum of the capacitances of its pins. Transition times start at the ports (and the clock, which is
ideal) and pass through the cells by their transition tables; a net takes the longest of all arcs into it, as in static timing
analysis.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from golden.errors import InputError

from .liberty import Library, Pin, TimingArc
from .netlist import Instance, Netlist

__all__ = ["Electrical", "electrical"]

_FOLLOWS: dict[str, tuple[tuple[int, int], ...]] = {
    "positive_unate": ((0, 0), (1, 1)),
    "negative_unate": ((0, 1), (1, 0)),
}  # (input edge, output edge)
_EVERY = ((0, 0), (0, 1), (1, 0), (1, 1))
_NOT_DELAYS = ("setup", "hold", "recovery", "removal", "min_pulse", "minimum", "skew", "non_seq", "nochange", "three_state")


@dataclass(frozen=True)
class Electrical:
    """Per net, in the library's units: loads of its pins for a rising and a falling edge, and transition times of both."""

    loads: Mapping[str, tuple[float, float]]
    slews: Mapping[str, tuple[float, float]]

    def load(self, net: str) -> float:
        """The larger of the two loads; 0 for a net that feeds only an output port."""
        return max(self.loads.get(net, (0.0, 0.0)))

    def slew(self, net: str, edge: int) -> float:
        """Transition time of a rising (0) or falling (1) edge; 0 for constants."""
        return self.slews.get(net, (0.0, 0.0))[edge]


def electrical(netlist: Netlist, library: Library, input_transition_s: float) -> Electrical:
    """Loads and transition times of `netlist`, with the same transition at every input port, the clock among them.

    Raises
    ------
    InputError
        If combinational cells form a loop.
    """
    loads: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for instance in netlist.instances:
        for pin in library.cell(instance.cell).pins.values():
            if pin.name in instance.pins:
                load = loads[instance.pins[pin.name]]
                load[0] += pin.rise_capacitance
                load[1] += pin.fall_capacitance
    fixed = {net: (rise, fall) for net, (rise, fall) in loads.items()}
    return Electrical(fixed, _slews(netlist, library, fixed, input_transition_s / library.units.time_s))


def _slews(
    netlist: Netlist, library: Library, loads: Mapping[str, tuple[float, float]], input_slew: float
) -> dict[str, tuple[float, float]]:
    slews = {net: (input_slew, input_slew) for port in netlist.ports.values() if port.direction == "input" for net in port.bits}
    drivers: dict[str, tuple[Instance, Pin]] = {}
    for instance in netlist.instances:
        for pin in library.cell(instance.cell).outputs:
            if pin.name in instance.pins:
                drivers[instance.pins[pin.name]] = (instance, pin)
    pending: list[str] = list(drivers)
    open_nets: set[str] = set()
    while pending:
        net = pending[-1]
        if net in slews or net not in drivers:
            pending.pop()
            continue
        instance, pin = drivers[net]
        arcs = [(arc, instance.pins[name]) for arc in _arcs(pin) for name in arc.related_pins if name in instance.pins]
        waiting = [source for _, source in arcs if source in drivers and source not in slews]
        if waiting:
            if net in open_nets:
                raise InputError(f"netlist {netlist.name}: combinational loop through {instance.name}")
            open_nets.add(net)
            pending += waiting
            continue
        open_nets.discard(net)
        slews[net] = _output_slews(arcs, slews, max(loads.get(net, (0.0, 0.0))))
        pending.pop()
    return slews


def _arcs(pin: Pin) -> list[TimingArc]:
    """The arcs that carry a transition to the pin."""
    return [arc for arc in pin.timing if not arc.timing_type.startswith(_NOT_DELAYS)]


def _output_slews(
    arcs: list[tuple[TimingArc, str]], slews: Mapping[str, tuple[float, float]], load: float
) -> tuple[float, float]:
    """Longest rising and falling transition over all arcs and the input edges that cause them."""
    result = [0.0, 0.0]
    for arc, source in arcs:
        tables = arc.tables.get("rise_transition"), arc.tables.get("fall_transition")
        inputs = slews.get(source, (0.0, 0.0))
        if arc.timing_type == "rising_edge":
            pairs: tuple[tuple[int, int], ...] = ((0, 0), (0, 1))
        elif arc.timing_type == "falling_edge":
            pairs = ((1, 0), (1, 1))
        else:
            pairs = _FOLLOWS.get(arc.sense, _EVERY)
        for input_edge, output_edge in pairs:
            table = tables[output_edge]
            if table is not None:
                result[output_edge] = max(result[output_edge], table.at(inputs[input_edge], load))
    return result[0], result[1]
