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
- default architectures (of block formats two) with delays (SDF) at the shortest period that timing analysis reports, and at a
  quarter of it, where the sums must be wrong, or the delays do not apply.

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
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table

from golden import (
    BLOCK_FORMATS,
    CODEBOOK_FORMATS,
    FORMATS,
    GROUP_FORMATS,
    SCALED_FORMATS,
    VARIANTS,
    AsymmetricConfig,
    BlockMacConfig,
    MacConfig,
    NumberFormat,
    PeConfig,
    UnitConfig,
    format_by_name,
)
from golden.artifacts import output_directory
from golden.errors import DintError, InputError, ToolError
from hdl.architectures import ARCHITECTURES
from pipeline.checks import DIRECTORY, write_record
from sim import asymmetric_stimulus, column
from sim.command import stimuli_for
from sim.in_amaranth import respond
from sim.processes import children_end_with_us
from sim.replay import PortStimulus, Replay
from sim.runner import SimulationMismatch
from sim.side_by_side import compare_units
from sim.simulators import Simulator, find_simulator
from sim.stimulus import LONGEST_SUM, Stimulus
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
from .exhaustive import every_product, every_scale

__all__ = ["Check", "checks", "every_architecture", "main"]

#: These have units of every number of lanes, and netlists. Others have units of one lane in RTL, in Icarus: those of longer
#: groups and arrays differ from these in the width of a block's sum, those of other numbers of codebooks lie between.
BLOCKS = {
    **BLOCK_FORMATS,
    **{name: GROUP_FORMATS[name] for name in ("int4_g32", "dint4_g32")},
    **{name: CODEBOOK_FORMATS[name] for name in ("lobcq_c2_g16", "lobcq_c16_g16")},
}
_NAMES = [*FORMATS, *VARIANTS, *SCALED_FORMATS]
Shape = Callable[[str, str], UnitConfig]  # of a format's and an architecture's name

_SEED = 1
_JUDGES = tuple(f"benchmarks/{name}.py" for name in ("verification", "exhaustive", "block_stimuli"))
_SOURCES = ("golden", "hdl", "sim", "synth", *_JUDGES)  # that the record is about
# Sequences of `first`, `valid` and `rst` of up to so many cycles: 8^6 are a second in Verilator, 8^4 in Icarus.
_ORDERS = {"verilator": 6, "icarus": 4}
_BLOCK_ORDERS = {"verilator": 4, "icarus": 3}  # and of `last`: 16^4, 16^3
_ROUNDING_NS = 1e-4  # of the delays that OpenSTA prints
_PATHS = (0.9, 1.15)  # the longest path of the delays, over the shortest period; 1.00 to 1.06 on five kits
_WITH_DELAYS = 1000  # cycles of random operands with delays
_BLOCK_CORNERS = 28000  # cycles of corner cases of block formats, the last: carries between any two places, and orders
_UNIFORM = 4000  # cycles of random operands, beside products and corner cases, of what is no MAC unit
_LONGEST_SUM = 1024  # cycles of its sums of extreme products


def _mac(lanes: int = 1, pipeline: int = 0, decoded: bool = False) -> Shape:
    return lambda name, architecture: MacConfig(
        format_by_name(name), lanes=lanes, pipeline=pipeline, architecture=architecture, decoded=decoded
    )


def _element(decoded: bool = False) -> Shape:
    return lambda name, architecture: PeConfig(FORMATS[name], architecture=architecture, decoded=decoded)


def _zero_points(name: str, architecture: str) -> UnitConfig:
    return AsymmetricConfig(FORMATS[name], lanes=1, units=2, architecture=architecture)


def _block(activation_bits: int, lanes: int = 1, pipeline: int = 0) -> Shape:
    return lambda name, architecture: BlockMacConfig.of(
        SCALED_FORMATS[name], activation_bits, lanes=lanes, architecture=architecture, pipeline=pipeline
    )


