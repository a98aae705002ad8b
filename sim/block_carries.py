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
_FEW = 8  # sums of a block, of which one is taken
_GAPPED = 0.5  # of them with a gap, in longer runs:
_LONG_RUNS = (16, 20)
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
    left = _block_sums(significands, ends, random)
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
    """Sums from `ends`, one for each significand; of three of four the product is next to a multiple of a power of two.

    Of every other one of these it is, but for up to four places of that run: an adder that passes carries on by groups has
    gates that tell apart which group is not all ones. The sum is one that makes the product exactly that: there is one modulo
    the power of two, since an odd number has an inverse (by Newton's iteration).
    """
    count, (low, high) = len(significands), ends
    gapped = random.random(count) < _GAPPED
    places = np.where(gapped, random.integers(*_LONG_RUNS, count), random.integers(*_RUNS, count))
    longest = [int(one).bit_length() - 1 for one in np.maximum(np.abs(significands), 1) * max(-low, high - 1)]
    places = np.minimum(places, longest)  # products end there
    gaps = gapped * (random.integers(1, 16, count) << random.integers(0, places))
    twos = np.array([(int(one) & -int(one)).bit_length() - 1 for one in significands])  # in each; -1 of zero
    odd = significands >> np.maximum(twos, 0)
    inverse = odd.copy()
    for _ in range(5):  # right in 3 bits, then in twice as many each time
        inverse *= 2 - odd * inverse
    targets, free = random.integers(-1, 2, count) - gaps, places - twos
    fits = (high - low).bit_length() - 2  # places, so that two sums or more are within the ends
    modulus = 1 << np.clip(free, 0, fits)
    residues = (targets >> np.maximum(twos, 0)) * inverse % modulus
    first = low + (residues - low) % modulus
    # Where more places are wanted, the lower ones are right, and of the few such sums the best one is taken.
    number = np.arange(_FEW) + random.integers(0, 1 << 16, (count, 1))
    some = first[:, None] + modulus[:, None] * (number % ((high - 1 - first) // modulus + 1)[:, None])
    scaled, power = some * significands[:, None], 1 << places[:, None]
    away = np.abs((scaled - targets[:, None] + power // 2) % power - power // 2)
    away = np.where((np.abs(scaled) < power // 2) & (free > fits)[:, None], power, away)  # zero is a multiple of all
    chosen = some[np.arange(count), away.argmin(axis=1)]
    return np.where((twos >= 0) & (free > 0) & (np.arange(count) % 4 > 0), chosen, random.integers(low, high, count))


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
