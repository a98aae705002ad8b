# SPDX-License-Identifier: Apache-2.0
"""Formats with block scales, their units and their quantizers by definition: tables, Fractions and Python integers.

Scales by their bit fields, elements by their tables (`test_table_model`), codebooks as the file has them, units by what their
ports are said to do. Nothing here is of `golden`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .test_table_model import STEPS, UNIT

_FILE = Path(__file__).parents[2] / "golden" / "lobcq.json"

# Tables


class Scale(NamedTuple):
    """What a code of a scale stands for."""

    value: Fraction | None  # None for NaN
    exponent: int  # from the least on, which is that of subnormals


def _e4m3() -> list[Scale]:
    """OCP's OFP8: sign, four bits of exponent with bias 7, three of mantissa; all ones is NaN; exponent 0 is subnormal."""
    table = []
    for sign, exponent, mantissa in product((0, 1), range(16), range(8)):
        magnitude = (
            Fraction(mantissa, 8) * Fraction(1, 64) if exponent == 0 else (8 + mantissa) * Fraction(2) ** (exponent - 10)
        )
        value = None if exponent == 15 and mantissa == 7 else -magnitude if sign else magnitude
        table.append(Scale(value, max(exponent - 1, 0)))
    return table


SIGNED = _e4m3()
UNSIGNED = SIGNED[:128]
#: OCP's MX: powers of two with bias 127; 255 is NaN.
POWERS = [Scale(Fraction(2) ** (code - 127), code) for code in range(255)] + [Scale(None, 255)]


def _even_code(_: Fraction, __: Fraction, code: int) -> Any:
    return code % 2, code  # the mantissa's last bit; of the two zeros, the first


def _even_number(_: Fraction, value: Fraction, __: int) -> Any:
    return value % 2


def _specials_to_zero(x: Fraction, value: Fraction, __: int) -> Any:
    return abs(value) if abs(x) < 1 else value % 2


def _lower(_: Fraction, value: Fraction, __: int) -> Any:
    return value


class Definition(NamedTuple):
    """A format: values in steps by selector and code, and how they are scaled."""

    books: list[list[Fraction]]
    unit: Fraction
    block: int
    scales: list[Scale]
    full: int  # what the largest magnitude becomes, in steps
    tie: Callable[[Fraction, Fraction, int], Any]  # of two values as near, the one with the least wins
    shared: int | None = None  # elements that share a selector
    tensor: bool = True

    @property
    def magnitudes(self) -> list[Fraction]:
        """Of scales, by code, without NaN."""
        return [value for value, _ in self.scales[: len(UNSIGNED)] if value is not None] if self.tensor else _FINITE_POWERS

    @property
    def least(self) -> Fraction:
        """The least scale above zero."""
        return min(value for value in self.magnitudes if value)


_FINITE_POWERS = [value for value, _ in POWERS if value is not None]


def _lobcq(codebooks: int, array: int) -> Definition:
    sets = json.loads(_FILE.read_text())["sets"]
    chosen = next(one["codebooks"] for one in sets if (len(one["codebooks"]), one["array"]) == (codebooks, array))
    return Definition([[Fraction(word) for word in book] for book in chosen], Fraction(1), array, UNSIGNED, 31, _lower, 8)


DEFINITIONS = {
    "mxfp4": Definition([STEPS["fp4_e2m1"]], UNIT["fp4_e2m1"], 32, POWERS, 4, _even_code, tensor=False),
    "nvfp4": Definition([STEPS["fp4_e2m1"]], UNIT["fp4_e2m1"], 16, UNSIGNED, 6, _even_code),
    "int4_g32": Definition([STEPS["int4"]], Fraction(1), 32, SIGNED, 8, _even_number),
    "dint4_g32": Definition([STEPS["dint4"]], UNIT["dint4"], 32, SIGNED, 7, _specials_to_zero),
    "lobcq_c2_g16": _lobcq(2, 16),
    "lobcq_c8_g64": _lobcq(8, 64),
}


# The unit


def _width(magnitude: int) -> int:
    """Bits of a register that holds sums of either sign."""
    return int(magnitude).bit_length() + 1


def _wrapped(number: int, bits: int) -> int:
    number %= 1 << bits
    return number - (1 << bits) if number >> bits - 1 else number


