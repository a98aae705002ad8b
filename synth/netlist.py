# SPDX-License-Identifier: Apache-2.0
"""Gate-level netlists: one flat module of library cells, as Yosys writes it, read into ports, cells and nets.

Understood is what `write_verilog -noattr -noexpr` puts out after `splitnets`: declarations, cell instances with named pins,
and assignments of names, selects, constants and concatenations to each other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from golden.errors import InputError

__all__ = ["Instance", "Netlist", "PlainNetlist", "Port", "read_netlist"]

_TOKEN = re.compile(
    r"""\s+|//[^\n]*|/\*.*?\*/|\(\*.*?\*\)        # blanks, comments, attributes
    |(?P<name>\\\S+|[A-Za-z_][\w$]*)              # identifiers, escaped or not
    |(?P<constant>\d+'s?[bhdoBHDO][0-9a-fA-FxzXZ_]+)
    |(?P<number>\d+)
    |(?P<mark>[()\[\]{},;:.=\#])""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN = re.compile(r"[A-Za-z_][\w$]*", re.ASCII)
_BASES = {"b": 2, "o": 8, "d": 10, "h": 16}

# Bits of a vector or a constant: beyond it, it is a mistake.
_WIDEST = 1 << 16
_DEEPEST = 20  # concatenations within concatenations, likewise

# The two constant nets.
ZERO, ONE = "1'b0", "1'b1"


@dataclass(frozen=True)
class Port:
    """A port: its bits are the nets `bits`, least significant first."""

    name: str
    direction: str
    bits: tuple[str, ...]


@dataclass(frozen=True)
class Instance:
    """A library cell in the netlist; `pins` maps connected pins to nets."""

    name: str
    cell: str
    pins: Mapping[str, str]


@dataclass(frozen=True)
class Netlist:
    """A flat module. A net is named after one of its names: `n` or, for a bit of a vector, `n[3]`; no escapes."""

    name: str
    ports: Mapping[str, Port]
    instances: tuple[Instance, ...]

    @cached_property
    def nets(self) -> frozenset[str]:
        """Nets that a cell pin is connected to, without the constants."""
        return frozenset(net for instance in self.instances for net in instance.pins.values()) - {ZERO, ONE}

    @property
    def cells(self) -> tuple[str, ...]:
        """Names of the library cells in use, sorted."""
        return tuple(sorted({instance.cell for instance in self.instances}))

    def with_plain_names(self) -> PlainNetlist:
        """The same netlist as Verilog in which every net is a scalar and no name is escaped.

        Simulators, delay files and waveform readers disagree about escaped names and single bits of vectors; without any,
        they have nothing to disagree about. Plain names stay as they are.

        Raises
        ------
        InputError
            If a port, a cell or a pin has an escaped name: it is what other files call it, so that it cannot be changed.
        """
        of_cells = {pin for instance in self.instances for pin in instance.pins}
        for name in (self.name, *self.ports, *self.cells, *sorted(of_cells)):
            if not _PLAIN.fullmatch(name):
                raise InputError(
                    f"netlist of {self.name}: {name!r} is the name of a port, cell or pin, but no plain identifier"
                )
        taken = {self.name, *self.ports}
        nets = {net: net for net in (ZERO, ONE)}
        scalars = {port.bits[0] for port in self.ports.values() if len(port.bits) == 1 and port.bits[0] == port.name}
        every = self.nets | {bit for port in self.ports.values() for bit in port.bits}
        for net in sorted(every - {ZERO, ONE}):
            nets[net] = net if net in scalars else _fresh(net, taken)
        instances = {instance.name: _fresh(instance.name, taken) for instance in self.instances}
        lines = [f"module {self.name}({', '.join(self.ports)});"]
        assigns = []
        for port in self.ports.values():
            width = f" [{len(port.bits) - 1}:0]" if len(port.bits) > 1 else ""
            lines.append(f"  {port.direction}{width} {port.name};")
            for position, bit in enumerate(port.bits):
                outside = f"{port.name}[{position}]" if width else port.name
                if nets[bit] != outside:
                    sides = (nets[bit], outside) if port.direction == "input" else (outside, nets[bit])
                    assigns.append("  assign {} = {};".format(*sides))
        lines += [f"  wire {nets[net]};" for net in sorted(every - scalars - {ZERO, ONE})]
        lines += assigns
        # Two pins of a cell on one net would be one to Icarus, which then finds no path from the other: give it its own name.
        again: dict[tuple[str, int], str] = {}
        for instance in self.instances:
            pins, seen = [], Counter[str]()
            for pin, net in instance.pins.items():
                name = nets[net]
                if seen[net] and net not in (ZERO, ONE):
                    if (net, seen[net]) not in again:
                        again[net, seen[net]] = _fresh(f"{name}_again", taken)
                        lines.append(f"  wire {again[net, seen[net]]} = {name};")
                    name = again[net, seen[net]]
                seen[net] += 1
                pins.append(f".{pin}({name})")
            lines.append(f"  {instance.cell} {instances[instance.name]} ({', '.join(pins)});")
        return PlainNetlist("\n".join([*lines, "endmodule", ""]), nets, instances)


@dataclass(frozen=True)
class PlainNetlist:
    """Verilog without escaped names, and what the nets and the instances of the original are called in it."""

    verilog: str
    nets: Mapping[str, str]
    instances: Mapping[str, str]


def read_netlist(path: Path, top: str) -> Netlist:
    """The module `top` of a Verilog file.

    Raises
    ------
    InputError
        If the file cannot be read, has no such module, or holds something that a flat netlist of cells does not.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"netlist {path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"netlist {path}: is not UTF-8 text; is it Verilog?") from None
    try:
        return _Reader(_tokens(text), top).module()
    except _SyntaxError as error:
        raise InputError(f"netlist {path}: {error}") from None


class _SyntaxError(Exception):
    """What is wrong with the netlist."""


def _tokens(text: str) -> list[str]:
    tokens, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            line = text.count("\n", 0, place) + 1
            raise _SyntaxError(
                f"line {line}: {text[place : place + 20].split(chr(10))[0]!r} has no place in a netlist of cells"
            )
        place = match.end()
        if match.lastgroup:
            tokens.append(match[match.lastgroup])
    return tokens


class _Reader:
    """One pass over the tokens of the file."""

    def __init__(self, tokens: list[str], top: str) -> None:
        self.tokens, self.top, self.position = tokens, top, 0
        self.widths: dict[str, tuple[int, int] | None] = {}  # msb and lsb of vectors, None for single nets
        self.directions: dict[str, str] = {}
        self.connections: list[tuple[str, str, dict[str, list[str]]]] = []
        self.aliases: dict[str, str] = {}

    def module(self) -> Netlist:
        while self.position < len(self.tokens):
            if self.take() == "module" and _plain(self.peek()) == self.top:
                break
        else:
            raise _SyntaxError(f"it has no module {self.top}")
        while self.take() != ";":  # the list of port names; directions follow in the body
            pass
        while (word := self.take()) != "endmodule":
            if word in ("input", "output", "inout", "wire"):
                self.declaration(word)
            elif word == "assign":
                self.assignment()
            else:
                self.instance(word)
        return self.netlist()

    def netlist(self) -> Netlist:
        ports = {
            name: Port(name, direction, tuple(self.find(bit) for bit in reversed(self.bits(name))))
            for name, direction in self.directions.items()
        }
        instances = []
        for name, cell, pins in self.connections:
            if wide := [pin for pin, bits in pins.items() if len(bits) > 1]:
                raise _SyntaxError(f"pin {wide[0]} of {cell} {name} is a vector: flatten the netlist into library cells")
            instances.append(Instance(name, cell, {pin: self.find(bits[0]) for pin, bits in pins.items() if bits}))
        return Netlist(self.top, ports, tuple(instances))

    def declaration(self, kind: str) -> None:
        span = None
        if self.peek() == "[":
            self.take()
            high = self.number()
            self.expect(":")
            span = (high, self.number())
            self.expect("]")
            self.check_width(*span)
        while True:
            name = _plain(self.take())
            self.widths[name] = span
            if kind != "wire":
                self.directions[name] = kind
            if (mark := self.take()) == ";":
                return
            if mark == "=":  # a wire with its value
                self.position -= 2
                self.assignment()
                return

    def assignment(self) -> None:
        target = self.operand()
        self.expect("=")
        source = self.operand()
        self.expect(";")
        source = source[-len(target) :] if len(source) > len(target) else source
        source = [ZERO] * (len(target) - len(source)) + source
        for one, other in zip(target, source, strict=True):
            a, b = self.find(one), self.find(other)
            if a != b:
                # Constants and ports keep their names: they are what other files call the net.
                a, b = (b, a) if a in (ZERO, ONE) or (a.split("[")[0] in self.directions and b not in (ZERO, ONE)) else (a, b)
                self.aliases[a] = b

    def instance(self, cell: str) -> None:
        if self.peek() == "#":
            raise _SyntaxError(f"instance of {cell} has parameters: it is no library cell, map the design first")
        name = _plain(self.take())
        self.expect("(")
        pins: dict[str, list[str]] = {}
        while self.peek() != ")":
            self.expect(".")
            pin = _plain(self.take())
            self.expect("(")
            pins[pin] = [] if self.peek() == ")" else self.operand()
            self.expect(")")
            if self.peek() == ",":
                self.take()
        self.expect(")")
        self.expect(";")
        self.connections.append((name, _plain(cell), pins))

    def operand(self, depth: int = 0) -> list[str]:
        """The nets of a name, a select, a constant or a concatenation (within `depth` others), most significant first."""
        token = self.take()
        if token == "{":
            if depth == _DEEPEST:
                raise _SyntaxError(f"it nests more than {_DEEPEST} concatenations")
            bits = self.operand(depth + 1)
            while self.peek() == ",":
                self.take()
                bits += self.operand(depth + 1)
            self.expect("}")
            return bits
        if "'" in token and not token.startswith("\\"):
            return _constant(token)
        name = _plain(token)
        if self.peek() != "[" or self.widths.get(name) is None:
            return self.bits(name)
        self.take()
        high = low = self.number()
        if self.peek() == ":":
            self.take()
            low = self.number()
        self.expect("]")
        span = self.widths[name]
        if span is None or not span[0] >= high >= low >= span[1]:
            raise _SyntaxError(f"{name}[{high}:{low}] is not in the vector {name}")
        return [f"{name}[{i}]" for i in range(high, low - 1, -1)]

    def bits(self, name: str) -> list[str]:
        span = self.widths.get(name)
        if span is None:
            return [name]
        high, low = span
        return [f"{name}[{i}]" for i in range(high, low - 1, -1)]

    def find(self, net: str) -> str:
        while net in self.aliases:
            net = self.aliases[net]
        return net

    def number(self) -> int:
        if not (token := self.take()).isdecimal() or len(token) > 9:
            raise _SyntaxError(f"{token!r} stands where a number belongs")
        return int(token)

    def check_width(self, high: int, low: int) -> None:
        if not low <= high < low + _WIDEST:
            raise _SyntaxError(f"the vector [{high}:{low}] descends, with at most {_WIDEST} bits, in a netlist of cells")

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        if self.position >= len(self.tokens):
            raise _SyntaxError("it ends inside a module; it seems truncated")
        self.position += 1
        return self.tokens[self.position - 1]

    def expect(self, mark: str) -> None:
        if (token := self.take()) != mark:
            raise _SyntaxError(f"{mark!r} is missing before {token!r}")


def _fresh(name: str, taken: set[str]) -> str:
    """A plain identifier for `name` that is not taken yet, and takes it."""
    base = re.sub(r"\W", "_", name)
    base = base if re.match(r"[A-Za-z_]", base) else f"_{base}"
    result, count = base, 0
    while result in taken:
        count += 1
        result = f"{base}_{count}"
    taken.add(result)
    return result


def _plain(name: str) -> str:
    return name[1:] if name.startswith("\\") else name


def _constant(token: str) -> list[str]:
    width, digits = token.split("'")
    digits = digits.lower().replace("s", "").replace("_", "")
    if set(digits[1:]) & set("xz"):
        raise _SyntaxError(f"the constant {token} is undefined: run 'setundef -zero' before writing the netlist")
    if not width.isdecimal() or len(width) > 9 or not 1 <= int(width) <= _WIDEST:
        raise _SyntaxError(f"the constant {token} has 1 to {_WIDEST} bits")
    try:
        value = int(digits[1:], _BASES[digits[0]])
    except ValueError:
        raise _SyntaxError(f"the constant {token} has digits that are none of its base") from None
    return [ONE if value >> i & 1 else ZERO for i in reversed(range(int(width)))]
