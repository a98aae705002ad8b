# SPDX-License-Identifier: Apache-2.0
"""`make mutation`: does the bench notice when a unit is broken? One fault at a time, and the operands of `dint simulate`.

    python -m benchmarks.mutation [--out DIR] [--jobs N]

Faults are complete for the units listed: every input pin and every output of every gate, every register and every input port
held at 0, held at 1, and inverted, and every gate of two inputs replaced by other kinds. Some ten thousand broken units are
simulated at once, one in each bit of a word (parallel fault simulation: Seshu, "On an improved diagnosis program", IEEE Trans.
Electronic Computers 14, 1965), with the stimuli of `dint simulate` and its comparison: all outputs in reset, and after every
clock edge. That this is the bench's verdict is checked: faults that survive, and a sample of the others, go through the real
one, in Icarus; those that survive very many cycles in Verilator. Survivors that ABC proves equal to the unit are no faults,
nor are those that it proves equal in all that the unit is made for, such as sums of up to `depth` products
(`synth.reachable`). What remains is a gap in the bench.
"""

from __future__ import annotations

import argparse
import importlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from rich.console import Console

from golden import (
    CODEBOOK_FORMATS,
    DINT4,
    FORMATS,
    GROUP_FORMATS,
    INT4,
    INT8,
    MXFP4,
    NVFP4,
    AsymmetricConfig,
    BlockMacConfig,
    MacConfig,
    PeConfig,
)
from golden.artifacts import output_directory
from golden.errors import ToolError
from hdl.verilog import generate
from pipeline.checks import DIRECTORY, write_record
from sim.command import simulate_verilog, stimuli_for
from sim.replay import Replay
from sim.runner import SimulationMismatch
from sim.simulators import find_simulator
from synth import abc, yosys
from synth.block_reachable import BlockLimits
from synth.gates import VERILOG, Gate, Network
from synth.reachable import Limits

from .checked_units import every_architecture

__all__ = ["Fault", "broken", "faults", "measure", "settled", "survivors"]

SEED = 0  # of `dint simulate`
_SOON = 4000  # edges that show most faults: those left are asked about before the rest is simulated
_SAMPLE = 10  # killed faults of each unit that go through the real bench
_LONG = 400_000  # cycles that take Icarus a minute, if nothing is noticed, and Verilator less with its compilation
_SEGMENT = 100  # cycles after which faults that were noticed are left out
_OTHER_KINDS = ("and", "or", "xor")

Unit = MacConfig | PeConfig | AsymmetricConfig | BlockMacConfig


@dataclass(frozen=True)
class Fault:
    """What is wrong with net `net`, or, if a pin is given, with that input of the gate that drives it.

    `effect`: "0" or "1" (held), "not" (inverted), or another kind of gate.
    """

    net: int
    pin: int | None
    effect: str


def faults(network: Network) -> list[Fault]:
    """All single faults of a network."""
    held = ("0", "1", "not")
    result = [Fault(net, None, effect) for bits in network.inputs.values() for net in bits for effect in held]
    result += [Fault(register, None, effect) for register in network.flip_flops for effect in held]
    for gate in network.gates:
        result += [Fault(gate.output, None, effect) for effect in held]
        if len(gate.inputs) > 1:  # with one input, the output's are the same
            result += [Fault(gate.output, pin, effect) for pin in range(len(gate.inputs)) for effect in held]
        if len(gate.inputs) == 2:
            result += [Fault(gate.output, None, kind) for kind in _OTHER_KINDS if kind != gate.kind]
    clock = network.inputs["clk"]
    return [fault for fault in result if fault.net not in clock]


