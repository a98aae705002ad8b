# SPDX-License-Identifier: Apache-2.0
"""Codes in memory: two codes of up to four bits a byte, the first in the low half; wider codes one a byte."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .number_format import NumberFormat

__all__ = ["pack", "pack_pair", "unpack", "unpack_pair"]


def pack(number_format: NumberFormat, codes: ArrayLike) -> NDArray[np.uint8]:
    """Pack `codes` (..., n) along the last axis into bytes (..., ceil(n / 2)), or (..., n) for codes of over four bits.

    An odd row is filled up with the code of zero.
    """
    array = number_format.checked_codes(codes).astype(np.uint8)
    if number_format.bits > 4:
        return array
    if array.shape[-1] % 2:
        padding = [(0, 0)] * (array.ndim - 1) + [(0, 1)]
        array = np.pad(array, padding, constant_values=number_format.zero_code)
    return pack_pair(array[..., 0::2], array[..., 1::2])


def unpack(number_format: NumberFormat, packed: ArrayLike, count: int) -> NDArray[np.uint8]:
    """Undo `pack`: the first `count` codes (..., count) of each row of bytes."""
    array = np.asarray(packed, dtype=np.uint8)
    expected = count if number_format.bits > 4 else (count + 1) // 2
    if array.shape[-1] != expected:
        raise InputError(f"packed has {array.shape[-1]} bytes a row: {count} codes of {number_format.name} need {expected}")
    if number_format.bits > 4:
        return array
    codes = np.stack(unpack_pair(array), axis=-1)
    return codes.reshape(*array.shape[:-1], -1)[..., :count]


def pack_pair(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One byte of two codes of up to four bits; works on scalars and arrays."""
    return first | (second << np.uint8(4))


def unpack_pair(byte: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The two codes of one byte; works on scalars and arrays."""
    return byte & np.uint8(15), byte >> np.uint8(4)
