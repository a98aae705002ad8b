"""What commands that map and measure a unit share: checks of their options, what is measured, and the display of progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from golden import Operands, UnitConfig
from golden.errors import InputError, unknown

if TYPE_CHECKING:
    from .mapping import Mapped
    from .measuring import Task
    from .pdk import Pdk

__all__ = ["check_measurement", "check_tools", "femto", "measured_tasks", "operands_of", "progress"]


def check_measurement(
    config: UnitConfig, dataflow: str | None, activity: str, engine: str, operands: Path | None, cycles: int, jobs: int
) -> str:
    """Refuse options of a measurement that cannot be, or not together; the dataflow, the unit's own if none is given."""
    if cycles < 16:
        raise InputError(f"cycles is {cycles}: at least 16 are needed for an energy")
    if jobs < 1:
        raise InputError(f"jobs is {jobs}: at least 1")
    from sim.workload import dataflows

    from .energy import ACTIVITIES, OWN_ENGINE, check_engine

    dataflow = dataflow or dataflows(config)[0]
    for option, value, known in (("--dataflow", dataflow, dataflows(config)), ("--activity", activity, ACTIVITIES)):
        if value not in known:
            raise unknown(f"{option} is {value!r}", value, known)
    if activity == "vectorless" and operands is not None:
        raise InputError(f"--operands {operands}: --activity vectorless takes none; leave one of them out")
    if activity == "vectorless" and engine != OWN_ENGINE:
        raise InputError(f"--power-engine {engine}: --activity vectorless simulates nothing; leave one of them out")
    check_engine(engine)
    return dataflow


def check_tools(kit: Pdk) -> None:
    """Raise ToolError or InputError at once if a tool is missing or a library cannot be used."""
    from . import liberty, sta, yosys

    sta.version()
    yosys.version()
    liberty.load(kit.liberty).require_power()


def operands_of(path: Path | None, config: UnitConfig) -> Operands | None:
    """The operands of a file, if one is given, which must be of the format of `config`."""
    if path is None:
        return None
    operands = Operands.load(path)
    if operands.number_format != config.weight_format:
        raise InputError(
            f"--operands {path}: holds {operands.number_format.name}, the unit takes {config.weight_format.name}; "
            f"name the operands of that format"
        )
    return operands


def measured_tasks(mapped: Mapped, period_ns: float, operands: Operands | None, dataflow: str, activity: str) -> list[Task]:
    """What is measured: the activity that was asked for first; with delays, the same without them too."""
    from .measuring import Task

    if activity == "vectorless":
        return [Task(mapped, period_ns, None, None, activity)]
    source = "uniform" if operands is None else "opt"
    return [Task(mapped, period_ns, source, dataflow, kind) for kind in dict.fromkeys((activity, "zero-delay"))]


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
