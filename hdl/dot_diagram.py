# SPDX-License-Identifier: Apache-2.0
"""Dot diagram of what a MAC unit adds up in a cycle (Dadda, "Some schemes for parallel multipliers", 1965)."""

from __future__ import annotations

from amaranth.hdl import Signal

from golden import InputError, MacConfig

from .architectures import architecture_of
from .bit_heap import Bit

__all__ = ["dot_diagram"]

_BIT, _ONE, _SUM, _NONE = "●", "1", "·", " "


def dot_diagram(config: MacConfig) -> str:
    """The bits that the compressor of a MAC unit takes, a column for each power of two, the highest on the left.

    First the partial products of each lane (●). Bits of negative weight are among them, inverted (`hdl.bit_heap`); the constant
    that this takes, of all lanes and modulo the accumulator's width, is the line of ones. Then the accumulator's own bits (·).
    The last line numbers the columns, modulo 10.

    Raises
    ------
    InputError
        If the architecture does not exist, cannot do the format, or leaves multiplication to synthesis.
    """
    build = architecture_of(config).partial_products
    if build is None:
        raise InputError(f"architecture {config.architecture}: it is a description of behaviour, which has no partial products")
    heap = build(config.weight_format, Signal(config.weight_format.bits), Signal(config.activation_bits))
    width = config.accumulator_bits
    constant = heap.constant * config.lanes % (1 << width)
    rows = _rows(heap.bits, width) * config.lanes
    rows.append([_ONE if constant >> column & 1 else _NONE for column in range(width)])
    rows.append([_SUM] * width)
    rows.append([str(column % 10) for column in range(width)])
    return "\n".join(" ".join(reversed(row)).rstrip() for row in rows)


def _rows(bits: list[Bit], width: int) -> list[list[str]]:
    """Rows that hold runs of bits of ascending columns, as they were added; each is the first with room for all of a run."""
    rows: list[list[str]] = []
    runs: list[list[Bit]] = []
    for bit in bits:
        if runs and bit.column > runs[-1][-1].column:
            runs[-1].append(bit)
        else:
            runs.append([bit])
    for run in runs:
        row = next((row for row in rows if all(row[bit.column] == _NONE for bit in run)), None)
        if row is None:
            row = [_NONE] * width
            rows.append(row)
        for bit in run:
            row[bit.column] = _BIT
    return rows