class TableUnit:
    """A unit by what is said of its ports: two registers, and a block that is due to be added to the second."""

    def __init__(self, of: Definition, scaled: bool, depth: int, span: int, writable: bool = False, stages: int = 0) -> None:
        self.of, self.scaled, self.span, self.stages = of, scaled, span, stages
        factors = 1 + scaled
        reach = max(abs(value) / of.unit for book in of.books for value in book)
        reach = Fraction(31) if writable else reach
        largest = int(reach * (reach if scaled else 128))
        self.block_bits = _width(largest * of.block)
        self.bits = _width(largest * depth * (15 if of.tensor else 1) ** factors << span)
        self.unit = of.unit**factors
        self.sum_unit = self.unit * of.least**factors

    def added(self, block: int, now: dict[str, list[int]]) -> int | None:
        """What a block is worth in the accumulator; None where its scale is NaN or out of reach."""
        scales = [self.of.scales[now[name][0]] for name in ("scale", "activation_scale")[: 1 + self.scaled]]
        base = now.get("base", [0])[0]
        values = [scale.value for scale in scales if scale.value is not None]
        if len(values) < len(scales) or not 0 <= sum(scale.exponent for scale in scales) - base <= self.span:
            return None
        exact = block * self.unit * prod(values, start=Fraction(1)) / (self.sum_unit * 2**base)
        assert exact.denominator == 1
        return int(exact)

    def run(self, rows: Sequence[dict[str, list[int]]]) -> list[tuple[int, int]]:
        """`accumulator` and `exact` after each edge."""
        shown, register, exact, books = [], 0, 1, self.of.books
        block, opens, inside = 0, False, False
        waiting: list[tuple[bool, int | None] | None] = [None] * (1 + self.stages)
        for now in rows:
            due, ended = waiting.pop(0), None
            if now["rst"][0]:
                register, exact, books, inside, waiting = 0, 1, self.of.books, False, [None] * self.stages
            else:
                if due is not None:
                    register, exact = (0, 1) if due[0] else (register, exact)
                    register, exact = _wrapped(register + (due[1] or 0), self.bits), exact & (due[1] is not None)
                if now["valid"][0]:
                    if now["first"][0] or not inside:
                        block, opens = 0, bool(now["first"][0])
                    block = _wrapped(block + self._products(now, books), self.block_bits)
                    inside = not now["last"][0]
                    ended = None if inside else (opens, self.added(block, now))
                if now.get("codebook_write", [0])[0]:
                    book, code = divmod(now["codebook_address"][0], 16)
                    books = [list(one) for one in books]
                    books[book][code] = Fraction(now["codebook_word"][0])
            waiting.append(ended)
            shown.append((register, exact))
        return shown

    def _products(self, now: dict[str, list[int]], books: list[list[Fraction]]) -> int:
        def values(codes: str, selectors: str) -> list[Fraction]:
            chosen = [now[selectors][lane // (self.of.shared or 1)] if self.of.shared else 0 for lane in range(len(now[codes]))]
            return [books[book][code] for book, code in zip(chosen, now[codes], strict=True)]

        others = values("activations", "activation_selectors") if self.scaled else now["activations"]
        found = sum(one * other for one, other in zip(values("weights", "selectors"), others, strict=True)) / self.unit
        assert found.denominator == 1
        return int(found)


# The quantizer


class Quantized(NamedTuple):
    """A block in codes."""

    codes: tuple[int, ...]
    scale: int
    selectors: tuple[int, ...] = ()


def decoded(of: Definition, block: Quantized) -> list[Fraction]:
    """The numbers of a block, with the tensor scale 1."""
    scale = of.scales[block.scale].value
    assert scale is not None
    chosen = [block.selectors[place // of.shared] if of.shared else 0 for place in range(of.block)]
    return [of.books[book][code] * scale for book, code in zip(chosen, block.codes, strict=True)]


def table_scale(of: Definition, numbers: Sequence[Fraction], tensor: Fraction) -> int:
    """The code of a block's scale."""
    magnitude, known = max(map(abs, numbers)), of.magnitudes
    wanted = magnitude / (of.full * tensor)
    if of.scales is POWERS:
        return max((code for code, value in enumerate(known) if value <= wanted), default=0)
    code = min(range(len(known)), key=lambda code: (abs(known[code] - wanted), code % 2))
    # All ranges with a longer side have it below zero.
    return code + 128 if of.scales is SIGNED and code and max(numbers) > -min(numbers) else code


def table_elements(of: Definition, steps: Sequence[Fraction]) -> tuple[list[int], list[Fraction]]:
    """Codes of the nearest elements in the first book of the least squared error, for each run that shares one; all errors."""
    found, errors = [], []
    for book in of.books:
        nearest = {x: min(range(16), key=lambda code: (abs(book[code] - x), of.tie(x, book[code], code))) for x in set(steps)}
        found.append([nearest[x] for x in steps])
        errors.append(sum(((book[nearest[x]] - x) ** 2 for x in steps), Fraction(0)))
    return found[errors.index(min(errors))], errors


def table_quantize(of: Definition, numbers: Sequence[Fraction], tensor: Fraction) -> Quantized:
    """A block in codes, by the least distances."""
    scale = table_scale(of, numbers, tensor)
    factor = (of.scales[scale].value or 0) * tensor
    steps = [number / factor if factor else Fraction(0) for number in numbers]
    codes: list[int] = []
    selectors: list[int] = []
    for start in range(0, of.block, of.shared or of.block):
        chosen, errors = table_elements(of, steps[start : start + (of.shared or of.block)])
        codes += chosen
        selectors.append(errors.index(min(errors)))
    return Quantized(tuple(codes), scale, tuple(selectors) if of.shared else ())


def table_tensor(of: Definition, numbers: Sequence[float]) -> float:
    """The tensor scale: largest magnitude / (full scale x 448) in float32, 1 where all is zero."""
    largest = max(abs(Fraction(number)) for number in numbers)
    return max(float(np.float32(float(largest / (of.full * 448)))), 2.0**-149) if of.tensor and largest else 1.0
