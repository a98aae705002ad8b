# SPDX-License-Identifier: Apache-2.0
"""Which full adders a library's cells would make too late, and gates should make instead.

A full-adder cell is small and slow; gates are twice as large, and ABC rebuilds them for depth. Between a design of cells and
one of gates lie designs that have both. Where gates go is decided backwards from the registers: a full adder that would be too
late as a cell, if all before it were cells, becomes gates, and those before it have that much more time. A compressor narrows
towards its end, so this spends the fewest gates for the time won; and what is early in any case, such as low columns, stays.

Times are counted in gate delays, as in `hdl.compressor`: a model of which path is longer, not of how long it takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["late_adders"]

# A full adder of gates by output, and from its last input to either; a cell, by any path; a register's clock to output.
_GATES, _LAST, _CELL, _REGISTER = {"sum": 4, "carry": 3}, 2, 6, 4

Bit = int | str


def late_adders(
    cells: Mapping[str, Any], adders: Sequence[str], drivers: Mapping[Bit, str], outputs: Sequence[Bit], allowance: float
) -> set[str]:
    """Names of the full adders that are to be gates.

    Parameters
    ----------
    cells
        Cells of a module as Yosys writes it with `write_json`, registers and coarse cells among them.
    adders
        Names of the full adders that may be cells; any others are gates.
    drivers
        Name of the cell that drives a bit; '' for a port.
    outputs
        Bits of the module's output ports.
    allowance
        Time for the longest path: 1 as with cells only, 0 as with gates only, linear between. At 0 and below, full adders are
        cells only where no long path passes.
    """
    model = _Model(cells, set(adders), drivers)
    ends = [*outputs, *model.register_inputs]
    with_cells, with_gates = model.arrivals(set()), model.arrivals(set(adders))
    longest, shortest = (max((arrivals.get(bit, 0) for bit in ends), default=0) for arrivals in (with_cells, with_gates))
    required: dict[Bit, float] = dict.fromkeys(ends, shortest + allowance * (longest - shortest))
    late: set[str] = set()
    never = float("inf")
    for name in reversed(model.order):
        if name in model.adders and any(with_cells[bit] > required.get(bit, never) for bit in model.outputs(name)):
            late.add(name)
        for source, target, delay in model.arcs(name, name in late):
            required[source] = min(required.get(source, never), required.get(target, never) - delay)
    return late


class _Model:
    """Delays of a module's cells, and an order in which every cell comes after those that it reads."""

    def __init__(self, cells: Mapping[str, Any], adders: set[str], drivers: Mapping[Bit, str]) -> None:
        self.adders = adders
        self._cells, self._drivers = cells, drivers
        self._registers = [name for name, cell in cells.items() if "dff" in cell["type"]]
        self.register_inputs = [bit for name in self._registers for _, bit in self._inputs(name)]
        self.order = self._ordered()

    def outputs(self, name: str) -> list[Bit]:
        """Bits that a cell drives."""
        return [bit for _, bit in self._pins(name) if self._drivers.get(bit) == name]

    def arcs(self, name: str, gates: bool) -> Iterator[tuple[Bit, Bit, int]]:
        """Input, output, delay; `gates`: of a full adder that is made of gates."""
        cell = self._cells[name]
        cell_inputs = self._inputs(name)
        for pin, target in self._pins(name):
            if self._drivers.get(target) != name:
                continue
            for source_pin, source in cell_inputs:
                if pin not in _GATES:
                    yield source, target, _coarse(cell)
                elif name in self.adders and not gates:
                    yield source, target, _CELL
                else:
                    yield source, target, _LAST if source_pin == "c" else _GATES[pin]

    def arrivals(self, gates: set[str]) -> dict[Bit, int]:
        """When each bit is there, if the full adders in `gates` are made of gates."""
        times: dict[Bit, int] = {bit: _REGISTER for name in self._registers for bit in self.outputs(name)}
        for name in self.order:
            for source, target, delay in self.arcs(name, name in gates):
                times[target] = max(times.get(target, 0), times.get(source, 0) + delay)
        return times

    def _pins(self, name: str) -> list[tuple[str, Bit]]:
        return [(pin, bit) for pin, bits in self._cells[name]["connections"].items() for bit in bits]

    def _inputs(self, name: str) -> list[tuple[str, Bit]]:
        return [(pin, bit) for pin, bit in self._pins(name) if self._drivers.get(bit) != name]

    def _ordered(self) -> list[str]:
        """Depth first. What looks like a loop, since all bits of a wide cell are taken together, is cut anywhere."""
        order: list[str] = []
        seen = set(self._registers)
        for root in sorted(self._cells):
            stack = [(root, False)]
            while stack:
                name, done = stack.pop()
                if done:
                    order.append(name)
                elif name not in seen:
                    seen.add(name)
                    stack.append((name, True))
                    before = {self._drivers.get(bit, "") for _, bit in self._inputs(name)} - {""}
                    stack += [(other, False) for other in sorted(before - seen)]
        return order


def _coarse(cell: Mapping[str, Any]) -> int:
    """An addition takes a logarithm of its width, an exclusive or or a multiplexer two gates, all else one."""
    if cell["type"] in ("$alu", "$add", "$sub", "$neg"):
        width = max(map(len, cell["connections"].values()))
        return 4 + 2 * (width - 1).bit_length()
    return 2 if cell["type"] in ("$xor", "$xnor", "$mux") else 1
