# SPDX-License-Identifier: Apache-2.0
"""`dint synthesize` and `dint pdks`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from golden import InputError, ToolError
from golden.artifacts import canonical_json, output_directory, sha256_file, write_file

from .pdk import DEFAULT_PDK, TECHNOLOGIES, Pdk, discover, find
from .request import Request, check_jobs, check_tools, femto, progress

if TYPE_CHECKING:
    from .mapping import Mapped
    from .measuring import Measurement

__all__ = ["area_and_timing", "equivalence", "pdks", "power", "synthesize"]

#: A proof takes the solver a second or two, seconds for the largest units; what takes longer mostly finds no end.
_PROOF_S = 60.0


def synthesize(
    request: Request,
    out: Path = Path("build/synthesis"),
    cache: Path = Path("build/cache"),
    jobs: int = 2,
    saif: bool = False,
    vcd: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Map one unit, measure it, hold the netlist against its Verilog.

    Writes `netlist.v`, `constraints.sdc`, `delays.sdf` and `metrics.json` into `out`.

    Parameters
    ----------
    cache, jobs
        Folder of earlier results; syntheses at a time.
    saif, vcd
        Write `activity.saif`, or `activity.vcd` and the netlist that it is of, too: what the nets did in the simulation.

    Returns
    -------
    The contents of `metrics.json`: METRICS2.1 names (areas in um2, times in ns, power in W) and `energy__per_mac` in J.

    Raises
    ------
    InputError
        If an option, the kit, a Liberty file or the operand file cannot be used.
    ToolError
        If a tool is missing or fails; and if no netlist closes at the period, with the slack of the best: then nothing is
        written, and an earlier result stays.
    Refuted
        If the netlist does something else than its Verilog; likewise.
    """
    request.check()
    check_jobs(jobs)
    for option, asked in (("--saif", saif), ("--vcd", vcd)):
        if asked and request.activity == "vectorless":
            way_out = "choose --activity sdf or zero-delay, or leave it out"
            raise InputError(f"{option}: vectorless activity has no simulation; {way_out}")
    config, kit, _ = request.unit, request.kit, request.given_operands
    console = Console(quiet=quiet)
    with output_directory(out) as scratch:
        from hdl.architectures import architecture_of  # Amaranth is slow to import, and `dint --help` imports this module

        architecture_of(config)
        check_tools(kit)
        with progress(console) as advance:
            from .flow import synthesize as search

            mapped = search(config, kit, request.period_ns, cache, jobs, advance)
            period_ns = mapped.delay_ns if request.period_ns is None else request.period_ns
            if not mapped.closes(period_ns):
                raise ToolError(
                    f"--period {period_ns:g} ns is not met by {config.name} on {kit.name}: the best slack found is "
                    f"{period_ns - mapped.delay_ns:.4g} ns; give {math.ceil(1000 * mapped.delay_ns) / 1000:g} ns or more"
                    f" (nothing was written to {out})"
                )
            tasks = request.tasks(mapped, period_ns)
            metrics = area_and_timing(mapped, period_ns) | _files(scratch, mapped, kit, period_ns, cache)
            proved, why_not = equivalence(mapped, kit)
            metrics["formal__equivalence__proved"] = proved
            measured = request.measure(tasks, cache, 1, advance)
            metrics |= power(measured, request.power_engine)
            if saif or vcd:
                recorded = request.record(tasks[0], scratch / "activity.vcd" if vcd else None)
                if saif:
                    from flows.saif import saif as text_of

                    write_file(scratch / "activity.saif", text_of(*recorded))
        write_file(scratch / "metrics.json", canonical_json(metrics))
    table = _table(metrics, kit)
    table.add_row("netlist = Verilog", "proved" if proved else "not proved", why_not)
    console.print(table)
    console.print(f"written to {out}")
    return metrics


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


def area_and_timing(mapped: Mapped, period_ns: float) -> dict[str, Any]:
    """The metrics of a netlist's area, and of its timing at a clock period."""
    config = mapped.config
    return {
        "design": mapped.design,
        "design__instance__area": mapped.area_um2,
        "design__instance__count": mapped.cells,
        "timing__setup__ws": round(period_ns - mapped.delay_ns, 6),
        "clock__period": period_ns,
        "timing__critical_path__delay": mapped.delay_ns,
        "format": config.format_name,
        "architecture": config.architecture,
        "shape": config.shape,
        "lanes": config.lanes,
        "options": mapped.recipe.describe(),
        "hashes": {"verilog": mapped.verilog_sha256, "netlist": mapped.netlist_sha256},
    }


def equivalence(mapped: Mapped, kit: Pdk) -> tuple[bool, str]:
    """Whether it is proved that a netlist takes what its Verilog takes, in every cycle, and if not why: it may all the same.

    Raises
    ------
    Refuted
        If it takes something else.
    """
    from .mapping import verilog_of
    from .proof import netlist

    try:
        netlist(mapped.config, verilog_of(mapped.config), mapped.netlist.read_text(), kit.liberty, _PROOF_S)
    except (InputError, ToolError) as error:
        return False, str(error)
    return True, "in every cycle, whatever was before"


def _files(scratch: Path, mapped: Mapped, kit: Pdk, period_ns: float, cache: Path) -> dict[str, Any]:
    """Write all but the metrics, and return those of the kit, the parts, the tools and the files."""
    from hdl.companions import constraints

    from . import sta, yosys
    from .mapping import area_by_part, delays

    sdf = delays(mapped, kit)
    parts, whole = area_by_part(mapped, kit, cache)
    write_file(scratch / "netlist.v", mapped.netlist.read_bytes())
    write_file(scratch / "delays.sdf", sdf.read_bytes())
    write_file(scratch / "constraints.sdc", constraints(mapped.config, period_ns))
    return {
        "design__instance__area__by_part": parts,
        "design__instance__area__with_parts_kept": whole,
        "pdk": kit.describe(),
        "tools": {"yosys": yosys.version(), "opensta": sta.version()},
        "hashes": {"verilog": mapped.verilog_sha256, "netlist": mapped.netlist_sha256, "delays": sha256_file(sdf)},
    }


def power(measured: Sequence[Measurement], engine: str) -> dict[str, Any]:
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
        how.insert(0, f"{femto(metrics['energy__per_mac__zero_delay'])} without glitches")
    table.add_row("energy per MAC", femto(metrics["energy__per_mac"]), "; ".join(how))
    table.add_row(
        "power", f"{1e6 * metrics['power__total']:.4g} uW", f"leakage {1e6 * metrics['power__leakage__total']:.3g} uW"
    )
    return table
