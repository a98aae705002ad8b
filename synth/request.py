# SPDX-License-Identifier: Apache-2.0
"""What commands that map and measure a unit share: the request, its checks, what is measured, the display of progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from golden import Operands, UnitConfig, unit_of_options
from golden.errors import InputError, unknown

from .pdk import DEFAULT_PDK, Pdk, find

if TYPE_CHECKING:
    from .activity import Activity
    from .mapping import Mapped
    from .measuring import Measurement, Task
    from .netlist import Netlist

__all__ = ["Request", "check_jobs", "check_tools", "femto", "progress"]


@dataclass(frozen=True)
class Request:
    """A unit to map on a kit and to measure, as options name it. Nothing is looked up before it is asked for.

    Parameters
    ----------
    format, lanes, depth, pipeline, decoded, architecture, shape, activations, writable_codebooks
        The unit, as for `dint generate`; by default a MAC unit with one lane.
    pdk, liberty, platforms
        The kit: its name, or its Liberty files; and where it is, if not in one of the usual places.
    period_ns
        Clock period. By default the smallest netlist is taken, at the shortest period it works at.
    operands
        Operand file of a quantized model, in `format`, for the energy; by default operands are uniform.
    seed, cycles
        Choice and number of the operands, one set a clock cycle.
    dataflow
        "streaming" (weights and activations are new in every cycle; the default of a MAC unit) or "weights-held" (weights stay
        for 64 cycles; what a processing element always does, with partial sums from above).
    activity
        Where switching activity comes from: "sdf" (simulation with delays), "zero-delay" (simulation without) or "vectorless"
        (default activities of the inputs, without simulation and operands); None: no energy is measured.
    power_engine
        What works out power from simulated activity: "dint", or "opensta" where OpenSTA has `read_vcd`.
    """

    format: str = "dint4"
    lanes: int | None = None
    depth: int = 65536
    pipeline: int | None = None
    decoded: bool = False
    architecture: str = ""
    shape: str = "mac"
    activations: str = "int8"
    writable_codebooks: bool = False
    pdk: str = DEFAULT_PDK
    liberty: tuple[Path, ...] = ()
    platforms: Path | None = None
    period_ns: float | None = None
    operands: Path | None = None
    seed: int = 0
    cycles: int = 512
    dataflow: str | None = None
    activity: str | None = "sdf"
    power_engine: str = "dint"

    @cached_property
    def unit(self) -> UnitConfig:
        """The unit. InputError if there is none like that; `hdl.architectures.architecture_of` checks the architecture."""
        return unit_of_options(
            self.format,
            lanes=self.lanes,
            default_lanes=1,
            depth=self.depth,
            pipeline=self.pipeline,
            architecture=self.architecture,
            decoded=self.decoded,
            shape=self.shape,
            activations=self.activations,
            writable_codebooks=self.writable_codebooks,
        )

    @cached_property
    def kit(self) -> Pdk:
        """The kit. InputError if it is not here."""
        return find(self.pdk, self.liberty, self.platforms)

    @cached_property
    def given_operands(self) -> Operands | None:
        """The operands of the file, if one is named. InputError if it cannot be read, or holds another format."""
        if self.operands is None:
            return None
        operands = Operands.load(self.operands)
        if operands.format_name != self.unit.format_name:
            raise InputError(
                f"--operands {self.operands}: holds {operands.format_name}, the unit takes "
                f"{self.unit.format_name}; name the operands of that format"
            )
        return operands

    @property
    def dataflow_of_unit(self) -> str:
        """The dataflow, the unit's own if none is named."""
        from sim.workload import dataflows

        return self.dataflow or dataflows(self.unit)[0]

    def check(self) -> None:
        """Refuse options that cannot be, or not together; neither kit nor operands are looked for."""
        from sim.workload import dataflows

        from .energy import ACTIVITIES, OWN_ENGINE, check_engine

        known = dataflows(self.unit)
        if self.period_ns is not None and not 0 < self.period_ns < float("inf"):
            raise InputError(f"--period is {self.period_ns:g} ns: it must be positive; leave it out for the smallest area")
        if self.cycles < 16:
            raise InputError(f"cycles is {self.cycles}: at least 16 are needed for an energy")
        for option, value, names in (("--dataflow", self.dataflow, known), ("--activity", self.activity, ACTIVITIES)):
            if value is not None and value not in names:
                raise unknown(f"{option} is {value!r}", value, names)
        if self.activity == "vectorless" and self.operands is not None:
            raise InputError(f"--operands {self.operands}: --activity vectorless takes none; leave one of them out")
        if self.activity == "vectorless" and self.power_engine != OWN_ENGINE:
            raise InputError(
                f"--power-engine {self.power_engine}: --activity vectorless simulates nothing; leave one of them out"
            )
        check_engine(self.power_engine)

    def tasks(self, mapped: Mapped, period_ns: float) -> list[Task]:
        """What is measured of a netlist: the activity that was asked for first; with delays, the same without them too."""
        from .measuring import Task

        if self.activity is None:
            return []
        if self.activity == "vectorless":
            return [Task(mapped, period_ns, None, None, self.activity)]
        source = "uniform" if self.operands is None else "opt"
        kinds = dict.fromkeys((self.activity, "zero-delay"))
        return [Task(mapped, period_ns, source, self.dataflow_of_unit, kind) for kind in kinds]

    def measure(
        self, tasks: Sequence[Task], cache: Path, jobs: int, advance: Callable[[str], None] | None = None
    ) -> list[Measurement]:
        """Measure `tasks` with the operands of this request. Errors are those of `synth.measuring.measure_all`."""
        from .measuring import measure_all

        return measure_all(tasks, self.kit, self._available, self.cycles, self.seed, cache, jobs, advance, self.power_engine)

    def record(self, task: Task, vcd: Path | None = None) -> tuple[Activity, Netlist]:
        """What the nets did in the simulation of `task`, its waveforms perhaps as a file (`synth.measuring.record`)."""
        from .measuring import record

        return record(task, self.kit, self._available, self.cycles, self.seed, vcd)

    @property
    def _available(self) -> dict[str, Operands]:
        return {self.unit.format_name: self.given_operands} if self.given_operands else {}

    def plain(self) -> dict[str, Any]:
        """Plain data, for another process: `Request.of` makes the same request of it."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        places = {name: str(found[name]) for name in ("platforms", "operands") if found[name] is not None}
        return found | places | {"liberty": [str(file) for file in self.liberty]}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Request:
        """The request that `plain` describes."""
        places = {name: Path(plain[name]) for name in ("platforms", "operands") if plain[name] is not None}
        return cls(**{**plain, **places, "liberty": tuple(map(Path, plain["liberty"]))})


def check_jobs(jobs: int) -> None:
    """Refuse a number of things to do at a time that is none."""
    if jobs < 1:
        raise InputError(f"jobs is {jobs}: at least 1")


def check_tools(kit: Pdk) -> None:
    """Raise ToolError or InputError at once if a tool is missing or a library cannot be used."""
    from . import liberty, sta, yosys

    sta.version()
    yosys.version()
    liberty.load(kit.liberty).require_power()


def femto(energy_j: float) -> str:
    """An energy as tables show it."""
    return f"{1e15 * energy_j:.4g} fJ" if energy_j < 1e-12 else f"{1e12 * energy_j:.4g} pJ"


@contextmanager
def progress(console: Console) -> Iterator[Callable[[str], None]]:
    """A spinner with what was done last; the number of syntheses is not known before."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed:.0f} done"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("mapping", total=None)

        def advance(what: str) -> None:
            bar.update(task, advance=1, description=what)

        yield advance
