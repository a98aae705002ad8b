# SPDX-License-Identifier: Apache-2.0
"""Switching activity: when each net of a netlist changed, read from the waveforms of a simulation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pywellen
from numpy.typing import NDArray

from golden.errors import ToolError

from .liberty import Library
from .netlist import ONE, ZERO, Netlist
from .sdf import TICK_S, Arc, Delays

__all__ = ["Activity", "Wave", "read_activity", "share_at_delays"]


@dataclass(frozen=True)
class Wave:
    """A net over the recorded time: its first value, and the ticks at which it became the other one, ascending."""

    initial: bool
    changes: NDArray[np.int64]

    def at(self, ticks: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Values just after each of `ticks`: a change at that very tick has happened."""
        parity = np.searchsorted(self.changes, ticks, side="right") & 1
        return (parity == 1) ^ self.initial

    @property
    def rises(self) -> NDArray[np.int64]:
        """Ticks of the rising edges."""
        return self.changes[int(self.initial) :: 2]

    @property
    def falls(self) -> NDArray[np.int64]:
        """Ticks of the falling edges."""
        return self.changes[1 - int(self.initial) :: 2]


@dataclass(frozen=True)
class Activity:
    """Waves of the nets from tick `start` (exclusive) to `end` (inclusive), in ticks of 100 fs.

    `annotated` is the fraction of the netlist's nets that have a wave of known values; the others have none in `waves`.
    """

    waves: Mapping[str, Wave]
    start: int
    end: int
    annotated: float

    @property
    def duration_s(self) -> float:
        """Length of the recording, in seconds."""
        return (self.end - self.start) * TICK_S


_CONSTANTS = {ZERO: Wave(False, np.empty(0, np.int64)), ONE: Wave(True, np.empty(0, np.int64))}


def read_activity(
    vcd: Path,
    scope: str,
    netlist: Netlist,
    library: Library,
    instances: Mapping[str, str] | None = None,
    span: tuple[int, int] | None = None,
) -> Activity:
    """Activity of `netlist` from a VCD file that records every level of it.

    A net is looked up as the output pin that drives it, in the scope of that cell, and an input port by its name: names of
    nets in between are not relied on, because readers put single bits with alike names together into vectors.

    Parameters
    ----------
    vcd, scope
        The file, and the scope in it that is the netlist (`bench.dut`).
    instances
        What the instances are called there, where it is not their own name.
    span
        First and last tick; by default the first and last time in the file.

    Raises
    ------
    ToolError
        If the file cannot be read or has no variables in the scope.
    """
    names = _names(netlist, library, instances or {})
    try:
        _check_widths(vcd)
        waveform = pywellen.Waveform(str(vcd))
        factor = waveform.timescale.factor * 10.0 ** waveform.timescale.unit.to_exponent() / TICK_S
        variables = {
            variable.full_name[len(scope) + 1 :]: variable
            for variable in waveform.all_vars()
            if variable.full_name.startswith(f"{scope}.")
        }
        records = {net: _records(variables, names.get(net), round(factor)) for net in sorted(netlist.nets)}
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # pywellen raises whatever its Rust code does; a panic there is no Exception
        raise ToolError(f"waveforms {vcd}: cannot be read ({error})") from None
    if not variables:
        raise ToolError(f"waveforms {vcd}: no variables in {scope}; was the netlist simulated there?")
    if factor < 1 or abs(factor - round(factor)) > 1e-6:
        raise ToolError(f"waveforms {vcd}: the time unit is no multiple of 100 fs")
    times = [int(record[0][edge]) for record in records.values() if record is not None and len(record[0]) for edge in (0, -1)]
    start, end = span or (min(times, default=0), max(times, default=0))
    waves = dict(_CONSTANTS)
    for net, record in records.items():
        if record is not None and (wave := _wave(*record, start, end)) is not None:
            waves[net] = wave
    return Activity(waves, start, end, (len(waves) - len(_CONSTANTS)) / max(1, len(netlist.nets)))


