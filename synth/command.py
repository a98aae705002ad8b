"""`dint synthesize` and `dint pdks`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from golden import MacConfig, Operands, ToolError, format_by_name
from golden.artifacts import canonical_json, output_directory, sha256_file, write_file
from golden.errors import InputError

from .pdk import DEFAULT_PDK, TECHNOLOGIES, Pdk, discover, find

if TYPE_CHECKING:
    from .mapping import Mapped
    from .measuring import Measurement, Task

__all__ = ["front", "pdks", "synthesize"]

_CYCLES = 512


def synthesize(
    format: str = "dint4",
    lanes: int = 1,
    pdk: str = DEFAULT_PDK,
    period_ns: float | None = None,
    out: Path = Path("build/synthesis"),
    operands: Path | None = None,
    depth: int = 65536,
    pipeline: int = 0,
    decoded: bool = False,
    architecture: str = "",
    liberty: Sequence[Path] = (),
    platforms: Path | None = None,
    seed: int = 0,
    cycles: int = _CYCLES,
    dataflow: str = "streaming",
    activity: str = "sdf",
    power_engine: str = "dint",
    cache: Path = Path("build/cache"),
    jobs: int = 2,
    quiet: bool = False,
) -> dict[str, Any]:
    """Map one MAC unit and measure it; writes `netlist.v`, `constraints.sdc`, `delays.sdf` and `metrics.json` into `out`.

    Parameters
    ----------
    period_ns
        Clock period. By default the smallest netlist is taken, at the shortest period it works at.
    operands
        Operand file of a quantized model, in `format`, for the energy; by default operands are uniform.
    liberty, platforms
        Where the kit is, if not in one of the usual places.
    seed, cycles
        Choice and number of the operands, one set a clock cycle.
    dataflow
        "streaming" (weights and activations are new in every cycle) or "weights-held" (weights stay for 64 cycles).
    activity
        Where switching activity comes from: "sdf" (simulation with delays), "zero-delay" (simulation without) or "vectorless"
        (default activities of the inputs, without simulation and operands).
    power_engine
        What works out power from simulated activity: "dint", or "opensta" where OpenSTA has `read_vcd`.
    cache, jobs
        Folder of earlier results; syntheses at a time.

    Returns
    -------
    The contents of `metrics.json`: METRICS2.1 names (areas in um2, times in ns, power in W) and `energy__per_mac` in J.

    Raises
    ------
    InputError
        If an option, the kit, a Liberty file or the operand file cannot be used.
    ToolError
        If a tool is missing or fails; and if no netlist closes at `period_ns`, with the slack of the best: then nothing is
        written, and an earlier result stays.
    """
    config = MacConfig(
        format_by_name(format), lanes=lanes, depth=depth, pipeline=pipeline, architecture=architecture, decoded=decoded
    )
    if period_ns is not None and not 0 < period_ns < float("inf"):
        raise InputError(f"--period is {period_ns:g} ns: it must be positive; leave it out for the smallest area")
    _check(cycles, jobs)
    _check_measurement(dataflow, activity, power_engine, operands)
    kit = find(pdk, tuple(liberty), platforms)
    given = _operands(operands, config)
    console = Console(quiet=quiet)
    with output_directory(out) as scratch:
        from hdl.architectures import architecture_of  # Amaranth is slow to import, and `dint --help` imports this module

        from . import liberty as libraries
        from . import sta, yosys

        architecture_of(config)
        sta.version()
        yosys.version()
        libraries.load(kit.liberty).require_power()
        with _progress(console) as advance:
            from .flow import synthesize as search
            from .measuring import measure_all

            mapped = search(config, kit, period_ns, cache, jobs, advance)
            if period_ns is not None and not mapped.closes(period_ns):
                raise ToolError(
                    f"--period {period_ns:g} ns is not met by {config.name} on {kit.name}: the best slack found is "
                    f"{period_ns - mapped.delay_ns:.4g} ns; give {math.ceil(1000 * mapped.delay_ns) / 1000:g} ns or more"
                    f" (nothing was written to {out})"
                )
            metrics = _files(scratch, config, kit, mapped, period_ns, cache)
            tasks = _tasks(mapped, metrics["clock__period"], given, dataflow, activity)
            available = {config.weight_format.name: given} if given else {}
            measured = measure_all(tasks, kit, available, cycles, seed, cache, 1, advance, power_engine)
            metrics |= _power(measured, power_engine)
        write_file(scratch / "metrics.json", canonical_json(metrics))
    console.print(_table(metrics, kit))
    console.print(f"written to {out}")
    return metrics


def front(
    format: str = "dint4",
    lanes: int = 1,
    pdk: str = DEFAULT_PDK,
    out: Path = Path("build/front"),
    operands: Path | None = None,
    depth: int = 65536,
    pipeline: int = 0,
    decoded: bool = False,
    architecture: str = "",
    liberty: Sequence[Path] = (),
    platforms: Path | None = None,
    seed: int = 0,
    cycles: int = _CYCLES,
    dataflow: str = "streaming",
    activity: str = "sdf",
    power_engine: str = "dint",
    cache: Path = Path("build/cache"),
    jobs: int = 2,
    quiet: bool = False,
) -> dict[str, Any]:
    """Map one MAC unit for every clock period (`synth.front`), measure each netlist at its own; writes `front.json` into `out`.

    Parameters are those of `synthesize`. Every netlist is simulated, and its sums compared, unless `activity` is "vectorless".

    Returns
    -------
    The contents of `front.json`: `points`, the smallest netlist first, with period in ns, area in um2, energy in J and recipe;
    `step__largest`, the largest difference in area between neighbours as a share; `step__wanted`.

    Raises
    ------
    InputError, ToolError
        As `synthesize`.
    """
    config = MacConfig(
        format_by_name(format), lanes=lanes, depth=depth, pipeline=pipeline, architecture=architecture, decoded=decoded
    )
    _check(cycles, jobs)
    _check_measurement(dataflow, activity, power_engine, operands)
    kit = find(pdk, tuple(liberty), platforms)
    given = _operands(operands, config)
    console = Console(quiet=quiet)
    with output_directory(out) as scratch:
        from . import liberty as libraries
        from . import sta, yosys
        from .front import STEP, steps
        from .front import front as search
        from .measuring import measure_all

        sta.version()
        yosys.version()
        libraries.load(kit.liberty).require_power()
        available = {config.weight_format.name: given} if given else {}
        with _progress(console) as advance:
            netlists = search(config, kit, cache, jobs, advance)
            tasks = [_tasks(mapped, mapped.delay_ns, given, dataflow, activity)[0] for mapped in netlists]
            measured = measure_all(tasks, kit, available, cycles, seed, cache, jobs, advance, power_engine)
            points = [_point(mapped, one) for mapped, one in zip(netlists, measured, strict=True)]
        result = {
            "format": config.weight_format.name,
            "lanes": config.lanes,
            "pdk": kit.describe(),
            "points": points,
            "step__largest": max(steps(netlists), default=0.0),
            "step__wanted": STEP,
            "depth": config.depth,
            "pipeline": config.pipeline,
            "decoded": config.decoded,
            "activity__kind": activity,
            "activity__operands": tasks[0].source,
            "activity__dataflow": tasks[0].dataflow,
            "activity__cycles": cycles,
            "power__engine": power_engine,
            "tools": {"yosys": yosys.version(), "opensta": sta.version()},
            "hashes": {"operands": sha256_file(operands) if operands else None},
        }
        write_file(scratch / "front.json", canonical_json(result))
    table = Table("period", "area", "step", "energy", "recipe", box=None, pad_edge=False)
    differences = [0.0, *steps(netlists)]
    for point, step in zip(points, differences, strict=True):
        options = point["options"]
        share = f" {options['allowance']:g}" if options["full_adders"] == "cells" else ""
        table.add_row(
            f"{point['clock__period']:.4g} ns",
            f"{point['design__instance__area']:.6g} um2",
            f"[yellow]{step:.1%}[/]" if step >= STEP else f"{step:.1%}",
            _femto(point["energy__per_mac"]),
            f"{point['architecture']}, {options['full_adders']}{share}, {options['script']}, {options['adder']}",
        )
    console.print(table)
    wide = sum(step >= STEP for step in differences)
    console.print(
        f"{wide} of {len(netlists) - 1} steps between neighbours are {STEP:.0%} or more, the largest {max(differences):.1%}: "
        f"no recipe tried lies between"
        if wide
        else f"neighbours differ by less than {STEP:.0%} in area"
    )
    console.print(f"written to {out}")
    return result


def pdks(liberty: Sequence[Path] = (), platforms: Path | None = None, quiet: bool = False) -> list[dict[str, Any]]:
    """Print which kits are found here, and how to get the others.

    Returns
    -------
    One object per known kit: `name`, `title`, `corner`, `found` (where, or None), `get`, `liberty` (file names).
    """
    found = {kit.name: kit for kit in discover(platforms)}
    known = {technology.name: technology for technology in TECHNOLOGIES}
    if liberty:
        kit = find(liberty=tuple(liberty))
        found[kit.name] = kit
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys((*known, *found)):
        here = found.get(name)
        described = here or known[name]
        rows.append(
            {
                "name": name,
                "title": described.title,
                "corner": described.corner,
                "found": here.origin if here else None,
                "get": known[name].get if name in known else "",
                "liberty": [path.name for path in here.liberty] if here else [],
            }
        )
    console = Console(quiet=quiet)
    table = Table("pdk", "found through", "library", box=None, pad_edge=False)
    for row in rows:
        if row["found"]:
            default = " (default)" if row["name"] == DEFAULT_PDK else ""
            table.add_row(row["name"] + default, f"[green]{row['found']}[/]", f"{row['title']}; {row['corner']}")
    console.print(table)
    for row in rows:
        if not row["found"]:
            console.print(f"[dim]{row['name']} not found:[/] {row['get']}", highlight=False)
    return rows


def _check(cycles: int, jobs: int) -> None:
    if cycles < 16:
        raise InputError(f"cycles is {cycles}: at least 16 are needed for an energy")
    if jobs < 1:
        raise InputError(f"jobs is {jobs}: at least 1")


def _point(mapped: Mapped, measured: Measurement) -> dict[str, Any]:
    """One netlist of a front."""
    return {
        "design": mapped.design,
        "architecture": mapped.config.architecture,
        "clock__period": mapped.delay_ns,
        "design__instance__area": mapped.area_um2,
        "energy__per_mac": measured.energy_per_mac_j,
        "activity__sums_compared": measured.facts["sums_compared"],
        "options": mapped.recipe.describe(),
        "netlist_sha256": mapped.netlist_sha256,
    }


def _check_measurement(dataflow: str, activity: str, engine: str, operands: Path | None) -> None:
    from sim.workload import DATAFLOWS

    from .energy import ACTIVITIES, OWN_ENGINE, check_engine

    for option, value, known in (("--dataflow", dataflow, DATAFLOWS), ("--activity", activity, ACTIVITIES)):
        if value not in known:
            raise InputError(f"{option} is {value!r}: choose one of {', '.join(known)}")
    if activity == "vectorless" and operands is not None:
        raise InputError(f"--operands {operands}: --activity vectorless takes none; leave one of them out")
    if activity == "vectorless" and engine != OWN_ENGINE:
        raise InputError(f"--power-engine {engine}: --activity vectorless simulates nothing; leave one of them out")
    check_engine(engine)


def _operands(path: Path | None, config: MacConfig) -> Operands | None:
    if path is None:
        return None
    operands = Operands.load(path)
    if operands.number_format != config.weight_format:
        raise InputError(
            f"--operands {path}: holds {operands.number_format.name}, the unit takes {config.weight_format.name}; "
            f"name the operands of that format"
        )
    return operands


def _files(
    scratch: Path,
    config: MacConfig,
    kit: Pdk,
    mapped: Mapped,
    period_ns: float | None,
    cache: Path,
) -> dict[str, Any]:
    """Write all but the metrics, and return those of area and timing."""
    from hdl.companions import constraints

    from . import sta, yosys
    from .mapping import area_by_part, delays

    period = period_ns if period_ns is not None else mapped.delay_ns
    sdf = delays(mapped, kit)
    parts, whole = area_by_part(mapped, kit, cache)
    write_file(scratch / "netlist.v", mapped.netlist.read_bytes())
    write_file(scratch / "delays.sdf", sdf.read_bytes())
    write_file(scratch / "constraints.sdc", constraints(config, period))
    return {
        "design": config.name,
        "design__instance__area": mapped.area_um2,
        "design__instance__count": mapped.cells,
        "design__instance__area__by_part": parts,
        "design__instance__area__with_parts_kept": whole,
        "timing__setup__ws": round(period - mapped.delay_ns, 6),
        "clock__period": period,
        "timing__critical_path__delay": mapped.delay_ns,
        "pdk": kit.describe(),
        "format": config.weight_format.name,
        "architecture": config.architecture,
        "lanes": config.lanes,
        "options": mapped.recipe.describe(),
        "tools": {"yosys": yosys.version(), "opensta": sta.version()},
        "hashes": {
            "verilog": mapped.verilog_sha256,
            "netlist": mapped.netlist_sha256,
            "delays": sha256_file(sdf),
        },
    }


def _tasks(mapped: Mapped, period_ns: float, operands: Operands | None, dataflow: str, activity: str) -> list[Task]:
    """What is measured: the activity that was asked for first; with delays, the same without them too."""
    from .measuring import Task

    if activity == "vectorless":
        return [Task(mapped, period_ns, None, None, activity)]
    source = "uniform" if operands is None else "opt"
    return [Task(mapped, period_ns, source, dataflow, kind) for kind in dict.fromkeys((activity, "zero-delay"))]


def _power(measured: Sequence[Measurement], engine: str) -> dict[str, Any]:
    """The metrics of power and energy."""
    wanted, facts = measured[0].task, measured[0].facts
    metrics = {
        "power__total": facts["power_w"],
        "power__internal__total": facts["internal_w"],
        "power__switching__total": facts["switching_w"],
        "power__leakage__total": facts["leakage_w"],
        "power__engine": engine,
        "energy__per_mac": facts["energy_per_mac_j"],
        "energy__per_mac__by_part": facts["by_part_j"],
        "activity__kind": wanted.activity,
        "activity__annotated": facts["annotated_fraction"],
        "activity__cycles": facts["cycles"],
        "activity__sums_compared": facts["sums_compared"],
        "activity__operands": wanted.source,
        "activity__dataflow": wanted.dataflow,
    }
    quiet = {one.task.activity: one for one in measured}.get("zero-delay")
    return metrics | ({"energy__per_mac__zero_delay": quiet.energy_per_mac_j} if quiet else {})


def _table(metrics: dict[str, Any], kit: Pdk) -> Table:
    table = Table(title=f"{metrics['design']} on {kit.name} ({kit.corner})", show_header=False, box=None, title_justify="left")
    table.add_row("area", f"{metrics['design__instance__area']:.6g} um2", f"{metrics['design__instance__count']} cells")
    for part, area in metrics["design__instance__area__by_part"].items():
        table.add_row(f"  {part}", f"about {float(f'{area:.3g}'):g} um2", "")
    slack, period = metrics["timing__setup__ws"], metrics["clock__period"]
    table.add_row(
        "critical path",
        f"{metrics['timing__critical_path__delay']:.4g} ns",
        f"[green]slack {slack:.4g} ns at {period:.4g} ns[/]",
    )
    how = ["vectorless: default activities of the inputs"]
    if metrics["activity__kind"] != "vectorless":
        how = [f"operands: {metrics['activity__operands']}, {metrics['activity__dataflow']}"]
    if metrics["activity__kind"] == "sdf":
        how.insert(0, f"{_femto(metrics['energy__per_mac__zero_delay'])} without glitches")
    table.add_row("energy per MAC", _femto(metrics["energy__per_mac"]), "; ".join(how))
    table.add_row(
        "power", f"{1e6 * metrics['power__total']:.4g} uW", f"leakage {1e6 * metrics['power__leakage__total']:.3g} uW"
    )
    return table


def _femto(energy_j: float) -> str:
    return f"{1e15 * energy_j:.4g} fJ" if energy_j < 1e-12 else f"{1e12 * energy_j:.4g} pJ"


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str], None]]:
    """A spinner with what was done last; the number of syntheses is not known before."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.completed:.0f} done"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("mapping", total=None)

        def advance(what: str) -> None:
            bar.update(task, advance=1, description=what)

        yield advance
