# SPDX-License-Identifier: Apache-2.0
"""Energy measurements of mapped netlists, several at a time, each in a process of its own and cached by content."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from golden import InputError, Operands
from golden.artifacts import read_record, record_text, sha256_file, sha256_of, write_file
from sim.replay import Replay
from sim.simulators import find_simulator
from sim.workload import UNIFORM, workload

from . import liberty, sta
from .activity import Activity
from .energy import OWN_ENGINE, SDF, VECTORLESS, Unit
from .mapping import Mapped, delays
from .netlist import Netlist
from .pdk import Pdk

__all__ = ["Measurement", "Task", "confidence_95", "measure_all", "record", "sources_sha256", "standard_error"]


@dataclass(frozen=True)
class Task:
    """What is measured: a netlist at a clock, with operands and a kind of activity."""

    mapped: Mapped
    period_ns: float
    source: str | None  # of the operands (`sim.workload`); None for vectorless activity
    dataflow: str | None  # of `sim.workload` too
    activity: str  # of `synth.energy`
    samples: int = 1  # each with operands and a simulation of its own; sample i of every netlist from the same places
    kind: str = ""  # which comparison it belongs to


# Sources that no measurement depends on; a change of any other makes earlier ones stale.
_INDIFFERENT = {
    "cases",
    "command",
    "comparison",
    "flow",
    "front",
    "front_command",
    "late_adders",
    "mapping",
    "omissions",
    "polarity",
    "prices",
    "recipe",
    "request",
    "search",
    "verification",
    "yosys",
    "yosys_child",
    "zero_points",
    "bench",
    "runner",
}


@dataclass(frozen=True)
class Measurement:
    """Energy of one netlist with one workload and kind of activity."""

    task: Task
    facts: Mapping[str, Any]  # means over the samples
    samples_j: tuple[float, ...]  # energy per MAC of each sample

    @property
    def energy_per_mac_j(self) -> float:
        """Energy per MAC in J, leakage included."""
        return float(self.facts["energy_per_mac_j"])

    @property
    def power_w(self) -> float:
        """Total power in W."""
        return float(self.facts["power_w"])

    @property
    def leakage_w(self) -> float:
        """Leakage power in W."""
        return float(self.facts["leakage_w"])

    @property
    def standard_error_j(self) -> float | None:
        """Standard error of the energy per MAC over the samples of operands, in J; None for a single sample."""
        return standard_error(self.samples_j)

    @property
    def confidence_95_j(self) -> float | None:
        """Half the width of the 95 % confidence interval of the energy per MAC, in J; None for a single sample."""
        return confidence_95(self.samples_j)

    def describe(self) -> dict[str, Any]:
        """Plain data."""
        design = self.task.mapped.describe()
        names = ("design", "pdk", "format", "architecture", "lanes", "netlist_sha256")
        spread = {
            "samples": len(self.samples_j),
            "energy_per_mac_standard_error_j": self.standard_error_j,
            "energy_per_mac_confidence_95_j": self.confidence_95_j,
        }
        conditions = {"operands": self.task.source, "dataflow": self.task.dataflow}
        return {name: design[name] for name in names} | dict(self.facts) | spread | conditions


def standard_error(values: Sequence[float]) -> float | None:
    """Standard error of the mean of independent `values`; None for fewer than two."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def confidence_95(values: Sequence[float]) -> float | None:
    """Half the width of the 95 % confidence interval of the mean of independent `values`; None for fewer than two.

    By Student's t distribution, as for normally distributed values of unknown variance. For a ratio of two netlists, `values`
    are the ratios sample by sample, since both sides' operands come from the same places.
    """
    error = standard_error(values)
    return None if error is None else _student_t(0.95, len(values) - 1) * error


