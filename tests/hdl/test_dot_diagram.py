# SPDX-License-Identifier: Apache-2.0
"""Dot diagrams show what the compressor is given."""

from __future__ import annotations

from collections import Counter

import pytest
from amaranth.hdl import Signal

from golden import DINT4, FORMATS, INT8, InputError, MacConfig
from hdl.architectures import ARCHITECTURES
from hdl.dot_diagram import dot_diagram

CASES = [(name, one.name) for one in ARCHITECTURES.values() if one.partial_products for name in one.formats]


def columns(line: str, mark: str, width: int) -> Counter[int]:
    return Counter(width - 1 - place // 2 for place, one in enumerate(line) if one == mark)


@pytest.mark.parametrize(("name", "architecture"), CASES)
def test_every_bit_is_a_dot_of_its_column(name: str, architecture: str) -> None:
    config = MacConfig(FORMATS[name], lanes=2, architecture=architecture)
    build = ARCHITECTURES[architecture].partial_products
    assert build is not None
    heap = build(config.weight_format, Signal(config.weight_format.bits), Signal(config.activation_bits))
    *rows, ones, accumulator, numbers = dot_diagram(config).splitlines()
    width = config.accumulator_bits
    assert sum((columns(row, "●", width) for row in rows), Counter()) == Counter(2 * [bit.column for bit in heap.bits])
    assert sum(1 << column for column in columns(ones, "1", width)) == 2 * heap.constant % (1 << width)
    assert columns(accumulator, "·", width) == Counter(range(width))
    assert numbers.split()[::-1] == [str(column % 10) for column in range(width)]


def test_rows_are_those_of_the_array() -> None:
    diagram = dot_diagram(MacConfig(INT8, architecture="baugh-wooley")).splitlines()
    assert [row.count("●") for row in diagram] == [8] * 8 + [0] * 3


def test_a_description_of_behaviour_has_none() -> None:
    with pytest.raises(InputError, match="multiply: it is a description of behaviour"):
        dot_diagram(MacConfig(DINT4, architecture="multiply"))
