# SPDX-License-Identifier: Apache-2.0
"""`dint sweep`."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from golden import InputError
from golden.artifacts import canonical_json, output_directory, sha256_file, write_file
from golden.tables import print_table
from synth.request import check_jobs, femto

from .plan import LeftOut, describe, read_plan
from .running import Outcome, carry_out, label

__all__ = ["sweep"]

_SHOWN = 8  # left-out combinations; all are in the file
_MET, _MISSED, _FAILED = "met", "missed", "failed"
# Metrics that a row of the table has, beside what was asked for.
_FIGURES = (
    "design",
    "clock__period",
    "design__instance__area",
    "design__instance__count",
    "timing__critical_path__delay",
    "timing__setup__ws",
    "energy__per_mac",
    "energy__per_mac__zero_delay",
    "power__total",
    "power__internal__total",
    "power__switching__total",
    "power__leakage__total",
    "activity__annotated",
    "activity__sums_compared",
)


def sweep(
    file: Path,
    out: Path = Path("build/sweep"),
    operands: Sequence[Path] = (),
    liberty: Sequence[Path] = (),
    platforms: Path | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    cache: Path = Path("build/cache"),
    quiet: bool = False,
) -> dict[str, Any]:
    """Map and measure all that a sweep file asks for; writes `sweep.csv` and `sweep.json` into `out`.

    Parameters
    ----------
    file, operands, liberty, platforms
        What to do, as `sweep.plan.read_plan` takes it.
    jobs
        Points at a time on this machine; by default as many as it has cores.
    cluster
        Address of a Dask scheduler: its workers take the points.
    cache
        Folder of earlier results; on a cluster, one in each worker's own working directory if it is a relative path.

    Returns
    -------
    The contents of `sweep.json`, and `ok`: whether no point failed. A clock that is missed is no failure.

    Raises
    ------
    InputError, ToolError
        As `read_plan` and `sweep.running.carry_out`. Points that fail raise nothing: they are listed.
    """
    # The workers of a cluster may work in other directories.
    liberty, operands = [one.absolute() for one in liberty], [one.absolute() for one in operands]
    plan = read_plan(file, liberty, platforms.absolute() if platforms else None, operands)
    if jobs is not None:
        check_jobs(jobs)
        if cluster is not None:
            raise InputError(f"--jobs {jobs}: with --cluster the workers' threads say how many run at a time; leave it out")
    console = Console(quiet=quiet)
    with output_directory(out) as scratch:
        from joblib import cpu_count

        from .point import tools

        console.print(f"{len(plan.points)} points")
        _print_left_out(console, plan.left_out)
        started = time.monotonic()
        outcomes = carry_out(plan, cache, jobs or cpu_count(), cluster, console)
        rows = [_row(outcome) for outcome in outcomes]
        result = {
            "points": rows,
            "left_out": [{**one.values, "reason": one.reason} for one in plan.left_out],
            "pdks": {name: kit.describe() for name, kit in plan.kits.items()},
            "tools": tools(),
            "hashes": {"sweep": sha256_file(file), "operands": sorted(sha256_file(one) for one in operands)},
            "ok": all(outcome.error is None for outcome in outcomes),
        }
        write_file(scratch / "sweep.json", canonical_json(result))
        write_file(scratch / "sweep.csv", _csv(rows))
    print_table(console, _table(outcomes))
    _print_summary(console, outcomes, time.monotonic() - started)
    console.print(f"written to {out}")
    return result


def _row(outcome: Outcome) -> dict[str, Any]:
    """What was asked for, what became of it, and the figures; those that there are none of are None."""
    figures = outcome.figures or {}
    found = {name: figures.get(name) for name in (*_FIGURES, "options", "hashes")}
    return describe(outcome.point) | {"status": _status(outcome), "error": outcome.error} | found


def _status(outcome: Outcome) -> str:
    if outcome.figures is None:
        return _FAILED
    return _MET if outcome.figures["timing__met"] else _MISSED


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a point; what was asked for comes first. Empty where there is nothing."""
    others = {"status", *_FIGURES, "options", "hashes", "error"}
    names = dict.fromkeys(name for row in rows for name in row if name not in others)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*names, "status", *_FIGURES, "error"], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table("unit", "pdk", "clock", "area", "delay", "slack", "energy per MAC", box=None, pad_edge=False)
    for one in outcomes:
        asked, figures = one.point.period_ns, one.figures
        row = [one.point.unit.name, one.point.pdk, "minimum area" if asked is None else f"{asked:g} ns"]
        if figures is None:
            row.append("[red]failed[/]")
        else:
            slack, energy = figures["timing__setup__ws"], figures.get("energy__per_mac")
            row += [f"{figures['design__instance__area']:.6g} um2", f"{figures['timing__critical_path__delay']:.4g} ns"]
            row.append("" if asked is None else f"{slack:.4g} ns" if figures["timing__met"] else f"[red]{slack:.4g} ns[/]")
            row.append("" if energy is None else femto(energy))
        table.add_row(*row)
    return table


def _print_left_out(console: Console, left_out: Sequence[LeftOut]) -> None:
    for one in left_out[:_SHOWN]:
        values = ", ".join(f"{key} {value}" for key, value in one.values.items())
        console.print(f"[dim]left out: {escape(values)}: {escape(one.reason)}[/]", highlight=False)
    if len(left_out) > _SHOWN:
        console.print(f"[dim]left out as well: {len(left_out) - _SHOWN} more, listed in sweep.json[/]", highlight=False)


def _print_summary(console: Console, outcomes: Sequence[Outcome], seconds: float) -> None:
    new = [one for one in outcomes if not one.kept]
    for one in outcomes:
        if one.error is not None:
            console.print(f"[red]failed:[/] {label(one.point)}: {escape(one.error)}", highlight=False)
    missed = sum(_status(one) == _MISSED for one in outcomes)
    console.print(
        f"{len(new)} points run in {seconds:.0f} s, {sum(one.seconds for one in new):.0f} s of them together; "
        f"{len(outcomes) - len(new)} kept from earlier runs; {missed} miss their clock; "
        f"{sum(one.error is not None for one in outcomes)} failed",
        highlight=False,
    )
