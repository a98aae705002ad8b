# SPDX-License-Identifier: Apache-2.0
"""Dot products of block formats: exact, both twins."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from golden import GROUP_FORMATS, MXFP4, NVFP4, BlockCodes, BlockFormat, InputError, block_sums, dot, row_sums
from golden.block_dot import dot_one

from .test_block_format import CLUSTERED, one_block

EVERY = pytest.mark.parametrize("block_format", [MXFP4, NVFP4, CLUSTERED, GROUP_FORMATS["dint4_g32"]], ids=lambda one: one.name)


def operands(block_format: BlockFormat) -> tuple[np.ndarray, np.ndarray]:
    """Weights (3, columns) and activations (2, columns) whose blocks differ in size by many orders of magnitude."""
    rng = np.random.default_rng(2)
    columns = 5 * block_format.block
    sizes = np.repeat(2.0 ** rng.integers(-40, 40, (5, 5)), block_format.block, axis=1)
    drawn = (rng.normal(size=(5, columns)) * sizes).astype(np.float32)
    return drawn[:3], drawn[3:]


@EVERY
def test_products_of_two_block_formats(block_format: BlockFormat) -> None:
    weights, activations = (block_format.quantize(one) for one in operands(block_format))
    products = dot(weights, activations)
    assert products.integers.shape == (2, 3)
    blocks = range(5)
    for token in range(2):
        for output in range(3):
            left, right = (
                [one_block(codes, row, b) for b in blocks] for codes, row in ((weights, output), (activations, token))
            )
            exact = dot_one(block_format, left, right, block_format)
            assert products.integers[token, output] * products.unit == exact
            assert products.to_float()[token, output] == float(exact)
    sums = block_sums(weights, activations)
    assert sums.shape == (2, 3, 5)
    first = block_format.values(weights)[1, : block_format.block] @ block_format.values(activations)[0, : block_format.block]
    assert sums[0, 1, 0] == first


@EVERY
def test_products_with_integers(block_format: BlockFormat) -> None:
    weights = block_format.quantize(operands(block_format)[0])
    activations = np.random.default_rng(3).integers(-128, 128, (2, weights.codes.shape[1]))
    products = dot(weights, activations)
    left = [one_block(weights, 2, b) for b in range(5)]
    exact = dot_one(block_format, left, activations[1].reshape(5, -1).tolist())
    assert products.integers[1, 2] * products.unit == exact


def test_units_are_the_formats() -> None:
    """Halves times halves times the least powers of two of the scales."""
    weights = np.ones((1, 32), np.float32)
    found = {one: dot(one.quantize(weights), one.quantize(weights)).unit for one in (MXFP4, NVFP4)}
    assert found == {MXFP4: Fraction(1, 4) / 2**254, NVFP4: Fraction(1, 4) / 2**18}
    assert dot(NVFP4.quantize(weights), np.ones((1, 32), int)).unit == Fraction(1, 2) / 2**9


def test_what_does_not_fit_is_refused() -> None:
    mx, nv = MXFP4.quantize(np.ones((1, 64))), NVFP4.quantize(np.ones((1, 64)))
    with pytest.raises(InputError, match="blocks of MXFP4 have 32 elements, of NVFP4 16: give equal ones"):
        dot(mx, nv)
    with pytest.raises(InputError, match="weights have 64 columns, activations 32"):
        dot(mx, MXFP4.quantize(np.ones((1, 32))))
    for wrong in (np.ones(64, int), np.ones((1, 64))):
        with pytest.raises(InputError, match=r"integers \(tokens, columns\) are needed"):
            dot(mx, wrong)
    broken = dataclasses.replace(mx, scales=np.full((1, 2), 255, np.uint8))
    with pytest.raises(InputError, match="scale code 255 of E8M0 is NaN"):
        dot(broken, mx)
    with pytest.raises(InputError, match="a scale of the dot product is NaN"):
        dot_one(MXFP4, [one_block(broken, 0, 0)], [[0] * 32])


@EVERY
@pytest.mark.parametrize("integers", [False, True])
def test_sums_of_rows_are_those_of_dot(block_format: BlockFormat, integers: bool) -> None:
    rng = np.random.default_rng(4)
    drawn = (rng.normal(size=(5, 5 * block_format.block)) * 2.0 ** rng.integers(-6, 6, (5, 1))).astype(np.float32)
    drawn[:, : block_format.block] = 0  # a block of zeros has the least scale there is
    drawn[4] = 0
    weights, activations = block_format.quantize(drawn[:3]), block_format.quantize(drawn[3:], by_row=True)
    given = rng.integers(-128, 128, drawn[3:].shape) if integers else activations
    sums, exponents = row_sums(weights, given)
    exact = dot(weights, given).integers
    assert [[int(one) << int(shift) for one, shift in zip(*row, strict=True)] for row in zip(sums, exponents, strict=True)] == (
        exact.tolist()
    )
    assert (sums[0] != 0).all()
    assert integers or exponents[1].tolist() == [0, 0, 0]


def test_scales_too_far_apart_for_an_integer() -> None:
    weights, activations = (MXFP4.quantize(one) for one in operands(MXFP4))
    with pytest.raises(InputError, match=r"scales of a row are 2\^\d+ apart: its sum needs \d+ bits, 63 are supported"):
        row_sums(weights, activations)


def test_scales_may_be_as_far_apart_as_64_bits_allow() -> None:
    """Two blocks of one unit each, and a block of zeros, whose scale does not count: 3 places besides the shift."""
    activations = np.zeros((1, 3 * MXFP4.block), np.int8)
    activations[0, [0, MXFP4.block]] = 1
    for shift, fits in ((59, True), (60, True), (61, False)):
        scales = np.array([[5, 5 + shift, 200]], np.uint8)
        weights = BlockCodes(
            MXFP4, np.full((1, 3 * MXFP4.block), MXFP4.elements[0].encode_one(1), np.uint8), scales, None, None
        )
        if fits:
            sums, exponents = row_sums(weights, activations)
            assert (sums.tolist(), exponents.tolist()) == ([[1 + (1 << shift)]], [[5]])
        else:
            with pytest.raises(InputError, match=r"scales of a row are 2\^61 apart: its sum needs 64 bits, 63 are supported"):
                row_sums(weights, activations)
