# SPDX-License-Identifier: Apache-2.0
"""What a network of gates and adders computes, as the one polynomial of its inputs: multipliers and adder trees, exactly.

A bit is a number, 0 or 1; a gate is then a polynomial of its inputs (not a: 1 - a; a and b: a b; a xor b: a + b - 2 a b), and
the word that a unit shows is one of nets. Replacing nets by what drives them, from the outputs back to the inputs, leaves a
polynomial of inputs alone. Since b^2 = b, it is a sum of products of distinct inputs, and this form is unique modulo any
number: two functions are equal if and only if their forms are. (Lv, Kalla and Enescu, IEEE TCAD 32, 2013; Kaufmann, Biere and
Kauers, FMCAD 2019.) No number of lanes is too large for it, where SAT gives up at one product of two 8-bit numbers.

The intermediate forms stay small since adders are replaced as a whole: of a full adder, sum = a + b + c - 2 carry, and the
carry drops out against what it weighs in the next column; of an addition of words likewise. Modules with few inputs are
replaced by the forms of their truth tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count, permutations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.errors import ToolError

from .gates import FUNCTIONS, Gate, Instance, Network

__all__ = ["Polynomial", "bits_of", "next_word", "of_table", "product", "total", "word"]

#: A sum of monomials: a monomial is the set of its variables, and comes with its coefficient.
Polynomial = dict[frozenset[Any], int]

_ADDITIONS = ("$add", "$sub")
_ONE: frozenset[Any] = frozenset()
# Where a form grows beyond these bounds there is no proof. Of a broken unit it may: a carry that is lost in the middle of an
# adder tree cancels no more, and each adder before it multiplies the terms. Right units stay far below, with 64,218 terms at
# most (16 behavioural INT8 multipliers; others 12,432), and each term of what takes a net's place used 22 times on average.
_MOST_TERMS = 150_000
_MOST_TIMES, _FREE = 100, 1000  # beyond so many terms that need no reason


def total(*polynomials: Polynomial) -> Polynomial:
    """Their sum."""
    result: Polynomial = {}
    for polynomial in polynomials:
        for monomial, coefficient in polynomial.items():
            result[monomial] = result.get(monomial, 0) + coefficient
    return {monomial: coefficient for monomial, coefficient in result.items() if coefficient}


def product(left: Polynomial, right: Polynomial) -> Polynomial:
    """Their product, b^2 being b."""
    result: defaultdict[frozenset[Any], int] = defaultdict(int)
    for m, c in left.items():
        for n, d in right.items():
            result[m | n] += c * d
    return {monomial: coefficient for monomial, coefficient in result.items() if coefficient}


def word(variables: Sequence[Any], signed: bool = False) -> Polynomial:
    """The number whose bits the variables are, least significant first."""
    weights = [1 << place for place in range(len(variables))]
    if signed:
        weights[-1] = -weights[-1]
    return total(*({frozenset({variable}): weight} for variable, weight in zip(variables, weights, strict=True)))


def bits_of(name: str, count: int, cycle: int = 0) -> list[str]:
    """What the bits of a port or register are called in forms, `cycle` cycles before, least significant first."""
    ending = f"@{cycle}" if cycle else ""
    return [f"{name}[{place}]{ending}" for place in range(count)] if count > 1 else [name + ending]


def of_table(variables: Sequence[Any], values: ArrayLike) -> Polynomial:
    """The function that is `values[i]` where the variables are the bits of i, least significant first (Moebius transform)."""
    coefficients = np.array(values, dtype=np.int64)
    for place in range(len(variables)):
        halves = coefficients.reshape(-1, 2, 1 << place)
        halves[:, 1] -= halves[:, 0]
    return total(
        *(
            {frozenset(variable for place, variable in enumerate(variables) if i >> place & 1): int(coefficients[i])}
            for i in np.flatnonzero(coefficients).tolist()
        )
    )


def next_word(modules: Mapping[str, Network], top: str, port: str, delay: int = 0, through: str = "") -> Polynomial:
    """What the registers shown at the output `port` become, modulo 2^(their number), by the names of what it depends on.

    These are inputs and registers that an output shows, before the clock edge, such as `first` and `sum[3]`; those of c cycles
    before end in @c (`first@1`). Registers are replaced by what they took at the edge before, `delay` times over: all but those
    of `port`, or those of the output `through` only. Since nothing is assumed of the state, the form holds at every edge but
    the first `delay`, from whatever state. A register that no output shows stays in the form under another name, and so do bits
    of an addition, "addition ...", that do not cancel.

    Parameters
    ----------
    modules
        From `synth.yosys.gates`.
    top
        The module that has the port.

    Raises
    ------
    ToolError
        If a bit of the port is no register, or the form grows beyond all bounds.
    """
    network = modules[top]
    bits, behind = network.outputs[port], network.outputs[through] if through else ()
    if not {*bits, *behind} <= set(network.flip_flops):
        raise ToolError(f"{top}: {through or port} is not made of registers")
    rewriting = _Rewriting(modules, network, 1 << len(bits))
    for place, net in enumerate(bits):
        rewriting.add(frozenset({network.flip_flops[net]}), 1 << place)
    for cycle in range(delay + 1):
        rewriting.combinational(cycle)
        if cycle < delay:
            rewriting.registers(cycle, behind or network.flip_flops.keys() - set(bits))
    sums = [instance.pins["Y"] for instance in network.instances if instance.kind in _ADDITIONS]
    names = {net + cycle * rewriting.stride: f"addition {net}" for cycle in range(delay + 1) for nets in sums for net in nets}
    names |= {
        net + cycle * rewriting.stride: name
        for cycle in range(delay + 1)
        for port, nets in {**network.inputs, **network.outputs}.items()
        for net, name in zip(nets, bits_of(port, len(nets), cycle), strict=True)
    }
    return {
        frozenset(names.get(one, f"addition {one}" if one < 0 else f"net {one}") for one in monomial): coefficient
        for monomial, coefficient in rewriting.terms.items()
    }


class _Rewriting:
    """A form, with all monomials of a variable at hand. The variable of net n, c cycles before, is n + c x `stride`."""

    def __init__(self, modules: Mapping[str, Network], network: Network, modulus: int) -> None:
        self._network, self._modulus = network, modulus
        self._tables = {name: _outputs(module) for name, module in modules.items() if module is not network}
        self._order = self._steps()
        read = {net for step in self._order for net in step[1]} | set(network.flip_flops.values())
        self.stride = max({1, *read, *network.flip_flops, *(net for step in self._order for net in step[0])}) + 1
        self._fresh = count(-1, -1)
        self.terms: Polynomial = {}
        self._replacing = self._put = 0  # terms of what nets were replaced by: once each, and as often as they were used
        self._using: defaultdict[int, set[frozenset[int]]] = defaultdict(set)

    def add(self, monomial: frozenset[int], coefficient: int) -> None:
        before = self.terms.get(monomial, 0)
        after = (before + coefficient) % self._modulus
        if after:
            self.terms[monomial] = after
            if not before:
                for variable in monomial:
                    self._using[variable].add(monomial)
        elif before:
            del self.terms[monomial]
            for variable in monomial:
                self._using[variable].discard(monomial)

    def replace(self, variable: int, value: Polynomial) -> None:
        """Put `value` in place of the variable, wherever it is."""
        self._replacing += len(value)
        for monomial in self._using.pop(variable, ()):
            coefficient = self.terms.pop(monomial)
            rest = monomial - {variable}
            for other in rest:
                self._using[other].discard(monomial)
            for factor, weight in value.items():
                self.add(rest | factor, coefficient * weight)
            self._put += len(value)
            if len(self.terms) > _MOST_TERMS or self._put > _MOST_TIMES * (self._replacing + _FREE):
                many = len(self.terms) > _MOST_TERMS
                limit = f"{_MOST_TERMS} terms" if many else f"{_MOST_TIMES} uses of each term that replaces a net"
                raise ToolError(f"{self._network.name}: neither proof nor counterexample: a form grows beyond {limit}")

    def combinational(self, cycle: int) -> None:
        """Replace all that is not a register or an input in one cycle."""
        shift = cycle * self.stride
        for outputs, _, values in self._order:
            if any(net + shift in self._using for net in outputs):
                for net, value in values():
                    moved = {frozenset(v + shift if v >= 0 else v for v in monomial): c for monomial, c in value.items()}
                    self.replace(net + shift, moved)
        self.replace(shift, {})
        self.replace(1 + shift, {_ONE: 1})

    def registers(self, cycle: int, which: Iterable[int]) -> None:
        """Replace registers in one cycle by what they took at the edge before."""
        for register in which:
            taken = self._network.flip_flops[register]
            self.replace(register + cycle * self.stride, {frozenset({taken + (cycle + 1) * self.stride}): 1})

    def _steps(self) -> list[_Step]:
        """All gates and instances: what they drive, what they read, and the values to replace it by; readers before drivers."""
        steps: list[_Step] = []
        for gate in self._network.gates:
            steps.append(((gate.output,), gate.inputs, partial(_of_gate, gate)))
        for instance in self._network.instances:
            steps.append(self._of_instance(instance))
        drivers = {net: step for step in steps for net in step[0]}
        ordered: list[_Step] = []
        entered: set[tuple[int, ...]] = set()
        stack = [(step, False) for step in steps]
        while stack:
            step, done = stack.pop()
            if done:
                ordered.append(step)
            elif step[0] not in entered:
                entered.add(step[0])
                stack.append((step, True))
                stack += [(drivers[net], False) for net in step[1] if net in drivers]
        return ordered[::-1]

    def _of_instance(self, instance: Instance) -> _Step:
        pins = instance.pins
        if instance.kind in _ADDITIONS:
            return pins["Y"], (*pins["A"], *pins["B"]), lambda: _of_addition(instance, next(self._fresh))
        if instance.kind not in self._tables:
            raise ToolError(f"{self._network.name}: nothing is known about {instance.kind}")
        outputs = self._tables[instance.kind]
        driven = tuple(net for port in {port for port, _ in outputs} for net in pins[port])
        read = tuple(net for port, nets in pins.items() for net in nets if net not in driven)
        return driven, read, lambda: _of_module(instance, outputs)


#: Nets that are driven, nets that are read, and what each driven net is replaced by, in order.
_Step = tuple[tuple[int, ...], tuple[int, ...], Callable[[], Iterable[tuple[int, Polynomial]]]]


def _of_gate(gate: Gate) -> Iterator[tuple[int, Polynomial]]:
    table = FUNCTIONS[gate.kind]
    width = len(gate.inputs)
    values = [table(1, *(row >> place & 1 for place in range(width))) for row in range(1 << width)]
    yield gate.output, of_table(gate.inputs, values)


def _of_addition(instance: Instance, overflow: int) -> Iterator[tuple[int, Polynomial]]:
    """The lowest bit is the sum less the others, which have no other value than this one; so is the overflow, if it counts."""
    result, (left, right) = instance.pins["Y"], (word(instance.pins[side], instance.signed) for side in ("A", "B"))
    sign = -1 if instance.kind == "$sub" else 1
    others = {frozenset({net}): -(1 << place) for place, net in enumerate(result) if place}
    yield result[0], total(left, {m: sign * c for m, c in right.items()}, others, {frozenset({overflow}): -1 << len(result)})


def _outputs(module: Network) -> dict[tuple[str, int], Polynomial]:
    """Each output bit of a small module as a form of (port, place) of its inputs."""
    inputs = [(port, place) for port, nets in module.inputs.items() for place in range(len(nets))]
    tables = module.truth_tables()
    cases = 1 << len(inputs)
    return {
        (port, place): of_table(inputs, _rows(tables[net], cases))
        for port, nets in module.outputs.items()
        for place, net in enumerate(nets)
    }


def _rows(table: int, cases: int) -> NDArray[np.uint8]:
    packed = np.frombuffer(table.to_bytes(max(1, cases // 8), "little"), np.uint8)
    return np.unpackbits(packed, count=cases, bitorder="little")


def _of_module(instance: Instance, outputs: Mapping[tuple[str, int], Polynomial]) -> Iterator[tuple[int, Polynomial]]:
    """Of a module with two outputs that count to the number of ones, a full adder, the first is replaced by the second."""
    values = {
        instance.pins[port][place]: total(
            *({frozenset(instance.pins[p][i] for p, i in monomial): c} for monomial, c in value.items())
        )
        for (port, place), value in outputs.items()
    }
    for low, high in permutations(outputs) if len(outputs) == 2 else ():
        counted = total(outputs[low], {monomial: 2 * c for monomial, c in outputs[high].items()})
        if all(len(monomial) == c == 1 for monomial, c in counted.items()):
            low_net, high_net = (instance.pins[port][place] for port, place in (low, high))
            ones = total(*({frozenset({instance.pins[p][i]}): 1} for monomial in counted for p, i in monomial))
            values = {low_net: total(ones, {frozenset({high_net}): -2}), high_net: values[high_net]}
    yield from values.items()
