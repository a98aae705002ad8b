"""Exhaustive and edge checks of every unit at every level, with counts and times: `python -m benchmarks.verification`.

For every architecture of every format of the catalogue:

- every product in every lane, in RTL (Icarus, Verilator), in Amaranth's simulator, and in netlists of every kit at hand;
- `first`, `valid` and `rst` in every order; at gate level from an unknown state;
- both extremes of the accumulator, sums of 65,536 products;
- default architectures with delays (SDF) at the shortest period that timing analysis reports, and at a quarter of it, where the
  sums must be wrong, or the delays do not apply.

Netlists are cached as those of a synthesis. The first thing that is wrong ends it with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table

from golden import FORMATS, MacConfig
from golden.artifacts import canonical_json, output_directory, write_file
from golden.errors import DintError, ToolError
from hdl.architectures import ARCHITECTURES
from sim.in_amaranth import accumulators
from sim.processes import children_end_with_us
from sim.runner import SimulationMismatch
from sim.side_by_side import compare_units
from sim.simulators import Simulator, find_simulator
from sim.stimulus import Stimulus
from synth.cell_models import cell_models
from synth.energy import SDF, Unit
from synth.flow import area_recipes
from synth.liberty import load
from synth.mapping import DEFAULT_CACHE, delays, generate_all, map_design, verilog_of
from synth.netlist import read_netlist
from synth.pdk import Pdk, discover

__all__ = ["Check", "checks", "every_architecture", "main"]

_SEED = 1
# Sequences of `first`, `valid` and `rst` of up to so many cycles: 8^6 are a second in Verilator, 8^4 in Icarus.
_ORDERS = {"verilator": 6, "icarus": 4}
# (lanes, pipeline) of the RTL in each simulator. Icarus takes minutes where Verilator takes seconds, but compiles at once.
_RTL = {"icarus": ((1, 0), (4, 0)), "verilator": ((1, 0), (16, 0), (4, 1), (4, 2))}
_NETLIST_LANES = 4  # of default architectures; the others are mapped with one
_AMARANTH_JOBS = 2


@dataclass(frozen=True)
class Check:
    """What one check compared, and how long it took."""

    level: str  # "rtl", "amaranth", "netlist", "netlist with delays"
    tool: str  # simulator or kit
    format: str
    lanes: int
    pipeline: int
    units: int
    products: int  # different (unit, lane, code, activation)
    sums: int
    unknown_before_reset: int  # units whose accumulator was unknown before the reset
    seconds: float


def every_architecture(name: str, lanes: int = 1, pipeline: int = 0) -> list[MacConfig]:
    """The units of a format, one for each architecture that can do it."""
    able = [architecture.name for architecture in ARCHITECTURES.values() if name in architecture.formats]
    return [MacConfig(FORMATS[name], lanes=lanes, pipeline=pipeline, architecture=architecture) for architecture in able]


def checks(
    formats: Sequence[str], simulators: Sequence[Simulator], pdks: Sequence[Pdk], cache: Path = DEFAULT_CACHE
) -> list[Callable[[], Check]]:
    """All checks of `formats`, to be called in any order or at once; their Verilog is generated first by `main`."""
    found: list[Callable[[], Check]] = []
    for name in formats:
        for simulator in simulators:
            for lanes, pipeline in _RTL[simulator.name]:
                configs = every_architecture(name, lanes, pipeline)
                found.append(partial(_rtl, configs, simulator))
        found.append(partial(_in_amaranth, every_architecture(name)))
        for pdk in pdks:
            found.append(partial(_netlists, every_architecture(name), pdk, cache))
            several = MacConfig(FORMATS[name], lanes=_NETLIST_LANES)
            found.append(partial(_netlists, [several], pdk, cache))
            found.append(partial(_with_delays, several, pdk, cache))
    return found


def _rtl(configs: Sequence[MacConfig], simulator: Simulator) -> Check:
    started, first = time.monotonic(), configs[0]
    stimuli = [Stimulus.products(first, _SEED), Stimulus.orders(first, _ORDERS[simulator.name])]
    if simulator.name == "verilator":
        stimuli.append(_full_depth(first))
    sources = {f"{config.name}.v": verilog_of(config) for config in configs}
    results = compare_units(configs, sources, stimuli, simulator)
    sums = sum(result.sums for result in results)
    return _check("rtl", simulator.name, configs, stimuli[0], sums, 0, started)


def _full_depth(config: MacConfig) -> Stimulus:
    """A stimulus that is proved to reach both ends of what `depth` products can make."""
    stimulus = Stimulus.extremes(config)
    products = np.outer(config.weight_format.values, np.arange(-128, 128))
    sums = stimulus.expected(config)
    if (int(sums.max()), int(sums.min())) != (int(products.max()) * config.depth, int(products.min()) * config.depth):
        raise SimulationMismatch(f"{config.name}: {config.depth} extreme products make {sums.max()} and {sums.min()}")
    return stimulus


def _in_amaranth(configs: Sequence[MacConfig]) -> Check:
    started, first = time.monotonic(), configs[0]
    stimulus = Stimulus.products(first, _SEED)
    expected = stimulus.expected(first)
    # In processes of their own: Amaranth is not for threads, and would hold up the other checks.
    shown = Parallel(_AMARANTH_JOBS)(delayed(accumulators)(config, stimulus) for config in configs)
    for config, values in zip(configs, shown, strict=True):
        if values.shape != expected.shape or len(wrong := np.flatnonzero(values != expected)):
            raise SimulationMismatch(f"{config.name} in Amaranth: {len(wrong)} of {len(expected)} products are wrong")
    return _check("amaranth", "amaranth", configs, stimulus, len(configs) * len(expected), 0, started)


def _netlists(configs: Sequence[MacConfig], pdk: Pdk, cache: Path) -> Check:
    """The first netlist that a synthesis of each unit tries, in Icarus, which knows unknown values."""
    started, first = time.monotonic(), configs[0]
    mapped = [map_design(config, pdk, area_recipes(config, pdk)[0], cache) for config in configs]
    sources = {f"{one.design}.v": one.netlist.read_text() for one in mapped}
    cells = {cell for one in mapped for cell in read_netlist(one.netlist, one.design).cells}
    sources["cells.v"] = cell_models(load(pdk.liberty), cells)
    icarus = find_simulator("icarus")
    stimuli = [Stimulus.products(first, _SEED), Stimulus.orders(first, _ORDERS[icarus.name])]
    results = compare_units(configs, sources, stimuli, icarus)
    unknown = min(result.unknown_before_reset for result in results)
    if unknown != len(configs):
        raise ToolError(f"{pdk.name}: only {unknown} of {len(configs)} netlists of {first.weight_format.name} begin unknown")
    return _check("netlist", pdk.name, configs, stimuli[0], sum(result.sums for result in results), unknown, started)


def _with_delays(config: MacConfig, pdk: Pdk, cache: Path) -> Check:
    """Corner cases and random operands at the reported period: the same sums, though every delay applies."""
    started = time.monotonic()
    mapped = map_design(config, pdk, area_recipes(config, pdk)[0], cache)
    unit = Unit(mapped.netlist, mapped.design, config, load(pdk.liberty), pdk, delays(mapped, pdk))
    stimuli = [Stimulus.corners(config), Stimulus.uniform(config, 1000, _SEED)]
    with tempfile.TemporaryDirectory(prefix="dint-verification-") as folder:
        sums = sum(unit.measure(one, mapped.delay_ns, SDF, Path(folder)).sums_compared for one in stimuli)
        try:
            unit.measure(stimuli[1], mapped.delay_ns / 4, SDF, Path(folder))
        except ToolError as error:
            if "may be shorter than the critical path" not in str(error):
                raise
        else:
            raise ToolError(f"{config.name} on {pdk.name} is right at a quarter of its shortest period: delays do not apply")
    return replace(_check("netlist with delays", pdk.name, [config], stimuli[0], sums, 1, started), products=0)


def _check(
    level: str, tool: str, configs: Sequence[MacConfig], stimulus: Stimulus, sums: int, unknown: int, started: float
) -> Check:
    """The result of a check; the products are those that the stimulus really has."""
    config = configs[0]
    pairs = stimulus.weights.astype(np.int64) * 256 + stimulus.activations + 128
    different = sum(len(np.unique(pairs[:, lane])) for lane in range(config.lanes))
    return Check(
        level=level,
        tool=tool,
        format=config.weight_format.name,
        lanes=config.lanes,
        pipeline=config.pipeline,
        units=len(configs),
        products=len(configs) * different,
        sums=sums,
        unknown_before_reset=unknown,
        seconds=time.monotonic() - started,
    )


def _units(formats: Iterable[str], simulators: Iterable[Simulator]) -> list[MacConfig]:
    """Every unit whose Verilog the checks need."""
    shapes = {(1, 0), *(shape for simulator in simulators for shape in _RTL[simulator.name])}
    units = [
        unit for name in formats for lanes, pipeline in sorted(shapes) for unit in every_architecture(name, lanes, pipeline)
    ]
    return [*units, *(MacConfig(FORMATS[name], lanes=_NETLIST_LANES) for name in formats)]


def main() -> None:
    """Run everything; print what was compared; write `verification.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verification", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--platforms", type=Path, help="folder in the layout of OpenROAD-flow-scripts' flow/platforms")
    parser.add_argument("--format", action="append", choices=FORMATS, help="only this format; repeat for several")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="checks at a time")
    parser.add_argument("--out", type=Path, default=Path("build/verification"), help="folder of verification.json")
    arguments = parser.parse_args()
    console = Console()
    formats = arguments.format or list(FORMATS)
    simulators = [find_simulator("icarus"), find_simulator("verilator")]
    pdks = discover(arguments.platforms)
    started = time.monotonic()
    with output_directory(arguments.out) as scratch:
        units = _units(formats, simulators)
        generate_all(units, arguments.jobs)
        console.print(f"{len(set(units))} units generated in {time.monotonic() - started:.0f} s")
        done: list[Check] = []

        def run(check: Callable[[], Check]) -> None:
            done.append(result := check())
            console.print(
                f"{result.level:>19} {result.tool:9} {result.format:8} x{result.lanes:<2} p{result.pipeline}: {result.units:2} "
                f"units, {result.products:11,} products, {result.sums:11,} sums, {result.seconds:4.0f} s",
                highlight=False,
                soft_wrap=True,
            )

        with ThreadPoolExecutor(arguments.jobs) as pool, children_end_with_us():
            try:
                for future in [pool.submit(run, check) for check in checks(formats, simulators, pdks)]:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        done.sort(key=lambda check: (check.level, check.tool, check.format, check.lanes, check.pipeline))
        rows = [{key: value for key, value in asdict(check).items() if key != "seconds"} for check in done]
        write_file(scratch / "verification.json", canonical_json(rows))
    console.print(_table(done))
    console.print(f"all right, in {time.monotonic() - started:.0f} s")


def _table(done: Sequence[Check]) -> Table:
    table = Table(title="Every product, every order of control: as in the golden model", title_justify="left")
    for heading in ("level", "by", "units", "different products", "sums compared", "s"):
        table.add_column(heading, justify="left" if heading in ("level", "by") else "right")
    totals: dict[tuple[str, str], Counter[str]] = {}
    for check in done:
        row = totals.setdefault((check.level, check.tool), Counter())
        row.update({"units": check.units, "products": check.products, "sums": check.sums, "seconds": round(check.seconds)})
    for (level, tool), row in totals.items():
        table.add_row(level, tool, *(f"{row[key]:,}" for key in ("units", "products", "sums", "seconds")))
    return table


if __name__ == "__main__":
    try:
        main()
    except DintError as error:
        raise SystemExit(f"error: {error}") from None
