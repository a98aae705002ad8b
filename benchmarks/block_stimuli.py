# SPDX-License-Identifier: Apache-2.0
"""What units of block formats are tried with: every product, every scale, every order of control signals, both extremes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import BlockMacConfig
from golden.codebook_memory import element_values
from sim.replay import PortStimulus
from sim.stimulus import de_bruijn

__all__ = ["every_base", "extremes", "orders", "products", "scales", "sum_of_extremes"]

_EVERY_BASE = 16  # bits of scales and base of which every combination is simulated
_SHIFT = 3  # of a scale of 1, where there is a base


def products(config: BlockMacConfig, seed: int) -> PortStimulus:
    """Every code with every activation in every lane, each pair once, each cycle a block and a sum of its own, at scale 1.

    Lane 0 takes the pairs in order, every other lane in a random order of its own. Where there are codebooks each pair comes
    with every selector, or every pair of selectors.
    """
    codes, operands = 1 << config.weight_format.bits, 1 << config.activation_bits
    random = np.random.default_rng([seed, 4])
    ways = 1 << config.blocks.selector_bits * len(config.selector_ports)
    pairs = np.tile(_each_in_every_lane(codes * operands, config.lanes, random), (ways, 1))
    weights, activations = np.divmod(pairs, operands)
    if not config.scaled_activations:
        activations = activations - operands // 2
    chosen = _each_in_every_lane(ways, config.selectors, random).repeat(codes * operands, axis=0)
    selectors = {
        name: chosen >> place * config.blocks.selector_bits & (1 << config.blocks.selector_bits) - 1
        for place, name in enumerate(config.selector_ports)
    }
    one = config.blocks.scales.encode_one(1)
    scales = np.full((len(weights), config.scale_factors), one)
    return _stimulus(config, "products", weights, activations, scales, one * config.scale_factors - _SHIFT, **selectors)


def scales(config: BlockMacConfig, seed: int) -> PortStimulus:
    """Every code of a scale, or pair of codes, with every base; each cycle a block and a sum of its own, operands at random.

    No block's sum is zero: whatever scales that, right or wrong, zero it remains. Without `every_base` each pair has one base:
    drawn, so that shifts in reach and some beyond are as likely.
    """
    random = np.random.default_rng([seed, 11])
    shape = (1 << config.scale_bits,) * config.scale_factors
    codes = np.indices(shape).reshape(config.scale_factors, -1).T
    if every_base(config):
        bases = np.repeat(np.arange(1 << config.base_bits), len(codes))
        codes = np.tile(codes, (1 << config.base_bits, 1))
    else:
        assert config.span is not None
        wanted = random.integers(-2, config.span + 3, len(codes))
        bases = np.clip(codes.sum(axis=1) - wanted, 0, (1 << config.base_bits) - 1)
    weights, activations, selectors = _operands(config, len(codes), random)
    while len(zero := np.flatnonzero(_block_sums(config, weights, activations, selectors) == 0)):
        weights[zero], activations[zero], chosen = _operands(config, len(zero), random)
        for name, column in chosen.items():
            selectors[name][zero] = column
    return _stimulus(config, "scales", weights, activations, codes, bases, **selectors)


def every_base(config: BlockMacConfig) -> bool:
    """Whether `scales` has every combination of scales and base: up to 2^16 are simulated."""
    return config.scale_bits * config.scale_factors + config.base_bits <= _EVERY_BASE


def orders(config: BlockMacConfig, length: int, seed: int) -> PortStimulus:
    """`first`, `last`, `valid` and `rst` in every order: all sequences of `length` cycles, operands and scales at random."""
    random = np.random.default_rng([seed, 12])
    symbols = np.array(de_bruijn(16, length))
    controls = {name: symbols >> place & 1 for place, name in enumerate(("first", "last", "valid", "rst"))}
    weights, activations, selectors = _operands(config, len(symbols), random)
    encoding = config.blocks.scales
    one, most = encoding.encode_one(1), encoding.nan_code
    # About those of 1 where there is a base, else any; now and then NaN.
    around = (one - 4, one + 8) if config.base_bits else (0, most)
    codes = random.integers(*around, (len(symbols), config.scale_factors))
    codes[random.random(codes.shape) < 1 / 32] = most
    if encoding.negative:
        codes += random.integers(0, 2, codes.shape) * encoding.sign_bit
    base = one * config.scale_factors - _SHIFT
    return _stimulus(config, "orders", weights, activations, codes, base, **selectors, **controls)


def extremes(config: BlockMacConfig) -> PortStimulus:
    """A sum of `depth` times the greatest product by the greatest scales, then one of the least product.

    Where scales have a sign, the other one is the greatest product by the opposite of the greatest scale, which is less.
    """
    values = _products_of_elements(config)
    cycles, block = config.depth // config.lanes, config.blocks.block // config.lanes
    encoding = config.blocks.scales
    ends = (values.argmax(), values.argmax() if encoding.negative else values.argmin())
    pairs = [np.unravel_index(int(place), values.shape) for place in ends]
    weights, activations = (np.repeat([int(pair[i]) for pair in pairs], cycles)[:, None] for i in (0, 1))
    selectors = {}
    for name, column in zip(config.selector_ports, (weights, activations), strict=False):
        selectors[name] = (column >> config.weight_format.bits) * np.ones((1, config.selectors), int)
    weights = weights & (1 << config.weight_format.bits) - 1
    activations = activations & (1 << config.activation_bits) - 1 if config.scaled_activations else activations - 128
    lanes = np.ones((1, config.lanes), int)
    at = np.arange(2 * cycles)
    largest = np.full((len(at), config.scale_factors), encoding.nan_code - 1)
    largest[cycles:, 0] += encoding.sign_bit * encoding.negative
    controls = {"first": at % cycles == 0, "last": at % block == block - 1}
    base = config.exponents - (config.span or 0)
    return _stimulus(config, "extremes", weights * lanes, activations * lanes, largest, base, **selectors, **controls)


def sum_of_extremes(config: BlockMacConfig) -> tuple[int, int]:
    """What the two sums of `extremes` must come to, from the values and the scales' definition alone."""
    values = _products_of_elements(config)
    encoding = config.blocks.scales
    most = encoding.decode_one(encoding.nan_code - 1)
    assert most is not None
    base = config.exponents - (config.span or 0)
    factor = int(most * 2**-encoding.least_exponent)
    factor = factor**config.scale_factors >> base
    least = -values.max() if encoding.negative else values.min()
    return int(values.max()) * factor * config.depth, int(least) * factor * config.depth


