# SPDX-License-Identifier: Apache-2.0
"""A unit in the states and with the inputs that it is made for.

A sum is as wide as the longest one needs, so that some of what it could hold is never met: with INT8 and 65,536 products it
reaches from -65536 x 127 x 128 to 65536 x 128 x 128 = 2^30, which takes 32 bits and hardly more than half of their range. Two
units that differ there alone make the same of all that they are made for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from golden import MacConfig, PeConfig

from .gates import Gate, Network

__all__ = ["within_limits"]


def within_limits(network: Network, config: MacConfig | PeConfig, shown: Sequence[int]) -> Network:
    """The network with every register taking 0 from states and inputs beyond the unit's limits; the rest as it was.

    What is taken for possible is an interval that holds all that is. A MAC unit's accumulator lies between `depth` times the
    least and the greatest product, and, before a cycle of a unit without pipeline registers that adds to it, between so many
    of them as are left without that cycle's `lanes`; likewise the partial sum that a processing element is given. That is so
    after a reset; a cycle of reset counts from any state, but for units with pipeline registers, where it acts later.

    Parameters
    ----------
    network
        The unit, or one made from it.
    shown
        The unit's sum: the outputs of its flip-flops, the least significant first.
    """
    logic = _Logic(network)
    least = min(0, *(value * activation for value in config.weight_format.values for activation in (-128, 127)))
    greatest = max(0, *(value * activation for value in config.weight_format.values for activation in (-128, 127)))
    if isinstance(config, MacConfig):
        possible = logic.between(shown, least * config.depth, greatest * config.depth)
        if not config.pipeline:
            rst, valid, first = (network.inputs[name][0] for name in ("rst", "valid", "first"))
            keeps = logic.gate("ornot", first, valid)
            others = config.depth - config.lanes
            adds = logic.between(shown, least * others, greatest * others)
            possible = logic.gate("or", rst, logic.gate("and", possible, logic.gate("or", keeps, adds)))
    else:
        others = config.depth - 1
        possible = logic.between(network.inputs["partial_sum"], least * others, greatest * others)
    taken = {register: logic.gate("and", net, possible) for register, net in network.flip_flops.items()}
    return replace(network, gates=(*network.gates, *logic.gates), flip_flops=taken)


class _Logic:
    """Gates to add to a network, each read after it is driven."""

    def __init__(self, network: Network) -> None:
        ports = (net for side in (network.inputs, network.outputs) for bits in side.values() for net in bits)
        gates = (net for gate in network.gates for net in (gate.output, *gate.inputs))
        self._last = max((1, *ports, *gates, *network.flip_flops))
        self.gates: list[Gate] = []

    def gate(self, kind: str, *inputs: int) -> int:
        """A gate's output."""
        self._last += 1
        self.gates.append(Gate(kind, inputs, self._last))
        return self._last

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
