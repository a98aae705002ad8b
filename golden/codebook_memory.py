# SPDX-License-Identifier: Apache-2.0
"""The codebooks of a unit, cycle by cycle: those of the format, or a memory that is written word by word.

Reset puts the format's codebooks into the memory. A word that is written counts from the next cycle on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .block_format import BlockFormat
from .errors import InputError

__all__ = ["codebooks_in_time", "element_values"]


def element_values(
    blocks: BlockFormat, codes: ArrayLike, selectors: Any = None, codebooks: NDArray[np.int16] | None = None
) -> NDArray[np.int64]:
    """Values, in units, of `codes` (cycles, lanes).

    With codebooks given `selectors` (cycles, n), each for as many lanes; and `codebooks` (cycles, codebooks, 2^bits) where they
    are not those of the format.
    """
    checked = blocks.elements[0].checked_codes(codes)
    if selectors is None:
        return blocks.elements[0].decode(checked)
    numbers = blocks.checked_selectors(selectors)
    numbers = numbers.repeat(checked.shape[1] // numbers.shape[1], axis=1)
    if codebooks is None:
        return _tables(blocks)[numbers, checked]
    return codebooks[np.arange(len(checked))[:, None], numbers, checked].astype(np.int64)


def codebooks_in_time(blocks: BlockFormat, largest: int, writes: ArrayLike, reset: NDArray[np.bool_]) -> NDArray[np.int16]:
    """What the memory holds in each cycle: (cycles, codebooks, 2^bits).

    Parameters
    ----------
    blocks
        The format whose codebooks it begins with.
    largest
        Largest magnitude of a codeword.
    writes
        (cycles, 3): whether a word is written with the cycle's edge; where, selector x 2^bits + code; and what.
    reset
        (cycles,).

    Raises
    ------
    InputError
        If a word that is written is none, or its place is not there.
    """
    initial = _tables(blocks)
    columns = np.asarray(writes)
    if columns.shape != (len(reset), 3):
        raise InputError(f"writes of codebooks have shape {columns.shape}: {(len(reset), 3)} is needed")
    held, contents = initial.copy(), np.empty((len(reset), *initial.shape), dtype=np.int16)
    for cycle, (write, place, word) in enumerate(columns.astype(np.int64).tolist()):
        contents[cycle] = held
        if reset[cycle]:
            held = initial.copy()
        elif write:
            if not 0 <= place < held.size:
                raise InputError(f"codebook address is {place}: {blocks.title} has 0 to {held.size - 1}")
            if abs(word) > largest:
                raise InputError(f"codeword is {word}: codewords of {blocks.title} are -{largest} to {largest}")
            held.flat[place] = word
    return contents


def _tables(blocks: BlockFormat) -> NDArray[np.int64]:
    """Codewords, in units, by codebook and code."""
    return np.array([one.values for one in blocks.elements], dtype=np.int64)
