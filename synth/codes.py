# SPDX-License-Identifier: Apache-2.0
"""`dint codes`: the code tables that a format's decoder would like best, and what mapping says of the cost model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from golden import MacConfig, format_by_name
from golden.artifacts import canonical_json, output_directory, write_file
from golden.errors import InputError, nearest
from golden.tables import print_table

from .mapping import DEFAULT_CACHE
from .pdk import DEFAULT_PDK, Pdk, find

if TYPE_CHECKING:
    from hdl.code_search import Coding

__all__ = ["codes", "rank_correlation"]

_PRINTED = 8
BEST, CATALOGUE, RANDOM = "best", "catalogue", "random"


def codes(
    format: str = "dint4",
    out: Path = Path("build/codes"),
    architecture: str = "digit-grid",
    map: int = 0,
    lanes: int = 4,
    pdks: Sequence[str] = (DEFAULT_PDK,),
    liberty: Sequence[Path] = (),
    platforms: Path | None = None,
    seed: int = 0,
    cache: Path = DEFAULT_CACHE,
    jobs: int = 2,
    quiet: bool = False,
) -> dict[str, Any]:
    """Search code tables for a format, say where the catalogue's stands, and map the best; writes `codes.json` into `out`.

    Parameters
    ----------
    architecture
        How to multiply; one of those that split a code into digits.
    map
        Map the best so many tables, as many at random, and the catalogue's, for the smallest area.
    lanes
        Lanes of the mapped units: with one, the accumulator hides what the codes do.
    pdks, liberty, platforms
        Kits to map on, and where they are if not in one of the usual places.
    seed
        Decides the tables that the search starts from, and those mapped at random.
    cache, jobs
        Folder of earlier results; syntheses at a time.

    Returns
    -------
    dict
        The contents of `codes.json`: `codings` (the cheapest first: `values` by code, `rows` of digits by code, `counts`,
        `cost` in gates a lane), `catalogue` (the same, and its `rank`), `mapped` (by kit: `designs` and `rank_correlation`).

    Raises
    ------
    InputError
        If the format has codes of more than 4 bits, or an option or kit cannot be used.
    ToolError
        If a tool is missing or fails.
    """
    number_format = format_by_name(format)
    if map < 0:
        raise InputError(f"--map is {map}: a number of code tables, or 0 for none")
    MacConfig(number_format, lanes=lanes)
    kits = [find(name, tuple(liberty), platforms) for name in dict.fromkeys(pdks)] if map else []
    from hdl.architectures import architecture_of
    from hdl.code_search import catalogue_coding, codings, shuffled
    from hdl.split import STYLES

    if number_format.bits <= 4:
        architecture_of(MacConfig(number_format, architecture=architecture))
        if architecture not in STYLES:
            hint = nearest(architecture, STYLES)
            raise InputError(f"architecture is {architecture}: {hint}code tables are searched for {', '.join(STYLES)}")
    console = Console(quiet=quiet)
    with output_directory(out) as scratch:
        with console.status("searching code tables"):
            found = codings(number_format, architecture, seed)
            own = catalogue_coding(number_format, architecture)
        rank = 1 + sum(coding.split.cost < own.split.cost for coding in found)
        result: dict[str, Any] = {
            "format": number_format.name,
            "architecture": architecture,
            "codings": [_plain(coding) for coding in found],
            "catalogue": _plain(own) | {"rank": rank},
            "mapped": {},
        }
        _print_codings(console, result)
        random = shuffled(number_format, map, architecture, seed)
        tables = [*((BEST, one) for one in found[:map]), *((RANDOM, one) for one in random), (CATALOGUE, own)]
        for kit in kits:
            result["mapped"][kit.name] = mapped = _mapped(tables, kit, architecture, lanes, cache, jobs, console)
            _print_mapped(console, kit, lanes, mapped)
        write_file(scratch / "codes.json", canonical_json(result))
    console.print(f"written to {out}")
    return result


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's rank correlation, equal numbers sharing their rank; NaN where all of a list are equal."""
    ranks = []
    for numbers in (one, other):
        _, where, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[where])
    if any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _mapped(
    tables: Sequence[tuple[str, Coding]],
    kit: Pdk,
    architecture: str,
    lanes: int,
    cache: Path,
    jobs: int,
    console: Console,
) -> dict[str, Any]:
    from .flow import Workshop, area_recipes, smallest_of

    configs = [MacConfig(coding.number_format, lanes=lanes, architecture=architecture) for _, coding in tables]
    with console.status("mapping") as status:
        done = 0

        def advance(_: str) -> None:
            nonlocal done
            done += 1
            status.update(f"mapping on {kit.name}: {done} of {len(configs) * len(area_recipes(configs[0], kit))}")

        shop = Workshop(kit, cache, jobs, advance)
        shop.run_recipes((config, area_recipes(config, kit)) for config in configs)
    designs: list[dict[str, Any]] = []
    for (kind, coding), config in zip(tables, configs, strict=True):
        best = smallest_of(shop.results(config))
        values = list(coding.number_format.values)
        designs.append(
            {"table": kind, "values": values, "cost": coding.split.cost, "area_um2": best.area_um2, "delay_ns": best.delay_ns}
        )
    chosen = [design for design in designs if design["table"] != RANDOM]
    return {
        "lanes": lanes,
        "designs": designs,
        "rank_correlation": {
            name: _rounded(rank_correlation([one["cost"] for one in group], [one["area_um2"] for one in group]))
            for name, group in (("all", designs), ("without random ones", chosen))
        },
    }