_ONE_LANE = _mac()
# Shapes in each simulator. Icarus takes minutes where Verilator takes seconds, but compiles at once.
_LANES = _mac(4)  # of INT8, which takes five minutes in all, in its default architecture; Verilator has 16 lanes of each
_IN_ICARUS = (_ONE_LANE, _LANES, _element())
_IN_VERILATOR = (
    _ONE_LANE,
    _mac(16),
    _mac(4, 1),
    _mac(4, 2),
    _mac(4, 1, True),
    _mac(4, 2, True),
    _element(),
    _element(True),
    _zero_points,
)
_RTL: dict[str, tuple[Shape, ...]] = {"icarus": _IN_ICARUS, "verilator": _IN_VERILATOR}
_VARIANTS = {"icarus": (_ONE_LANE, _mac(4)), "verilator": (_mac(4),)}  # default architectures only; 10 s a unit in Verilator
_INTEGERS, _IN_FORMAT = _BLOCKS_SMALL = (_block(8), _block(4))  # in Icarus default architectures only
_BLOCKS = (*_BLOCKS_SMALL, *(_block(bits, lanes) for bits in (8, 4) for lanes in (4, 16)))
_BLOCKS_REGISTERED = (_block(8, 4, 1), _block(4, 4, 1))  # in Verilator, default architectures only
# In every architecture. The products of groups by integers are those of plain formats; in the format, activations are narrower,
# and codebooks have integers of 6 bits multiplied, which are no format of the catalogue: one lane shows those.
_IN_FULL = {
    **dict.fromkeys(BLOCK_FORMATS, _BLOCKS),
    **dict.fromkeys(("int4_g32", "dint4_g32"), (_IN_FORMAT,)),
    "lobcq_c2_g16": _BLOCKS_SMALL,
}
# Netlists of default architectures; one lane is mapped in all. With pipeline registers in the first kit.
_MAPPED, _MAPPED_REGISTERED = (_mac(4), _element()), (_mac(4, 1), _mac(4, 2))
_DELAYED_BLOCKS = ("nvfp4", "dint4_g32")  # scales without a sign, and with one
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


def every_architecture(name: str, shape: Shape = _ONE_LANE) -> list[UnitConfig]:
    """The units of a format, one for each architecture that can do it."""
    found = []
    for architecture in ARCHITECTURES.values():
        if architecture.can_do(_weights(name)):
            with suppress(InputError):  # a format that takes no zero-point in hardware
                unit = shape(name, architecture.name)
                if architecture.decodes(unit.weight_format) or not unit.decoded:
                    found.append(unit)
    return found


def _default(name: str, shape: Shape) -> UnitConfig:
    return shape(name, _weights(name).architecture)


def _weights(name: str) -> NumberFormat:
    """What weights, or the elements of their blocks, are multiplied in."""
    return BlockMacConfig.of(SCALED_FORMATS[name]).multiplied if name in SCALED_FORMATS else format_by_name(name)


def checks(
    formats: Sequence[str], simulators: Sequence[Simulator], pdks: Sequence[Pdk], cache: Path = DEFAULT_CACHE
) -> list[Callable[[], Check]]:
    """All checks of `formats`, to be called in any order or at once; their Verilog is generated first by `main`."""
    found: list[Callable[[], Check]] = []
    for name in formats:
        for simulator in simulators:
            found += [partial(_rtl, configs, simulator) for configs in _simulated(name, simulator) if configs]
        if name in FORMATS:
            found.append(partial(_in_amaranth, every_architecture(name)))
        elif name in VARIANTS:
            found.append(partial(_in_amaranth, [_default(name, _ONE_LANE)]))
        elif name in BLOCKS:
            # Those of LO-BCQ in every architecture would take a minute.
            make = every_architecture if name in BLOCK_FORMATS else lambda *given: [_default(*given)]
            found += [partial(_in_amaranth, make(name, shape)) for shape in _BLOCKS_SMALL]
        for number, pdk in enumerate(pdks):
            if name in FORMATS:
                found.append(partial(_netlists, every_architecture(name), pdk, cache))
            found += [partial(_netlists, [config], pdk, cache) for config in _mapped(name, registered=number == 0)]
            found += [partial(_with_delays, config, pdk, cache) for config in _delayed(name)]
    return found


