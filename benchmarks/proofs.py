# SPDX-License-Identifier: Apache-2.0
"""Everything that is proved, of every format and architecture, with times: `python -m benchmarks.proofs`.

The properties and how they are shown are in `synth.proof`. The first that does not hold ends it with exit code 1.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table

from golden import (
    BLOCK_FORMATS,
    CODEBOOK_FORMATS,
    DINT4,
    FORMATS,
    GROUP_FORMATS,
    SCALED_FORMATS,
    VARIANTS,
    AsymmetricConfig,
    BlockFormat,
    BlockMacConfig,
    MacConfig,
    NumberFormat,
    PeConfig,
    UnitConfig,
)
from golden.artifacts import output_directory
from golden.errors import DintError, InputError
from golden.tables import print_table
from hdl.architectures import ARCHITECTURES
from hdl.verilog import TOGETHER, generate_each
from pipeline.checks import DIRECTORY, write_record
from synth import liberty_text, yosys
from synth.block_proof import codewords, left_open, scaled_sums, scales
from synth.flow import FAST_SCRIPTS, area_recipes, fast_recipes, mixed_recipes
from synth.pdk import Pdk, discover
from synth.proof import every_cycle, from_reset, netlist, no_overflow, products
from synth.recipe import ADDERS, Recipe

__all__ = ["Proof", "prove"]

_SOURCES = ("golden", "hdl", "synth", "benchmarks/proofs.py")  # that the record is about
_BEHAVIOURAL = "multiply"  # the Verilog with `*`
_IN_FULL = DINT4  # the format whose processing elements and units for asymmetric weights are proved in every variety

# Units of groups differ in the length of a group alone, that is, in how wide the sum of one is, those of LO-BCQ in it and in
# their codebooks: these are proved with every number of lanes, in every architecture, and as netlists, the shortest groups and
# the fewest and the most codebooks; all others in the default architecture with the least and the greatest number of lanes.
_GROUPS = [one for one in GROUP_FORMATS.values() if one.block == 32]
_CODEBOOKS = [CODEBOOK_FORMATS[name] for name in ("lobcq_c2_g16", "lobcq_c16_g16")]


@dataclass(frozen=True)
class Proof:
    """A property that was shown, of what, how, how much was compared, and in what time."""

    design: str
    property: str
    by: str
    compared: int
    unit: str
    seconds: float


@dataclass(frozen=True)
class _Task:
    """A property to be shown of a unit, or of what it is mapped to."""

    property: str
    config: UnitConfig
    kit: Pdk | None = None
    recipe: Recipe | None = None  # of the netlist


_HOW = {
    "products": ("exhaustion", "products"),
    "every cycle": ("algebra", "terms"),
    "from reset": ("SAT, induction", "unit"),
    "no overflow": ("arithmetic", "products"),
    "codewords": ("exhaustion", "codewords"),
    "scales": ("exhaustion", "scales"),
    "scaled sums": ("exhaustion", "sums"),
    "netlist": ("SAT, merging", "gates"),
}


def prove(kits: Sequence[Pdk], lanes: Sequence[int] = (1, 4, 16), jobs: int = 2) -> Iterator[Proof]:
    """Show all properties for every format and architecture; the proofs come in a fixed order, those of a unit together.

    MAC units have every number of `lanes` (but all products are tried for the last of them in the default architecture only);
    with pipeline registers the second number, and with the default architecture 64 lanes too. Netlists are made for the
    smallest area, with each kit for the default architecture, and with the first kit for all architectures and one lane; of
    the default one also with operand registers, of codes and of select lines, and with one lane by every other recipe of a
    synthesis.

    Processing elements have the default architecture, and register codes and select lines; every architecture in one format.
    Units for asymmetric weights are three with the second number of lanes, and in one format two with pipeline registers. Of
    both there is a netlist for each format, with the first kit.

    Formats whose special values are of another size have the second number of lanes, from reset one; in every architecture one
    lane, in the default one every pipeline register, and processing elements; and a netlist with the first kit.

    Units of block formats have integers or the format itself as activations, every architecture, and every number of lanes
    (those of groups and codebooks every number in the default architecture, the second one in the others); with a pipeline
    register the last of these numbers; and netlists of the first kit where there is no product of significands in them, of the
    last number of lanes and of every architecture, too. Groups and codebooks of other sizes have the first and the last number
    of lanes. With codebooks that are written they have the first and the second, and with the most codebooks one lane and INT8.
    Last comes what scales mean and what a block adds: once for each decoder of scales and each scaler that a unit before has.

    Raises
    ------
    Refuted
        At the first property that does not hold.
    ToolError
        If a tool is missing or finds no answer.
    """
    parallel = Parallel(n_jobs=jobs, return_as="generator")
    left: dict[tuple[str, str], _Task] = {}
    for results in parallel(map(delayed(_show_all), _parts(_tasks(kits, lanes)))):
        for task, proof, digests in results:
            yield proof
            for shown, digest in digests.items():
                left.setdefault((shown, digest), _Task(shown, task.config))
    yield from (proof for results in parallel(map(delayed(_show_all), _parts(left.values()))) for _, proof, _ in results)


def _tasks(kits: Sequence[Pdk], lanes: Sequence[int]) -> Iterator[_Task]:
    for number_format in FORMATS.values():
        unit = partial(MacConfig, number_format)
        yield _Task("no overflow", unit())
        yield from (_netlist(unit(lanes=count), kit) for kit in kits for count in lanes)
        for kit in kits[:1]:
            yield from (_Task("netlist", unit(), kit, recipe) for recipe in _recipes(unit(), kit))
            registered = unit(lanes=lanes[1], pipeline=1)
            yield _netlist(registered, kit)
            if ARCHITECTURES[registered.architecture].decodes(number_format):
                yield _netlist(registered.varied(decoded=True), kit)
        yield _Task("every cycle", unit(lanes=64))
        for name, architecture in ARCHITECTURES.items():
            if not architecture.can_do(number_format):
                continue
            for count in lanes:
                if count < lanes[-1] or name == number_format.architecture:
                    yield _Task("products", unit(lanes=count, architecture=name))
                yield _Task("every cycle", unit(lanes=count, architecture=name))
            # A behavioural sum that is extended by its sign is no small polynomial.
            for pipeline in (1, 2) if name != _BEHAVIOURAL else (1,):
                yield _Task("every cycle", unit(lanes=lanes[1], architecture=name, pipeline=pipeline))
            if architecture.decodes(number_format):
                for pipeline in (1, 2):
                    yield _Task("every cycle", unit(lanes=lanes[1], architecture=name, pipeline=pipeline, decoded=True))
            if number_format.bits <= 4:  # the solver finds no answer for INT8
                yield from (_Task("from reset", unit(pipeline=pipeline, architecture=name)) for pipeline in (0, 1, 2))
            if name != number_format.architecture:
                yield from (_netlist(unit(architecture=name), kit) for kit in kits[:1])
        yield from _other_shapes(number_format, kits[:1], lanes[1])
    for variant in VARIANTS.values():
        unit = partial(MacConfig, variant)
        yield _Task("no overflow", unit())
        yield from (_Task(shown, unit(lanes=lanes[1])) for shown in ("products", "every cycle"))
        able = [name for name, architecture in ARCHITECTURES.items() if architecture.can_do(variant)]
        others = [unit(architecture=name) for name in able]
        others += [unit(lanes=lanes[1], pipeline=pipeline, decoded=decoded) for pipeline in (1, 2) for decoded in (False, True)]
        yield from (_Task("every cycle", one) for one in (*others, PeConfig(variant), PeConfig(variant, decoded=True)))
        yield _Task("from reset", unit())
        yield from (_netlist(unit(), kit) for kit in kits[:1])
    for block_format in SCALED_FORMATS.values():
        units = [BlockMacConfig.of(block_format, bits, pipeline=count) for bits in (8, block_format.bits) for count in (0, 1)]
        yield from (_Task("no overflow", unit) for unit in units)
    in_full = (*BLOCK_FORMATS.values(), *_GROUPS, *_CODEBOOKS)
    for block_format in in_full:
        yield from _block_units(block_format, kits[:1], lanes)
    for block_format in SCALED_FORMATS.values():
        if block_format not in in_full:
            yield from _block_units(block_format, (), (lanes[0], lanes[-1]), everywhere=False)
    yield from _written(kits[:1], lanes)


def _other_shapes(number_format: NumberFormat, kits: Sequence[Pdk], lanes: int) -> Iterator[_Task]:
    """Processing elements and units for asymmetric weights."""
    element, in_full = PeConfig(number_format), number_format is _IN_FULL
    elements = [element, element.varied(decoded=True), element.varied(pipeline=1), element.varied(pipeline=1, decoded=True)]
    if in_full:
        able = (name for name, architecture in ARCHITECTURES.items() if architecture.can_do(number_format))
        elements += [element.varied(architecture=name) for name in able if name != element.architecture]
    yield from (_Task("every cycle", one) for one in elements)
    yield from (_netlist(one, kit) for one in elements[:2] for kit in kits)
    yield _Task("no overflow", element)
    if not number_format.has_zero_points:
        return
    pair = AsymmetricConfig(number_format, units=2)
    yield _Task("every cycle", AsymmetricConfig(number_format, units=3, lanes=lanes))
    yield from (_Task("every cycle", pair.varied(pipeline=pipeline)) for pipeline in (1, 2) if in_full)
    yield from (_netlist(pair, kit) for kit in kits)
    yield _Task("no overflow", pair)


def _block_units(
    block_format: BlockFormat, kits: Sequence[Pdk], lanes: Sequence[int], everywhere: bool = True
) -> Iterator[_Task]:
    """Units of a block format, in every architecture, or `everywhere` false: in the default one."""
    for bits in (8, block_format.bits):
        can_be_mapped = bits == 8 or not block_format.scales.mantissa_bits  # and the solver finds an answer
        unit = partial(BlockMacConfig.of, block_format, bits)
        for name, architecture in ARCHITECTURES.items():
            if architecture.can_do(unit().multiplied):
                usual, in_full = name == unit().architecture, block_format.name in BLOCK_FORMATS
                counts = lanes if usual or in_full else lanes[1:2] if everywhere else ()
                units = [unit(lanes=count, architecture=name) for count in counts]
                yield from chain(*map(_cycles, [*units, *(one.varied(pipeline=1) for one in units[-1:])]))
                if can_be_mapped and in_full and not usual:
                    yield from (_netlist(unit(architecture=name), kit) for kit in kits)
        if can_be_mapped:
            mapped = [unit(), unit(pipeline=1), *(unit(lanes=count) for count in lanes[-1:] if bits == 8)]
            yield from (_netlist(one, kit) for kit in kits for one in mapped)


def _written(kits: Sequence[Pdk], lanes: Sequence[int]) -> Iterator[_Task]:
    """Units whose codebooks are written."""
    fewest, most = (partial(BlockMacConfig.of, one, writable_codebooks=True) for one in _CODEBOOKS)
    for bits in (8, fewest().blocks.bits):
        units = [fewest(bits, lanes=count) for count in lanes[:2]]
        yield from chain(*map(_cycles, [*units, units[-1].varied(pipeline=1)]))
        yield _Task("no overflow", fewest(bits))
    yield from _cycles(most())
    yield from (_netlist(fewest(), kit) for kit in kits)


def _cycles(unit: BlockMacConfig) -> Iterator[_Task]:
    """What registers take, and what that leaves open and is not tried once for many units."""
    yield _Task("every cycle", unit)
    if unit.selectors:
        yield _Task("codewords", unit)


def _netlist(config: UnitConfig, kit: Pdk) -> _Task:
    return _Task("netlist", config, kit, area_recipes(config, kit)[0])


def _recipes(config: MacConfig, kit: Pdk) -> Iterable[Recipe]:
    """What a synthesis tries beside its first recipe: for area, for speed, between the two, and sized for a period."""
    fast = [*fast_recipes(config, ADDERS[:1]), *fast_recipes(config, ADDERS[1:], FAST_SCRIPTS[:1])]
    sized = replace(fast[0], delay_ps=5000)
    return dict.fromkeys([*area_recipes(config, kit)[1:], *fast, *mixed_recipes(config, kit, fast[0]), sized])


def _parts(tasks: Iterable[_Task]) -> list[list[_Task]]:
    """Tasks for one process each, which makes the Verilog of a few units at once."""
    of_unit: dict[UnitConfig, list[_Task]] = {}
    for task in tasks:
        of_unit.setdefault(task.config, []).append(task)
    units = list(of_unit.values())
    return [list(chain(*units[i : i + TOGETHER])) for i in range(0, len(units), TOGETHER)]


def _show_all(tasks: Sequence[_Task]) -> list[tuple[_Task, Proof, dict[str, str]]]:
    configs = list(dict.fromkeys(task.config for task in tasks if task.property != "no overflow"))
    verilog = dict(zip(configs, generate_each(configs), strict=True))
    return [(task, *_show(task, verilog.get(task.config, ""))) for task in tasks]


def _show(task: _Task, verilog: str) -> tuple[Proof, dict[str, str]]:
    """The proof, and what it leaves open of a unit of a block format (`synth.block_proof.left_open`)."""
    config, design = task.config, task.config.name
    started, left = time.monotonic(), dict[str, str]()
    if task.kit is not None and task.recipe is not None:
        design += f", {task.kit.name}, {task.recipe.in_words()}"
        with tempfile.TemporaryDirectory(prefix="dint-proof-") as folder:
            liberty = liberty_text.unpacked(task.kit.liberty, Path(folder))
            mapped = yosys.map_verilog(verilog, config.name, task.kit, liberty, task.recipe)
            compared = netlist(config, verilog, mapped.verilog, liberty)
    elif task.property == "no overflow":
        compared = no_overflow(config)
    elif task.property == "every cycle":
        compared = every_cycle(config, verilog)
        if isinstance(config, BlockMacConfig):
            left = left_open(config, verilog)
    elif isinstance(config, BlockMacConfig):
        compared = {"codewords": codewords, "scales": scales, "scaled sums": scaled_sums}[task.property](config, verilog)
    else:
        assert isinstance(config, MacConfig)
        compared = {"products": products, "from reset": from_reset}[task.property](config, verilog)
    by, unit = _HOW[task.property]
    return Proof(design, task.property, by, compared, unit, round(time.monotonic() - started, 3)), left


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove all, print a table, and write `proofs.json`. The exit code is 0 if all was proved."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs", description="Prove units right, and their netlists.")
    parser.add_argument("--platforms", type=Path, help="folder in the layout of OpenROAD-flow-scripts' flow/platforms")
    parser.add_argument("--out", type=Path, default=DIRECTORY, help="directory of proofs.json")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    options = parser.parse_args(arguments)
    console = Console()
    started, proofs = time.monotonic(), []
    try:
        with output_directory(options.out) as scratch, console.status("proving") as status:
            if not (kits := discover(options.platforms)):
                raise InputError("no PDK is found, so that no netlist can be proved: `dint pdks` says how to get one")
            for proof in prove(kits, jobs=options.jobs):
                proofs.append(proof)
                status.update(f"{len(proofs)} proved, last {proof.property} of {proof.design}")
            write_record(scratch / "proofs.json", _SOURCES, [asdict(proof) for proof in proofs], pdks=kits)
    except DintError as error:
        console.print(f"after {len(proofs)} proofs: {error}", markup=False)
        return 1
    table = Table("property", "by", "proofs", "compared", "slowest", title=f"proved in {time.monotonic() - started:.0f} s")
    for name, (by, unit) in _HOW.items():
        if not (these := [proof for proof in proofs if proof.property == name]):
            continue
        slowest = max(these, key=lambda proof: proof.seconds)
        compared = f"{sum(proof.compared for proof in these)} {unit}"
        table.add_row(name, by, str(len(these)), compared, f"{slowest.seconds:.1f} s, {slowest.design}")
    print_table(console, table)
    return 0


if __name__ == "__main__":
    # Under its own name, so that other processes find what they are to run.
    raise SystemExit(importlib.import_module("benchmarks.proofs").main())
