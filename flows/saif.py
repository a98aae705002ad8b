# SPDX-License-Identifier: Apache-2.0
"""Switching activity of a simulated netlist as SAIF 2.0, the Switching Activity Interchange Format, for other power tools.

A backward SAIF file (IEEE 1801, annex I, describes the format) states for each net how long it was 0, 1 and unknown, and how
often it changed; glitches of a simulation with delays are among the changes. Nets of the module are given by name, its ports
and the pins of its cells as ports of their instances: readers look for one or the other. Read it with the name of the design
as the instance that is stripped: `read_saif -instance_name NAME` (Synopsys), `-strip_path NAME` (AMD), `-scope NAME` (OpenSTA).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # which imports this module's writer
    from synth.activity import Activity, Wave
    from synth.netlist import Netlist

__all__ = ["saif"]

_TIMESCALE = "100 fs"  # ticks of `synth.activity.Activity`
_SPECIAL = re.compile(r"([^\w$])", re.ASCII)


def saif(activity: Activity, netlist: Netlist) -> str:
    """The text of the file: what every net, port and cell pin of `netlist` did while `activity` was recorded.

    Times are in ticks of 100 fs. A net without known activity was unknown all the time.
    """
    states = {net: _state(wave, activity.start, activity.end) for net, wave in activity.waves.items()}
    duration = activity.end - activity.start
    unknown = f"(T0 0) (T1 0) (TX {duration}) (TC 0)"
    ports = {
        f"{port.name}[{place}]" if len(port.bits) > 1 else port.name: net
        for port in netlist.ports.values()
        for place, net in enumerate(port.bits)
    }
    inner = {net: net for net in sorted(netlist.nets - ports.keys())}
    lines = [
        "(SAIFILE",
        '(SAIFVERSION "2.0")',
        '(DIRECTION "backward")',
        f'(DESIGN "{netlist.name}")',
        '(PROGRAM_NAME "dint")',
        "(DIVIDER / )",
        f"(TIMESCALE {_TIMESCALE})",
        f"(DURATION {duration})",
        f"(INSTANCE {_escaped(netlist.name)}",
        *_list("PORT", ports, states, unknown),
        *_list("NET", inner, states, unknown),
    ]
    for instance in netlist.instances:
        lines += [f"(INSTANCE {_escaped(instance.name)}", *_list("PORT", instance.pins, states, unknown), ")"]
    return "\n".join([*lines, ")", ")"]) + "\n"


def _list(kind: str, nets: Mapping[str, str], states: Mapping[str, str], unknown: str) -> Iterator[str]:
    if nets:
        yield f"({kind}"
        for name, net in nets.items():
            yield f" ({_escaped(name)} {states.get(net, unknown)})"
        yield ")"


def _state(wave: Wave, start: int, end: int) -> str:
    """Ticks at 0 and at 1, and the number of changes."""
    lasting = np.diff(np.concatenate([[start], wave.changes, [end]]))
    first, second = int(lasting[::2].sum()), int(lasting[1::2].sum())
    low, high = (second, first) if wave.initial else (first, second)
    return f"(T0 {low}) (T1 {high}) (TX 0) (TC {len(wave.changes)})"


def _escaped(name: str) -> str:
    return _SPECIAL.sub(r"\\\1", name)
