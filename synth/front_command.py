# SPDX-License-Identifier: Apache-2.0
"""`dint synthesize --front`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from golden.artifacts import canonical_json, output_directory, sha256_file, write_file
from golden.errors import InputError

from .recipe import Recipe
from .request import Request, check_jobs, check_tools, femto, progress

if TYPE_CHECKING:
    from .mapping import Mapped
    from .measuring import Measurement

__all__ = ["front"]


def front(
    request: Request,
    out: Path = Path("build/front"),
    cache: Path = Path("build/cache"),
    jobs: int = 2,
    quiet: bool = False,
) -> dict[str, Any]:
    """Map one MAC unit for every clock period (`synth.front`), measure each netlist at its own; writes `front.json` into `out`.

    Parameters are those of `synthesize`, without a period. Every netlist is simulated, and its sums compared, unless the
    activity is "vectorless".

    Returns
    -------
    The contents of `front.json`: `points`, the smallest netlist first, with period in ns, area in um2, energy in J and recipe;
    `step__largest`, the largest difference in area between neighbours as a share; `step__wanted`.

    Raises
    ------
    InputError, ToolError
        As `synthesize`.
    """
    if request.period_ns is not None:
        raise InputError(f"--period {request.period_ns:g}: --front gives the netlists of all periods; leave one of them out")
    request.check()
    check_jobs(jobs)
    config, kit, _ = request.unit, request.kit, request.given_operands
    console = Console(quiet=quiet)
    with output_directory(out) as scratch:
        from . import sta, yosys
        from .front import STEP, steps
        from .front import front as search

        check_tools(kit)
        with progress(console) as advance:
            netlists = search(config, kit, cache, jobs, advance)
            tasks = [request.tasks(mapped, mapped.delay_ns)[0] for mapped in netlists]
            measured = request.measure(tasks, cache, jobs, advance)
            points = [_point(mapped, one) for mapped, one in zip(netlists, measured, strict=True)]
        result = {
            "format": config.format_name,
            "shape": config.shape,
            "lanes": config.lanes,
            "pdk": kit.describe(),
            "points": points,
            "step__largest": max(steps(netlists), default=0.0),
            "step__wanted": STEP,
            "depth": config.depth,
            "pipeline": config.pipeline,
            "decoded": config.decoded,
            "activity__kind": request.activity,
            "activity__operands": tasks[0].source,
            "activity__dataflow": tasks[0].dataflow,
            "activity__cycles": request.cycles,
            "power__engine": request.power_engine,
            "tools": {"yosys": yosys.version(), "opensta": sta.version()},
            "hashes": {"operands": sha256_file(request.operands) if request.operands else None},
        }
        write_file(scratch / "front.json", canonical_json(result))
    table = Table("period", "area", "step", "energy", "recipe", box=None, pad_edge=False)
    differences = [0.0, *steps(netlists)]
    for point, step in zip(points, differences, strict=True):
        table.add_row(
            f"{point['clock__period']:.4g} ns",
            f"{point['design__instance__area']:.6g} um2",
            f"[yellow]{step:.1%}[/]" if step >= STEP else f"{step:.1%}",
            femto(point["energy__per_mac"]),
            f"{point['architecture']}, {Recipe(**point['options']).in_words()}",
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
