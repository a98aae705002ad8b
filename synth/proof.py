# SPDX-License-Identifier: Apache-2.0
"""What is proved of MAC units without running a single operand; `benchmarks.proofs` proves it of all of them.

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

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden import MacConfig
from golden.errors import DintError

from . import abc, algebra, yosys
from .gates import Network
from .specification import as_polynomial, as_verilog

__all__ = ["Refuted", "every_cycle", "from_reset", "netlist", "no_overflow", "products"]

_PARTS = ("_partial_products", "_decoder", "dint_full_adder")  # modules that are known by their truth tables


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