def _products_of_elements(config: BlockMacConfig) -> NDArray[np.int64]:
    """Products by number of the weight, its selector above its code, and by that of the activation, or by INT8 activation."""
    own = np.concatenate([one.values for one in config.blocks.elements])
    return np.outer(own, own if config.scaled_activations else np.arange(-128, 128))


def _each_in_every_lane(count: int, lanes: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Every number below `count` in each of `lanes` columns: ascending in the first, in a random order in the others."""
    columns = [np.arange(count), *(random.permutation(count) for _ in range(lanes - 1))]
    return np.stack(columns, axis=1)


def _operands(
    config: BlockMacConfig, cycles: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, NDArray[np.int64]]]:
    weights = random.integers(0, 1 << config.weight_format.bits, (cycles, config.lanes))
    low, high = (0, 1 << config.activation_bits) if config.scaled_activations else (-128, 128)
    activations = random.integers(low, high, weights.shape)
    shape = (cycles, config.selectors)
    return (
        weights,
        activations,
        {name: random.integers(0, 1 << config.blocks.selector_bits, shape) for name in config.selector_ports},
    )


def _block_sums(
    config: BlockMacConfig, weights: NDArray[np.int64], activations: NDArray[np.int64], selectors: dict[str, NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Of each cycle the sum of its products, (cycles,)."""
    chosen = [*selectors.values(), None, None]
    values = element_values(config.blocks, weights, chosen[0])
    if config.scaled_activations:
        activations = element_values(config.blocks, activations, chosen[1])
    return (values * activations).sum(axis=1)


def _stimulus(
    config: BlockMacConfig, source: str, weights: NDArray[Any], activations: NDArray[Any], codes: NDArray[Any], base: ArrayLike,
    **given: NDArray[Any],
) -> PortStimulus:  # fmt: skip
    """Controls that are not given make each cycle a block and a sum of its own."""
    cycles = len(weights)
    columns: dict[str, Any] = {"rst": 0, "valid": 1, "first": 1, "last": 1, "base": base, **given}
    for name, column in columns.items():
        if np.ndim(column) < 2:
            columns[name] = np.broadcast_to(column, cycles).astype(np.int64)[:, None]
    columns |= {"weights": weights, "activations": activations, "scale": codes[:, :1], "activation_scale": codes[:, 1:]}
    return PortStimulus({port.name: columns[port.name] for port in config.inputs}, source)