def _simulated(name: str, simulator: Simulator) -> list[list[UnitConfig]]:
    """The units of a format that are simulated side by side as Verilog."""
    if name in FORMATS:
        wide = simulator.name == "icarus" and FORMATS[name].bits > 4
        return [
            [_default(name, shape)] if wide and shape is _LANES else every_architecture(name, shape)
            for shape in _RTL[simulator.name]
        ]
    if name in VARIANTS:
        return [[_default(name, shape)] for shape in _VARIANTS[simulator.name]]
    if simulator.name == "icarus":
        return [[_default(name, shape)] for shape in _BLOCKS_SMALL]
    return [_of_blocks(name, shape) for shape in (*_BLOCKS, *_BLOCKS_REGISTERED)] if name in BLOCKS else []


def _of_blocks(name: str, shape: Shape) -> list[UnitConfig]:
    """In every architecture where these multiply what no other unit does, else in the default one."""
    return every_architecture(name, shape) if shape in _IN_FULL.get(name, ()) else [_default(name, shape)]


def _mapped(name: str, *, registered: bool) -> list[UnitConfig]:
    """The units of the default architecture that are mapped; of plain formats one lane is mapped in every architecture."""
    shapes: tuple[Shape, ...] = ()
    if name in FORMATS:
        shapes = (*_MAPPED, *_MAPPED_REGISTERED) if registered else _MAPPED
    elif name in BLOCKS:
        shapes = (*_BLOCKS_SMALL, _block(8, pipeline=1)) if registered else _BLOCKS_SMALL
    return [_default(name, shape) for shape in shapes]


def _delayed(name: str) -> list[MacConfig | BlockMacConfig]:
    """The units whose netlists are simulated with delays."""
    if name in _DELAYED_BLOCKS:
        return [BlockMacConfig.of(BLOCKS[name])]
    return [MacConfig(FORMATS[name], lanes=4)] if name in FORMATS else []


def _rtl(configs: Sequence[UnitConfig], simulator: Simulator) -> Check:
    started, first = time.monotonic(), configs[0]
    stimuli = _stimuli(first, simulator)
    if isinstance(first, MacConfig | BlockMacConfig) and simulator.name == "verilator":
        stimuli.append(_full_depth(first))
    sources = {f"{config.name}.v": verilog_of(config) for config in configs}
    results = compare_units(configs, sources, stimuli, simulator)
    sums = sum(result.sums for result in results)
    return _check("rtl", simulator.name, configs, sums, started, stimuli)


def _stimuli(config: UnitConfig, simulator: Simulator) -> list[Replay]:
    """Every product first, and every order of control signals: MAC units all sequences of as many cycles as take seconds."""
    if isinstance(config, MacConfig):
        return [Stimulus.products(config, _SEED), Stimulus.orders(config, _ORDERS[simulator.name])]
    if isinstance(config, BlockMacConfig):
        orders = block_stimuli.orders(config, _BLOCK_ORDERS[simulator.name], _SEED)
        return [block_stimuli.products(config, _SEED), block_stimuli.scales(config, _SEED), orders]
    if isinstance(config, PeConfig):
        return [column.products(config), column.corners(config), column.uniform(config, _UNIFORM, _SEED)]
    assert isinstance(config, AsymmetricConfig)
    random = asymmetric_stimulus.uniform(config, _UNIFORM, _SEED)
    return [asymmetric_stimulus.products(config, _SEED), asymmetric_stimulus.corners(config, _LONGEST_SUM), random]


def _full_depth(config: MacConfig | BlockMacConfig) -> Replay:
    """A stimulus that is proved to reach both ends of what `depth` products can make."""
    if isinstance(config, BlockMacConfig):
        stimulus: Replay = block_stimuli.extremes(config)
        ends = block_stimuli.sum_of_extremes(config)
    else:
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


