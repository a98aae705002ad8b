# SPDX-License-Identifier: Apache-2.0
"""Delays from an SDF file (IEEE 1497, version 3.0), and the same delays in the form that Icarus Verilog applies.

Icarus takes OpenSTA's own SDF without a complaint and applies none of it: OpenSTA leaves the typical value of each triple
empty, which is the one Icarus reads, gives several conditional delays for one pair of pins, of which the last one wins, and
writes picoseconds where the library counts in them. So the file is read into one number per pair of pins and edge, the maximum
of all that it says about them, and written again: no conditions, no edges, all three values, nanoseconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from golden.errors import ToolError

from .cell_models import paths
from .liberty import Library
from .netlist import ONE, ZERO, Netlist, PlainNetlist

__all__ = ["TICK_S", "Arc", "Delays", "for_icarus", "read_delays"]

TICK_S = 1e-13  # resolution of delays and simulations: 100 fs
_TICKS_PER_NS = 10_000
_LONGEST_TICKS = 1e13
_DEEPEST = 100  # parentheses within parentheses; the format has a dozen

_TOKEN = re.compile(r'\(|\)|"[^"]*"|(?:\\.|[^\s()"\\])+')
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "fs": 1e-15}


@dataclass(frozen=True)
class Arc:
    """From a pin of an instance to another."""

    instance: str
    source: str
    target: str


@dataclass(frozen=True)
class Delays:
    """Delays of cell arcs, (to a rising, to a falling output), in ticks of 100 fs."""

    ticks: Mapping[Arc, tuple[int, int]]

    def scaled(self, factor: float) -> Delays:
        """Every delay times `factor`."""
        return Delays({arc: (round(rise * factor), round(fall * factor)) for arc, (rise, fall) in self.ticks.items()})

    def longest_path_ns(self, netlist: Netlist) -> float:
        """The longest chain of delays in `netlist`, from an input or a clock edge to a net, by the longer of both edges.

        No timing analysis: setup times are not in it, and a path may need edges that do not follow each other.
        """
        into: dict[str, list[tuple[str, int]]] = {}
        pins = {instance.name: instance.pins for instance in netlist.instances}
        for arc, ticks in self.ticks.items():
            connected = pins.get(arc.instance, {})
            if arc.source in connected and arc.target in connected:
                into.setdefault(connected[arc.target], []).append((connected[arc.source], max(ticks)))
        arrival: dict[str, int] = {}
        for net in TopologicalSorter({net: [source for source, _ in arcs] for net, arcs in into.items()}).static_order():
            arrival[net] = max((arrival[source] + ticks for source, ticks in into.get(net, ())), default=0)
        return max(arrival.values(), default=0) / _TICKS_PER_NS


def read_delays(path: Path, netlist: Netlist, library: Library) -> Delays:
    """The delays of all cells of `netlist`: one per arc and edge, the maximum over conditions, edges and triples.

    Arcs that start at an output pin (ASAP7's full adder has some) are left out: the arcs from the inputs contain them.
    Negative delays count as zero.

    Raises
    ------
    ToolError
        If the file is not SDF, lacks an arc of a connected cell, has one that the cell models lack, or has wire delays.
    """
    try:
        found = _read(path)
    except OSError as error:
        raise ToolError(f"SDF file {path}: cannot be read ({error.strerror})") from None
    except (ValueError, IndexError) as error:
        raise ToolError(f"SDF file {path}: {error}") from None
    return Delays(_checked(path, found, netlist, library))


def _read(path: Path) -> dict[Arc, tuple[int, int]]:
    """Everything that the file says, whatever netlist it is for."""
    tree = _parse(path.read_text(encoding="utf-8"))
    scale = _time_scale(tree, path) / TICK_S
    found: dict[Arc, tuple[int, int]] = {}
    for cell in _groups(tree, "CELL"):
        instance = _unescape("".join(word for word in _first(cell, "INSTANCE") if isinstance(word, str)))
        for delay in _groups(cell, "DELAY"):
            if _groups(delay, "INCREMENT"):
                raise ToolError(f"SDF file {path}: INCREMENT delays are not supported, write absolute ones")
            for absolute in _groups(delay, "ABSOLUTE"):
                _read_arcs(path, instance, absolute, scale, found)
    return found


def for_icarus(delays: Delays, plain: PlainNetlist, netlist: Netlist) -> str:
    """The SDF text that Icarus applies to the netlist `plain`, one cell per instance, in the netlist's order."""
    by_instance: dict[str, list[str]] = {}
    pins = {instance.name: instance.pins for instance in netlist.instances}
    for arc, edges in delays.ticks.items():
        if pins[arc.instance].get(arc.source, ZERO) in (ZERO, ONE):
            continue  # never the cause of a change
        values = " ".join("({0}:{0}:{0})".format(f"{ticks / _TICKS_PER_NS:.4f}") for ticks in edges)
        by_instance.setdefault(arc.instance, []).append(f"    (IOPATH {arc.source} {arc.target} {values})")
    lines = ["(DELAYFILE", ' (SDFVERSION "3.0")', f' (DESIGN "{netlist.name}")', " (DIVIDER .)", " (TIMESCALE 1ns)"]
    for instance in netlist.instances:
        if arcs := by_instance.get(instance.name):
            name = plain.instances[instance.name]
            lines += [f' (CELL (CELLTYPE "{instance.cell}") (INSTANCE {name})', "  (DELAY (ABSOLUTE", *arcs, "  ))", " )"]
    return "\n".join([*lines, ")", ""])


def _checked(path: Path, found: dict[Arc, tuple[int, int]], netlist: Netlist, library: Library) -> dict[Arc, tuple[int, int]]:
    """`found`, without the arcs that start at outputs; complete, and nothing else."""
    result: dict[Arc, tuple[int, int]] = {}
    for instance in netlist.instances:
        cell = library.cell(instance.cell)
        for source, target in paths(cell):
            arc = Arc(instance.name, source, target)
            if arc in found:
                result[arc] = found.pop(arc)
            elif target in instance.pins and instance.pins.get(source, ZERO) not in (ZERO, ONE):
                raise ToolError(f"SDF file {path}: no delay for {instance.cell} {instance.name} from {source} to {target}")
        for output in cell.outputs:
            for other in cell.outputs:
                found.pop(Arc(instance.name, other.name, output.name), None)
    if found:
        arc = next(iter(found))
        raise ToolError(
            f"SDF file {path}: the delay of {arc.instance} from {arc.source} to {arc.target} has no place in the netlist "
            f"{netlist.name} or its cell models; was it written for another netlist?"
        )
    return result


def _read_arcs(path: Path, instance: str, group: list[Any], scale: float, found: dict[Arc, tuple[int, int]]) -> None:
    for item in group[1:]:
        if not isinstance(item, list) or not item:
            continue
        if item[0] == "IOPATH":
            source, target = (word[-1] if isinstance(word, list) and word else word for word in item[1:3])
            if not isinstance(source, str) or not isinstance(target, str):
                raise ValueError(f"an IOPATH of {instance} does not go from a pin to a pin")
            values = [_ticks(value, scale) for value in item[3:] if isinstance(value, list)]
            if not values:
                raise ToolError(f"SDF file {path}: {instance} from {source} to {target} has no value")
            arc = Arc(instance, _unescape(source), _unescape(target))
            before = found.get(arc, (0, 0))
            found[arc] = (max(before[0], values[0]), max(before[1], values[min(1, len(values) - 1)]))
        elif item[0] in ("COND", "CONDELSE"):
            _read_arcs(path, instance, item, scale, found)
        elif item[0] == "INTERCONNECT" and any(_ticks(value, scale) > 0 for value in item[3:]):
            raise ToolError(
                f"SDF file {path}: it has wire delays, which the simulation leaves out; write it without wire loads"
            )


def _ticks(value: list[Any], scale: float) -> int:
    """The largest of the numbers of `(min:typ:max)`, some of which may be missing; not below zero."""
    numbers = [float(number) for number in str(value[0]).split(":") if number] if value else []
    largest = max(numbers, default=0.0) * scale
    if not all(map(math.isfinite, numbers)) or largest > _LONGEST_TICKS:
        raise ValueError(f"a delay is {value[0]}: it is a number, below a second")
    return max(0, round(largest))


def _time_scale(tree: list[Any], path: Path) -> float:
    text = "".join(map(str, _first(tree, "TIMESCALE"))).lower() or "1ns"
    match = re.fullmatch(r"(\d+(?:\.\d*)?)([munpf]?s)", text)
    if match is None:
        raise ToolError(f"SDF file {path}: its TIMESCALE {text!r} is no time")
    return float(match[1]) * _UNITS[match[2]]


def _parse(text: str) -> list[Any]:
    """The one parenthesized list that the file consists of."""
    stack: list[list[Any]] = [[]]
    for token in _TOKEN.findall(text):
        if token == "(":
            stack.append([])
            if len(stack) > _DEEPEST:
                raise ValueError(f"it nests more than {_DEEPEST} parentheses; it is no SDF")
        elif token == ")":
            if len(stack) < 2:
                raise ValueError("it closes more parentheses than it opens")
            group = stack.pop()
            stack[-1].append(group)
        else:
            stack[-1].append(token)
    if len(stack) != 1:
        raise ValueError("it ends before its parentheses close; it seems truncated")
    if not stack[0] or stack[0][0][:1] != ["DELAYFILE"]:
        raise ValueError("it does not begin with DELAYFILE; it is no SDF")
    return list(stack[0][0])


def _groups(tree: list[Any], name: str) -> list[list[Any]]:
    return [item for item in tree if isinstance(item, list) and item[:1] == [name]]


def _first(tree: list[Any], name: str) -> list[Any]:
    return next((item[1:] for item in _groups(tree, name)), [])


def _unescape(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)
