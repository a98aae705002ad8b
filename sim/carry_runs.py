# SPDX-License-Identifier: Apache-2.0
"""Sums of blocks that make carries run, which those of random operands do too seldom.

An adder that is not made of a chain of single bits has logic that only a carry over many places uses: it must come in from
below, find all places of a group ready to pass it on, and end at the right one. A unit of a block format has such adders where
a block's sum is scaled, and at its accumulator.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import BlockMacConfig

from .block_columns import Columns, blocks_of_sum, codes_in_reach, columns, random_operands, random_scales, scale_ports

__all__ = ["crossings", "sums_anywhere"]

_ANYWHERE = 16  # times the number of shifts: sums of blocks whose own sums lie anywhere
_RUNS = (4, 17)  # places that a carry runs through in a scaled sum
_DRAWN = 4096  # sums of a block, of which the one is taken that scales to what is nearest to a multiple
_SLICE = 256  # blocks that are drawn at once, 8 MiB
_LAST = 64  # sums that the last cycle of a block chooses from
_CROSSED = 8  # multiples of each power of two
_SCALES = 8  # of each shift, to make addends of
_APPROACH = 4  # addends that lead from within the greatest one to nearly zero
_LEAD = 256  # cycles at most in which most sums get to where they cross: the greatest addends
_AGAIN = 2  # times that each power of two is crossed by the sums that go further


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
            missing = np.abs(values[_nearest(values, firsts)] - firsts)
            wanted = firsts[np.arange(blocks), missing.argmin(axis=1)]
        at = _nearest(values, wanted)
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


def crossings(config: BlockMacConfig, operands: Columns, sums: NDArray[np.int64], longest_sum: int) -> Columns:
    """Sums that cross multiples of powers of two back and forth, by ever smaller steps, made of the rows of `operands`.

    On the way up a carry runs from the highest place of the step to that of the power of two, and ends there if the multiple
    is odd: so between any two places. Behind that place others are ready to pass the carry on, as it happens; some odd
    multiples have long runs of ones there, or zeros. Two sums go on to the largest power that `longest_sum` cycles reach, one
    way each. `sums` are those of the rows' products; each cycle is a block. Where the depth is few cycles, fewer places are
    crossed, by larger steps.
    """
    assert config.span is not None
    random = np.random.default_rng(16)
    base = (config.exponents - config.span) // 2
    shifts = np.arange(config.span + 1).repeat(_SCALES)
    codes = codes_in_reach(config, np.full(len(shifts), base), shifts, random)
    factors = config.scaling(codes, base)[0] << shifts
    products, rows = np.unique(sums, return_index=True)
    addends, made = np.unique(np.multiply.outer(products, factors), return_index=True)

    longest = max(1, min(config.depth // config.lanes, longest_sum))
    near, far = (int(min(-addends[0], addends[-1])) * max(1, cycles) for cycles in (min(_LEAD, longest // 2), longest))
    places = np.arange(1, near.bit_length()).repeat(_CROSSED)
    sizes = np.log2(float(near)) - places  # the multiples, in bits
    multiples = np.exp2(random.random(len(places)) * sizes).astype(np.int64)
    cleared = random.integers(0, 1 + sizes.astype(np.int64))  # ones or zeros above the last
    multiples = (multiples >> cleared << cleared) + random.choice((-1, 1), len(places)) | 1
    stride = -(-2 * int(places[-1]) // longest)
    ways, _ = _across(addends, (multiples << places) * random.choice((-1, 1), len(places)), places, random, stride)
    climbs: list[list[NDArray[np.int64]]] = [[], []]
    total = np.zeros(2, np.int64)
    for place in range(near.bit_length(), far.bit_length()):
        target = np.array((1, -1)) << place
        for _ in range(_AGAIN):
            legs, away = _across(addends, target - total, np.full(2, place), random)
            climbs = [[*climb, leg] for climb, leg in zip(climbs, legs, strict=True)]
            total = target - away
    ways += [np.concatenate(climb) for climb in climbs if climb]

    ways = [way[:longest] for way in ways]
    at = made[np.concatenate(ways)]
    picked: dict[str, ArrayLike] = {name: column[rows[at // len(shifts)]] for name, column in operands.items()}
    first = np.concatenate([np.arange(len(way)) == 0 for way in ways])
    return columns(config, {**picked, **scale_ports(codes[at % len(shifts)]), "base": base, "first": first, "last": 1})


def _across(
    addends: NDArray[np.int64], away: NDArray[np.int64], places: NDArray[np.int64], random: np.random.Generator, stride: int = 1
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Which `addends` lead to what is `away` and across it, by steps from 2^`places` down, `stride` places each.

    And how far away it is after the last step of all.
    """
    greatest = np.where(away > 0, len(addends) - 1, 0)
    lead = np.maximum(0, away // addends[greatest] - 1)
    away = away - lead * addends[greatest]
    steps = np.empty((len(places), _APPROACH + int(places.max()) + 1), np.int64)
    for step in range(steps.shape[1]):
        beyond = np.zeros_like(away)
        if step >= _APPROACH:
            beyond = random.integers(0, (1 << np.maximum(0, places - stride * (step - _APPROACH))) + 1)
        steps[:, step] = _nearest(addends, away + np.where(away > 0, beyond, -beyond))
        away = away - addends[steps[:, step]]
    counts = _APPROACH + -(-places // stride) + 1
    legs = zip(lead, greatest, steps, counts, strict=True)
    return [np.concatenate([np.full(run, most), crossing[:count]]) for run, most, crossing, count in legs], away


def _nearest(values: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of the ascending `values` comes nearest to each of `wanted`."""
    above = np.clip(np.searchsorted(values, wanted), 1, len(values) - 1)
    return above - (wanted - values[above - 1] < values[above] - wanted)