def _rounded(correlation: float) -> float | None:
    return None if correlation != correlation else round(correlation, 3)


def _plain(coding: Coding) -> dict[str, Any]:
    rows = [{"digits": list(row.digits), "shared_sign": row.shared_sign, "inverted": row.inverted} for row in coding.split.rows]
    return {
        "values": list(coding.number_format.values),
        "cost": coding.split.cost,
        "counts": coding.split.counts,
        "rows": rows,
    }


def _print_codings(console: Console, result: dict[str, Any]) -> None:
    own, found = result["catalogue"], result["codings"]
    unit = format_by_name(result["format"]).unit
    table = Table(
        "rank",
        "gates",
        "bits, legs, xors, literals",
        f"values in units of {unit} step, code 0 first",
        box=None,
        pad_edge=False,
        title=f"code tables of {result['format']} for {result['architecture']}, {len(found)} found",
        title_justify="left",
    )
    for rank, coding in [*enumerate(found[:_PRINTED], 1), (f"{own['rank']} (catalogue)", own)]:
        counts = ", ".join(str(count) for count in coding["counts"].values())
        table.add_row(str(rank), f"{coding['cost']:.1f}", counts, " ".join(map(str, coding["values"])))
    print_table(console, table)
    for index, row in enumerate(own["rows"]):
        how = ", shared sign" * row["shared_sign"] + ", subtracted" * row["inverted"]
        console.print(f"catalogue, row {index}{how}: digits {' '.join(map(str, row['digits']))}", highlight=False)


def _print_mapped(console: Console, kit: Pdk, lanes: int, mapped: dict[str, Any]) -> None:
    own = next(design["area_um2"] for design in mapped["designs"] if design["table"] == CATALOGUE)
    table = Table("table", "gates", "um2", "to catalogue", "values", box=None, pad_edge=False, title_justify="left")
    table.title = f"smallest area on {kit.name}, {lanes} lanes"
    for design in sorted(mapped["designs"], key=lambda design: design["area_um2"]):
        change = f"{100 * (design['area_um2'] / own - 1):+.1f}%"
        values = " ".join(map(str, design["values"]))
        table.add_row(design["table"], f"{design['cost']:.1f}", f"{design['area_um2']:.6g}", change, values)
    print_table(console, table)
    for group, correlation in mapped["rank_correlation"].items():
        if correlation is not None:
            console.print(f"rank correlation of gates and area, {group}: {correlation:.2f}", highlight=False)