def _student_t(probability: float, degrees: int) -> float:
    """The t that |T| stays below with `probability`, for `degrees` of freedom.

    The distribution in closed form: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 (odd degrees) and 26.7.4
    (even), with theta = arctan(t / sqrt(degrees)); it is solved for theta by bisection.
    """

    def within(theta: float) -> float:
        sine, cosine = math.sin(theta), math.cos(theta)
        odd = degrees % 2
        term, total = (cosine if odd else 1.0), 0.0
        for k in range(2 if not odd else 3, degrees + 1, 2):
            total += term
            term *= cosine**2 * (k - 1) / k
        return 2 / math.pi * (theta + sine * total) if odd else sine * total

    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) < probability else (low, middle)
    return math.sqrt(degrees) * math.tan(low)


def measure_all(
    tasks: Sequence[Task],
    pdk: Pdk,
    operands: Mapping[str, Operands],
    cycles: int,
    seed: int,
    cache: Path,
    jobs: int,
    advance: Callable[[str], None] | None = None,
    engine: str = OWN_ENGINE,
) -> list[Measurement]:
    """Carry out every task, in order; each sample is a simulation of `cycles`.

    `operands` holds those of the model by format. Vectorless activity needs none and has one sample. `engine` is what works
    out power from activity (`synth.energy.Unit.measure`).

    Raises
    ------
    InputError, ToolError
        As `sim.workload.workload` and `synth.energy.Unit`: operands that are missing, a wrong sum, delays that do not apply,
        too few nets with activity.
    """
    from joblib import Parallel, delayed

    stimuli = [_stimuli(task, operands, cycles, seed) for task in tasks]
    # What concerns one netlist is done in one go, in a process: reading netlists and waveforms is work for Python.
    by_netlist: dict[str, list[int]] = {}
    for i, task in enumerate(tasks):
        by_netlist.setdefault(task.mapped.netlist_sha256, []).append(i)
    groups = list(by_netlist.values())
    calls = (delayed(_measure)([(tasks[i], stimuli[i]) for i in group], pdk, cache, engine) for group in groups)
    measured = Parallel(jobs if len(groups) > 1 else 1, return_as="generator")(calls)
    results: dict[int, Measurement] = {}
    with warnings.catch_warnings():
        # Of a process whose memory has grown, which joblib replaces by another.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
        for group, found in zip(groups, measured, strict=True):
            for i, facts in zip(group, found, strict=True):
                task, energies = tasks[i], tuple(float(sample["energy_per_mac_j"]) for sample in facts)
                results[i] = Measurement(task, _mean(facts), energies)
                if advance is not None:
                    how = ", ".join(filter(None, (task.source, task.dataflow, task.activity)))
                    advance(f"{pdk.name} {task.mapped.design}: {how}")
    return [results[i] for i in range(len(tasks))]


def record(
    task: Task, pdk: Pdk, operands: Mapping[str, Operands], cycles: int, seed: int, vcd: Path | None = None
) -> tuple[Activity, Netlist]:
    """What every net did in the simulation of the first sample of `measure_all` with the same arguments, and the netlist.

    With `vcd` the waveforms are left there.

    Raises
    ------
    InputError, ToolError
        As `measure_all`; InputError for vectorless activity, which has no simulation.
    """
    stimulus = _stimuli(task, operands, cycles, seed)[0]
    if stimulus is None:
        raise InputError(f"activity is {task.activity!r}: nothing is simulated, so that there is nothing to record")
    with tempfile.TemporaryDirectory(prefix="dint-energy-") as workdir:
        unit = _unit(task.mapped, pdk, task.activity == SDF)
        return unit.record(stimulus, task.period_ns, task.activity, Path(workdir), vcd)


def _unit(mapped: Mapped, pdk: Pdk, with_delays: bool) -> Unit:
    sdf = delays(mapped, pdk) if with_delays else None
    return Unit(mapped.netlist, mapped.design, mapped.config, liberty.load(pdk.liberty), pdk, sdf)


