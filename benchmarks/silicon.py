# SPDX-License-Identifier: Apache-2.0
"""`make benchmark-silicon`: our INT8 baseline against other people's, and the comparison with all the effort there is.

    python -m benchmarks.silicon [--platforms DIR] [--pdk NAME ...] [--lane N ...] [--pipeline N ...] [--stages DIR] [--out DIR]
        [--only peers|mac|pe|zero-points ...]

Netlists, energies and what passed at gate level are cached by content, and what is compared is written after each kit, number
of lanes and of pipeline registers: an interrupted run goes on from there. Where a tool fails, that one is left out, the others
go on, and the exit code is 1; so it is where a unit of others beats our baseline.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from joblib import Memory, Parallel, delayed
from rich.console import Console
from rich.table import Table

from benchmarks.peers import CONFIG, peers
from golden import Operands
from golden.artifacts import canonical_json, write_file
from golden.errors import DintError, ToolError
from golden.shapes import MAC, PE, SHAPES
from golden.tables import print_table
from hdl.architectures import ARCHITECTURES
from pipeline.stages import source_hash
from report.silicon import OURS
from sim.command import simulate_verilog, stimuli_for
from sim.processes import children_end_with_us
from sim.simulators import find_simulator
from sim.workload import OPT, OPT_FC2, STREAMING, UNIFORM, WEIGHTS_HELD
from synth import liberty, liberty_text, sta, yosys
from synth.comparison import compare
from synth.flow import FAST_SCRIPTS, FIRST_ADDER, JOBS, MORE_ADDERS, Workshop, area_recipes, fast_recipes
from synth.mapping import DEFAULT_CACHE
from synth.pdk import Pdk, discover, find
from synth.recipe import Recipe
from synth.search import FORMATS, Effort, small_architectures
from synth.zero_points import zero_points

ADDERS = (FIRST_ADDER, *MORE_ADDERS)
EFFORT = Effort(
    keep=1.5,
    fast=9,
    adders=((64, MORE_ADDERS),),
    both=64,
    recover=3,
    cycles=((1, 1024), (64, 512)),
    margins=(0.03, 0.1, 0.25, 0.5, 1.0),
    scripts=FAST_SCRIPTS,
    workloads=((OPT, STREAMING), (OPT, WEIGHTS_HELD), (OPT_FC2, STREAMING), (UNIFORM, STREAMING)),
    samples=5,
    clock_reference=True,
)


PARTS = ("peers", MAC, PE, "zero-points")
OF_ELEMENTS = ((OPT, WEIGHTS_HELD), (OPT_FC2, WEIGHTS_HELD), (UNIFORM, WEIGHTS_HELD))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write `peers.json`, `comparison.json` of MAC units, `comparison-pe.json`, and `zero-points-PDK/`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.silicon", description=__doc__.splitlines()[0])
    parser.add_argument("--platforms", type=Path, help="folder in the layout of OpenROAD-flow-scripts' flow/platforms")
    parser.add_argument("--pdk", action="append", help="name of a PDK; several times for several (default: all that are found)")
    parser.add_argument("--lane", action="append", type=int, help="lane count; several times for several (default: 1, 16, 64)")
    parser.add_argument(
        "--pipeline",
        action="append",
        type=int,
        choices=(0, 1, 2),
        help="of both sides; several times (default: 0, 1, 2; of elements 0, 1)",
    )
    parser.add_argument("--stages", type=Path, default=Path("build/report/stages"), help="of a report: operands of the model")
    parser.add_argument("--out", type=Path, default=Path("build/benchmark-silicon"))
    parser.add_argument("--only", action="append", choices=PARTS, help="one of the four; several times for several")
    options = parser.parse_args(arguments)
    console = Console()
    kits = [find(name, platforms=options.platforms) for name in options.pdk or ()] or discover(options.platforms)
    options.out.mkdir(parents=True, exist_ok=True)
    wanted, failed = options.only or PARTS, list[str]()
    if "peers" in wanted:
        found = [entry for kit in kits for entry in measure_peers(kit, console)]
        write_file(options.out / "peers.json", canonical_json(found))
        failed += beaten(found)
    if wanted == ["peers"]:
        return _said(failed, console)
    files = {name: options.stages / f"quantize-{name}" / "operands.npz" for name in FORMATS}
    operands = {name: Operands.load(file) for name, file in files.items()}
    for shape in (shape for shape in SHAPES if shape in wanted):
        lanes, registers = (options.lane or (1, 16, 64), (0, 1, 2)) if shape == MAC else ((1,), (0, 1))
        ways = list(product(lanes, [count for count in registers if count in (options.pipeline or registers)]))
        file = options.out / f"comparison{'' if shape == MAC else f'-{shape}'}.json"
        results = compare_all(kits, shape, ways, operands, file, console)
        failed += results["failed"]
        console.print(_ratios(results))
    if "zero-points" in wanted:
        for kit in kits:
            zero_points(
                pdk=kit.name,
                platforms=options.platforms,
                out=options.out / f"zero-points-{kit.name}",
                margins=(0.03, 0.25),
                operands=operands,
                samples=EFFORT.samples,
            )
    return _said(failed, console)


def _said(failed: Sequence[str], console: Console) -> int:
    for one in failed:
        console.print(f"failed: {one}", highlight=False)
    return int(bool(failed))


def beaten(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each kit on which a peer is smaller, or faster, than all of ours: the baseline is not the best there is."""
    lines = []
    for kit in dict.fromkeys(entry["pdk"] for entry in entries):
        for figure, better in (("area_um2", "smaller"), ("delay_ns", "faster")):
            here = sorted((entry for entry in entries if entry["pdk"] == kit), key=lambda entry: float(entry[figure]))
            ours = next(entry for entry in here if entry["unit"].startswith(OURS))
            if here[0][figure] < ours[figure]:
                lines.append(f"{kit}: {here[0]['unit']} is {better} than our best ({ours['unit']}): adopt it as the baseline")
    return lines