def broken(network: Network, fault: Fault) -> Network:
    """The network with the fault in it."""
    nets = [net for gate in network.gates for net in (gate.output, *gate.inputs)]
    spare = 1 + max([*nets, *network.flip_flops, *(net for bits in network.inputs.values() for net in bits)])
    inverter = {"0": Gate("and", (0, 0), 0), "1": Gate("or", (1, 1), 0), "not": Gate("not", (0,), 0)}
    gates: list[Gate] = []

    def bad(net: int, output: int) -> Gate:
        gate = inverter[fault.effect]
        return replace(gate, inputs=(net,) if fault.effect == "not" else gate.inputs, output=output)

    drivers = {gate.output for gate in network.gates}
    if fault.net not in drivers:  # an input or a register: its readers see another net
        gates = [bad(fault.net, spare)]
        moved = {fault.net: spare}
        gates += [replace(gate, inputs=tuple(moved.get(net, net) for net in gate.inputs)) for gate in network.gates]
        taken = {register: moved.get(net, net) for register, net in network.flip_flops.items()}
        shown = {name: tuple(moved.get(net, net) for net in bits) for name, bits in network.outputs.items()}
        return replace(network, gates=tuple(gates), flip_flops=taken, outputs=shown)
    for gate in network.gates:
        if gate.output != fault.net:
            gates.append(gate)
        elif fault.pin is not None:
            pins = list(gate.inputs)
            gates.append(bad(pins[fault.pin], spare))
            pins[fault.pin] = spare
            gates.append(replace(gate, inputs=tuple(pins)))
        elif fault.effect in inverter:
            gates += [replace(gate, output=spare), bad(spare, gate.output)]
        else:
            gates.append(replace(gate, kind=fault.effect))
    return replace(network, gates=tuple(gates))


def settled(network: Network) -> Network:
    """The network after its first edges: a register that takes a constant holds it, and is none.

    Pipeline registers have some, where a row of compressed products is the same for all operands; synthesis drops them.
    """
    while constant := {register: net for register, net in network.flip_flops.items() if net in (0, 1)}:
        gates = [replace(gate, inputs=tuple(constant.get(net, net) for net in gate.inputs)) for gate in network.gates]
        taken = {register: constant.get(net, net) for register, net in network.flip_flops.items() if register not in constant}
        shown = {name: tuple(constant.get(net, net) for net in bits) for name, bits in network.outputs.items()}
        network = replace(network, gates=tuple(gates), flip_flops=taken, outputs=shown)
    return network


# All faults at once


def survivors(
    network: Network,
    config: Unit,
    stimuli: Sequence[Replay],
    suspects: Sequence[Fault],
    edges: int | None = None,
) -> list[Fault]:
    """The faults that no stimulus shows, or not within so many edges: all outputs are right in reset and after every edge."""
    alive = list(suspects)
    for stimulus in stimuli:
        alive = _survivors(network, config, stimulus, alive, edges)
    return alive


def _survivors(network: Network, config: Unit, stimulus: Replay, alive: list[Fault], edges: int | None) -> list[Fault]:
    state = dict.fromkeys(network.flip_flops, 0)
    cycle = _compiled(network, config, alive)
    noticed = 0
    for edge, (levels, expected) in enumerate(islice(_edges(network, config, stimulus), edges), 1):
        ones = (1 << len(alive)) - 1
        state, shown = cycle(levels, state, ones)
        if expected is not None:
            for place, word in enumerate(shown):
                noticed |= word ^ (ones if expected >> place & 1 else 0)
        if edge % _SEGMENT == 0 and noticed.bit_count() * 4 > len(alive):
            kept = [i for i in range(len(alive)) if not noticed >> i & 1]
            alive = [alive[i] for i in kept]
            state = {net: sum((word >> i & 1) << j for j, i in enumerate(kept)) for net, word in state.items()}
            cycle, noticed = _compiled(network, config, alive), 0
        if not alive:
            break
    return [fault for i, fault in enumerate(alive) if not noticed >> i & 1]


def _edges(network: Network, config: Unit, stimulus: Replay) -> Iterator[tuple[dict[int, bool], int | None]]:
    """Levels of the input nets before each clock edge, and what the bench expects after it of all outputs, as `sim.bench`."""
    rows, lead = stimulus.rows_from_reset(config)
    levels = {port.name: port.levels(rows.inputs[port.name]) for port in config.inputs}
    expected = np.concatenate([port.levels(rows.outputs[port.name]) for port in config.outputs], axis=1)
    words = np.packbits(expected, axis=1, bitorder="little")
    for row, word in enumerate(words):
        ports = ((nets, levels[name][row].tolist()) for name, nets in network.inputs.items() if name in levels)
        driven = {net: bit for nets, bits in ports for net, bit in zip(nets, bits, strict=True)}
        # What a unit shows before it is reset does not matter.
        yield driven, int.from_bytes(word.tobytes(), "little") if row >= lead - 1 else None


def _shown(network: Network, config: Unit) -> list[int]:
    """The nets of all outputs, in the order of `_edges`."""
    return [net for port in config.outputs for net in network.outputs[port.name]]


