# SPDX-License-Identifier: Apache-2.0
"""What registers of a unit of a block format hold, from cycle to cycle: where blocks begin, and the sum of those that ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["begins_of_blocks", "opened_by", "sums_of_blocks"]

Flags = NDArray[np.bool_]  # (cycles,)


def begins_of_blocks(starts: Flags, ends: Flags, taken: Flags, cleared: Flags) -> Flags:
    """Whether the operands of a cycle, if they are taken, begin a block: with a sum, after a block's last, after a reset."""
    fresh, begins = True, np.zeros(len(starts), dtype=bool)  # whether the next operands begin a block
    for cycle in range(len(starts)):
        begins[cycle] = fresh or starts[cycle]
        fresh = bool(cleared[cycle] or (ends[cycle] if taken[cycle] else fresh))
    return begins


def opened_by(starts: Flags, begins: Flags, ends: Flags, taken: Flags, cleared: Flags) -> list[bool | None]:
    """For each cycle whether the block that ends with it opens a sum; None where none ends."""
    opening, ended = False, list[bool | None]()
    for cycle in range(len(starts)):
        takes = taken[cycle] and not cleared[cycle]
        if takes:
            opening = bool(starts[cycle] or (opening and not begins[cycle]))
        ended.append(opening if takes and ends[cycle] else None)
    return ended


def sums_of_blocks(
    added: Sequence[int | None], ended: Sequence[bool | None], cleared: Flags, pipeline: int, bits: int
) -> tuple[NDArray[np.int64], Flags]:
    """The accumulator, and whether nothing was left out of it, after each cycle.

    Parameters
    ----------
    added
        What a block that ends with a cycle adds; None: it is left out.
    ended
        As of `opened_by`.
    cleared
        Cycles of reset.
    pipeline
        A block is added so many cycles later, besides the one after its end.
    bits
        Of the accumulator, two's complement.
    """
    half = 1 << bits - 1
    total, exact = 0, True
    # Blocks that have ended and are not added yet: the cycle that they ended with.
    waiting: list[int | None] = [None] * (1 + pipeline)
    shown, flags = np.empty(len(added), dtype=np.int64), np.empty(len(added), dtype=bool)
    for cycle, opens in enumerate(ended):
        due = waiting.pop(0)
        if cleared[cycle]:
            total, exact, waiting = 0, True, [None] * pipeline
        elif due is not None:
            kept, intact = (0, True) if ended[due] else (total, exact)
            addend = added[due]
            total, exact = (kept + (addend or 0) + half) % (2 * half) - half, intact and addend is not None
        waiting.append(None if opens is None else cycle)
        shown[cycle], flags[cycle] = total, exact
    return shown, flags