def compare_all(
    kits: Sequence[Pdk],
    shape: str,
    ways: Sequence[tuple[int, int | None]],
    operands: Mapping[str, Operands],
    file: Path,
    console: Console,
) -> dict[str, Any]:
    """The comparison on every kit with every number of lanes and of pipeline registers, as one; `file` has what is done so far.

    Gives what `synth.comparison.compare` gives, joined, and `failed`, a line for each that a tool ended.
    """
    whole: dict[str, Any] = {"failed": []}
    effort = EFFORT if shape == MAC else replace(EFFORT, workloads=OF_ELEMENTS)
    for kit, (lanes, pipeline) in product(kits, ways):
        try:
            one = compare(
                [kit],
                lanes=(lanes,),
                pipeline=pipeline or None,
                shape=shape,
                effort=effort,
                operands=operands,
                cache=DEFAULT_CACHE,
                advance=lambda what: console.print(f"[dim]{what}", highlight=False),
                verified=True,
            )
        except ToolError as error:
            whole["failed"].append(f"{kit.name}, {shape}, {lanes} lanes, pipeline {pipeline or 0}: {error}")
        else:
            _join(whole, one)
        write_file(file, canonical_json(whole))
    return whole


def _join(whole: dict[str, Any], one: Mapping[str, Any]) -> None:
    for key, found in one.items():
        if key != "effort":
            whole[key] = list({canonical_json(entry): entry for entry in (*whole.get(key, ()), *found)}.values())
    efforts = whole.setdefault("effort", {})
    for name, spent in one["effort"].items():
        before = efforts.get(name, {"syntheses": 0, "energies": 0, "architectures": []})
        sums = {key: before[key] + spent[key] for key in ("syntheses", "energies")}
        tried = list(dict.fromkeys([*before["architectures"], *spent["architectures"]]))
        efforts[name] = {**spent, **sums, "architectures": tried}


