# SPDX-License-Identifier: Apache-2.0
"""One kit and lane count: what the search found there for every format, what is measured of it, and the best of each format.

Every architecture's netlist (`synth.search`) is simulated with the same kind of operands, and each format is represented by its
best architecture *for the metric that counts*: the smallest, or the most frugal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from golden import Operands
from sim.workload import UNIFORM, dataflows

from .energy import SDF, ZERO_DELAY
from .flow import Workshop, smallest_of
from .mapping import Mapped
from .measuring import Measurement, Task, measure_all
from .search import Effort, Found

__all__ = ["EQUAL_CLOCK", "MINIMUM_AREA", "OBJECTIVES", "Best", "Case", "Condition", "Way"]

EQUAL_CLOCK, MINIMUM_AREA = "equal-clock", "minimum-area"
OBJECTIVES = ("area", "energy")

#: How an energy was measured: source of the operands, dataflow, kind of activity.
Way = tuple[str, str, str]


@dataclass(frozen=True)
class Condition:
    """What the netlists that are compared with one another were mapped for, and the period they are measured at."""

    kind: str  # EQUAL_CLOCK or MINIMUM_AREA
    period_ns: float
    netlists: dict[str, list[Mapped]]  # by format

    @property
    def name(self) -> str:
        """Tells it from the others of its case."""
        return f"{self.kind} {self.period_ns}"


@dataclass(frozen=True)
class Best:
    """The netlist that stands for a format, and its energy."""

    mapped: Mapped
    measurement: Measurement

    def describe(self) -> dict[str, Any]:
        """Plain data."""
        config = self.mapped.config
        return {
            "format": config.format_name,
            "shape": config.shape,
            "architecture": config.architecture,
            "decoded": config.decoded,
            "pipeline": config.pipeline,
            "area_um2": self.mapped.area_um2,
            "delay_ns": self.mapped.delay_ns,
            "energy_per_mac_j": self.measurement.energy_per_mac_j,
            "energy_per_mac_standard_error_j": self.measurement.standard_error_j,
            "power_w": self.measurement.power_w,
            "leakage_w": self.measurement.leakage_w,
        }


@dataclass
class Case:
    """One kit and lane count: what was found, and what was measured of it."""

    workshop: Workshop
    lanes: int
    found: Found
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def conditions(self) -> list[Condition]:
        """The clocks, the shortest period first, and minimum area, at the shortest period at which all its netlists close."""
        clocks = [Condition(EQUAL_CLOCK, period_ns, netlists) for period_ns, netlists in self.found.clocked.items()]
        slowest = max((mapped.delay_ns for best in self.found.minimum.values() for mapped in best), default=math.nan)
        period_ns = math.ceil(1000 * slowest) / 1000 if math.isfinite(slowest) else math.nan
        return [*clocks, Condition(MINIMUM_AREA, period_ns, self.found.minimum)]

    def measure(
        self,
        operands: Mapping[str, Operands],
        effort: Effort,
        cache: Path,
        jobs: int,
        seed: int,
        advance: Callable[[str], None] | None = None,
        formats: Sequence[str] | None = None,
    ) -> None:
        """Measure every netlist, or those of some formats, by one sample of each workload; the best two of each format by more.

        Those best two are measured without delays as well, and those of the first workload with the workloads of `effort.also`.
        """
        pdk, cycles = self.workshop.pdk, effort.cycles_for(self.lanes)

        def measure(tasks: Iterable[Task]) -> list[Measurement]:
            return measure_all(list(tasks), pdk, operands, cycles, seed, cache, jobs, advance)

        # Without operands of the model there is nothing but uniform ones.
        given = all(name in operands for name in self.found.minimum)
        possible = dataflows(next(iter(next(iter(self.found.minimum.values())))).config)

        def feasible(ways: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
            those = ((source if given else UNIFORM, flow if flow in possible else possible[0]) for source, flow in ways)
            return list(dict.fromkeys(those))

        workloads = feasible(effort.workloads)
        also = [way for way in feasible(effort.also) if way not in workloads]
        wanted = self.found.minimum if formats is None else formats
        plan = [(condition, workload) for condition in self.conditions for workload in workloads]
        first = measure(
            Task(mapped, condition.period_ns, *workload, SDF, kind=condition.name)
            for condition, workload in plan
            for name in wanted
            for mapped in condition.netlists[name]
        )
        closer: list[Task] = []
        for condition, workload in plan:
            done = [m for m in first if (m.task.kind, m.task.source, m.task.dataflow) == (condition.name, *workload)]
            finalists = {
                mapped.netlist_sha256: mapped
                for best in (condition.netlists[name] for name in wanted if condition.netlists[name])
                for mapped in (smallest_of(best), _frugal(best, done))
                if mapped
            }
            self.measurements += [m for m in done if m.task.mapped.netlist_sha256 not in finalists]
            leads = workload == workloads[0]
            for mapped in finalists.values():
                ways = [workload, *(also if leads else [])]
                tasks = [Task(mapped, condition.period_ns, *way, SDF, effort.samples, condition.name) for way in ways]
                closer += tasks + [replace(task, activity=ZERO_DELAY, samples=1) for task in tasks]
        self.measurements += measure(closer)

    def best(self, condition: Condition) -> Iterator[tuple[Way, str, dict[str, Best]]]:
        """For each way of measuring and each of `OBJECTIVES`, the best of every format that has one."""
        measured = [m for m in self.measurements if m.task.kind == condition.name]
        ways = {(m.task.source or "", m.task.dataflow or "", m.task.activity) for m in measured}
        for way in sorted(ways):
            alike = [m for m in measured if (m.task.source, m.task.dataflow, m.task.activity) == way]
            # Finalists only: a single sample of another netlist must not win by luck.
            most = max(len(m.samples_j) for m in alike)
            by_netlist = {m.task.mapped.netlist_sha256: m for m in alike if len(m.samples_j) == most}
            for objective in OBJECTIVES:
                found = {}
                for name, netlists in condition.netlists.items():
                    if not netlists:
                        continue
                    best = smallest_of(netlists) if objective == "area" else _frugal(netlists, by_netlist.values())
                    measurement = by_netlist.get(best.netlist_sha256) if best else None
                    if best is not None and measurement is not None:
                        found[name] = Best(best, measurement)
                yield way, objective, found


def _frugal(netlists: Sequence[Mapped], measurements: Iterable[Measurement]) -> Mapped | None:
    """The netlist of least energy, of those that were measured."""
    known = {mapped.netlist_sha256: mapped for mapped in netlists}
    energies = [
        (m.energy_per_mac_j, m.task.mapped.netlist_sha256) for m in measurements if m.task.mapped.netlist_sha256 in known
    ]
    return known[min(energies)[1]] if energies else None
