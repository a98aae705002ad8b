# SPDX-License-Identifier: Apache-2.0
"""A module as a network of gates and flip-flops: evaluated on many inputs at once, or written for a solver.

`synth.yosys.gates` makes one of Verilog or of a mapped netlist. A net is an integer; nets 0 and 1 are the constants.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.errors import InputError, ToolError

__all__ = ["FUNCTIONS", "PINS", "VERILOG", "Gate", "Instance", "Network", "column", "matched", "read_network"]

_CLOCK = "clk"

#: What each kind of gate computes, bit by bit, of words whose bits are independent cases; `ones` is the word of ones.
FUNCTIONS: dict[str, Callable[..., int]] = {
    "buf": lambda ones, a: a,  # noqa: ARG005
    "not": lambda ones, a: a ^ ones,
    "and": lambda ones, a, b: a & b,  # noqa: ARG005
    "or": lambda ones, a, b: a | b,  # noqa: ARG005
    "xor": lambda ones, a, b: a ^ b,  # noqa: ARG005
    "nand": lambda ones, a, b: a & b ^ ones,
    "nor": lambda ones, a, b: (a | b) ^ ones,
    "xnor": lambda ones, a, b: a ^ b ^ ones,
    "andnot": lambda ones, a, b: a & (b ^ ones),
    "ornot": lambda ones, a, b: a | (b ^ ones),
    "mux": lambda ones, a, b, s: a ^ ((a ^ b) & s),  # noqa: ARG005
}

#: The same in Verilog, of the names of its inputs.
VERILOG = {
    "buf": "{0}",
    "not": "~{0}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "nand": "~({0} & {1})",
    "nor": "~({0} | {1})",
    "xnor": "~({0} ^ {1})",
    "andnot": "{0} & ~{1}",
    "ornot": "{0} | ~{1}",
    "mux": "{2} ? {1} : {0}",
}

#: The pins of each kind of gate, in the order of `Gate.inputs`.
PINS = {kind: ("A",) if kind in ("buf", "not") else ("A", "B", "S") if kind == "mux" else ("A", "B") for kind in FUNCTIONS}


# Of so many variables, each in all cases.
_COLUMNS = ((), (0b10,), (0b1010, 0b1100), (0b10101010, 0b11001100, 0b11110000))


@dataclass(frozen=True)
class Gate:
    """`output` is the function called `kind` of `inputs`."""

    kind: str
    inputs: tuple[int, ...]
    output: int


@dataclass(frozen=True)
class Instance:
    """What is not a gate: a module that was kept, or a sum of words ($add, $sub). `pins` maps ports to nets, lowest first."""

    kind: str
    name: str
    pins: Mapping[str, tuple[int, ...]]
    signed: bool = False


@dataclass(frozen=True)
class Network:
    """Gates in an order in which every net is driven before it is read; flip-flops, by output, with the net that they take.

    `wires` are the nets that have a name in the source, ports among them; a net may have several.
    """

    name: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]
    gates: tuple[Gate, ...]
    flip_flops: Mapping[int, int]
    instances: tuple[Instance, ...] = ()
    wires: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def showing(self, names: Collection[str]) -> Network:
        """The network with these wires, or bits of wires, as outputs, too.

        Raises
        ------
        ToolError
            If there is no wire of a name.
        """
        return replace(self, outputs={**self.outputs, **self._called(names)})

    def between(self, given: Sequence[str], wanted: Sequence[str]) -> Network:
        """The gates that make the wires, or bits of wires, `wanted` of those `given`: a network with these as its ports.

        Raises
        ------
        ToolError
            If there is no such wire, or one that is wanted depends on something else.
        """
        inputs, outputs = self._called(given), self._called(wanted)
        known, drivers = {0, 1, *(net for bits in inputs.values() for net in bits)}, self._drivers
        needed: set[int] = set()
        open_ = [net for bits in outputs.values() for net in bits]
        while open_:
            net = open_.pop()
            if net in known or net in needed:
                continue
            if net not in drivers:
                raise ToolError(f"{self.name}: {', '.join(wanted)} depends on more than {', '.join(given)}")
            needed.add(net)
            open_ += drivers[net].inputs
        gates = tuple(gate for gate in self.gates if gate.output in needed)
        return Network(self.name, inputs, outputs, gates, {})

    def parted(self, nets: Iterable[int]) -> tuple[Network, Network]:
        """The gates that do not depend on `nets`, and those that do, which alone are evaluated again when these change."""
        reached = set(nets)
        parts: tuple[list[Gate], list[Gate]] = ([], [])
        for gate in self.gates:
            depends = not reached.isdisjoint(gate.inputs)
            parts[depends].append(gate)
            if depends:
                reached.add(gate.output)
        return replace(self, gates=tuple(parts[0])), replace(self, gates=tuple(parts[1]))

    def evaluate(self, values: Mapping[int, int], cases: int) -> dict[int, int]:
        """Every net in `cases` cases at once, of `values` of the input nets and flip-flops: bit i of a word is case i."""
        ones = (1 << cases) - 1
        nets = {0: 0, 1: ones, **values}
        for gate in self.gates:
            nets[gate.output] = FUNCTIONS[gate.kind](ones, *(nets[net] for net in gate.inputs))
        return nets

    def where(self, constants: Mapping[int, int]) -> dict[int, int]:
        """What every driven net is where some inputs are constants, 0 or 1: a constant, another net, or by itself."""
        same = {0: 0, 1: 1, **constants}
        for gate in self.gates:
            inputs = [same.get(net, net) for net in gate.inputs]
            free = tuple(dict.fromkeys(net for net in inputs if net > 1))
            ones = (1 << (1 << len(free))) - 1
            tables = {0: 0, 1: ones} | dict(zip(free, _COLUMNS[len(free)], strict=True))
            found = FUNCTIONS[gate.kind](ones, *(tables[net] for net in inputs))
            same[gate.output] = next((net for net, table in tables.items() if table == found), gate.output)
        return same

    def truth_tables(self) -> dict[int, int]:
        """Every net for all values of the inputs: bit i is its value where the inputs, in order, are the bits of i.

        Raises
        ------
        InputError
            If the network has flip-flops, other modules, or more than 20 input bits.
        """
        inputs = [net for bits in self.inputs.values() for net in bits]
        if self.flip_flops or self.instances or len(inputs) > 20:
            raise InputError(f"{self.name}: only networks of gates with at most 20 inputs have truth tables")
        return self.evaluate({net: _variable(place, len(inputs)) for place, net in enumerate(inputs)}, 1 << len(inputs))

    def _called(self, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """The nets of wires, or of bits of wires."""
        known = self._wires_and_bits
        if missing := sorted(set(names) - known.keys()):
            raise ToolError(f"{self.name}: there is no wire called {', '.join(missing)}")
        return {name: known[name] for name in names}

    @cached_property
    def _wires_and_bits(self) -> dict[str, tuple[int, ...]]:
        return {**self.wires, **{name: (net,) for name, net in _named(self.wires)}}

    @cached_property
    def _drivers(self) -> dict[int, Gate]:
        return {gate.output: gate for gate in self.gates}

    @cached_property
    def registers(self) -> dict[str, tuple[int, bool]]:
        """Output bits that show a flip-flop, by name: its output, and whether the bit is its inverse."""
        return self._registers(self.outputs)

    @property
    def unshown(self) -> list[int]:
        """Outputs of the flip-flops that no output of the network shows."""
        shown = {net for net, _ in self.registers.values()}
        return [net for net in self.flip_flops if net not in shown]

    @property
    def hidden(self) -> dict[str, int]:
        """Bits of wires that show an `unshown` flip-flop, by name: its output."""
        unshown = set(self.unshown)
        return {name: net for name, (net, _) in self._registers(self.wires).items() if net in unshown}

    def _registers(self, wires: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, bool]]:
        drivers = self._drivers
        shown = {}
        for name, net in _named(wires):
            inverted = False
            while net not in self.flip_flops and (gate := drivers.get(net)) and gate.kind in ("buf", "not"):
                inverted ^= gate.kind == "not"
                net = gate.inputs[0]
            if net in self.flip_flops:
                shown[name] = net, inverted
        return shown

    def verilog(self, clock: str = _CLOCK) -> str:
        """The network as a module of its own, flip-flops beginning with 0."""
        ports = [("input", self.inputs), ("output", self.outputs)]
        lines = [f"module {self.name}({', '.join([*self.inputs, *self.outputs])});"]
        lines += [f"  {to} [{len(bits) - 1}:0] {name};" for to, side in ports for name, bits in side.items()]
        lines += ["  wire n0 = 1'b0, n1 = 1'b1;"]
        lines += [f"  wire n{net} = {name}[{i}];" for name, bits in self.inputs.items() for i, net in enumerate(bits)]
        lines += [f"  reg n{register} = 1'b0;" for register in self.flip_flops]
        lines += [f"  wire n{gate.output};" for gate in self.gates]
        lines += [f"  always @(posedge {clock}) n{register} <= n{taken};" for register, taken in self.flip_flops.items()]
        for gate in self.gates:
            lines.append(f"  assign n{gate.output} = {VERILOG[gate.kind].format(*(f'n{net}' for net in gate.inputs))};")
        lines += [f"  assign {name}[{i}] = n{net};" for name, bits in self.outputs.items() for i, net in enumerate(bits)]
        return "\n".join([*lines, "endmodule", ""])

    def blif(self, clock: str = _CLOCK) -> str:
        """One clock cycle as text for ABC (BLIF, Berkeley Logic Interchange Format): what the registers become.

        A register is called after the output that shows it.

        Raises
        ------
        InputError
            If there is a flip-flop that no output shows, or an output that shows none, so that it could not be compared with
            another network's.
        """
        unshown = self.unshown
        if unshown or len(self.registers) != len(self.flip_flops):
            raise InputError(f"{self.name}: {len(unshown)} flip-flops are not shown by an output of their own")
        if strange := [name for name, _ in _named(self.outputs) if name not in self.registers]:
            raise InputError(f"{self.name}: the output {strange[0]} shows no flip-flop")
        if self.instances:
            raise InputError(f"{self.name}: {self.instances[0].kind} is not a gate")
        inputs = {name: net for name, net in _named(self.inputs) if name != clock}
        names = " ".join(f"{name}.now" for name in self.registers)
        lines = [f".model {self.name}", f".inputs {' '.join(inputs)} {names}"]
        lines += [f".outputs {' '.join(f'{name}.next' for name in self.registers)}", ".names n0", ".names n1", "1"]
        lines += [f".names {name} n{net}\n1 1" for name, net in inputs.items()]
        for name, (net, inverted) in self.registers.items():
            lines.append(f".names {name}.now n{net}\n{int(not inverted)} 1")
            lines.append(f".names n{self.flip_flops[net]} {name}.next\n{int(not inverted)} 1")
        for gate in self.gates:
            lines.append(f".names {' '.join(f'n{net}' for net in (*gate.inputs, gate.output))}")
            width = len(gate.inputs)
            table = FUNCTIONS[gate.kind]((1 << (1 << width)) - 1, *(_variable(place, width) for place in range(width)))
            rows = [row for row in range(1 << width) if table >> row & 1]
            lines += ["".join(str(row >> place & 1) for place in range(width)) + " 1" for row in rows]
        return "\n".join([*lines, ".end", ""])


def column(numbers: NDArray[Any]) -> int:
    """The lowest bits of the numbers as a word, for `Network.evaluate`: bit i is that of number i."""
    return int.from_bytes(np.packbits((numbers & 1).astype(np.uint8), bitorder="little").tobytes(), "little")


def matched(left: Network, right: Network) -> tuple[Network, Network]:
    """Both with outputs for the flip-flops that their outputs do not show, paired by the names that they have in common.

    What cannot be paired stays hidden. A wrong pair makes equal networks look different, never different ones equal.
    """
    ours, theirs = left.hidden, right.hidden
    pairs: dict[int, int] = {}
    names = []
    for name in sorted(ours.keys() & theirs.keys()):
        if ours[name] not in pairs and theirs[name] not in pairs.values():
            pairs[ours[name]] = theirs[name]
            names.append(name)
    return left.showing(names), right.showing(names)


def read_network(module: Mapping[str, Any], name: str) -> Network:
    """The network of a module in Yosys's JSON.

    Raises
    ------
    ToolError
        If it has an undefined value, a latch or another cell without meaning here, a loop, or a register that takes another
        clock than the input `clk`.
    """
    ports = {port: (facts["direction"], _nets(facts["bits"])) for port, facts in module["ports"].items()}
    gates, flip_flops, instances, clocks = [], {}, [], set()
    for label, cell in module["cells"].items():
        pins = {port: _nets(bits) for port, bits in cell["connections"].items()}
        kind = cell["type"].removeprefix("$_").removesuffix("_").lower() if cell["type"].startswith("$_") else ""
        if kind in FUNCTIONS:
            gates.append(Gate(kind, tuple(pins[pin][0] for pin in PINS[kind]), pins["Y"][0]))
        elif kind == "dff_p":
            flip_flops[pins["Q"][0]] = pins["D"][0]
            clocks.add(pins["C"][0])
        elif cell["type"] in ("$add", "$sub") or not cell["type"].startswith("$"):
            signed = bool(int(cell["parameters"].get("A_SIGNED", "0"), 2))
            instances.append(Instance(cell["type"], label, pins, signed))
        elif cell["type"] != "$scopeinfo":
            raise ToolError(f"{name}: {cell['type']} ({label}) has no place in a network of gates")
    sides = {side: {port: bits for port, (to, bits) in ports.items() if to == side} for side in ("input", "output")}
    if clocks - set(sides["input"].get(_CLOCK, ())):
        raise ToolError(f"{name}: a register is clocked by something else than the input {_CLOCK}")
    known = {0, 1, *flip_flops, *(net for bits in sides["input"].values() for net in bits)}
    known |= {net for instance in instances for bits in instance.pins.values() for net in bits}
    named = {wire: facts["bits"] for wire, facts in module.get("netnames", {}).items() if not facts["hide_name"]}
    wires = {wire: _nets(bits) for wire, bits in named.items() if not {"x", "z"} & set(bits)}
    return Network(name, sides["input"], sides["output"], _ordered(gates, known, name), flip_flops, tuple(instances), wires)


def _ordered(gates: Sequence[Gate], known: set[int], name: str) -> tuple[Gate, ...]:
    """Topological order; outputs of instances count as known (their order matters only where they have a meaning)."""
    drivers = {gate.output: gate for gate in gates}
    ordered: list[Gate] = []
    done, open_ = set(known) - set(drivers), set()
    for gate in gates:
        stack = [gate]
        while stack:
            now = stack[-1]
            if now.output in done:
                stack.pop()
                continue
            missing = [net for net in now.inputs if net not in done]
            if not missing:
                done.add(now.output)
                ordered.append(stack.pop())
                continue
            if now.output in open_ or any(net not in drivers for net in missing):
                raise ToolError(f"{name}: a loop of gates, or a net without a driver")
            open_.add(now.output)
            stack += [drivers[net] for net in missing]
        open_.clear()
    return tuple(ordered)


def _nets(bits: Iterable[int | str]) -> tuple[int, ...]:
    if unknown := {bit for bit in bits if isinstance(bit, str)} - {"0", "1"}:
        raise ToolError(f"a net is {unknown.pop()!r}: undefined values cannot be proved anything about")
    return tuple(int(bit) for bit in bits)


def _named(ports: Mapping[str, Sequence[int]]) -> list[tuple[str, int]]:
    return [(f"{port}[{i}]" if len(bits) > 1 else port, net) for port, bits in ports.items() for i, net in enumerate(bits)]


def _variable(place: int, count: int) -> int:
    """The truth table of variable `place` of `count`: 2^place zeros and as many ones by turns."""
    period = 1 << (place + 1)
    block = ((1 << (1 << place)) - 1) << (1 << place)
    while period < 1 << count:
        block |= block << period
        period *= 2
    return block
