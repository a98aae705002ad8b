# SPDX-License-Identifier: Apache-2.0
"""`dint zero-points`: what zero-points cost, apart from the comparison, which is for symmetric weights.

The sum of activations and the correction are there once for all units that share activations (`golden.AsymmetricConfig`), so
that their area and energy are divided by the number of units. A unit itself changes only for formats with special codes, whose
decoder is given the zero-point. Choosing the unit that is read is not counted: sums have to be read without zero-points, too.

Parts are mapped one by one, by the recipes of `dint synthesize`: for the smallest area, and at clocks with the smallest netlist
that closes (`synth.flow.synthesize`). Energy is that of a correction that works in every cycle, though it is read once a sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from golden import AsymmetricConfig, CorrectionConfig, OffsetConfig, Operands, UnitConfig, format_by_name
from golden.artifacts import canonical_json, output_directory, write_file
from golden.errors import InputError
from golden.tables import print_table
from sim.workload import OPT, STREAMING, UNIFORM

from .pdk import DEFAULT_PDK, Pdk, find
from .request import check_tools, femto, progress

if TYPE_CHECKING:
    from .mapping import Mapped
    from .recipe import Recipe

__all__ = ["zero_points"]

_CYCLES = 96  # of a sample of energy
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
    margins: Sequence[float] = (),
    operands: Mapping[str, Operands] | None = None,
    samples: int = 0,
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
        Folder of earlier results; syntheses at a time.
    margins
        Clock periods, too: by so much above the shortest that the first format's unit for symmetric weights closes at.
    operands, samples
        By format, operands of a model (else they are uniform) for the energy, and its number of samples; 0: none is measured.

    Returns
    -------
    The contents of the file: for each format `designs` (`area_um2`, `area_delay_ns` of the smallest netlist and
    `shortest_delay_ns`), `added_um2` a unit, and `added` as a share of the unit for symmetric weights; and `conditions`, the
    smallest area and each clock: `period_ns`, and by part `areas_um2` and `energies_j`, the latter for a MAC of one unit, or
    None where a part does not close, with `added` of both.

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

        check_tools(kit)
        with progress(console) as advance:
            costs = _Costs(kit, cache, jobs, advance, operands or {}, samples)
            result: dict[str, Any] = {
                "pdk": kit.describe(),
                "lanes": lanes,
                "units": units,
                "depth": depth,
                "tools": {"yosys": yosys.version(), "opensta": sta.version()},
                "formats": costs.rows(configs, margins),
            }
        write_file(scratch / "zero-points.json", canonical_json(result))
    print_table(console, _table(result["formats"], kit, lanes, units))
    for table in _conditions_tables(result["formats"]):
        print_table(console, table)
    console.print(f"written to {out}")
    return result


class _Costs:
    """Maps and measures the parts of every format on one kit."""

    def __init__(
        self,
        kit: Pdk,
        cache: Path,
        jobs: int,
        advance: Callable[[str], None],
        operands: Mapping[str, Operands],
        samples: int,
    ) -> None:
        from .flow import Workshop

        self._kit, self._cache, self._jobs, self._advance = kit, cache, jobs, advance
        self._operands, self._samples = operands, samples
        self._shop = Workshop(kit, cache, jobs, advance)

    def rows(self, configs: Sequence[AsymmetricConfig], margins: Sequence[float]) -> list[dict[str, Any]]:
        """The entry of every format."""
        from .flow import FIRST_ADDER, area_recipes, fast_recipes, fastest, smallest_of

        parts = {config: _parts(config) for config in configs}
        every = list(dict.fromkeys(part for named in parts.values() for part in named.values()))
        fast = {part: fast_recipes(part, (FIRST_ADDER,), ("speed",)) for part in every}
        self._shop.run_recipes((part, [*area_recipes(part, self._kit), *fast[part]]) for part in every)
        small = {part: smallest_of(self._of(part, area_recipes(part, self._kit))) for part in every}
        slowest = max(mapped.delay_ns for mapped in small.values())
        found: list[tuple[float | None, float, dict[UnitConfig, Mapped | None]]] = [(None, slowest, {**small})]
        if margins:
            tightest = self._synthesized(configs[0].mac, 1e-3).delay_ns
            for margin in margins:
                period = math.ceil(1000 * (1 + margin) * tightest) / 1000
                closing = {part: self._synthesized(part, period) for part in every}
                kept = {part: mapped if mapped.closes(period) else None for part, mapped in closing.items()}
                found.append((period, period, kept))
        rows = []
        for config, named in parts.items():
            designs = {}
            for name, part in named.items():
                best = small[part]
                designs[name] = {
                    "area_um2": best.area_um2,
                    "area_delay_ns": best.delay_ns,
                    "shortest_delay_ns": min(best.delay_ns, fastest(self._shop.results(part)).delay_ns),
                }
            conditions = [self._condition(config, named, *one) for one in found]
            added = conditions[0]["added_um2"]
            rows.append(
                {
                    "format": config.weight_format.name,
                    "architecture": config.architecture,
                    "designs": designs,
                    "added_um2": added,
                    "added": round(added / designs[PLAIN]["area_um2"], 6),
                    "conditions": conditions,
                }
            )
        return rows

    def _of(self, part: UnitConfig, recipes: Sequence[Recipe]) -> list[Mapped]:
        return [mapped for mapped in self._shop.results(part) if mapped.recipe in recipes]

    def _synthesized(self, part: UnitConfig, period_ns: float) -> Mapped:
        from .flow import synthesize

        return synthesize(part, self._kit, period_ns, self._cache, self._jobs, self._advance)

    def _condition(
        self,
        config: AsymmetricConfig,
        named: Mapping[str, UnitConfig],
        period_ns: float | None,
        measured_at_ns: float,
        netlists: Mapping[UnitConfig, Mapped | None],
    ) -> dict[str, Any]:
        """Areas and energies of the parts of one format, and what zero-points add to a unit."""
        chosen = {name: netlists[part] for name, part in named.items()}
        areas = {name: None if mapped is None else mapped.area_um2 for name, mapped in chosen.items()}
        energies = self._energies(chosen, measured_at_ns) if self._samples else {}
        return {
            "period_ns": period_ns,
            "areas_um2": areas,
            "energies_j": energies,
            "added_um2": _added(areas, config.units),
            "added_j": _added(energies, config.units),
        }

    def _energies(self, chosen: Mapping[str, Mapped | None], period_ns: float) -> dict[str, float | None]:
        from .energy import SDF
        from .measuring import Task, measure_all

        there = {name: mapped for name, mapped in chosen.items() if mapped is not None}
        source = OPT if self._operands else UNIFORM
        tasks = [Task(mapped, period_ns, source, STREAMING, SDF, self._samples) for mapped in there.values()]
        measured = measure_all(tasks, self._kit, self._operands, _CYCLES, 0, self._cache, self._jobs, self._advance)
        found = {name: one.energy_per_mac_j for name, one in zip(there, measured, strict=True)}
        return {name: found.get(name) for name in chosen}


def _parts(config: AsymmetricConfig) -> dict[str, UnitConfig]:
    """What is mapped by itself."""
    options: dict[str, Any] = {"lanes": config.lanes, "depth": config.depth, "architecture": config.architecture}
    parts: dict[str, UnitConfig] = {PLAIN: config.mac, SHARED: CorrectionConfig(config.weight_format, **options)}
    parts[UNIT] = OffsetConfig(config.weight_format, **options) if config.weight_format.special_codes else config.mac
    return parts


def _added(of_parts: Mapping[str, float | None], units: int) -> float | None:
    """What zero-points add to one unit; None if a part is not known."""
    plain, unit, shared = (of_parts.get(part) for part in (PLAIN, UNIT, SHARED))
    if plain is None or unit is None or shared is None:
        return None
    added = unit - plain + shared / units
    return added if added < 1e-6 else round(added, 6)  # um2; J are kept as they are


def _conditions_tables(rows: Sequence[dict[str, Any]]) -> Iterator[Table]:
    """Against the first format, at each clock: how many times the area and energy of a unit, with its share of zero-points."""
    for index, first in enumerate(rows[0]["conditions"]):
        if first["period_ns"] is None and not first["energies_j"]:
            continue
        where = "smallest area" if first["period_ns"] is None else f"at {first['period_ns']:g} ns"
        table = Table("format", "area um2", "ratio", "energy a MAC", "ratio", box=None, pad_edge=False, title=where)
        table.title_justify = "left"
        for row in rows:
            found = row["conditions"][index]
            cells = []
            for of_parts, added in (("areas_um2", "added_um2"), ("energies_j", "added_j")):
                whole, base = ((c[of_parts].get(PLAIN), c[added]) for c in (found, first))
                if None in (*whole, *base):
                    cells += ["does not close" if found[of_parts] else "-", "-"]
                    continue
                value, reference = sum(whole), sum(base)
                cells += [f"{value:.6g}" if of_parts == "areas_um2" else femto(value), f"{reference / value:.3f}"]
            table.add_row(row["format"], *cells)
        yield table


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
        title=f"zero-points on {kit.name}, lanes {lanes}, correction shared by {units}; smallest area, shortest delay of "
        f"five recipes; added = asymmetric - MAC + shared / {units}",
        title_justify="left",
    )
    for row in rows:
        areas = [f"{row['designs'][part]['area_um2']:.6g}" for part in (PLAIN, UNIT, SHARED)]
        delays = [f"{row['designs'][part]['shortest_delay_ns']:.4g}" for part in (PLAIN, UNIT, SHARED)]
        table.add_row(row["format"], *areas, f"{row['added_um2']:.5g} ({100 * row['added']:+.1f}%)", *delays)
    return table
