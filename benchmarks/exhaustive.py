# SPDX-License-Identifier: Apache-2.0
"""Does a stimulus have every product, or every scale, that a unit can be given? Counted from its columns alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from golden import AsymmetricConfig, BlockMacConfig, MacConfig, PeConfig, ToolError, UnitConfig
from golden.codebook_memory import codebooks_in_time, element_values
from sim import column
from sim.replay import Replay

from .block_stimuli import every_base

__all__ = ["every_product", "every_scale"]


def every_product(config: UnitConfig, stimulus: Replay) -> int:
    """The number of different products that `stimulus` has, which must be all there are; 0 where that is not asked.

    Raises
    ------
    ToolError
        If one is missing.
    """
    owed = 1 << (config.weight_format.bits + config.activation_bits)
    if isinstance(config, MacConfig | BlockMacConfig):
        owed *= config.lanes
        if isinstance(config, BlockMacConfig):
            owed <<= config.blocks.selector_bits * len(config.selector_ports)
            if config.writable_codebooks:  # of all words, wherever they stand
                words = 2 * config.largest_value + 1
                owed = config.lanes * words * (words if config.scaled_activations else 1 << config.activation_bits)
    elif isinstance(config, AsymmetricConfig):
        if config.weight_format.bits > 4:
            return 0  # 2^24 triples are too many to simulate
        owed *= config.lanes * config.units * (config.weight_format.steps + 1)
    if (found := _different(config, stimulus)) != owed:
        raise ToolError(f"{config.name}: the stimulus has {found} different products of {owed}")
    return found


def every_scale(config: UnitConfig, stimulus: Replay) -> int:
    """The number of different scales, or pairs of them, that blocks of `stimulus` have: all there are; of other units 0.

    Where `every_base` holds, each comes with every base and counts once with each. Blocks of one cycle count, whose sum is not
    zero: with another one no scale would be seen to be wrong.

    Raises
    ------
    ToolError
        If one is missing.
    """
    if not isinstance(config, BlockMacConfig):
        return 0
    inputs, owed = stimulus.inputs, config.scale_bits * config.scale_factors
    names = list(config.scale_ports)
    if config.base_bits and every_base(config):
        names, owed = [*names, "base"], owed + config.base_bits
    taken = _blocks_of_one(inputs) & (_sums_of_products(config, inputs) != 0)
    scales = np.concatenate([inputs[name] for name in names], axis=1)
    if (found := len(np.unique(scales[taken], axis=0))) != 1 << owed:
        raise ToolError(f"{config.name}: the stimulus has {found} different scales of {1 << owed}")
    return found


def _different(config: UnitConfig, stimulus: Replay) -> int:
    """Different products in a stimulus: codes and activations by lane, with their selectors, or zero-points and units."""
    inputs = {name: column.astype(np.int64) for name, column in stimulus.inputs.items()}
    if isinstance(config, PeConfig):
        in_use = column.weights_in_use(stimulus)
        return len(np.unique((in_use * 256 + inputs["activation"][:, 0])[in_use >= 0]))
    codes, activations = inputs["weights"], inputs["activations"]
    taken = (inputs["valid"] & ~inputs["rst"])[:, 0] == 1
    if isinstance(config, BlockMacConfig):
        codes, activations = _words(config, inputs) if config.writable_codebooks else _operands(config, inputs)
        taken = _blocks_of_one(inputs)
        scales = np.concatenate([inputs[name] for name in config.scale_ports], axis=1)
        significands, _, reached = config.scaling(scales, inputs["base"][:, 0] if config.base_bits else 0)
        taken &= reached & (significands != 0)
    if isinstance(config, AsymmetricConfig):
        # Of the unit that is read when the sum is there, with the zero-point that it is corrected by then.
        late = config.pipeline + 1
        read, corrected = (inputs[name][late:, 0] for name in ("read_unit", "read_zero_point"))
        codes = codes.reshape(len(codes), config.units, config.lanes)[np.arange(len(read)), read]
        codes = codes + 256 * (corrected * config.units + read)[:, None]
        activations = activations[:-late]
    pairs, taken = codes * 256 + activations, taken[: len(codes)]
    return sum(len(np.unique(pairs[taken, lane])) for lane in range(config.lanes))


def _blocks_of_one(inputs: Mapping[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Cycles, (cycles,), that are a block and a sum of their own: what they make is seen, if it is scaled by a number but 0."""
    return (inputs["valid"] & inputs["first"] & inputs["last"] & ~inputs["rst"])[:, 0] == 1


def _sums_of_products(config: BlockMacConfig, inputs: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """Each cycle's sum of products, (cycles,), from the tables of the elements."""
    table = np.concatenate([one.values for one in config.blocks.elements])
    weights, activations = _operands(config, inputs)
    return (table[weights] * (table[activations] if config.scaled_activations else activations)).sum(axis=1)


def _operands(config: BlockMacConfig, inputs: Mapping[str, NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Weights and activations, (cycles, lanes) each: codes with their selectors above them, or integers."""
    found = []
    for operand, selectors in (("weights", "selectors"), ("activations", "activation_selectors")):
        numbers = inputs[operand].astype(np.int64)
        if selectors in config.selector_ports:
            of_lane = inputs[selectors].astype(np.int64).repeat(config.lanes // config.selectors, axis=1)
            numbers = numbers + (of_lane << config.blocks.bits)
        found.append(numbers)
    return found


def _words(config: BlockMacConfig, inputs: Mapping[str, NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Weights and activations, (cycles, lanes) each: what codes stood for when they came, or integers."""
    writes = np.concatenate([inputs[name] for name in config.write_ports], axis=1)
    held = codebooks_in_time(config.blocks, config.largest_value, writes, inputs["rst"][:, 0] == 1)
    weights = element_values(config.blocks, inputs["weights"], inputs["selectors"], held)
    if not config.scaled_activations:
        return [weights, inputs["activations"]]
    return [weights, element_values(config.blocks, inputs["activations"], inputs["activation_selectors"], held)]
