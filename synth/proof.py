# SPDX-License-Identifier: Apache-2.0
"""What is proved of units without running a single operand; `benchmarks.proofs` proves it of all formats.

* *products*: of MAC units, for each lane, each code and each activation, with random operands in the other lanes and
  sums before, a sum that starts with them is the sum of the values in the format's table times the activations. By exhaustion,
  on gates.
* *every cycle*: whatever the registers hold, what they take at a clock edge is what the ports' description says. Of a MAC
  unit, the accumulator takes 0 in reset, itself without `valid`, the products with `first`, else their sum with what was
  there. By algebra (`synth.algebra`), for any number of lanes. As nothing is assumed of the registers, this is an induction
  over all time whose start is the reset: a cycle of it makes the accumulator 0 from any state, known or not; for a processing
  element the start is a weight that is loaded and swapped in. What each shape claims is in `synth.specification`.
* *from reset*: of MAC units, the same after one edge of reset from any state, by a solver that knows nothing of our algebra: a
  bounded check from that edge and temporal induction, for one lane and codes of up to four bits, which is what SAT can do.
* *no overflow*: sums of up to `depth` products stay within the accumulator, and would not within one bit less.
* *netlist*: the gates that a design is mapped to take, in every cycle, what its Verilog takes. By ABC (`synth.abc`).

The specification (`synth.specification`) shares nothing with the generator but the format's list of values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden import AsymmetricConfig, BlockMacConfig, MacConfig, UnitConfig
from golden.errors import DintError, ToolError

from . import abc, yosys
from .algebra import bits_of, next_word, product, total, word
from .gates import Network, column, matched
from .specification import Transition, as_verilog, every_scale, in_reset_first, multiplied, transitions

__all__ = ["Refuted", "every_cycle", "from_reset", "gates_of", "modules_of", "netlist", "no_overflow", "products"]

_PARTS = ("_partial_products", "_decoder", "dint_full_adder")  # modules that are known by their truth tables
_TRIED = ("_scaler", "_scale_decoder", "_codeword")  # modules that are tried as a whole (`synth.block_proof`)


class Refuted(DintError):
    """A property does not hold; the message has a counterexample where there is one."""


def products(config: MacConfig, verilog: str, seed: int = 0) -> int:
    """Exhaust all products in every lane of a unit without pipeline registers; gives their number.

    The other lanes, and the sum before, which `first` must drop, are random.

    Raises
    ------
    Refuted
        With the operands whose product is wrong.
    """
    network = gates_of(config, verilog)
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
            values[net] = column(numbers[:, place // width] >> place % width)
    for place, net in enumerate(network.outputs["accumulator"]):
        values[net] = column(before >> place)
    nets = network.evaluate(values, cases)
    total = np.zeros(cases, np.int64)
    for place, net in enumerate(network.outputs["accumulator"]):
        taken = nets[network.flip_flops[net]].to_bytes(-(-cases // 8), "little")
        bits = np.unpackbits(np.frombuffer(taken, np.uint8), count=cases, bitorder="little").astype(np.int64)
        total += bits << place if place < config.accumulator_bits - 1 else -(bits << place)
    return total


def every_cycle(config: UnitConfig, verilog: str) -> int:
    """Show that every register takes what is specified at any edge; gives the number of terms of these polynomials.

    Raises
    ------
    Refuted
        With a state and inputs that are treated wrongly: those named are 1, all others 0.
    ToolError
        If bits of an addition stay in the form, so that it is neither a proof nor a refutation.
    """
    claims, name = list(transitions(config)), config.name
    if silent := {port.name for port in config.outputs} - {claim.register for claim in claims}:
        raise ToolError(f"{name}: nothing is claimed of {', '.join(sorted(silent))}")
    modules = dict(modules_of(config, verilog))
    if isinstance(config, BlockMacConfig):
        modules = _without_what_is_tried(modules, name)
    # What a register takes is compared modulo 2^(its bits): a narrower one would be right, too.
    for port in config.ports:
        if (bits := len((modules[name].outputs if port.output else modules[name].inputs).get(port.name, ()))) != port.width:
            raise Refuted(f"{name}: {port.name} has {bits} bits, not {port.width}")
    modules[name] = modules[name].showing([claim.register for claim in claims])
    if isinstance(config, BlockMacConfig):  # the others' are seen through, or there are none but these
        claimed = {net for claim in claims for net in modules[name].outputs[claim.register]}
        if silent_bits := modules[name].flip_flops.keys() - claimed:
            raise ToolError(f"{name}: nothing is claimed of {len(silent_bits)} bits of registers")
    return sum(_takes(modules, name, claim) for claim in claims)


@lru_cache(maxsize=1)
def gates_of(config: UnitConfig, verilog: str) -> Network:
    """The unit as gates alone; several properties of a unit are often shown one after the other."""
    return yosys.gates(verilog, config.name)[config.name]


@lru_cache(maxsize=1)
def modules_of(config: UnitConfig, verilog: str) -> Mapping[str, Network]:
    """The unit as gates and adders, beside it the modules that a proof takes as a whole."""
    parts = _PARTS[1:] if config.decoded else _PARTS  # select lines are too many for a truth table
    return yosys.gates(verilog, config.name, keep=(*parts, *_TRIED))


def _without_what_is_tried(modules: Mapping[str, Network], name: str) -> dict[str, Network]:
    """What the modules of `_TRIED` show, called after instance and port, become inputs."""
    top, tried = modules[name], {kind: module for kind, module in modules.items() if kind.endswith(_TRIED)}
    shown = {
        f"{one.name}_{port}": one.pins[port] for one in top.instances if one.kind in tried for port in tried[one.kind].outputs
    }
    for wire, nets in shown.items():  # what is tried goes by the wire's name, and must be what is taken here
        if top.wires.get(wire) != nets:
            raise Refuted(f"{name}: {wire} is not what the instance of that name shows")
    rest = tuple(one for one in top.instances if one.kind not in tried)
    others = {kind: module for kind, module in modules.items() if kind not in tried}
    return others | {name: replace(top, instances=rest, inputs={**top.inputs, **shown})}


def _takes(modules: Mapping[str, Network], name: str, claim: Transition) -> int:
    bits = len(modules[name].outputs[claim.register])
    wanted = word(bits_of(claim.register, bits)) if claim.becomes is None else claim.becomes
    found = next_word(modules, name, claim.register, claim.delay, claim.through)
    difference = product(claim.where, total(found, {monomial: -c for monomial, c in wanted.items()}))
    if differing := [monomial for monomial, coefficient in difference.items() if coefficient % (1 << bits)]:
        if any(variable.startswith("addition") for monomial in differing for variable in monomial):
            raise ToolError(f"{name}: neither proof nor counterexample for {claim.register}: bits of an addition do not cancel")
        # The form of zero is unique, and where the smallest of the terms alone is 1, its coefficient is the difference.
        least = min(differing, key=lambda monomial: (len(monomial), sorted(monomial)))
        ones = ", ".join(sorted(least)) or "nothing"
        raise Refuted(f"{name}: a wrong {claim.register} with {ones} at 1 and all else at 0")
    return len(wanted)


def from_reset(config: MacConfig, verilog: str, timeout_s: float = 300.0) -> int:
    """Show by temporal induction that after an edge of reset the unit shows what the specification does, for all time; gives 1.

    Whatever the registers of the two held before it, and whatever comes in with it and after it.

    Raises
    ------
    Refuted
        If they do not.
    ToolError
        If the solver finds no answer.
    """
    if not yosys.equivalent(as_verilog(config), verilog, config.name, (), timeout_s, around=in_reset_first(config)):
        raise Refuted(f"{config.name}: another sum than specified, some cycles after reset")
    return 1


def no_overflow(config: UnitConfig, more: int = 0) -> int:
    """Show that sums of 1 to `depth` terms are two's complement numbers of their registers' bits and `more`.

    By induction: a sum of n terms lies from n x the least to n x the greatest, both found by trying all; and what a sum of
    `depth` reaches does not fit one bit less. Of units for asymmetric weights these are the corrected sums, for every
    zero-point, and the sum of activations; and the sums before the correction, which need not be as short as can be. Gives the
    number of terms tried.

    Raises
    ------
    Refuted
        If a sum does not fit, or the bits are more than needed.
    """
    tried = 0
    for what, terms, count, bits, tight in _sums(config):
        width, half = bits + more, 1 << (bits + more - 1)
        least, greatest = min(0, min(terms)) * count, max(0, max(terms)) * count
        reached = f"{config.name}: {count} {what} reach from {least} to {greatest}"
        if not -half <= least <= greatest < half:
            raise Refuted(f"{reached}, beyond {width} bits")
        if tight and -half // 2 <= least and greatest < half // 2:
            raise Refuted(f"{reached}, {width} bits are too many")
        tried += len(terms)
    return tried


def _sums(config: UnitConfig) -> Iterator[tuple[str, Sequence[int], int, int, bool]]:
    """The sums of a unit: of what, these terms, how many, the bits, and whether one less would not do."""
    if isinstance(config, BlockMacConfig):
        own = sorted({value for one in config.blocks.elements for value in one.values})
        if config.writable_codebooks:
            own = [-config.largest_value, config.largest_value]
        products = [w * a for w in own for a in (own if config.scaled_activations else range(-128, 128))]
        yield "products", products, config.blocks.block, config.block_sum.accumulator_bits, True
        factors: set[int] = set()
        for codes, base in every_scale(config):
            significands, shifts, reached = config.scaling(codes, np.full(len(codes), base))
            factors.update(np.unique(significands[reached] << shifts[reached]).tolist())
        scaled = [one * factor for one in (min(products), max(products)) for factor in factors]
        yield "scaled products", scaled, config.depth, config.accumulator_bits, True
        if config.addend_bits < config.accumulator_bits:  # else all of it is kept
            half = 1 << config.block_sum.accumulator_bits - 1
            blocks = [one * factor for one in (-half, half - 1) for factor in factors]
            yield "scaled sum of a block", blocks, 1, config.addend_bits, False
        return
    depth = config.depth
    if not isinstance(config, AsymmetricConfig):
        yield "products", _times_activations(config.weight_format.values), depth, config.accumulator_bits, True
        return
    less = [config.weight_format.with_zero_point(point).values for point in range(config.weight_format.steps + 1)]
    yield "products less zero-points", _times_activations(set(chain(*less))), depth, config.accumulator_bits, True
    yield "activations", _times_activations([1]), depth, config.activation_sum_bits, True
    products = _times_activations(set(chain(*multiplied(config))))
    yield "products", products, depth, config.unit.accumulator_bits, False


def _times_activations(factors: Iterable[int]) -> list[int]:
    return [factor * a for factor in factors for a in range(-128, 128)]


def netlist(config: UnitConfig, verilog: str, mapped: str, liberty: Sequence[Path], time_limit_s: float = 300.0) -> int:
    """Show that a mapped netlist takes what its Verilog takes, in every cycle; gives the number of its gates.

    Registers that no output shows are paired by the names that mapping keeps (`synth.gates.matched`). The time limit is that of
    the solver.

    Raises
    ------
    Refuted
        If there is a state and inputs for which it does not.
    InputError
        If a register cannot be paired.
    ToolError
        If the solver finds no answer.
    """
    wanted = gates_of(config, verilog)
    found = yosys.gates(mapped, config.name, liberty)[config.name]
    if not abc.equal(*matched(wanted, found), time_limit_s):
        raise Refuted(f"{config.name}: the netlist takes something else than its Verilog")
    return len(found.gates)