def _check_widths(vcd: Path) -> None:
    """Refuse variables of endless width, for which the reader would ask for so much memory that it ends the process."""
    lines = []
    with vcd.open(encoding="latin-1") as file:
        for line in file:
            lines.append(line)
            if "$enddefinitions" in line:
                break
    header = "".join(lines)
    if wide := next((width for width in re.findall(r"\$var\s+\S+\s+(\d+)", header) if len(width) > 5), None):
        raise ValueError(f"a variable of {wide} bits")


def _names(netlist: Netlist, library: Library, instances: Mapping[str, str]) -> dict[str, tuple[str, int]]:
    """Variable and bit in the waveforms for each net with a driver."""
    names: dict[str, tuple[str, int]] = {}
    for port in netlist.ports.values():
        if port.direction == "input":
            names |= {net: (port.name, bit) for bit, net in enumerate(port.bits)}
    for instance in netlist.instances:
        for pin in library.cell(instance.cell).outputs:
            if pin.name in instance.pins:
                names[instance.pins[pin.name]] = (f"{instances.get(instance.name, instance.name)}.{pin.name}", 0)
    return names


def _records(
    variables: Mapping[str, Any], name: tuple[str, int] | None, factor: int
) -> tuple[NDArray[np.int64], NDArray[np.int8]] | None:
    """Ticks and values (0, 1, or -1 for unknown) of one net; None if the file has no such net."""
    if name is None or name[0] not in variables:
        return None
    pairs = variables[name[0]].signal[:]
    values = [value >> name[1] & 1 if isinstance(value, int) else -1 for _, value in pairs]
    times = np.array([time for time, _ in pairs], dtype=np.int64)
    return times * factor, np.array(values, dtype=np.int8)


def _wave(times: NDArray[np.int64], values: NDArray[np.int8], start: int, end: int) -> Wave | None:
    """The changes in (start, end]; None if the value is unknown at any time in between.

    Icarus writes records that change nothing too; they are dropped.
    """
    first = int(np.searchsorted(times, start, side="right")) - 1
    last = int(np.searchsorted(times, end, side="right"))
    if first < 0 or (values[first:last] < 0).any():
        return None
    inside = values[first:last]
    changed = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    return Wave(bool(inside[0]), times[first:last][changed])


def share_at_delays(activity: Activity, netlist: Netlist, delays: Delays) -> float:
    """Share of all cell output changes that come exactly one arc delay after a change at an input of the cell.

    A simulation in which the delays apply has nearly 1: what is missing are changes whose cause lies before the recording.
    One in which they do not has nearly 0. Either edge's delay will do: when an input changes back while an output change
    is under way, Icarus keeps the time of the first and takes the value of the last.
    """
    arcs: dict[str, list[Arc]] = {}
    for arc in delays.ticks:
        arcs.setdefault(arc.instance, []).append(arc)
    explained = total = 0
    for instance in netlist.instances:
        for output in {arc.target for arc in arcs.get(instance.name, [])}:
            wave = activity.waves.get(instance.pins.get(output, ""))
            if wave is None or not len(wave.changes):
                continue
            found = np.zeros(len(wave.changes), dtype=bool)
            for arc in arcs[instance.name]:
                cause = activity.waves.get(instance.pins.get(arc.source, "")) if arc.target == output else None
                if cause is not None:
                    for delay in set(delays.ticks[arc]):
                        found |= _contains(cause.changes, wave.changes - delay)
            explained += int(found.sum())
            total += len(wave.changes)
    return explained / total if total else 0.0


def _contains(sorted_ticks: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not len(sorted_ticks):
        return np.zeros(len(wanted), dtype=bool)
    places = np.minimum(np.searchsorted(sorted_ticks, wanted), len(sorted_ticks) - 1)
    return np.asarray(sorted_ticks[places] == wanted)
