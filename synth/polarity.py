# SPDX-License-Identifier: Apache-2.0
"""Full adders before mapping: which become cells, in which polarity, and which are cheaper as gates.

A full adder is self-dual: complemented inputs give complemented outputs. So every cell of the compressor may work on true or
on complemented bits, and between cells that disagree an inverter is needed. Where a library's cell has inverted outputs
(ASAP7), neighbours should alternate; where it has not, all should agree. Complemented partial products are cheaper than true
ones, since NAND and AOI gates are smaller than AND and AO. The choice is a cut in the graph of full adders, improved by
flipping single cells until no flip removes cost.

Where a design must be faster than cells make it, those that would be late become gates (`synth.late_adders`).

Works on one flattened module as Yosys writes it with `write_json`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from .late_adders import late_adders

__all__ = ["COMPLEMENT", "FULL_ADDER", "LOGIC", "TRUE", "assign"]

FULL_ADDER = "dint_full_adder"  # the module that the generator instantiates
TRUE = f"{FULL_ADDER}_true"  # a cell on true inputs
COMPLEMENT = f"{FULL_ADDER}_complement"  # a cell on complemented inputs
LOGIC = f"{FULL_ADDER}_logic"  # gates: an input is constant, an output is not used, or a cell would be late

INVERTER = 10  # cost of an inverter between two cells, or at a port
LEAF = 6  # cost of a partial product in the polarity that was not preferred
PASSES = 20

Bit = int | str


def assign(module: dict[str, Any], inverted: bool, prefer_complement: bool, allowance: float = 1.0) -> None:
    """Replace the type of every full adder in `module` by `TRUE`, `COMPLEMENT` or `LOGIC`.

    Parameters
    ----------
    module
        One module of a Yosys JSON netlist; changed in place.
    inverted
        The library's cell has complemented outputs.
    prefer_complement
        The polarity preferred for bits that come from gates.
    allowance
        Time for the longest path, from that of gates (0) to that of cells (1): what would be later as a cell becomes `LOGIC`.
    """
    cells = module["cells"]
    readers, drivers = _ends(module)
    adders = []
    for name in sorted(cells):
        cell = cells[name]
        if cell["type"] != FULL_ADDER:
            continue
        pins = {pin: cell["connections"][pin][0] for pin in ("a", "b", "c") if cell["connections"].get(pin)}
        outputs = [cell["connections"][pin][0] for pin in ("sum", "carry") if cell["connections"].get(pin)]
        whole = len(pins) == 3 and len(outputs) == 2
        if not whole or any(isinstance(bit, str) for bit in pins.values()) or not all(readers[bit] for bit in outputs):
            cell["type"] = LOGIC
        else:
            adders.append(name)
    if allowance < 1:
        outputs = [bit for port in module["ports"].values() if port["direction"] == "output" for bit in port["bits"]]
        late = late_adders(cells, adders, drivers, outputs, allowance)
        for name in late:
            cells[name]["type"] = LOGIC
        adders = [name for name in adders if name not in late]
    polarity = _polarities(adders, cells, readers, drivers, inverted, prefer_complement)
    for name in adders:
        cells[name]["type"] = COMPLEMENT if polarity[name] else TRUE


def _ends(module: dict[str, Any]) -> tuple[dict[Bit, list[str]], dict[Bit, str]]:
    """Readers and driver of every bit: names of cells, or '' for a port of the module."""
    readers: dict[Bit, list[str]] = defaultdict(list)
    drivers: dict[Bit, str] = {}
    for name, cell in module["cells"].items():
        directions = cell.get("port_directions", {})
        for pin, bits in cell["connections"].items():
            output = pin in ("sum", "carry") if cell["type"] == FULL_ADDER else directions.get(pin) == "output"
            for bit in bits:
                if output:
                    drivers[bit] = name
                else:
                    readers[bit].append(name)
    for port in module["ports"].values():
        for bit in port["bits"]:
            if port["direction"] == "input":
                drivers[bit] = ""
            else:
                readers[bit].append("")
    return readers, drivers


def _polarities(
    adders: list[str],
    cells: dict[str, Any],
    readers: dict[Bit, list[str]],
    drivers: dict[Bit, str],
    inverted: bool,
    prefer_complement: bool,
) -> dict[str, bool]:
    """True for a cell that takes complemented inputs."""
    members = set(adders)
    neighbours: dict[str, list[str]] = {name: [] for name in adders}
    # Cost of a cell's own polarity: [true inputs, complemented inputs].
    own = {name: [0, 0] for name in adders}
    for name in adders:
        connections = cells[name]["connections"]
        for pin in ("a", "b", "c"):
            driver = drivers.get(connections[pin][0], "")
            if driver in members:
                neighbours[name].append(driver)
                neighbours[driver].append(name)
            elif not driver or "dff" in cells[driver]["type"]:
                own[name][1] += INVERTER
            else:
                own[name][0 if prefer_complement else 1] += LEAF
        for pin in ("sum", "carry"):
            if "" in readers[connections[pin][0]]:  # a port of the design has to show the true bit
                own[name][0 if inverted else 1] += INVERTER
    polarity = _alternating(adders, neighbours, prefer_complement) if inverted else dict.fromkeys(adders, prefer_complement)
    for _ in range(PASSES):
        flips = 0
        for name in adders:
            agreeing = sum(polarity[other] == polarity[name] for other in neighbours[name])
            bad = agreeing if inverted else len(neighbours[name]) - agreeing
            now = INVERTER * bad + own[name][polarity[name]]
            after = INVERTER * (len(neighbours[name]) - bad) + own[name][not polarity[name]]
            if after < now:
                polarity[name] = not polarity[name]
                flips += 1
        if not flips:
            break
    return polarity


def _alternating(adders: list[str], neighbours: dict[str, list[str]], first: bool) -> dict[str, bool]:
    """Start for cells with inverted outputs: breadth-first, each cell the opposite of the one it was reached from."""
    polarity: dict[str, bool] = {}
    for root in adders:
        if root in polarity:
            continue
        polarity[root] = first
        queue = [root]
        for name in queue:
            for other in neighbours[name]:
                if other not in polarity:
                    polarity[other] = not polarity[name]
                    queue.append(other)
    return polarity
