# SPDX-License-Identifier: Apache-2.0
"""Which code carries which value: a search over code tables, for formats whose table is free.

dINT's definition leaves the codes open (arXiv 2311.05161, section 4), so they can be chosen for the decoder. For each of the
cheapest splits of the values into digits (`hdl.split`), the search starts from the catalogue's table, from one in the order of
the digits, and from shuffled ones, and exchanges the codes of two values as long as that makes the decoder smaller. Tables
that only differ in the order of the code's bits or in inverted bits count as one; zero has code 0, so that a code is made zero
by and gates.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from golden import NumberFormat
from golden.errors import InputError

from .split import GRID, Split, split_of, splits
from .truth_table import literals

__all__ = ["Coding", "catalogue_coding", "codings", "recoded", "shuffled"]

_SPLITS = 3  # of the catalogue's table, from the cheapest: tables are searched for each of them
_STARTS = 16  # of the search for each of them


@dataclass(frozen=True)
class Coding:
    """A format with a code table of its own, and the split of that table."""

    number_format: NumberFormat
    split: Split


def recoded(number_format: NumberFormat, values: Sequence[int]) -> NumberFormat:
    """The format with another code table: the same values in another order."""
    if sorted(values) != sorted(number_format.values):
        raise InputError(
            f"a code table of {number_format.name} has the format's values, each once: {sorted(values)} are others"
        )
    special = {number_format.values[code] for code in number_format.special_codes}
    codes = frozenset(code for code, value in enumerate(values) if value in special)
    return replace(number_format, values=tuple(values), special_codes=codes)


def codings(number_format: NumberFormat, style: str = GRID, seed: int = 0) -> list[Coding]:
    """The best code tables that are found, by the cost of their splits, the cheapest first.

    Raises
    ------
    InputError
        If the format has no split.
    """
    found = splits(number_format, style)[:_SPLITS]
    if not found:
        raise InputError(f"{number_format.title} has codes of {number_format.bits} bits: code tables are searched up to 4 bits")
    tables = {_canonical(number_format.values): None}
    for split in found:
        for start in _starts(number_format, split, seed):
            tables[_canonical(_improved(number_format, split, start))] = None
    return _ranked(number_format, list(tables), style)


def catalogue_coding(number_format: NumberFormat, style: str = GRID) -> Coding:
    """The format as it is, as a coding."""
    return _coding(number_format, style)


def shuffled(number_format: NumberFormat, count: int, style: str = GRID, seed: int = 0) -> list[Coding]:
    """`count` tables at random, to see what the search is worth."""
    order = random.Random(seed)
    tables = [tuple(order.sample(number_format.values, len(number_format.values))) for _ in range(count)]
    return _ranked(number_format, [_canonical(table) for table in tables], style)


def _ranked(number_format: NumberFormat, tables: Sequence[tuple[int, ...]], style: str) -> list[Coding]:
    made = [_coding(recoded(number_format, values), style) for values in tables]
    return sorted(made, key=lambda coding: (coding.split.cost, coding.number_format.values))


def _coding(number_format: NumberFormat, style: str) -> Coding:
    split = split_of(number_format, style)
    assert split is not None  # whether there is one depends on the values alone
    return Coding(number_format, split)


def _starts(number_format: NumberFormat, split: Split, seed: int) -> list[list[int]]:
    """Code tables to start from, each as the codes of the catalogue's codes."""
    count = len(number_format.values)
    by_digits = sorted(range(count), key=lambda code: [row.digits[code] for row in reversed(split.rows)])
    in_order = [0] * count
    for place, code in enumerate(by_digits):
        in_order[code] = place
    order = random.Random(seed)
    return [list(range(count)), in_order, *(order.sample(range(count), count) for _ in range(_STARTS))]


def _improved(number_format: NumberFormat, split: Split, codes: list[int]) -> tuple[int, ...]:
    """The table that exchanges of two codes lead to."""
    bits = number_format.bits
    selected = sorted(sorted(wanted) for row in split.rows for wanted in row.selected)

    def cost() -> int:
        return sum(literals(bits, frozenset(codes[old] for old in wanted)) for wanted in selected)

    best, improved = cost(), True
    while improved:
        improved = False
        for one in range(len(codes)):
            for other in range(one):
                codes[one], codes[other] = codes[other], codes[one]
                if (now := cost()) < best:
                    best, improved = now, True
                else:
                    codes[one], codes[other] = codes[other], codes[one]
    values = [0] * len(codes)
    for old, code in enumerate(codes):
        values[code] = number_format.values[old]
    return tuple(values)


def _canonical(values: Sequence[int]) -> tuple[int, ...]:
    """The first in order of the tables with zero at code 0 that differ in order and inversion of the code's bits alone."""
    bits, zero = (len(values) - 1).bit_length(), values.index(0)
    tables = []
    for order in permutations(range(bits)):
        table = [0] * len(values)
        for code, value in enumerate(values):
            moved = sum(((code ^ zero) >> bit & 1) << place for place, bit in enumerate(order))
            table[moved] = value
        tables.append(tuple(table))
    return min(tables)
