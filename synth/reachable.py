# SPDX-License-Identifier: Apache-2.0
"""A unit in the states and with the inputs that it is made for.

A sum is as wide as the longest one needs, so that some of what it could hold is never met: with INT8 and 65,536 products it
reaches from -65536 x 127 x 128 to 65536 x 128 x 128 = 2^30, which takes 32 bits and hardly more than half of their range.
Select lines in registers are those of some weight: no two digits of one place are ever chosen at once. Two units that
differ there alone make the same of all that they are made for.

That is an induction: both are in the same state after a reset, whatever they held before (`Limits.after_reset`), and come
to the same from every state and input that is possible (`Limits.within`). What is taken for possible holds all that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, reduce
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from golden import AsymmetricConfig, BlockMacConfig, MacConfig, PeConfig

from .gates import Gate, Network

__all__ = ["Limits", "Logic"]

Unit = MacConfig | PeConfig | AsymmetricConfig | BlockMacConfig

#: Bits of inputs and states whose cases are enumerated, at most.
_MOST_BITS = 18


class Limits:
    """What is possible in a unit after its reset.

    Sums lie between `depth` times the least and the greatest product, and, before a cycle of a unit without pipeline registers
    that adds to them, between so many of them as all cycles but one make; likewise the partial sum that a
    processing element is given. Zero-points are those of the format. Registers that take only inputs, or what they hold
    themselves, are in one of the states that they come to from the reset on: these are enumerated.
    """

    def __init__(self, network: Network, config: Unit) -> None:
        self._network, self._config = network, config

    def views(self, other: Network) -> tuple[Network, Network]:
        """`after_reset` and `within`: two networks that are alike in both make the same of all that the unit is made for."""
        return self.after_reset(other), self.within(other)

    @cached_property
    def own(self) -> tuple[Network, Network]:
        """The views of the unit itself."""
        return self.views(self._network)

    def within(self, other: Network) -> Network:
        """The unit, or one that was made from it, with every register taking 0 from what is not possible."""
        logic = Logic(other)
        possible = logic.all([*self._sums(logic), *self._zero_points(logic), *self._states(logic)])
        taken = {register: logic.gate("and", net, possible) for register, net in other.flip_flops.items()}
        return replace(other, gates=(*other.gates, *logic.gates), flip_flops=taken)

    def after_reset(self, other: Network) -> Network:
        """The edges of a reset at once: the registers take what they hold after it, whatever they held before.

        Of the inputs, they are 0 after what is not possible.
        """
        logic, network = Logic(other), self._network
        held = _held(network, self._config)
        now = {register: register for register in other.flip_flops}
        inputs = dict(other.inputs)
        possible: list[int] = []
        for edge in range(self._config.latency_cycles + 1):
            for name, bits in network.inputs.items():
                inputs[f"{name}_{edge}"] = tuple(logic.net() for _ in bits)
                now |= {net: held.get(net, new) for net, new in zip(bits, inputs[f"{name}_{edge}"], strict=True)}
            possible += self._zero_points(logic, now)
            nets = logic.copied(other, now)
            now |= {register: nets[taken] for register, taken in other.flip_flops.items()}
        counts = logic.all(possible)
        after = self._counting(logic, {register: now[register] for register in other.flip_flops})
        taken = {register: logic.gate("and", net, counts) for register, net in after.items()}
        return replace(other, inputs=inputs, gates=tuple(logic.gates), flip_flops=taken)

    def _counting(self, logic: Logic, state: Mapping[int, int]) -> Mapping[int, int]:  # noqa: ARG002
        """What counts of a state, the net of each register: all."""
        return state

    def _sums(self, logic: Logic) -> Iterator[int]:
        config, inputs = self._config, self._network.inputs
        adds: int | None = None
        if not isinstance(config, PeConfig) and not config.pipeline:
            keeps = logic.gate("andnot", inputs["valid"][0], inputs["first"][0])
            adds = logic.gate("andnot", keeps, inputs["rst"][0])
        for word, least, greatest in self._words():
            if isinstance(config, PeConfig):
                yield logic.between(word, least * (config.depth - 1), greatest * (config.depth - 1))
                continue
            yield logic.between(word, least * config.depth, greatest * config.depth)
            if adds is not None:
                left = (-(-config.depth // config.lanes) - 1) * config.lanes  # the last cycle may be padded
                yield logic.gate("ornot", logic.between(word, least * left, greatest * left), adds)

    def _words(self) -> Iterator[tuple[Sequence[int], int, int]]:
        """The nets of every sum, the lowest first, and the least and the greatest of what is added to it for a product."""
        config, network = self._config, self._network
        least, greatest = -1 << config.activation_bits - 1, (1 << config.activation_bits - 1) - 1
        values = config.weight_format.values
        if isinstance(config, AsymmetricConfig):
            codes = np.arange(len(values))
            points = np.arange(config.weight_format.steps + 1)
            values = tuple(config.offset_format.decode(config.recode(codes, points)).ravel().tolist())
            yield network.wires["correction.activation_sum"], least, greatest
        products = [value * activation for value in values for activation in (least, greatest)]
        if isinstance(config, AsymmetricConfig):
            sums = [network.wires[f"unit_{u}_accumulator"] for u in range(config.units)]
        else:
            sums = [network.inputs["partial_sum"] if isinstance(config, PeConfig) else network.outputs["accumulator"]]
        for word in sums:
            yield word, min(products), max(products)

    def _zero_points(self, logic: Logic, moved: Mapping[int, int] | None = None) -> Iterator[int]:
        if not isinstance(config := self._config, AsymmetricConfig):
            return
        for name in ("read_zero_point", "zero_points"):
            nets = self._network.inputs.get(name, ())
            for start in range(0, len(nets), config.zero_point_bits):
                point = [(moved or {}).get(net, net) for net in nets[start : start + config.zero_point_bits]]
                yield logic.between([*point, 0], 0, config.weight_format.steps)

    def _states(self, logic: Logic) -> Iterator[int]:
        for group, states in self._reached:
            yield logic.any([logic.equal(group.registers, state) for state in states])

    @cached_property
    def _reached(self) -> list[tuple[_Group, list[int]]]:
        """Groups of registers and their states (the first register is the lowest bit), where some are never met."""
        found = ((group, self._reached_by(group)) for group in _groups(self._network))
        return [(group, states) for group, states in found if len(states) < 1 << len(group.registers)]

    def _reached_by(self, group: _Group) -> list[int]:
        network, config = self._network, self._config
        own = len(group.read)
        cases = np.arange(1 << own + len(group.inputs))
        levels = {net: cases >> place & 1 for place, net in enumerate((*group.read, *group.inputs))}
        given = dict.fromkeys((*chain(*network.inputs.values()), *network.flip_flops), 0)
        nets = network.evaluate(given | {net: _word(column) for net, column in levels.items()}, len(cases))
        following = np.zeros(len(cases), dtype=np.int64)
        for place, register in enumerate(group.registers):
            following |= _column(nets[network.flip_flops[register]], len(cases)) << place
        held = _held(network, config)
        in_reset = np.ones(len(cases), dtype=bool)
        for net in held.keys() & set(group.inputs):
            in_reset &= levels[net] == held[net]

        def after(states: NDArray[np.int64], counts: NDArray[np.bool_]) -> NDArray[np.int64]:
            before = np.zeros(1 << own, dtype=bool)
            before[states & (1 << own) - 1] = True
            return np.unique(following[counts & before[cases & (1 << own) - 1]])

        states = np.arange(1 << own)
        for _ in range(config.latency_cycles + 1):
            states = after(states, in_reset)
        while True:
            grown = np.union1d(states, after(states, np.ones_like(in_reset)))
            if len(grown) == len(states):
                return states.tolist()
            states = grown


def _held(network: Network, config: Unit) -> dict[int, int]:
    """Nets of inputs that a reset holds, and their levels: what is loaded, or summed meanwhile, is left open."""
    return {network.inputs[name][0]: level for name, level in config.reset.items() if name in ("rst", "load", "swap")}


class _Group(NamedTuple):
    """Registers that take only inputs and some of themselves: these come first."""

    registers: tuple[int, ...]
    read: tuple[int, ...]
    inputs: tuple[int, ...]

    @property
    def nets(self) -> set[int]:
        """Registers and inputs."""
        return {*self.registers, *self.inputs}

    @property
    def bits(self) -> int:
        """Of what decides what they take."""
        return len(self.read) + len(self.inputs)


def _groups(network: Network) -> list[_Group]:
    """The registers that take only inputs and each other; those that share more than controls together, if not too many."""
    ports = set(chain(*network.inputs.values()))
    support = {0: frozenset[int](), 1: frozenset[int]()} | {net: frozenset({net}) for net in (*ports, *network.flip_flops)}
    for gate in network.gates:
        support[gate.output] = frozenset(chain(*(support[net] for net in gate.inputs)))
    taken = {register: support[net] for register, net in network.flip_flops.items()}
    controls = set(chain(*(nets for nets in network.inputs.values() if len(nets) == 1)))

    def group_of(registers: set[int]) -> _Group:
        takes = set(chain(*(taken[one] for one in registers)))
        read = registers & takes
        return _Group((*sorted(read), *sorted(registers - read)), tuple(sorted(read)), tuple(sorted(takes & ports)))

    alike: dict[frozenset[int], set[int]] = {}  # what takes the same, such as the select lines of a digit
    for register in taken:
        registers, grown = set[int](), {register}
        while grown != registers:
            registers = grown
            grown = registers.union(*(taken[one] - ports for one in registers))
        alike.setdefault(frozenset(registers.union(taken[register]) - {register}), set()).update(registers)
    alone = [group_of(registers) for registers in alike.values()]
    groups: list[_Group] = []
    for group in sorted((one for one in alone if one.bits <= _MOST_BITS), key=lambda one: one.bits):
        common = {other: (group.nets & other.nets) - controls for other in groups}
        for other in sorted((other for other in groups if common[other]), key=lambda other: -len(common[other])):
            merged = group_of({*group.registers, *other.registers})
            if merged.bits <= _MOST_BITS:
                groups.remove(other)
                group = merged
        groups.append(group)
    return groups


def _word(column: NDArray[np.int64]) -> int:
    """Levels of a net in all cases, as `Network.evaluate` takes them."""
    return int.from_bytes(np.packbits(column.astype(np.uint8), bitorder="little").tobytes(), "little")


def _column(word: int, cases: int) -> NDArray[np.int64]:
    """The inverse of `_word`."""
    packed = np.frombuffer(word.to_bytes((cases + 7) // 8, "little"), dtype=np.uint8)
    return np.unpackbits(packed, count=cases, bitorder="little").astype(np.int64)


class Logic:
    """Gates to add to a network, each read after it is driven."""

    def __init__(self, network: Network) -> None:
        ports = (net for side in (network.inputs, network.outputs) for bits in side.values() for net in bits)
        gates = (net for gate in network.gates for net in (gate.output, *gate.inputs))
        self._last = max((1, *ports, *gates, *network.flip_flops))
        self.gates: list[Gate] = []

    def net(self) -> int:
        """A net that nothing drives yet."""
        self._last += 1
        return self._last

    def gate(self, kind: str, *inputs: int) -> int:
        """A gate's output."""
        self.gates.append(Gate(kind, inputs, self.net()))
        return self._last

    def copied(self, network: Network, given: Mapping[int, int]) -> dict[int, int]:
        """All nets of a network built once more on other inputs and registers."""
        nets = {0: 0, 1: 1, **given}
        for gate in network.gates:
            nets[gate.output] = self.gate(gate.kind, *(nets[net] for net in gate.inputs))
        return nets

    def all(self, nets: Sequence[int]) -> int:
        """Whether all of them are 1."""
        return reduce(lambda one, other: self.gate("and", one, other), nets, 1)

    def any(self, nets: Sequence[int]) -> int:
        """Whether one of them is 1."""
        return reduce(lambda one, other: self.gate("or", one, other), nets, 0)

    def equal(self, word: Sequence[int], number: int) -> int:
        """Whether an unsigned word, the lowest bit first, is `number`."""
        return self.all([net if number >> place & 1 else self.gate("not", net) for place, net in enumerate(word)])

    def between(self, word: Sequence[int], low: int, high: int) -> int:
        """Whether a two's complement word is from `low` to `high`."""
        inverted = [self.gate("not", net) for net in word]
        return self.gate("and", self._at_least(word, low), self._at_least(inverted, ~high))

    def _at_least(self, word: Sequence[int], bound: int) -> int:
        """Compared from the lowest place on: the highest that differs decides; of the sign, 0 is the greater."""
        result = 1
        for place, net in enumerate(word):
            one = bool(bound >> place & 1)
            sign = place == len(word) - 1
            result = self.gate("and" if one != sign else "or", self.gate("not", net) if sign else net, result)
        return result
