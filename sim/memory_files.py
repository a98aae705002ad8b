# SPDX-License-Identifier: Apache-2.0
"""What simulations read and write: levels of ports side by side in a word, and memory files for `$readmemh`, a word a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import Port

__all__ = ["first_difference", "packed", "packed_ports", "places", "port_words", "words"]

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


def packed_ports(ports: Sequence[Port], columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """A word for all `ports` per row of `columns`, (rows, fields) each: (rows, bytes), the first port in the lowest bits."""
    levels = np.concatenate([port.levels(columns[port.name]) for port in ports], axis=1)
    return np.packbits(levels, axis=1, bitorder="little")


def port_words(ports: Sequence[Port], columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Text of a file with a word for all `ports` per row."""
    return words(packed_ports(ports, columns))


def places(ports: Sequence[Port]) -> Iterator[tuple[int, Port]]:
    """Each port with its lowest bit in a word of all."""
    place = 0
    for port in ports:
        yield place, port
        place += port.width


def first_difference(
    ports: Sequence[Port], expected: Mapping[str, NDArray[np.int64]], row: int, shown: str
) -> tuple[str, str, int]:
    """The first of `ports` that is not what is expected in a row: its name, what it is, and what it should be.

    `shown` is the word of all of them in binary digits, as a simulator prints it.
    """
    word = shown[::-1]
    for place, port in places(ports):
        bits, wanted = word[place : place + port.width][::-1], int(expected[port.name][row, 0])
        known = set(bits) <= {"0", "1"}
        got = str(int(bits, 2) - (1 << len(bits) if port.signed and bits[0] == "1" else 0)) if known else f"unknown ({bits})"
        if got != str(wanted):
            break
    return port.name, got, wanted
