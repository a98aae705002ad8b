# SPDX-License-Identifier: Apache-2.0
"""Exhaustive and edge checks of every unit at every level, with counts and times: `python -m benchmarks.verification`.

For every architecture of every format of the catalogue:

- every product in every lane, in RTL (Icarus, Verilator), in Amaranth's simulator, and in netlists of every kit at hand; of MAC
  units, of those with registered select lines, and of elements of a systolic array; units for asymmetric weights have every
  zero-point with every code and activation (formats of up to 4 bits), or random operands;
- `first`, `valid` and `rst` in every order; at gate level from an unknown state;
- both extremes of the accumulator, sums of 65,536 products;
- of units of block formats, groups and codebooks, products (with every selector) and extremes likewise, `last` among the
  control signals, and every (pair of) scales, those of either sign too, of blocks whose sums are not zero;
- variants of dINT, whose special values are of another size, in their default architectures;
- default architectures (of block formats NVFP4, on the first kit dINT4 in groups, too) with delays (SDF) at the shortest period
  that timing analysis reports, and at a quarter of it, where the sums must be wrong, or the delays do not apply.

Netlists are cached as those of a synthesis. The first thing that is wrong ends it with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeGuard

import numpy as np
from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table

from golden import (
    AsymmetricConfig,
    BlockMacConfig,
    MacConfig,
    PeConfig,
    UnitConfig,
)
from golden.artifacts import output_directory
from golden.errors import DintError, InputError, ToolError
from golden.tables import print_table
from pipeline.checks import DIRECTORY, write_record
from sim import asymmetric_stimulus, block_stimulus, column
from sim.command import stimuli_for
from sim.in_amaranth import respond
from sim.processes import children_end_with_us
from sim.replay import Replay
from sim.runner import SimulationMismatch
from sim.side_by_side import compare_units
from sim.simulators import Simulator, find_simulator
from sim.stimulus import Stimulus
from synth import sta
from synth.cell_models import cell_models
from synth.energy import SDF, Unit
from synth.flow import area_recipes
from synth.liberty import load
from synth.liberty_text import unpacked
from synth.mapping import DEFAULT_CACHE, Mapped, delays, generate_all, map_design, verilog_of
from synth.netlist import read_netlist
from synth.pdk import Pdk, discover
from synth.sdf import read_delays

from . import block_stimuli
from .checked_units import NAMES, every_unit, in_amaranth, mapped, simulated, with_delays
from .exhaustive import every_product, every_scale

__all__ = ["Check", "checks", "main"]

_SEED = 1
_JUDGES = tuple(f"benchmarks/{name}.py" for name in ("verification", "checked_units", "exhaustive", "block_stimuli"))
_SOURCES = ("golden", "hdl", "sim", "synth", *_JUDGES)  # that the record is about
# Sequences of `first`, `valid` and `rst` of up to so many cycles: 8^6 are a second in Verilator, 8^4 in Icarus.
_ORDERS = {"verilator": 6, "icarus": 4}
_BLOCK_ORDERS = {"verilator": 4, "icarus": 3}  # and of `last`: 16^4, 16^3
_ROUNDING_NS = 1e-4  # of the delays that OpenSTA prints
_PATHS = (0.9, 1.15)  # the longest path of the delays, over the shortest period; 1.00 to 1.06 on five kits
_BUSY = 1 << 14  # cycles of netlists that take Icarus longer than Verilator with its compilation
_WITH_DELAYS = 1000  # cycles of random operands with delays
_UNIFORM = 4000  # cycles of random operands, beside products and corner cases, of what is no MAC unit
_LONGEST_SUM = 1024  # cycles of sums of extreme products with delays
_LONGEST_BLOCKS = 256  # and of scaled ones: more of them cross less, and take half as long again


_AMARANTH_JOBS = 2


@dataclass(frozen=True)
class Check:
    """What one check compared, and how long it took."""

    level: str  # "rtl", "amaranth", "netlist", "netlist with delays"
    tool: str  # simulator or kit
    unit: str  # in its default architecture
    units: int  # architectures
    products: int  # different (unit, lane, code, activation): all there are, or 0 where other operands are simulated
    sums: int
    scales: int  # different (unit, code), or pairs of codes, of scales, perhaps with the base: all; 0 of units without
    unknown_before_reset: int  # netlists whose accumulator was unknown before the reset; where nobody looked, 0
    seconds: float


def checks(
    formats: Sequence[str], simulators: Sequence[Simulator], pdks: Sequence[Pdk], cache: Path = DEFAULT_CACHE
) -> list[Callable[[], Check]]:
    """All checks of `formats`, to be called in any order or at once; their Verilog is generated first by `main`."""
    found: list[Callable[[], Check]] = []
    for name in formats:
        for simulator in simulators:
            found += [partial(_rtl, configs, simulator) for configs in simulated(name, simulator) if configs]
        found += [partial(_in_amaranth, configs) for configs in in_amaranth(name)]
        for number, pdk in enumerate(pdks):
            # Those with pipeline registers in one kit are enough: the others take the same recipe.
            found += [
                partial(_netlists, configs, pdk, cache, deep=number == 0) for configs in mapped(name, registered=number == 0)
            ]
            found += [partial(_with_delays, config, pdk, cache) for config in with_delays(name, first=number == 0)]
    return found


def _rtl(configs: Sequence[UnitConfig], simulator: Simulator) -> Check:
    started, first = time.monotonic(), configs[0]
    stimuli = _stimuli(first, simulator)
    if simulator.name == "verilator" and not isinstance(first, PeConfig) and not _written(first):
        stimuli.append(_full_depth(first))
    sources = {f"{config.name}.v": verilog_of(config) for config in configs}
    results = compare_units(configs, sources, stimuli, simulator)
    sums = sum(result.sums for result in results)
    return _check("rtl", simulator.name, configs, sums, started, stimuli)


def _stimuli(config: UnitConfig, simulator: Simulator) -> list[Replay]:
    """Every product first, and every order of control signals: MAC units all sequences of as many cycles as take seconds."""
    if isinstance(config, MacConfig):
        return [Stimulus.products(config, _SEED), Stimulus.orders(config, _ORDERS[simulator.name])]
    if _written(config):  # their corner cases have all places, every product of codewords, and both ends
        return [block_stimulus.corners(config), block_stimulus.uniform(config, _UNIFORM, _SEED)]
    if isinstance(config, BlockMacConfig):
        orders = block_stimuli.orders(config, _BLOCK_ORDERS[simulator.name], _SEED)
        return [block_stimuli.products(config, _SEED), block_stimuli.scales(config, _SEED), orders]
    if isinstance(config, PeConfig):
        return [column.products(config), column.corners(config), column.uniform(config, _UNIFORM, _SEED)]
    assert isinstance(config, AsymmetricConfig)
    random = asymmetric_stimulus.uniform(config, _UNIFORM, _SEED)
    return [asymmetric_stimulus.products(config, _SEED), random]


def _written(config: UnitConfig) -> TypeGuard[BlockMacConfig]:
    return isinstance(config, BlockMacConfig) and config.writable_codebooks


def _has_ends(config: UnitConfig) -> bool:
    """Whether a netlist is taken to the ends of its accumulator: other stimuli of the unit have none, and it is quick."""
    if isinstance(config, BlockMacConfig):
        return not _written(config)
    return isinstance(config, MacConfig) and config.lanes > 1 and not config.pipeline


def _full_depth(config: UnitConfig) -> Replay:
    """A stimulus that is proved to reach both ends of what `depth` products can make."""
    if isinstance(config, BlockMacConfig):
        stimulus: Replay = block_stimuli.extremes(config)
        ends = block_stimuli.sum_of_extremes(config)
    elif isinstance(config, AsymmetricConfig):
        stimulus = asymmetric_stimulus.corners(config)
        weights = config.weight_format
        largest = max(abs(value) for point in (0, weights.steps) for value in weights.with_zero_point(point).values)
        ends = largest * 128 * config.depth, -largest * 128 * config.depth
    else:
        assert isinstance(config, MacConfig)
        stimulus = Stimulus.extremes(config)
        products = np.outer(config.weight_format.values, np.arange(-128, 128))
        ends = int(products.max()) * config.depth, int(products.min()) * config.depth
    sums = stimulus.rows(config).outputs["accumulator"]
    if (int(sums.max()), int(sums.min())) != ends:
        raise SimulationMismatch(f"{config.name}: {config.depth} extreme products make {sums.max()} and {sums.min()}")
    return stimulus


def _in_amaranth(configs: Sequence[UnitConfig]) -> Check:
    started, first = time.monotonic(), configs[0]
    stimulus = _stimuli(first, find_simulator("icarus"))[0]
    rows = stimulus.rows(first)
    # In processes of their own: Amaranth is not for threads, and would hold up the other checks.
    shown = Parallel(_AMARANTH_JOBS)(delayed(respond)(config, rows.inputs) for config in configs)
    for config, outputs in zip(configs, shown, strict=True):
        for name, right in rows.outputs.items():
            if outputs[name].shape != right.shape or len(wrong := np.flatnonzero(outputs[name] != right)):
                raise SimulationMismatch(f"{config.name} in Amaranth: {name} is wrong {len(wrong)} times of {len(right)}")
    sums = len(configs) * stimulus.cycles
    return _check("amaranth", "amaranth", configs, sums, started, [stimulus])


def _netlists(configs: Sequence[UnitConfig], pdk: Pdk, cache: Path, deep: bool = False) -> Check:
    """The first netlist that a synthesis of each unit tries, in Icarus, which knows unknown values.

    Of many cycles only the orders of control signals are simulated there, the rest in Verilator; with `deep` both ends of the
    accumulator, too, of what has several lanes or blocks.
    """
    started, first = time.monotonic(), configs[0]
    mapped = [map_design(config, pdk, area_recipes(config, pdk)[0], cache) for config in configs]
    sources = {f"{one.design}.v": one.netlist.read_text() for one in mapped}
    cells = {cell for one in mapped for cell in read_netlist(one.netlist, one.design).cells}
    sources["cells.v"] = cell_models(load(pdk.liberty), cells)
    icarus = find_simulator("icarus")
    stimuli = _stimuli(first, icarus)
    quick = stimuli[-1:] if sum(stimulus.cycles for stimulus in stimuli) > _BUSY else stimuli
    results = compare_units(configs, sources, quick, icarus)
    unknown = min(result.unknown_before_reset for result in results)
    if unknown != len(configs):
        raise ToolError(f"{pdk.name}: only {unknown} of {len(configs)} netlists of {first.name} begin unknown")
    others = stimuli[: -len(quick)]
    if deep and _has_ends(first):
        others.append(_full_depth(first))
    if others:
        results += compare_units(configs, sources, others, find_simulator("verilator"))
    sums = sum(result.sums for result in results)
    return _check("netlist", pdk.name, configs, sums, started, stimuli, unknown)


def _with_delays(config: MacConfig | BlockMacConfig, pdk: Pdk, cache: Path) -> Check:
    """Corner cases and random operands at the reported period: the same sums, the delays applied; and no setup violation.

    The corner cases of block formats are those that take long.
    """
    started = time.monotonic()
    mapped = map_design(config, pdk, area_recipes(config, pdk)[0], cache)
    library, sdf = load(pdk.liberty), delays(mapped, pdk)
    design, period_ns, slew_ns = mapped.design, mapped.delay_ns, pdk.input_transition_ns
    with tempfile.TemporaryDirectory(prefix="dint-verification-") as folder:
        slack_ns = sta.setup_slack_ns(mapped.netlist, design, unpacked(pdk.liberty, Path(folder)), period_ns, slew_ns)
    if slack_ns < -_ROUNDING_NS:
        raise ToolError(f"{config.name} on {pdk.name}: setup is violated by {-slack_ns:g} ns at {period_ns:g} ns")
    netlist = read_netlist(mapped.netlist, mapped.design)
    check_delays(mapped, read_delays(sdf, netlist, library).longest_path_ns(netlist))
    unit = Unit(mapped.netlist, mapped.design, config, library, pdk, sdf)
    stimuli: list[Replay]
    if isinstance(config, BlockMacConfig):
        stimuli = [block_stimulus.uniform(config, _WITH_DELAYS, _SEED), block_stimulus.long_paths(config, _LONGEST_BLOCKS)]
    else:
        stimuli = stimuli_for(config, None, _WITH_DELAYS, _SEED, _LONGEST_SUM)
    with tempfile.TemporaryDirectory(prefix="dint-verification-") as folder:
        sums = sum(unit.measure(one, mapped.delay_ns, SDF, Path(folder)).sums_compared for one in stimuli)
        try:
            unit.measure(stimuli[0], mapped.delay_ns / 4, SDF, Path(folder))
        except ToolError as error:
            if "may be shorter than the critical path" not in str(error):
                raise
        else:
            raise ToolError(f"{config.name} on {pdk.name} is right at a quarter of its shortest period: delays do not apply")
    return _check("netlist with delays", pdk.name, [config], sums, started)


def check_delays(mapped: Mapped, path_ns: float) -> None:
    """Refuse delays whose longest path is not the period that timing analysis asks for, setup time apart."""
    if not _PATHS[0] <= path_ns / mapped.delay_ns <= _PATHS[1]:
        raise ToolError(f"{mapped.design} on {mapped.pdk}: its delays add up to {path_ns:g} ns, not to {mapped.delay_ns:g} ns")


def _check(
    level: str,
    tool: str,
    configs: Sequence[UnitConfig],
    sums: int,
    started: float,
    stimuli: Sequence[Replay] = (),
    unknown: int = 0,
) -> Check:
    """`stimuli` are those of `_stimuli`, or the first of them, whose products must be all there are."""
    first = configs[0]
    return Check(
        level=level,
        tool=tool,
        unit=first.varied(architecture="").name,
        units=len(configs),
        products=len(configs) * sum(every_product(first, stimulus) for stimulus in stimuli[:1]),
        sums=sums,
        # Those of units whose codebooks are written are the others': that these have each scale is not asked.
        scales=0 if _written(first) else len(configs) * sum(every_scale(first, stimulus) for stimulus in stimuli[1:2]),
        unknown_before_reset=unknown,
        seconds=time.monotonic() - started,
    )


def main() -> None:
    """Run everything; print what was compared; write `verification.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verification", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--platforms", type=Path, help="folder in the layout of OpenROAD-flow-scripts' flow/platforms")
    parser.add_argument("--format", action="append", choices=NAMES, help="only this format; repeat for several")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="checks at a time")
    parser.add_argument("--out", type=Path, default=DIRECTORY, help="folder of verification.json")
    arguments = parser.parse_args()
    console = Console()
    formats = arguments.format or NAMES
    simulators = [find_simulator("icarus"), find_simulator("verilator")]
    if not (pdks := discover(arguments.platforms)):
        raise InputError("no PDK is found, so that no netlist can be checked: `dint pdks` says how to get one")
    started = time.monotonic()
    with output_directory(arguments.out) as scratch:
        units = every_unit(formats, simulators)
        generate_all(units, arguments.jobs)
        console.print(f"{len(units)} units generated in {time.monotonic() - started:.0f} s")
        done: list[Check] = []

        def run(check: Callable[[], Check]) -> None:
            done.append(result := check())
            console.print(
                f"{result.level:>19} {result.tool:9} {result.unit:21}: {result.units:2} units, {result.products:11,} products, "
                f"{result.scales:9,} scales, {result.sums:11,} sums, {result.seconds:4.0f} s",
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
        done.sort(key=lambda check: (check.level, check.tool, check.unit))
        rows = [asdict(check) for check in done]
        write_record(scratch / "verification.json", _SOURCES, rows, simulators, pdks, whole=arguments.format is None)
    print_table(console, _table(done))
    console.print(f"all right, in {time.monotonic() - started:.0f} s")


def _table(done: Sequence[Check]) -> Table:
    table = Table(title="As in the golden model", title_justify="left")
    for heading in ("level", "by", "units", "different products", "different scales", "sums compared", "s"):
        table.add_column(heading, justify="left" if heading in ("level", "by") else "right")
    totals: dict[tuple[str, str], Counter[str]] = {}
    for check in done:
        row = totals.setdefault((check.level, check.tool), Counter())
        counts = {"units": check.units, "products": check.products, "scales": check.scales, "sums": check.sums}
        row.update(counts | {"seconds": round(check.seconds)})
    for (level, tool), row in totals.items():
        table.add_row(level, tool, *(f"{row[key]:,}" for key in ("units", "products", "scales", "sums", "seconds")))
    return table


if __name__ == "__main__":
    try:
        main()
    except DintError as error:
        raise SystemExit(f"error: {error}") from None