def _stimuli(task: Task, operands: Mapping[str, Operands], cycles: int, seed: int) -> list[Replay | None]:
    """One for each sample; vectorless activity has a single sample without."""
    if task.activity == VECTORLESS:
        return [None]
    given = None if task.source == UNIFORM else operands.get(task.mapped.config.format_name)
    seeds = range(1000 * seed, 1000 * seed + task.samples)
    return [workload(task.mapped.config, task.source or "", task.dataflow or "", given, cycles, one) for one in seeds]


def _mean(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over samples of equal length; cycles and sums are totals, the annotated fraction the least."""
    parts = found[0]["by_part_j"]
    means = {name: float(np.mean([facts[name] for facts in found])) for name in found[0] if name.endswith(("_w", "_mac_j"))}
    return {
        **found[0],
        **means,
        "by_part_j": {part: float(np.mean([facts["by_part_j"][part] for facts in found])) for part in parts},
        "annotated_fraction": min(facts["annotated_fraction"] for facts in found),
        "cycles": sum(facts["cycles"] for facts in found),
        "sums_compared": sum(facts["sums_compared"] for facts in found),
    }


def _measure(
    tasks: Sequence[tuple[Task, Sequence[Replay | None]]], pdk: Pdk, cache: Path, engine: str
) -> list[list[dict[str, Any]]]:
    """By task, the facts of each sample, from the cache if they are there. All tasks are of the same netlist."""
    mapped = tasks[0][0].mapped
    unit: Unit | None = None
    results = []
    for task, stimuli in tasks:
        found = []
        for stimulus in stimuli:
            path = _entry(task, stimulus, pdk, cache, engine)
            facts = read_record(path)
            if facts is None:
                if unit is None:
                    unit = _unit(mapped, pdk, any(other.activity == SDF for other, _ in tasks))
                facts = _facts(task, unit, stimulus, engine)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_file(path, record_text(facts))
            found.append(facts)
        results.append(found)
    return results


@lru_cache(maxsize=1)
def simulator_version() -> str:
    """Of the simulator that records activity, at gate level with delays."""
    return find_simulator("icarus").version


def _entry(task: Task, stimulus: Replay | None, pdk: Pdk, cache: Path, engine: str) -> Path:
    """Where one sample is kept."""
    key = sha256_of(
        {
            "netlist": task.mapped.netlist_sha256,
            "pdk": pdk.describe(),
            "period_ns": task.period_ns,
            "stimulus": stimulus and stimulus.sha256,
            "activity": task.activity,
            "engine": engine,
            "opensta": sta.version(),
            "simulator": None if stimulus is None else simulator_version(),
            "sources": sources_sha256(),
        }
    )
    return cache / "energies" / key[:2] / f"{key}.json"


def _facts(task: Task, unit: Unit, stimulus: Replay | None, engine: str) -> dict[str, Any]:
    """One sample; without a stimulus a vectorless one."""
    if stimulus is None:
        result = unit.assume(task.period_ns)
    else:
        with tempfile.TemporaryDirectory(prefix="dint-energy-") as workdir:
            result = unit.measure(stimulus, task.period_ns, task.activity, Path(workdir), engine=engine)
    return {
        "period_ns": task.period_ns,
        "activity": result.activity,
        "energy_per_mac_j": result.energy_per_mac_j,
        "power_w": result.total_w,
        "internal_w": result.internal_w,
        "switching_w": result.switching_w,
        "leakage_w": result.leakage_w,
        "by_part_j": dict(result.by_part_j),
        "annotated_fraction": result.annotated_fraction,
        "cycles": result.cycles,
        "sums_compared": result.sums_compared,
    }


@lru_cache(maxsize=1)
def sources_sha256() -> dict[str, str]:
    """By module, of all that a figure measured on a netlist depends on beside the netlist, its library and the operands."""
    synth = Path(__file__).parent
    files = sorted(file for folder in (synth, synth.parent / "sim") for file in folder.glob("*.py"))
    return {f"{file.parent.name}/{file.stem}": sha256_file(file) for file in files if file.stem not in _INDIFFERENT}
