"""Memory files for `$readmemh`: one word a line, in hexadecimal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["packed", "words"]

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def packed(fields: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Rows of (n, lanes) as the bytes of a word each, (n, bytes), least significant first: lane i at bits `bits` x i and up."""
    single = np.unpackbits(fields[:, :, None], axis=2, count=bits, bitorder="little")
    return np.packbits(single.reshape(len(fields), -1), axis=1, bitorder="little")


def words(rows: NDArray[Any]) -> bytes:
    """Text of a file: rows of bytes (n, bytes), least significant first, or integers (n,) in 64 bits, two's complement."""
    if rows.ndim == 1:
        rows = np.ascontiguousarray(rows, dtype="<i8").view(np.uint8).reshape(-1, 8)
    text = np.full((len(rows), 2 * rows.shape[1] + 1), ord("\n"), np.uint8)
    text[:, 0:-1:2] = _DIGITS[rows[:, ::-1] >> 4]
    text[:, 1:-1:2] = _DIGITS[rows[:, ::-1] & 15]
    return text.tobytes()