def _netlists(configs: Sequence[UnitConfig], pdk: Pdk, cache: Path) -> Check:
    """The first netlist that a synthesis of each unit tries, in Icarus, which knows unknown values.

    Where many cycles keep many gates busy, only the orders of control signals are simulated there, the rest in Verilator.
    """
    started, first = time.monotonic(), configs[0]
    mapped = [map_design(config, pdk, area_recipes(config, pdk)[0], cache) for config in configs]
    sources = {f"{one.design}.v": one.netlist.read_text() for one in mapped}
    cells = {cell for one in mapped for cell in read_netlist(one.netlist, one.design).cells}
    sources["cells.v"] = cell_models(load(pdk.liberty), cells)
    icarus = find_simulator("icarus")
    stimuli = _stimuli(first, icarus)
    quick = stimuli[-1:] if _busy(first, stimuli) else stimuli
    results = compare_units(configs, sources, quick, icarus)
    unknown = min(result.unknown_before_reset for result in results)
    if unknown != len(configs):
        raise ToolError(f"{pdk.name}: only {unknown} of {len(configs)} netlists of {first.name} begin unknown")
    if others := stimuli[: -len(quick)]:
        results += compare_units(configs, sources, others, find_simulator("verilator"))
    sums = sum(result.sums for result in results)
    return _check("netlist", pdk.name, configs, sums, started, stimuli, unknown)


def _busy(config: UnitConfig, stimuli: Sequence[Replay]) -> bool:
    """Whether Icarus takes longer than the 10 s of Verilator's compilation: 2^16 cycles of scales on both sides."""
    scaled = isinstance(config, BlockMacConfig) and config.scaled_activations
    return scaled and sum(stimulus.cycles for stimulus in stimuli) > 1 << 16


def _with_delays(config: MacConfig | BlockMacConfig, pdk: Pdk, cache: Path) -> Check:
    """Corner cases and random operands at the reported period: the same sums, the delays applied; and no setup violation."""
    started, blocks = time.monotonic(), isinstance(config, BlockMacConfig)
    mapped = map_design(config, pdk, area_recipes(config, pdk)[0], cache)
    with tempfile.TemporaryDirectory(prefix="dint-verification-") as folder:
        liberty = unpacked(pdk.liberty, Path(folder))
        timing = sta.analyze(mapped.netlist, mapped.design, liberty, mapped.delay_ns, pdk.input_transition_ns)
    if timing.slack_ns < -_ROUNDING_NS:
        raise ToolError(f"{config.name} on {pdk.name}: setup is violated by {-timing.slack_ns:g} ns at {mapped.delay_ns:g} ns")
    library, sdf = load(pdk.liberty), delays(mapped, pdk)
    netlist = read_netlist(mapped.netlist, mapped.design)
    check_delays(mapped, read_delays(sdf, netlist, library).longest_path_ns(netlist))
    unit = Unit(mapped.netlist, mapped.design, config, library, pdk, sdf)
    stimuli = stimuli_for(config, None, _WITH_DELAYS, _SEED, _LONGEST_SUM if blocks else LONGEST_SUM)
    if blocks:
        last = {name: column[-_BLOCK_CORNERS:] for name, column in stimuli[-1].inputs.items()}
        stimuli[-1] = PortStimulus(last, "corners")
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
        scales=len(configs) * sum(every_scale(first, stimulus) for stimulus in stimuli[1:2]),
        unknown_before_reset=unknown,
        seconds=time.monotonic() - started,
    )


def _units(formats: Iterable[str], simulators: Iterable[Simulator]) -> list[UnitConfig]:
    """Every unit whose Verilog the checks need."""
    units: list[UnitConfig] = []
    for name in formats:
        units += [unit for simulator in simulators for configs in _simulated(name, simulator) for unit in configs]
        units += [*_mapped(name, registered=True), *_delayed(name)]
    return list(dict.fromkeys(units))


def main() -> None:
    """Run everything; print what was compared; write `verification.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verification", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--platforms", type=Path, help="folder in the layout of OpenROAD-flow-scripts' flow/platforms")
    parser.add_argument("--format", action="append", choices=_NAMES, help="only this format; repeat for several")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="checks at a time")
    parser.add_argument("--out", type=Path, default=DIRECTORY, help="folder of verification.json")
    arguments = parser.parse_args()
    console = Console()
    formats = arguments.format or _NAMES
    simulators = [find_simulator("icarus"), find_simulator("verilator")]
    if not (pdks := discover(arguments.platforms)):
        raise InputError("no PDK is found, so that no netlist can be checked: `dint pdks` says how to get one")
    started = time.monotonic()
    with output_directory(arguments.out) as scratch:
        units = _units(formats, simulators)
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
    console.print(_table(done))
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