def _compiled(network: Network, config: Unit, alive: Sequence[Fault]) -> Any:
    """A function of the inputs' levels, the registers' words and the word of ones: the registers and the outputs after."""
    at: dict[tuple[int, int | None], dict[str, int]] = {}
    for i, fault in enumerate(alive):
        masks = at.setdefault((fault.net, fault.pin), {})
        masks[fault.effect] = masks.get(fault.effect, 0) | 1 << i
    constants: dict[str, int] = {}

    def constant(mask: int) -> str:
        name = f"k{len(constants)}"
        constants[name] = mask
        return name

    def seen(expression: str, masks: Mapping[str, int], inputs: Sequence[str] = ()) -> str:
        """The expression with what is wrong with it in each broken unit."""
        for kind in _OTHER_KINDS:
            if kind in masks:
                other = VERILOG[kind].format(*inputs)
                name = constant(masks[kind])
                expression = f"({expression}) & (ones ^ {name}) | ({other}) & {name}"
        if "0" in masks:
            expression = f"({expression}) & (ones ^ {constant(masks['0'])})"
        if "1" in masks:
            expression = f"({expression}) | {constant(masks['1'])}"
        if "not" in masks:
            expression = f"({expression}) ^ {constant(masks['not'])}"
        return expression

    lines = ["def cycle(levels, state, ones):", "  n0, n1 = 0, ones"]
    for nets in network.inputs.values():
        lines += [f"  n{net} = {seen(f'ones if levels.get({net}) else 0', at.get((net, None), {}))}" for net in nets]
    lines += [f"  n{net} = {seen(f'state[{net}]', at.get((net, None), {}))}" for net in network.flip_flops]
    for gate in network.gates:
        names = [f"n{net}" for net in gate.inputs]
        pins = [f"({seen(name, at.get((gate.output, pin), {}))})" for pin, name in enumerate(names)]
        lines.append(f"  n{gate.output} = {seen(_PYTHON[gate.kind].format(*pins), at.get((gate.output, None), {}), names)}")
    registers = ", ".join(f"{net}: n{taken}" for net, taken in network.flip_flops.items())
    # An output shows its register after the edge, faults of the register included.
    after = [seen(f"n{network.flip_flops[net]}", at.get((net, None), {})) for net in _shown(network, config)]
    lines.append(f"  return {{{registers}}}, ({', '.join(after)},)")
    exec("\n".join(lines), constants)
    return constants["cycle"]


_PYTHON = {kind: re.sub(r"~(\{\d\}|\(.*\))", r"(ones ^ \1)", text) for kind, text in VERILOG.items()}
_PYTHON["mux"] = "{0} ^ ({0} ^ {1}) & {2}"


# The score


def measure(config: Unit, sample: int = _SAMPLE) -> dict[str, Any]:
    """The score of one unit: how many faults there are, are noticed, and are none; and the survivors, one by one."""
    started = time.monotonic()
    network = settled(yosys.gates(generate(config), config.name)[config.name])
    stimuli = stimuli_for(config, None, None, SEED)
    suspects = faults(network)
    blocks = isinstance(config, BlockMacConfig)  # which random operands show less of: ABC would be asked too often
    alive = (
        survivors(network, config, stimuli, suspects) if blocks else survivors(network, config, stimuli[:1], suspects, _SOON)
    )
    equivalent = {fault for fault in alive if _same(network, broken(network, fault))}
    missed = [fault for fault in alive if fault not in equivalent]
    if not blocks:
        missed = survivors(network, config, stimuli, missed)
    limits = BlockLimits(network, config) if isinstance(config, BlockMacConfig) else Limits(network, config)
    if not _same_within(limits, network):
        raise ToolError(f"{config.name}: what does not count of a state changes what follows: nothing is proved by the limits")
    beyond = {fault for fault in missed if _same_within(limits, broken(network, fault))}
    missed = [fault for fault in missed if fault not in beyond]
    noticed = [fault for fault in suspects if fault not in equivalent | beyond | set(missed)]
    chosen = np.random.default_rng(SEED).choice(len(noticed), min(sample, len(noticed)), replace=False)
    asked = [(noticed[i], True) for i in sorted(chosen.tolist())]
    asked += [(fault, False) for fault in [*missed[:sample], *sorted(beyond, key=str)[:sample]]]
    for fault, expected in asked:
        if _bench_notices(broken(network, fault), config, stimuli, soon=expected) != expected:
            raise ToolError(f"{config.name}: {fault}: the bench says otherwise than all faults at once")
    return {
        "design": config.name,
        "gates": len(network.gates),
        "cycles": sum(stimulus.cycles for stimulus in stimuli),
        "mutants": len(suspects),
        "killed": len(noticed),
        "equivalent": len(equivalent),
        "beyond_limits": len(beyond),
        "score": len(noticed) / (len(suspects) - len(equivalent) - len(beyond)),
        "checked_in_icarus": len(asked),
        "excused": [{**asdict(fault), "gate": _described(network, fault)} for fault in sorted(beyond, key=str)],
        "survivors": [{**asdict(fault), "gate": _described(network, fault)} for fault in missed],
        "seconds": round(time.monotonic() - started, 1),
    }


