# SPDX-License-Identifier: Apache-2.0
"""What a MAC of each of several number formats costs on a kit: area, delay and energy, by one search with equal effort.

The search and the measurements are those of the fair comparison (`synth.search`, `synth.cases`), but none is the other's
baseline: a clock is what all formats of the list reach, another what all do whose units have no scales in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from golden import BlockMacConfig, Operands
from golden.errors import DintError, one_line

from .cases import Best, Case, Condition
from .energy import SDF
from .flow import JOBS, Workshop
from .mapping import DEFAULT_CACHE
from .pdk import Pdk
from .search import Effort, search, units

__all__ = ["EFFORT", "FASTEST", "prices"]

#: Clocks with some room: at the shortest that all formats reach, the slowest of them has a single netlist. Every
#: architecture is followed: how much larger the most frugal one is than the smallest differs from format to format.
EFFORT = Effort(keep=None, margins=(0.25,))
FASTEST = "fastest"  # kind of the entries whose netlist is the fastest of its format; they have no energy


def prices(
    pdk: Pdk,
    lanes: int,
    formats: Sequence[str],
    operands: Mapping[str, Operands],
    effort: Effort = EFFORT,
    cache: Path = DEFAULT_CACHE,
    jobs: int = JOBS,
    seed: int = 0,
    advance: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Search and measure MAC units of `formats` on one kit, with one lane count.

    Parameters
    ----------
    operands
        By format, those of the quantized model.
    effort
        How much is tried, the same for every format; `also` does not count.
    cache, jobs, seed, advance
        As of `synth.comparison.compare`.

    Returns
    -------
    dict
        Plain data: `units`, an entry for each format, condition and objective, with what the netlist is, area in um2, delay and
        clock period in ns, energy per MAC in J with its samples (None for the fastest); `effort` by format; `failures` by
        format: why one has no figures, or not all.

    Raises
    ------
    InputError, ToolError
        If a Liberty file cannot be used, a tool is missing, or no format has a netlist.
    """
    effort = replace(effort, also=())  # a unit has one price
    shop = Workshop(pdk, cache, jobs, advance)
    given = units(lanes, formats=formats)
    unscaled = [name for name, config in given.items() if not isinstance(config, BlockMacConfig)]
    case = Case(shop, lanes, search(shop, given, effort, [unscaled, formats]))
    failures = dict(case.found.failed)
    for name in case.found.minimum:
        try:
            case.measure(operands, effort, cache, jobs, seed, advance, (name,))
        except DintError as error:
            failures[name] = one_line(f"energy: {error}")
    entries = [
        _entry(condition, objective, one)
        for condition in case.conditions
        for (_, _, activity), objective, best in case.best(condition)
        for one in best.values()
        if activity == SDF
    ]
    fastest = [
        {
            **mapped.describe(),
            "kind": FASTEST,
            "objective": "delay",
            "period_ns": mapped.delay_ns,
            "energy_per_mac_j": None,
            "energy_samples_j": None,
        }
        for mapped in case.found.fastest.values()
    ]
    measured = {name: [m for m in case.measurements if m.task.mapped.config.format_name == name] for name in formats}
    tried = {
        name: {
            "syntheses": shop.count(name, lanes),
            "failed_syntheses": sum(task.config.format_name == name for task in shop.failed),
            "architectures": shop.architectures(name),
            "kept_below": effort.keep,
            "energies": len(measured[name]),
            "sums_compared": sum(one.facts["sums_compared"] for one in measured[name]),
        }
        for name in formats
    }
    return {"units": entries + fastest, "effort": tried, "failures": failures}


def _entry(condition: Condition, objective: str, best: Best) -> dict[str, Any]:
    return {
        **best.mapped.describe(),
        "kind": condition.kind,
        "objective": objective,
        "period_ns": condition.period_ns,
        "energy_per_mac_j": best.measurement.energy_per_mac_j,
        "energy_samples_j": list(best.measurement.samples_j),
        "operands": best.measurement.task.source,
        "dataflow": best.measurement.task.dataflow,
        "activity": best.measurement.task.activity,
    }
