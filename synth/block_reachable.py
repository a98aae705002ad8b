# SPDX-License-Identifier: Apache-2.0
"""A unit of a block format in the states and with the inputs that it is made for, as far as its registers count.

Such a unit keeps what it will not look at: the sum of a block that was added, until another block begins; whether that block
opened a sum. And its reset does twice what once would do. Two units that differ there hold different states, and yet show the
same for all time. So they are compared in what counts of their states (`BlockLimits._counting`), by bisimulation: states alike
in that lead to states alike in that. Of the unit itself, too, that is to be shown, which `own` is for: it starts from what
counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from golden import BlockMacConfig

from .gates import Network
from .reachable import Limits, Logic

__all__ = ["BlockLimits"]


class BlockLimits(Limits):
    """What is possible in a unit of a block format after its reset, as `Limits`.

    With a pipeline register, what it holds counts if a block is in it.

    A block has at most its products, and a sum at most `depth`, at the largest scales that there are; a sum to which a block is
    added has at most those that leave room for a cycle's products. What scales were decoded to is enumerated.
    """

    def __init__(self, network: Network, config: BlockMacConfig) -> None:
        super().__init__(network, config)
        self._blocks = config
        self._control = {name: network.wires[name][0] for name in ("fresh", "opening", "done")}
        self._block = network.wires["block.accumulator"]
        registered = ("done_1", "opening_1", "reached_2", "addend_1") if config.pipeline else ()
        self._waiting = [network.wires[name] for name in registered]
        self._total, (self._exact,) = network.outputs["accumulator"], network.outputs["exact"]

    @property
    def _words_written(self) -> list[Sequence[int]]:
        """The port that codewords are written by, and the registers that hold them."""
        wires, places = self._network.wires, self._blocks.blocks.codewords
        return [self._network.inputs["codebook_word"], *(wires[f"codebook_registers.word_{place}"] for place in range(places))]

    @cached_property
    def own(self) -> tuple[Network, Network]:
        """The views of the unit itself, the second from what counts of its state."""
        return self.after_reset(self._network), self._after(self._network, from_counting=True)

    def within(self, other: Network) -> Network:
        """What counts of the state after, from any state of which what counts is possible; else 0."""
        return self._after(other, from_counting=False)

    def _counting(self, logic: Logic, state: Mapping[int, int]) -> dict[int, int]:
        """The state with 0 for what does not count.

        A block's sum does, and whether it opened a sum, until it is added; that it opened one, only if there is something to
        forget. A block whose sum is 0, before anything was added, might as well not have begun.
        """
        fresh, opening, done = (state[net] for net in self._control.values())
        total, block = ([state[net] for net in word] for word in (self._total, self._block))
        inexact = logic.gate("not", state[self._exact])
        added = anything = logic.gate("or", logic.any(total), inexact)
        counting = {}
        if self._waiting:
            (waits,), (opens,), (reached,), _ = self._waiting
            anything = logic.gate("or", added, state[waits])
            counting[opens] = logic.all([state[opens], state[waits], added])
            counting[reached] = logic.gate("and", state[reached], state[waits])
        nothing = logic.gate("not", logic.any([anything, *block, done]))
        pending = logic.gate("ornot", done, fresh)
        counting |= {net: logic.gate("and", state[net], pending) for net in self._block}
        counting[self._control["opening"]] = logic.all([opening, pending, anything])
        counting[self._control["fresh"]] = logic.gate("or", fresh, nothing)
        return {**state, **counting}

    def _after(self, other: Network, *, from_counting: bool) -> Network:
        logic = Logic(other)
        counting = self._counting(logic, {register: register for register in other.flip_flops})
        possible = logic.all([*self._possible(logic, counting)])
        after = dict(other.flip_flops)
        if from_counting:
            inputs = {net: net for bits in other.inputs.values() for net in bits}
            nets = logic.copied(other, {**inputs, **counting})
            after = {register: nets[taken] for register, taken in after.items()}
        after = self._counting(logic, after)
        taken = {register: logic.gate("and", net, possible) for register, net in after.items()}
        return Network(other.name, other.inputs, other.outputs, (*other.gates, *logic.gates), taken)

    def _possible(self, logic: Logic, state: Mapping[int, int]) -> Iterator[int]:
        config, inputs = self._blocks, self._network.inputs
        fresh, opening, done = (state[net] for net in self._control.values())
        yield logic.gate("ornot", fresh, done)  # what has ended has not begun
        idle = logic.any([fresh, inputs["first"][0], inputs["rst"][0], logic.gate("not", inputs["valid"][0])])
        opens, adds = opening, done
        if self._waiting:
            ((adds,), (opens,), _, addend) = ([state[net] for net in word] for word in self._waiting)
            yield logic.gate("ornot", adds, logic.any(addend))
        alone = logic.any([opens, logic.gate("not", adds), inputs["rst"][0]])
        block = [state[net] for net in self._block]
        (low, high), (least, greatest) = self._products, self._scaled
        for word, bottom, top, count, unmoved in (
            (block, low, high, config.blocks.block, idle),
            (self._total, least, greatest, config.depth, alone),
        ):
            yield logic.between(word, bottom * count, top * count)
            left = count - config.lanes
            yield logic.gate("or", logic.between(word, bottom * left, top * left), unmoved)
        if config.writable_codebooks:  # the least number of the bits is no codeword
            lowest = 1 << config.value_bits - 1
            for nets in self._words_written:
                yield logic.gate("not", logic.equal([state.get(net, net) for net in nets], lowest))
        # Of what does not always count nothing is taken from the enumeration.
        hidden = {self._control["fresh"], self._control["opening"], *self._block}
        for group, states in self._reached:
            shown = [place for place, register in enumerate(group.registers) if register not in hidden]
            met = {sum((one >> place & 1) << i for i, place in enumerate(shown)) for one in states}
            if len(met) < 1 << len(shown):
                word = [state[group.registers[place]] for place in shown]
                yield logic.any([logic.equal(word, one) for one in sorted(met)])

    @property
    def _products(self) -> tuple[int, int]:
        """The least and the greatest product of two elements, or of one and an INT8 activation."""
        config = self._blocks
        values = np.concatenate([one.values for one in config.blocks.elements])
        if config.writable_codebooks:
            values = np.array([-config.largest_value, config.largest_value])
        products = np.outer(values, values if config.scaled_activations else (-128, 127))
        return int(products.min()), int(products.max())

    @property
    def _scaled(self) -> tuple[int, int]:
        """The same times the largest scale, or pair of them, in reach."""
        config, encoding = self._blocks, self._blocks.blocks.scales
        assert config.span is not None
        significands, exponents = encoding.parts(np.arange(encoding.nan_code))
        largest = int((significands << exponents - encoding.least_exponent).max()) ** config.scale_factors
        if config.base_bits:
            largest = int(significands.max()) ** config.scale_factors << config.span
        least, greatest = self._products
        if encoding.negative:
            least, greatest = min(least, -greatest), max(greatest, -least)
        return least * largest, greatest * largest
