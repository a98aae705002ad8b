# SPDX-License-Identifier: Apache-2.0
"""Sums of blocks that make carries run: where a block's sum is scaled, and at the accumulator."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import BlockMacConfig

from .block_columns import Columns, blocks_of_sum, codes_in_reach, columns, random_operands, random_scales, scale_ports
from .carry_runs import crossings, nearest

__all__ = ["crossing_sums", "sums_anywhere"]

_ANYWHERE = 16  # times the number of shifts: sums of blocks whose own sums lie anywhere
_RUNS = (4, 17)  # places that a carry runs through in a scaled sum
_DRAWN = 4096  # sums of a block, of which the one is taken that scales to what is nearest to a multiple
_SLICE = 256  # blocks that are drawn at once, 8 MiB
_LAST = 64  # sums that the last cycle of a block chooses from
_SCALES = 8  # of each shift, to make addends of


def sums_anywhere(config: BlockMacConfig, operands: Columns, sums: NDArray[np.int64]) -> Columns:
    """Blocks whose sums lie anywhere, made of the rows of `operands`, whose products have `sums`.

    Three of four are such that they make nearly a multiple of some power of two, times their significands: a carry runs
    there, or just does not.
    """
    assert config.span is not None
    random = np.random.default_rng(15)
    blocks, block = _ANYWHERE * (config.span + 1) * blocks_of_sum(config), config.blocks.block // config.lanes
    whole = random_operands(config, blocks * block, random)
    whole |= random_scales(config, blocks * block, random, alike=True)
    codes, base = np.concatenate([whole[name][::block] for name in config.scale_ports], axis=1), whole.get("base")
    significands, _, _ = config.scaling(codes, 0 if base is None else base[::block, 0])

    values, of_value = np.unique(sums, return_index=True)
    ends = int(values[0]) * block, int(values[-1]) * block + 1
    slices = np.split(significands, range(_SLICE, blocks, _SLICE))
    left = np.concatenate([_block_sums(one, ends, random) for one in slices])
    rows = np.empty((blocks, block), np.int64)
    small = values[np.abs(values).argsort()[:_LAST]]
    for cycle in range(block):
        wanted = left
        if cycle == block - 2:  # of what comes near, what the last cycle makes exact
            firsts = left[:, None] - small
            missing = np.abs(values[nearest(values, firsts)] - firsts)
            wanted = firsts[np.arange(blocks), missing.argmin(axis=1)]
        at = nearest(values, wanted)
        rows[:, cycle], left = of_value[at], left - values[at]
    return whole | {name: column[rows.ravel()] for name, column in operands.items()}


def _block_sums(significands: NDArray[np.int64], ends: tuple[int, int], random: np.random.Generator) -> NDArray[np.int64]:
    """Sums from `ends`, one for each significand; of three of four the product is next to a multiple of a power of two."""
    each = np.arange(len(significands))
    drawn = random.integers(*ends, (len(each), _DRAWN))
    power = 1 << random.integers(*_RUNS, (len(each), 1))
    scaled = drawn * significands[:, None]
    away = np.abs((scaled + random.integers(-1, 2, (len(each), 1)) + power // 2) % power - power // 2)
    chosen = np.where(np.abs(scaled) < power // 2, power, away).argmin(axis=1)  # zero is a multiple of all
    return drawn[each, np.where(each % 4, chosen, 0)]


def crossing_sums(config: BlockMacConfig, operands: Columns, sums: NDArray[np.int64], longest_sum: int) -> Columns:
    """`carry_runs.crossings`, each cycle a block, made of the rows of `operands`, whose products have `sums`."""
    assert config.span is not None
    random = np.random.default_rng(16)
    base = (config.exponents - config.span) // 2
    shifts = np.arange(config.span + 1).repeat(_SCALES)
    codes = codes_in_reach(config, np.full(len(shifts), base), shifts, random)
    factors = config.scaling(codes, base)[0] << shifts
    products, rows = np.unique(sums, return_index=True)
    addends, made = np.unique(np.multiply.outer(products, factors), return_index=True)
    ways = crossings(addends, min(config.depth // config.lanes, longest_sum), random)
    at = made[np.concatenate(ways)]
    picked: dict[str, ArrayLike] = {name: column[rows[at // len(shifts)]] for name, column in operands.items()}
    first = np.concatenate([np.arange(len(way)) == 0 for way in ways])
    return columns(config, {**picked, **scale_ports(codes[at % len(shifts)]), "base": base, "first": first, "last": 1})
