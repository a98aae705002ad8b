# SPDX-License-Identifier: Apache-2.0
"""The exact arithmetic of dot products of block formats: integers inside a block, powers of two between blocks.

    sum_i w_i a_i = sum_b  s_b(w) s_b(a)  sum_{i in b} v_i(w) v_i(a)

Inside a block b only integers meet, in units of the two formats. Scales are significand x 2^exponent (`ScaleEncoding.parts`):
their product is an integer times 2^(sum of the least exponents), so that the whole sum is one integer, in a unit that the
formats fix, before the tensor scales (and those of plain integers) are applied. Nothing is rounded anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .block_format import BlockCodes, BlockFormat, CodedBlock
from .errors import InputError

__all__ = ["DotProducts", "block_sums", "dot", "dot_one", "row_sums"]

_INT64_BITS = 63  # beside the sign


@dataclass(frozen=True)
class DotProducts:
    """Exact dot products: `integers` x `unit`, before tensor scales."""

    integers: NDArray[np.object_]  # (rows of the second, rows of the first), Python integers
    unit: Fraction

    def to_float(self) -> NDArray[np.float64]:
        """The nearest float64s."""
        return np.vectorize(lambda one: float(one * self.unit), otypes=[np.float64])(self.integers)


def block_sums(weights: BlockCodes, activations: BlockCodes | ArrayLike) -> NDArray[np.int64]:
    """Integer sums of products in each block, in units: (rows of activations, rows of weights, blocks).

    Parameters
    ----------
    weights
        (outputs, columns).
    activations
        (tokens, columns), in codes of a format with the same block, or as plain integers.

    Raises
    ------
    InputError
        If columns or blocks do not agree, or activations are neither.
    """
    left = weights.format.values(weights)
    right = _integers(activations)
    if left.shape[1] != right.shape[1]:
        raise InputError(f"weights have {left.shape[1]} columns, activations {right.shape[1]}: lengths must agree")
    size = weights.format.block
    if isinstance(activations, BlockCodes) and activations.format.block != size:
        other = activations.format
        raise InputError(
            f"blocks of {weights.format.title} have {size} elements, of {other.title} {other.block}: give equal ones"
        )
    blocks = (left.shape[1] // size, size)
    return np.einsum("obi,tbi->tob", left.reshape(len(left), *blocks), right.reshape(len(right), *blocks))


def dot(weights: BlockCodes, activations: BlockCodes | ArrayLike) -> DotProducts:
    """Sums over whole rows, exact; arguments as of `block_sums`. NaN among the scales is refused."""
    sums = block_sums(weights, activations)
    unit = weights.format.unit
    factors: Any = np.ones((), dtype=object)
    operands: list[tuple[BlockCodes, Any]] = [(weights, (None, slice(None)))]
    if isinstance(activations, BlockCodes):
        operands.append((activations, (slice(None), None)))
        unit *= activations.format.unit
    for codes, axes in operands:
        scales = codes.format.scales
        significands, exponents = scales.parts(codes.scales)
        shifted = significands.astype(object) << (exponents - scales.least_exponent).astype(object)
        factors = factors * shifted[axes]
        unit *= Fraction(2) ** scales.least_exponent
    return DotProducts((sums.astype(object) * factors).sum(axis=2), unit)


def row_sums(weights: BlockCodes, activations: BlockCodes | ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sums over whole rows, exact: integers and exponents (tokens, outputs) each; a sum is integer x 2^exponent units of `dot`.

    The exponent is the least of the blocks whose sum is not zero (blocks of zeros may have any scale; 0 where all are), so that
    the integers are those of a unit whose `base` it is.

    Raises
    ------
    InputError
        If scales of a row are so far apart that its integer needs more than 64 bits; and as `block_sums`.
    """
    sums = block_sums(weights, activations)
    exponents = np.zeros_like(sums)
    operands: list[tuple[BlockCodes, Any]] = [(weights, (None, slice(None)))]
    if isinstance(activations, BlockCodes):
        operands.append((activations, (slice(None), None)))
    for codes, axes in operands:
        scales = codes.format.scales
        significands, own = scales.parts(codes.scales)
        sums = sums * significands[axes]
        exponents = exponents + (own - scales.least_exponent)[axes]
    counts = sums != 0
    least = np.where(counts.any(axis=2), np.where(counts, exponents, exponents.max()).min(axis=2), 0)
    shifts = np.where(counts, exponents - least[:, :, None], 0)
    bits = int(np.abs(sums).max()).bit_length() + int(shifts.max()) + sums.shape[2].bit_length()
    if bits > _INT64_BITS:
        raise InputError(f"scales of a row are 2^{shifts.max()} apart: its sum needs {bits} bits, {_INT64_BITS} are supported")
    return (sums << shifts).sum(axis=2), least


def dot_one(
    weight_format: BlockFormat,
    weights: Sequence[CodedBlock],
    activations: Sequence[Any],
    activation_format: BlockFormat | None = None,
) -> Fraction:
    """One dot product, block by block, of decoded numbers: the scalar twin of `dot`.

    Activations are `CodedBlock`s of their format, or lists of integers if they have none.
    """
    total = Fraction(0)
    for left, right in zip(weights, activations, strict=True):
        decoded = weight_format.decode_one(left)
        if activation_format is None:
            others: list[Fraction] | None = [Fraction(one) for one in right]
        else:
            others = activation_format.decode_one(right)
        if decoded is None or others is None:
            raise InputError("a scale of the dot product is NaN: it has no exact value; check the scales")
        total += sum((one * other for one, other in zip(decoded, others, strict=True)), Fraction(0))
    return total


def _integers(activations: BlockCodes | ArrayLike) -> NDArray[np.int64]:
    """Values of the activations (tokens, columns), in units."""
    if isinstance(activations, BlockCodes):
        return activations.format.values(activations)
    array = np.asarray(activations)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"activations have shape {array.shape}, {array.dtype}: integers (tokens, columns) are needed")
    return array.astype(np.int64)
