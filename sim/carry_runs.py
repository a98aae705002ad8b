# SPDX-License-Identifier: Apache-2.0
"""Sums in which carries run, which those of random operands make too seldom.

An adder that is not made of a chain of single bits has logic that only a carry over many places uses: it must come in from
below, find all places of a group ready to pass it on, and end at the right one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["crossings", "nearest"]

_CROSSED = 8  # multiples of each power of two
_APPROACH = 4  # addends that lead from within the greatest one to nearly zero
_LEAD = 256  # cycles at most in which most sums get to where they cross: the greatest addends
_AGAIN = 2  # times that each power of two is crossed by the sums that go further


def crossings(addends: NDArray[np.int64], longest: int, random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Sums of up to `longest` terms that cross multiples of powers of two back and forth, by ever smaller steps.

    On the way up a carry runs from the highest place of the step to that of the power of two, and ends there if the multiple
    is odd: so between any two places. Behind that place others are ready to pass the carry on, as it happens; some odd
    multiples have long runs of ones there, or zeros. Two sums go on to the largest power that they can reach, one way each.
    Where `longest` is small, fewer places are crossed, by larger steps.

    Parameters
    ----------
    addends
        What there is to add, ascending, of both signs.

    Returns
    -------
    Of each sum, which addends it is made of.
    """
    longest = max(1, longest)
    near, far = (int(min(-addends[0], addends[-1])) * max(1, cycles) for cycles in (min(_LEAD, longest // 2), longest))
    places = np.arange(1, near.bit_length()).repeat(_CROSSED)
    sizes = np.log2(float(near)) - places  # the multiples, in bits
    multiples = np.exp2(random.random(len(places)) * sizes).astype(np.int64)
    cleared = random.integers(0, 1 + sizes.astype(np.int64))  # ones or zeros above the last
    multiples = (multiples >> cleared << cleared) + random.choice((-1, 1), len(places)) | 1
    stride = -(-2 * int(places[-1]) // longest)
    ways, _ = _across(addends, (multiples << places) * random.choice((-1, 1), len(places)), places, random, stride)
    ways += _climbs(addends, range(near.bit_length(), far.bit_length()), random)
    return [way[:longest] for way in ways]


def _climbs(addends: NDArray[np.int64], places: range, random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Two sums, one way each, that cross 2^`places`, one after the other."""
    climbs: list[list[NDArray[np.int64]]] = [[], []]
    total = np.zeros(2, np.int64)
    for place in places:
        target = np.array((1, -1)) << place
        for _ in range(_AGAIN):
            legs, away = _across(addends, target - total, np.full(2, place), random)
            climbs = [[*climb, leg] for climb, leg in zip(climbs, legs, strict=True)]
            total = target - away
    return [np.concatenate(climb) for climb in climbs if climb]


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
        steps[:, step] = nearest(addends, away + np.where(away > 0, beyond, -beyond))
        away = away - addends[steps[:, step]]
    counts = _APPROACH + -(-places // stride) + 1
    legs = zip(lead, greatest, steps, counts, strict=True)
    return [np.concatenate([np.full(run, most), crossing[:count]]) for run, most, crossing, count in legs], away


def nearest(values: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of the ascending `values` comes nearest to each of `wanted`."""
    above = np.clip(np.searchsorted(values, wanted), 1, len(values) - 1)
    return above - (wanted - values[above - 1] < values[above] - wanted)