def _said(result: dict[str, Any], console: Console) -> dict[str, Any]:
    console.print(
        f"{result['design']}: {result['mutants']} faults, {result['killed']} noticed, {result['equivalent']} none,"
        f" {result['beyond_limits']} beyond limits,"
        f" {len(result['survivors'])} missed: {result['score']:.2%} ({result['seconds']} s)"
    )
    return result


def _same(network: Network, other: Network) -> bool:
    """Whether no state and no inputs tell the two apart; every register is compared, those behind no output too."""
    shown = {f"r{net}": (net,) for net in network.unshown}
    left, right = (replace(one, outputs={**one.outputs, **shown}) for one in (network, other))
    # An output that is held shows no register any more, and is another one.
    return left.registers.keys() == right.registers.keys() and abc.equal(left, right)


def _same_within(limits: Limits, other: Network) -> bool:
    """Whether a network is the unit in all that it is made for, such as sums of up to `depth` products."""
    return all(_same(unit, view) for unit, view in zip(limits.own, limits.views(other), strict=True))


def _bench_notices(network: Network, config: Unit, stimuli: Sequence[Replay], *, soon: bool) -> bool:
    many = sum(stimulus.cycles for stimulus in stimuli) > _LONG
    simulator = find_simulator("verilator" if many and not soon else "icarus")
    try:
        simulate_verilog(network.verilog(), config, stimuli, simulator, quiet=True)
    except SimulationMismatch:
        return True
    return False


def _described(network: Network, fault: Fault) -> str:
    gates = {gate.output: gate for gate in network.gates}
    readers = [gate.kind for gate in network.gates if fault.net in gate.inputs]
    gate = gates.get(fault.net)
    return f"{gate.kind if gate else 'input or register'} read by {', '.join(readers) or 'a register'}"


_SOURCES = ("golden", "hdl", "sim", "synth", "benchmarks/mutation.py", "benchmarks/checked_units.py")
_REGISTERED: Any = partial(MacConfig, pipeline=1)
_BLOCK_FORMATS = (MXFP4, NVFP4, GROUP_FORMATS["dint4_g32"], CODEBOOK_FORMATS["lobcq_c2_g16"])
UNITS: list[Any] = [
    *(MacConfig(number_format) for number_format in FORMATS.values()),
    *(MacConfig(number_format, lanes=4) for number_format in (DINT4, INT8)),
    MacConfig(DINT4, lanes=4, pipeline=2),
    *(PeConfig(number_format) for number_format in (DINT4, INT8)),
    PeConfig(DINT4, pipeline=1),
    *(shape(DINT4, decoded=True) for shape in (_REGISTERED, PeConfig)),
    *(shape(INT8, architecture="booth", decoded=True) for shape in (_REGISTERED, PeConfig)),
    *(AsymmetricConfig(number_format, depth=256, units=2) for number_format in (DINT4, INT4)),
    *(unit for name in FORMATS for unit in every_architecture(name)),
    *(BlockMacConfig.of(one, bits) for one in _BLOCK_FORMATS for bits in (8, 4)),
    BlockMacConfig.of(NVFP4, pipeline=1),
    BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], writable_codebooks=True),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Break all units in all ways, print the scores and write `mutation-hardware.json`; exit code 0 if nothing was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description="Score the bench by broken units.")
    parser.add_argument("--out", type=Path, default=DIRECTORY, help="directory of mutation-hardware.json")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    options = parser.parse_args(arguments)
    console = Console(soft_wrap=True, highlight=False)
    with output_directory(options.out) as scratch:
        shown = Parallel(options.jobs, return_as="generator")(delayed(measure)(config) for config in dict.fromkeys(UNITS))
        results = [_said(result, console) for result in shown]
        write_record(scratch / "mutation-hardware.json", _SOURCES, results)
    return int(any(result["survivors"] for result in results))


if __name__ == "__main__":
    # Under its own name, so that other processes find what they are to run.
    raise SystemExit(importlib.import_module("benchmarks.mutation").main())
