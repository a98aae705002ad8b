# SPDX-License-Identifier: Apache-2.0
"""A second golden model, written from the formats' definitions alone: tables of steps and of products, and Python integers.

Nothing of `golden` is used but the names of codes; what the two models say must be equal, at boundaries above all.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import FORMATS, LayerOperands, MacConfig

HALF = Fraction(1, 2)


def _signed(bits: int) -> list[Fraction]:
    """Two's complement by the weights of its bits, the uppermost of which is negative."""
    return [
        Fraction(sum(bit << place for place, bit in enumerate(reversed(code[1:]))) - (code[0] << bits - 1))
        for code in product((0, 1), repeat=bits)
    ]


def _dint(bits: int) -> list[Fraction]:
    """Minus two's complement; the two lowest numbers, which no integer of the format needs, are the specials."""
    steps = [-step for step in _signed(bits)]
    half = 1 << bits - 1
    steps[half], steps[half + 1] = HALF, -HALF
    return steps


def _e2m1() -> list[Fraction]:
    """Sign, exponent of bias 1, mantissa; exponent 0 is subnormal."""
    steps = []
    for sign, exponent, mantissa in product((0, 1), range(4), (0, 1)):
        magnitude = HALF * mantissa if exponent == 0 else (1 + HALF * mantissa) * 2 ** (exponent - 1)
        steps.append(-magnitude if sign else magnitude)
    return steps


STEPS = {"int8": _signed(8), "int4": _signed(4), "int3": _signed(3), "dint4": _dint(4), "dint3": _dint(3), "fp4_e2m1": _e2m1()}
UNIT = {"int8": 1, "int4": 1, "int3": 1, "dint4": HALF, "dint3": HALF, "fp4_e2m1": HALF}
EVERY = pytest.mark.parametrize("name", FORMATS)

# Products in units, by code and activation.
PRODUCTS = {
    name: [{activation: int(steps / UNIT[name] * activation) for activation in range(-128, 128)} for steps in table]
    for name, table in STEPS.items()
}


def table_run(name: str, bits: int, rows: list[tuple[list[tuple[int, int]], bool, bool, bool]]) -> list[int]:
    """The accumulator after each cycle of ((code, activation) pairs, first, valid, reset), as a register of so many bits."""
    register, shown = 0, []
    for pairs, first, valid, reset in rows:
        if reset:
            register = 0
        elif valid:
            register = (0 if first else register) + sum(PRODUCTS[name][code][activation] for code, activation in pairs)
            register %= 1 << bits
        shown.append(register - (1 << bits) if register >> bits - 1 else register)
    return shown


def extremes_first(name: str) -> tuple[st.SearchStrategy[int], st.SearchStrategy[int]]:
    """Codes and activations, half of them from the ends of their ranges, around zero and the specials."""
    table = STEPS[name]
    ranked = sorted(range(len(table)), key=lambda code: table[code])
    small = sorted(range(len(table)), key=lambda code: abs(table[code]))
    codes = st.sampled_from([*ranked[:2], *ranked[-2:], *small[:3]]) | st.integers(0, len(table) - 1)
    return codes, st.sampled_from([-128, -127, -1, 0, 1, 126, 127]) | st.integers(-128, 127)


@EVERY
def test_every_value_and_product(name: str) -> None:
    number_format = FORMATS[name]
    assert len(STEPS) == len(FORMATS)
    assert [value * number_format.unit for value in number_format.values] == STEPS[name]
    assert number_format.unit == UNIT[name]
    config = MacConfig(number_format)
    compared = 0
    for code, of_code in enumerate(PRODUCTS[name]):
        for activation, expected in of_code.items():
            assert expected * UNIT[name] == STEPS[name][code] * activation  # nothing was cut off
            assert config.dot_one([code], [activation]) == expected
            compared += 1
    assert compared == 256 << number_format.bits
    codes, activations = np.divmod(np.arange(compared), 256)
    dots = config.dot(codes[:, None], activations[:, None] - 128)
    assert dots.tolist() == [PRODUCTS[name][c][a - 128] for c, a in zip(codes.tolist(), activations.tolist(), strict=True)]


@EVERY
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_sequences(name: str, data: st.DataObject) -> None:
    """Any order of control on any operands, with accumulators so narrow that they wrap."""
    codes, activations = extremes_first(name)
    lanes = data.draw(st.integers(1, 3))
    depth = data.draw(st.sampled_from([lanes, 2 * lanes, 65536]))
    config = MacConfig(FORMATS[name], lanes=lanes, depth=depth)
    pairs = st.lists(st.tuples(codes, activations), min_size=lanes, max_size=lanes)
    row = st.tuples(pairs, st.booleans(), st.booleans(), st.sampled_from([False, False, False, True]))
    rows = data.draw(st.lists(row, min_size=1, max_size=24))
    operands = np.array([pairs for pairs, *_ in rows])
    controls = (np.array([row[place] for row in rows]) for place in (1, 2, 3))
    shown = config.run(operands[..., 0], operands[..., 1], *controls)
    assert shown.tolist() == table_run(name, config.accumulator_bits, rows)


@EVERY
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_layers_in_every_model(name: str, data: st.DataObject) -> None:
    """A linear layer by table, by the golden model, by what checks operand files, and by torch's integer product."""
    torch = pytest.importorskip("torch")
    codes, activations = extremes_first(name)
    outputs, inputs, tokens = (data.draw(st.integers(1, 4)) for _ in range(3))
    weights = np.array(data.draw(st.lists(codes, min_size=outputs * inputs, max_size=outputs * inputs)), np.uint8)
    values = np.array(data.draw(st.lists(activations, min_size=tokens * inputs, max_size=tokens * inputs)), np.int8)
    weights, values = weights.reshape(outputs, inputs), values.reshape(tokens, inputs)
    by_table = [
        [sum(PRODUCTS[name][c][a] for c, a in zip(row, token, strict=True)) for row in weights.tolist()]
        for token in values.tolist()
    ]
    number_format = FORMATS[name]
    assert MacConfig(number_format).dot(weights[None], values[:, None]).tolist() == by_table
    layer = LayerOperands("fc1", weights, values, np.array(by_table), np.ones(outputs, np.float32), np.ones(tokens, np.float32))
    assert layer.expected(number_format).tolist() == by_table
    # Written transposed: of a transposed single column, torch makes nonsense.
    integers = torch.tensor([[int(STEPS[name][c] / UNIT[name]) for c in row] for row in weights.T.tolist()], dtype=torch.int8)
    assert torch._int_mm(torch.from_numpy(values), integers).tolist() == by_table


@EVERY
def test_widest_sums(name: str) -> None:
    """The sums that decide the accumulator's width, at the default depth: held, while one bit less would not."""
    config = MacConfig(FORMATS[name])
    products = [value for of_code in PRODUCTS[name] for value in of_code.values()]
    half = 1 << config.accumulator_bits - 1
    assert -half <= min(products) * 65536
    assert half // 2 <= max(products) * 65536 < half