def measure_peers(kit: Pdk, console: Console) -> list[dict[str, Any]]:
    """Smallest area and shortest delay of every peer and of every INT8 architecture of ours, each of a netlist of its own.

    Adders and scripts are the same. Ours are drawn with full adders, so that they can be mapped to the library's cells as well.
    """
    entries = []
    for name, verilog, left_to_yosys in peers():
        for run in simulate_verilog(verilog, CONFIG, stimuli_for(CONFIG, None, 2000, 0), find_simulator(), quiet=True):
            assert run["sums_compared"] == run["cycles"]
        booth = (False, True) if left_to_yosys else (False,)
        small = [Recipe("logic", adder=adder, booth=one) for adder in ("brent-kung", "ripple") for one in booth]
        fast = [
            Recipe("logic", adder=adder, script=script, delay_ps=1, booth=one)
            for adder in ADDERS
            for script in FAST_SCRIPTS
            for one in booth
        ]
        with children_end_with_us():
            kept = Memory(DEFAULT_CACHE / "peers", verbose=0).cache(_map, ignore=["kit"])
            known = {"kit": kit.describe(), "tools": (yosys.version(), sta.version()), "sources": source_hash(["synth"])}
            mapped = Parallel(JOBS, prefer="threads")(delayed(kept)(verilog, kit, recipe, known) for recipe in small + fast)
        areas, delays = (sorted(measured) for measured in zip(*mapped, strict=True))
        entries.append(_entry(kit, name, areas[0], delays[0]))
    shop = Workshop(kit)
    for name in small_architectures(CONFIG.weight_format, 1):
        config = replace(CONFIG, architecture=name)
        quick = replace(CONFIG, architecture=ARCHITECTURES[name].fast or name)
        smallest = min(mapped.area_um2 for mapped in shop.run_recipes([(config, area_recipes(config, kit))]))
        fastest = min(mapped.delay_ns for mapped in shop.run_recipes([(quick, fast_recipes(quick, ADDERS))]))
        entries.append(_entry(kit, OURS + name, smallest, fastest))
    table = Table(title=f"INT8 x INT8 with a {CONFIG.accumulator_bits}-bit accumulator on {kit.name}", title_justify="left")
    for heading in ("unit", "smallest, um2", "fastest, ns"):
        table.add_column(heading, justify="left" if heading == "unit" else "right")
    for entry in sorted(entries, key=lambda entry: float(entry["area_um2"])):
        table.add_row(entry["unit"], f"{entry['area_um2']:.5g}", f"{entry['delay_ns']:.4g}")
    print_table(console, table)
    return entries


def _entry(kit: Pdk, unit: str, area_um2: float, delay_ns: float) -> dict[str, Any]:
    return {"pdk": kit.name, "unit": unit, "area_um2": area_um2, "delay_ns": delay_ns}


def _map(verilog: str, kit: Pdk, recipe: Recipe, known: dict[str, Any]) -> tuple[float, float]:  # noqa: ARG001
    """Area in um2 and delay in ns of a peer mapped by one recipe; `known` is what else the result depends on."""
    plain = liberty_text.unpacked(kit.liberty, DEFAULT_CACHE)
    mapped = yosys.map_verilog(verilog, CONFIG.name, kit, plain, recipe)
    library = liberty.load(kit.liberty)
    with tempfile.TemporaryDirectory(prefix="dint-peer-") as folder:
        netlist = Path(folder) / "netlist.v"
        netlist.write_text(mapped.verilog)
        timing = sta.analyze(netlist, CONFIG.name, plain, kit.input_transition_ns)
    area = sum(float(library.cell(kind).area) * count for kind, count in mapped.cells[CONFIG.name].items())
    return area, timing.delay_ns


def _ratios(results: dict[str, Any]) -> Table:
    table = Table(title="baseline / candidate", title_justify="left")
    headings = (
        "PDK",
        "lanes",
        "pipeline",
        "at",
        "against",
        "for",
        "operands",
        "activity",
        "area",
        "energy",
        "95 %",
        "baseline",
        "candidate",
    )
    for heading in headings:
        table.add_column(heading)
    for row in sorted(
        results.get("comparisons", ()),
        key=lambda row: float(row["area_ratio" if row["objective"] == "area" else "energy_ratio"]),
    ):
        spread = row["energy_ratio_confidence_95"]
        table.add_row(
            row["pdk"],
            str(row["lanes"]),
            str(row["pipeline"]),
            row["kind"],
            row["reference"],
            row["objective"],
            f"{row['operands']}, {row['dataflow']}",
            row["activity"],
            f"{row['area_ratio']:.3f}",
            f"{row['energy_ratio']:.3f}",
            "" if spread is None else f"{spread:.3f}",
            row["baseline"]["architecture"],
            row["candidate"]["architecture"],
        )
    return table


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except DintError as error:
        raise SystemExit(f"error: {error}") from None
