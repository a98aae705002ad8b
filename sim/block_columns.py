# SPDX-License-Identifier: Apache-2.0
"""What stimuli of units of block formats are made of: columns of ports, operands at random, scales that are in reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import BlockMacConfig, Port

__all__ = [
    "CONTROLS",
    "SCALES",
    "Columns",
    "bases_of",
    "blocks_of_sum",
    "codes_in_reach",
    "columns",
    "count_of",
    "joined",
    "random_operands",
    "random_port",
    "random_scales",
    "scale_exponents",
    "scale_ports",
    "scale_signs",
    "scales_of_one",
]

#: Input ports, (cycles, fields) each.
Columns = dict[str, NDArray[np.int64]]

CONTROLS = ("first", "last", "valid", "rst")
SCALES = ("scale", "activation_scale")
_SUM_PRODUCTS = 256  # length of the sums of random operands, as of other units


def columns(config: BlockMacConfig, given: Mapping[str, ArrayLike], cycles: int | None = None) -> Columns:
    """Every input port, (cycles, fields), as given, (cycles,), (cycles, fields) or a number for all; else valid zeros."""
    arrays = {name: np.asarray(column, dtype=np.int64) for name, column in {"valid": 1, **given}.items()}
    count = max(len(one) for one in arrays.values() if one.ndim) if cycles is None else cycles
    ports = {}
    for port in config.inputs:
        column = arrays.get(port.name, np.zeros((), np.int64))
        ports[port.name] = np.broadcast_to(column[:, None] if column.ndim == 1 else column, (count, port.fields))
    return ports


def joined(pieces: Iterator[Columns] | list[Columns]) -> Columns:
    listed = list(pieces)
    return {name: np.concatenate([piece[name] for piece in listed]) for name in listed[0]}


def count_of(config: BlockMacConfig, port: Port) -> int:
    """How many values a port takes: not every selector has a codebook."""
    return len(config.blocks.elements) if port.name in config.selector_ports else 1 << port.bits


def random_port(config: BlockMacConfig, port: Port, cycles: int, random: np.random.Generator) -> NDArray[np.int64]:
    low = -(1 << port.bits - 1) if port.signed else 0
    return random.integers(low, low + count_of(config, port), (cycles, port.fields))


def random_operands(config: BlockMacConfig, cycles: int, random: np.random.Generator) -> Columns:
    """All input ports but those of scales: operands at random, whole blocks, one after the other; codebooks stay."""
    step, block = np.arange(cycles), config.blocks.block // config.lanes
    first, last = step % (blocks_of_sum(config) * block) == 0, step % block == block - 1
    known = (*CONTROLS, *SCALES, *config.write_ports)
    drawn = {port.name: random_port(config, port, cycles, random) for port in config.inputs if port.name not in known}
    return columns(config, {**drawn, "first": first, "last": last})


def blocks_of_sum(config: BlockMacConfig) -> int:
    return max(1, min(_SUM_PRODUCTS, config.depth) // config.blocks.block)


def scale_ports(codes: NDArray[np.int64]) -> Columns:
    """The scale ports, (cycles,) each, that show `codes` (cycles, 1 or 2): the weights' scale, then the activations'."""
    return dict(zip(SCALES, codes.T, strict=False))


def scale_exponents(config: BlockMacConfig) -> NDArray[np.int64]:
    """By code of a scale that is a number without a sign: its exponent, from the least on; ascending."""
    encoding = config.blocks.scales
    return encoding.parts(np.arange(encoding.nan_code))[1] - encoding.least_exponent


def scale_signs(config: BlockMacConfig) -> tuple[int, ...]:
    """What makes a code of a scale without a sign one of each sign that there is."""
    encoding = config.blocks.scales
    return (0, encoding.sign_bit) if encoding.negative else (0,)


def scales_of_one(config: BlockMacConfig, code: int | None = None, shift: int = 0) -> dict[str, int]:
    """Ports of scales of 1, or of `code`, and the base from where blocks are shifted by `shift`, if there is a base."""
    code = config.blocks.scales.encode_one(1) if code is None else code
    ports = {"base": int(scale_exponents(config)[code]) * config.scale_factors - shift} if config.base_bits else {}
    return ports | dict.fromkeys(SCALES[: config.scale_factors], code)


def bases_of(config: BlockMacConfig, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The least base of each sum, (sums,), that keeps its largest scale in reach: `codes` are (sums, blocks, 1 or 2)."""
    assert config.span is not None
    if not config.base_bits:
        return np.zeros(len(codes), np.int64)
    exponents = scale_exponents(config)[codes & config.blocks.scales.nan_code].sum(axis=2)
    return np.maximum(exponents.min(axis=1), exponents.max(axis=1) - config.span)


def codes_in_reach(
    config: BlockMacConfig, bases: NDArray[np.int64], shifts: NDArray[np.int64], random: np.random.Generator
) -> NDArray[np.int64]:
    """Codes of scales, (blocks, 1 or 2), that shift by `shifts` from `bases`, (blocks,) each."""
    offsets, most, signs = scale_exponents(config), config.exponents // config.scale_factors, scale_signs(config)
    left = bases + shifts
    found = []
    for others in reversed(range(config.scale_factors)):
        exponents = random.integers(np.maximum(0, left - others * most), np.minimum(most, left) + 1)
        ends = (np.searchsorted(offsets, exponents, side) for side in ("left", "right"))
        found.append(random.integers(*ends) + (random.choice(signs, len(bases)) if len(signs) > 1 else 0))
        left = left - exponents
    return np.stack(found, axis=1)


def random_scales(config: BlockMacConfig, cycles: int, random: np.random.Generator, *, alike: bool = False) -> Columns:
    """The ports of scales, in reach: of each block, and the base of each sum; `alike`: every other sum has one shift."""
    assert config.span is not None
    block = config.blocks.block // config.lanes
    blocks = np.arange(cycles) // block
    sums = blocks // blocks_of_sum(config)
    of_sum = random.integers(0, config.exponents - config.span + 1, int(sums[-1]) + 1)
    sum_of = np.arange(int(blocks[-1]) + 1) // blocks_of_sum(config)
    shifts = random.integers(0, config.span + 1, len(sum_of))
    if alike:  # all there are, one after the other
        shifts = np.where(sum_of % 2, shifts, sum_of // 2 % (config.span + 1))
    codes = codes_in_reach(config, of_sum[sum_of], shifts, random)
    ports = scale_ports(codes[blocks]) | ({"base": of_sum[sums]} if config.base_bits else {})
    return {name: column[:, None] for name, column in ports.items()}
