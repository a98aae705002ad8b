"""`dint zero-points`: what zero-points cost, apart from the comparison, which is for symmetric weights.

The sum of activations and the correction are there once for all units that share activations (`golden.AsymmetricConfig`), so
that their area is divided by the number of units. A unit itself changes only for formats with special codes, whose decoder is
given the zero-point. Choosing the unit that is read is not counted: sums have to be read without zero-points, too.

Both sides are mapped by the same recipes: those for minimum area, of which the smallest netlist counts, and one for speed, of
which the delay counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from golden import AsymmetricConfig, MacConfig, format_by_name
from golden.artifacts import canonical_json, output_directory, write_file
from golden.errors import InputError

from .pdk import DEFAULT_PDK, Pdk, find

if TYPE_CHECKING:
    from .recipe import Recipe

__all__ = ["zero_points"]

_FORMATS = ("int8", "int4", "dint4")
PLAIN, UNIT, SHARED = "symmetric", "asymmetric", "shared"


def zero_points(
    formats: Sequence[str] = _FORMATS,
    lanes: int = 16,
    units: int = 16,
    pdk: str = DEFAULT_PDK,
    out: Path = Path("build/zero-points"),
    depth: int = 65536,
    liberty: Sequence[Path] = (),
    platforms: Path | None = None,
    cache: Path = Path("build/cache"),
    jobs: int = 2,
    quiet: bool = False,
) -> dict[str, Any]:
    """Map each format's units for symmetric and for asymmetric weights, and what is shared; writes `zero-points.json`.

    Parameters
    ----------
    formats
        Names of formats that take zero-points.
    lanes, depth
        Of a unit, as for `MacConfig`.
    units
        Number of units that share a sum of activations and a correction.
    liberty, platforms
        Where the kit is, if not in one of the usual places.
    cache, jobs
        Folder of unpacked libraries; syntheses at a time.

    Returns
    -------
    The contents of the file: for each format `designs` (`area_um2`, `area_delay_ns` of the smallest netlist and
    `shortest_delay_ns`), `added_um2` a unit, and `added` as a share of the unit for symmetric weights.

    Raises
    ------
    InputError
        If an option, the kit, or a Liberty file cannot be used, or a format takes no zero-point.
    ToolError
        If a tool is missing or fails.
    """
    configs = [AsymmetricConfig(format_by_name(name), lanes=lanes, units=units, depth=depth) for name in formats]
    if not configs:
        raise InputError("formats is empty: name at least one")
    if jobs < 1:
        raise InputError(f"jobs is {jobs}: at least 1")
    kit = find(pdk, tuple(liberty), platforms)
    console = Console(quiet=quiet)
    with output_directory(out) as scratch:
        from . import sta, yosys

        sta.version()
        yosys.version()
        rows = [_row(config, kit, cache, jobs, console) for config in configs]
        tools = {"yosys": yosys.version(), "opensta": sta.version()}
        result = {"pdk": kit.describe(), "lanes": lanes, "units": units, "depth": depth, "tools": tools, "formats": rows}
        write_file(scratch / "zero-points.json", canonical_json(result))
    console.print(_table(rows, kit, lanes, units))
    console.print(f"written to {out}")
    return result


def _row(config: AsymmetricConfig, kit: Pdk, cache: Path, jobs: int, console: Console) -> dict[str, Any]:
    from hdl import verilog  # Amaranth is slow to import, and `dint --help` imports this module

    text = verilog.generate(config)
    parts = {PLAIN: (verilog.generate(config.mac), config.mac.name), SHARED: (text, f"{config.name}_correction")}
    if config.weight_format.special_codes:
        parts[UNIT] = text, f"{config.name}_unit"
    with console.status("mapping") as status:
        designs = {}
        for part, (verilog_text, top) in parts.items():
            status.update(f"mapping {top} on {kit.name}")
            designs[part] = _mapped(verilog_text, top, config.mac, kit, cache, jobs)
    plain, unit = designs[PLAIN], designs.setdefault(UNIT, designs[PLAIN])
    added = unit["area_um2"] - plain["area_um2"] + designs[SHARED]["area_um2"] / config.units
    return {
        "format": config.weight_format.name,
        "architecture": config.architecture,
        "designs": designs,
        "added_um2": round(added, 6),
        "added": round(added / plain["area_um2"], 6),
    }


def _mapped(verilog: str, top: str, plain: MacConfig, kit: Pdk, cache: Path, jobs: int) -> dict[str, float]:
    """Area and delay of the smallest netlist, and the delay of one that is built for speed."""
    from joblib import Parallel, delayed

    from sim.processes import children_end_with_us

    from . import liberty_text
    from .flow import FIRST_ADDER, area_recipes, fast_recipes

    small, fast = area_recipes(plain, kit), fast_recipes(plain, (FIRST_ADDER,), ("speed",))
    files = liberty_text.unpacked(kit.liberty, cache)
    with children_end_with_us():
        calls = (delayed(_area_and_delay)(verilog, top, kit, files, recipe) for recipe in (*small, *fast))
        results = list(Parallel(jobs, prefer="threads")(calls))  # threads are enough, since each only waits for Yosys
    area, delay = min(results[: len(small)])
    return {"area_um2": area, "area_delay_ns": delay, "shortest_delay_ns": min(delay for _, delay in results)}


def _area_and_delay(verilog: str, top: str, kit: Pdk, files: Sequence[Path], recipe: Recipe) -> tuple[float, float]:
    from . import liberty, sta, yosys

    netlist = yosys.map_verilog(verilog, top, kit, files, recipe)
    library = liberty.load(kit.liberty)
    area = sum(float(library.cell(kind).area) * count for kind, count in sorted(netlist.cells[top].items()))
    with tempfile.TemporaryDirectory(prefix="dint-zero-points-") as name:
        path = Path(name) / "netlist.v"
        path.write_text(netlist.verilog)
        return round(area, 6), sta.analyze(path, top, files, None, kit.input_transition_ns).delay_ns


def _table(rows: Sequence[dict[str, Any]], kit: Pdk, lanes: int, units: int) -> Table:
    table = Table(
        "format",
        "MAC um2",
        "asymmetric",
        "shared",
        "added a MAC",
        "MAC ns",
        "asymmetric",
        "shared",
        box=None,
        pad_edge=False,
        title=f"zero-points on {kit.name}, lanes {lanes}, correction shared by {units}; smallest area, shortest delay of five "
        f"recipes; added = asymmetric - MAC + shared / {units}",
        title_justify="left",
    )
    for row in rows:
        areas = [f"{row['designs'][part]['area_um2']:.6g}" for part in (PLAIN, UNIT, SHARED)]
        delays = [f"{row['designs'][part]['shortest_delay_ns']:.4g}" for part in (PLAIN, UNIT, SHARED)]
        table.add_row(row["format"], *areas, f"{row['added_um2']:.5g} ({100 * row['added']:+.1f}%)", *delays)
    return table
