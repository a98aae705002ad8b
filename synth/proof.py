"""`python -m synth.proof`: what is proved of MAC units, for every format and architecture, without running a single operand.

* *products*: for each lane, each code and each activation, with any operands in the other lanes and any sum before, a sum
  that starts with them is the sum of the values in the format's table times the activations. By exhaustion, on gates.
* *every cycle*: whatever the registers hold, the accumulator after a clock edge is what the ports' description says, that is 0
  in reset, the same without `valid`, the products with `first`, else their sum with what was there. By algebra
  (`synth.algebra`), for any number of lanes. As nothing is assumed of the registers, this is an induction over all time whose
  start is the reset: a cycle of it makes the accumulator 0 from any state, known or not.
* *from reset*: the same from reset, by a solver that knows nothing of our algebra: a bounded check from reset and temporal
  induction, for one lane and codes of up to four bits, which is what SAT can do.
* *no overflow*: sums of up to `depth` products stay within the accumulator, and would not within one bit less.
* *netlist*: the gates that a design is mapped to take, in every cycle, what its Verilog takes. By ABC (`synth.abc`).

The specification (`synth.specification`) shares nothing with the generator but the format's list of values.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from golden import FORMATS, MacConfig
from golden.artifacts import canonical_json, output_directory, write_file
from golden.errors import DintError
from hdl.architectures import ARCHITECTURES
from hdl.verilog import generate

from . import abc, algebra, liberty_text, yosys
from .gates import Network
from .pdk import Pdk, discover
from .recipe import Recipe
from .specification import as_polynomial, as_verilog

__all__ = ["Proof", "Refuted", "every_cycle", "from_reset", "netlist", "no_overflow", "products", "prove"]

_PARTS = ("_partial_products", "_decoder", "dint_full_adder")  # modules that are known by their truth tables
_BEHAVIOURAL = "multiply"  # the Verilog with a table and `*`


class Refuted(DintError):
    """A property does not hold; the message has a counterexample where there is one."""


@dataclass(frozen=True)
class Proof:
    """A property that was shown, of what, how, how much was compared, and in what time."""

    design: str
    property: str
    by: str
    compared: int
    unit: str
    seconds: float


def products(config: MacConfig, verilog: str, seed: int = 0) -> int:
    """Exhaust all products in every lane of a unit without pipeline registers; gives their number.

    The other lanes, and the sum before, which `first` must drop, are random.

    Raises
    ------
    Refuted
        With the operands whose product is wrong.
    """
    network = yosys.gates(verilog, config.name)[config.name]
    number_format, lanes = config.weight_format, config.lanes
    random = np.random.default_rng(seed)
    pairs = np.arange(1 << (number_format.bits + config.activation_bits))
    for lane in range(lanes):
        weights = random.integers(0, 1 << number_format.bits, (len(pairs), lanes))
        activations = random.integers(-128, 128, (len(pairs), lanes))
        weights[:, lane], activations[:, lane] = pairs >> config.activation_bits, (pairs & 255) - 128
        before = random.integers(0, 1 << config.accumulator_bits, len(pairs))
        wanted = np.sum(np.array(number_format.values)[weights] * activations, axis=1)
        found = _next_sum(network, config, weights, activations, before)
        if (wrong := np.flatnonzero(found != wanted)).size:
            case = wrong[0]
            raise Refuted(
                f"{config.name}: lane {lane}: weight codes {weights[case].tolist()}, activations "
                f"{activations[case].tolist()}: {found[case]}, not {wanted[case]}"
            )
    return len(pairs) * lanes


def _next_sum(
    network: Network, config: MacConfig, weights: NDArray[np.int64], activations: NDArray[np.int64], before: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The accumulator after an edge with `valid` and `first`, one entry per row of the operands."""
    cases = len(weights)
    values = {net: 0 for bits in network.inputs.values() for net in bits}
    values |= {network.inputs[name][0]: (1 << cases) - 1 for name in ("valid", "first")}
    fields = [("weights", weights, config.weight_format.bits), ("activations", activations, config.activation_bits)]
    for port, numbers, width in fields:
        for place, net in enumerate(network.inputs[port]):
            values[net] = _column(numbers[:, place // width] >> place % width)
    for place, net in enumerate(network.outputs["accumulator"]):
        values[net] = _column(before >> place)
    nets = network.evaluate(values, cases)
    total = np.zeros(cases, np.int64)
    for place, net in enumerate(network.outputs["accumulator"]):
        taken = nets[network.flip_flops[net]].to_bytes(-(-cases // 8), "little")
        bits = np.unpackbits(np.frombuffer(taken, np.uint8), count=cases, bitorder="little").astype(np.int64)
        total += bits << place if place < config.accumulator_bits - 1 else -(bits << place)
    return total


def _column(numbers: NDArray[np.int64]) -> int:
    """The lowest bits of the numbers as a word."""
    return int.from_bytes(np.packbits((numbers & 1).astype(np.uint8), bitorder="little").tobytes(), "little")


def every_cycle(config: MacConfig, verilog: str) -> int:
    """Show that the accumulator after any edge is the specified polynomial; gives the number of its terms.

    Raises
    ------
    Refuted
        With a state and inputs that are treated wrongly: those named are 1, all others 0.
    """
    parts = _PARTS[1:] if config.decoded else _PARTS  # select lines are too many for a truth table
    modules = yosys.gates(verilog, config.name, keep=parts)
    found, wanted = algebra.next_word(modules, config.name, "accumulator", config.pipeline), as_polynomial(config)
    if found != wanted:
        # Forms of different functions differ, and where the smallest of the differing terms alone is 1, so do the functions.
        differing = [monomial for monomial in found.keys() | wanted.keys() if found.get(monomial) != wanted.get(monomial)]
        least = min(differing, key=lambda monomial: (len(monomial), sorted(monomial)))
        raise Refuted(f"{config.name}: a wrong sum with {', '.join(sorted(least)) or 'nothing'} at 1 and all else at 0")
    return len(wanted)


def from_reset(config: MacConfig, verilog: str, timeout_s: float = 300.0) -> int:
    """Show by temporal induction that the unit and the specification show the same from reset for all time; gives 1.

    Raises
    ------
    Refuted
        If they do not.
    ToolError
        If the solver finds no answer.
    """
    if not yosys.equivalent(as_verilog(config), verilog, config.name, (), timeout_s):
        raise Refuted(f"{config.name}: another sum than specified, some cycles after reset")
    return 1


def no_overflow(config: MacConfig, bits: int | None = None) -> int:
    """Show that any sum of 1 to `depth` products is a two's complement number of `bits` (by default the accumulator's).

    By induction: a sum of n products lies from n x least to n x greatest product, both found by trying all; and what a sum of
    `depth` reaches does not fit one bit less. Gives the number of products tried.

    Raises
    ------
    Refuted
        If a sum does not fit, or the bits are more than needed.
    """
    width = config.accumulator_bits if bits is None else bits
    tried = [value * activation for value in config.weight_format.values for activation in range(-128, 128)]
    least, greatest = min(0, min(tried)) * config.depth, max(0, max(tried)) * config.depth
    half = 1 << (width - 1)
    if not -half <= least <= greatest < half:
        raise Refuted(f"{config.name}: {config.depth} products reach from {least} to {greatest}, beyond {width} bits")
    if -half // 2 <= least and greatest < half // 2:
        raise Refuted(f"{config.name}: {config.depth} products reach from {least} to {greatest}, {width} bits are too many")
    return len(tried)


def netlist(config: MacConfig, verilog: str, mapped: str, liberty: Sequence[Path]) -> int:
    """Show that a mapped netlist takes what its Verilog takes, in every cycle; gives the number of its gates.

    Raises
    ------
    Refuted
        If there is a state and inputs for which it does not.
    """
    wanted = yosys.gates(verilog, config.name)[config.name]
    found = yosys.gates(mapped, config.name, liberty)[config.name]
    if not abc.equal(wanted, found):
        raise Refuted(f"{config.name}: the netlist takes another sum than its Verilog")
    return len(found.gates)


# All that is proved


@dataclass(frozen=True)
class _Task:
    """A property to be shown of a unit, or of what it is mapped to."""

    property: str
    config: MacConfig
    kit: Pdk | None = None


_HOW = {
    "products": ("exhaustion", "products"),
    "every cycle": ("algebra", "terms"),
    "from reset": ("SAT, induction", "unit"),
    "no overflow": ("arithmetic", "products"),
    "netlist": ("SAT, merging", "gates"),
}


def prove(kits: Sequence[Pdk], lanes: Sequence[int] = (1, 4, 16), jobs: int = 2) -> Iterator[Proof]:
    """Show all properties for every format and architecture; the proofs come as they are done, in a fixed order.

    Units have every number of `lanes` (but all products are tried for the last of them in the default architecture only); with
    pipeline registers the second number, and with the default architecture 64 lanes too. Netlists are made with each kit for
    the default architecture and the first two numbers of lanes, and with the first kit for all architectures and one lane.

    Raises
    ------
    Refuted
        At the first property that does not hold.
    ToolError
        If a tool is missing or finds no answer.
    """
    yield from Parallel(n_jobs=jobs, return_as="generator")(delayed(_show)(task) for task in _tasks(kits, lanes))


def _tasks(kits: Sequence[Pdk], lanes: Sequence[int]) -> Iterator[_Task]:
    for number_format in FORMATS.values():
        unit = partial(MacConfig, number_format)
        yield _Task("no overflow", unit())
        if number_format.bits <= 4:
            yield from (_Task("from reset", unit(pipeline=pipeline)) for pipeline in (0, 1, 2))
            yield _Task("from reset", unit(pipeline=2, architecture=_BEHAVIOURAL))
        yield from (_Task("netlist", unit(lanes=count), kit) for kit in kits for count in lanes[:2])
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
                yield _Task("every cycle", unit(lanes=lanes[1], architecture=name, pipeline=1, decoded=True))
            if name != number_format.architecture:
                yield from (_Task("netlist", unit(architecture=name), kit) for kit in kits[:1])


def _show(task: _Task) -> Proof:
    config, design = task.config, task.config.name
    verilog = "" if task.property == "no overflow" else _verilog(config)
    started = time.monotonic()
    if task.kit is not None:
        design += f", {task.kit.name}"
        recipe = Recipe("cells" if task.kit.full_adder else "logic")
        with tempfile.TemporaryDirectory(prefix="dint-proof-") as folder:
            liberty = liberty_text.unpacked(task.kit.liberty, Path(folder))
            mapped = yosys.map_verilog(verilog, config.name, task.kit, liberty, recipe)
            compared = netlist(config, verilog, mapped.verilog, liberty)
    elif task.property == "no overflow":
        compared = no_overflow(config)
    else:
        show = {"products": products, "every cycle": every_cycle, "from reset": from_reset}[task.property]
        compared = show(config, verilog)
    by, unit = _HOW[task.property]
    return Proof(design, task.property, by, compared, unit, round(time.monotonic() - started, 3))


_verilog = lru_cache(maxsize=8)(generate)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove all, print a table, and write `proofs.json`. The exit code is 0 if all was proved."""
    parser = argparse.ArgumentParser(prog="python -m synth.proof", description="Prove MAC units right, and their netlists.")
    parser.add_argument("--platforms", type=Path, help="folder in the layout of OpenROAD-flow-scripts' flow/platforms")
    parser.add_argument("--out", type=Path, default=Path("build/verify"), help="directory of proofs.json")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    options = parser.parse_args(arguments)
    console = Console()
    started, proofs = time.monotonic(), []
    try:
        with output_directory(options.out) as scratch, console.status("proving") as status:
            for proof in prove(discover(options.platforms), jobs=options.jobs):
                proofs.append(proof)
                status.update(f"{len(proofs)} proved, last {proof.property} of {proof.design}")
            write_file(scratch / "proofs.json", canonical_json([asdict(proof) for proof in proofs]))
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
    console.print(table)
    return 0


if __name__ == "__main__":
    # Under its own name, so that other processes find what they are to run.
    raise SystemExit(importlib.import_module("synth.proof").main())
