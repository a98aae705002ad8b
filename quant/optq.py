# SPDX-License-Identifier: Apache-2.0
"""OPTQ (GPTQ, Frantar et al., arXiv 2210.17323): round column by column, and let the columns not yet rounded make up for it.

The layer's output error on the calibration inputs X is a quadratic form of the weights' error, with the Hessian
H = 2/N sum x x^T. Once a column is rounded, the change of the remaining columns that minimizes the form is a multiple of a
row of the inverse Hessian of what remains (eq. 2 and 3); all of these rows together are the rows of the upper Cholesky
factor of the inverse (section 3.3, step 3). The scales are fixed beforehand, hence any number format can be rounded to; with
groups, too ("static groups"), where GPTQ derives each group's from the weights as compensated until then.

A group in an input channel is a part of one column, so that its scale can wait: it is taken from the compensated column when
that is reached, and always fits. That is how AdaDim's authors do it (arXiv 2309.15531; `gptq.py` of their repository
johnheo/adadim-llm, whose groups per output channel are static too). They go through the columns by falling diagonal of the
Hessian, where here they are taken in their own order, as for every other recipe.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from golden import NumberFormat

from .weights import QuantizedWeights, decode, quantize_weights, round_to_codes

__all__ = ["compensate", "inverse_factor", "round_compensated", "round_input_channels"]

#: Added to the Hessian's diagonal, relative to the diagonal's mean.
DAMPING = 0.01
#: The compensation of later columns is done for so many columns at once (section 3.3, step 2): the result is the same.
BLOCK_COLUMNS = 128


def round_compensated(
    weight: Tensor, hessian: Tensor, number_format: NumberFormat, scales: Tensor, zero_points: Tensor | None
) -> Tensor:
    """Codes (out, in) uint8 of `weight` (out, in), float32, rounded by OPTQ; scales and zero-points (out,) or (out, groups).

    `hessian` (in, in), of any scale: only its shape decides. Columns whose inputs were all zero become zero.
    """
    codes = torch.empty(weight.shape, dtype=torch.uint8, device=weight.device)
    scales = scales.view(len(weight), -1)
    group_size = weight.shape[1] // scales.shape[1]

    def quantize(index: int, column: Tensor) -> Tensor:
        group = index // group_size
        scale = scales[:, group]
        zero_point = None if zero_points is None else zero_points.view(scales.shape)[:, group]
        code = round_to_codes((column / scale)[:, None], number_format, zero_point)
        codes[:, index] = code[:, 0]
        return decode(code, number_format, zero_point)[:, 0] * (scale * float(number_format.unit))

    compensate(weight, hessian, quantize)
    return codes


def round_input_channels(
    weight: Tensor, hessian: Tensor, number_format: NumberFormat, form: str, group_size: int
) -> QuantizedWeights:
    """`weight` (out, in) rounded by OPTQ, groups of `group_size` per-ic; `hessian` and dead columns as above."""
    columns: list[QuantizedWeights] = []

    def quantize(_index: int, column: Tensor) -> Tensor:
        groups = quantize_weights(column.view(-1, group_size), number_format, form)
        columns.append(groups)
        values = decode(groups.codes, number_format, groups.zero_points)
        return (values * (groups.scales[:, None] * float(number_format.unit))).flatten()

    compensate(weight, hessian, quantize)
    codes = torch.stack([one.codes.flatten() for one in columns], dim=1)
    scales = torch.stack([one.scales for one in columns])
    zero_points = [one.zero_points for one in columns if one.zero_points is not None]
    return QuantizedWeights(codes, scales, torch.stack(zero_points) if zero_points else None)


def compensate(weight: Tensor, hessian: Tensor, quantize: Callable[[int, Tensor], Tensor]) -> None:
    """Call `quantize` with the index and the compensated values (out,) of each column of `weight` (out, in), first to last.

    What it returns (out,) is the column's quantized value; the error made there is compensated in the columns after it.
    """
    remaining, hessian = weight.clone(), hessian.clone()
    diagonal = hessian.diagonal()
    dead = diagonal == 0
    diagonal[dead] = 1
    remaining[:, dead] = 0
    diagonal += DAMPING * diagonal.mean()
    factor = inverse_factor(hessian)
    for start in range(0, weight.shape[1], BLOCK_COLUMNS):
        block = remaining[:, start : start + BLOCK_COLUMNS]
        own = factor[start : start + BLOCK_COLUMNS, start : start + BLOCK_COLUMNS]
        errors = torch.empty_like(block)
        for index in range(block.shape[1]):
            column = block[:, index].clone()
            errors[:, index] = (column - quantize(start + index, column)) / own[index, index]
            block[:, index:] -= torch.outer(errors[:, index], own[index, index:])
        end = start + block.shape[1]
        remaining[:, end:] -= errors @ factor[start:end, end:]


def inverse_factor(hessian: Tensor) -> Tensor:
    """Upper triangular R with R^T R = H^-1, for a positive definite H (n, n); computed in float64, returned as H is.

    Rows and columns reversed, the lower Cholesky factor of H is an upper one: H = U U^T. Hence R = U^-1, and H is never
    inverted itself.
    """
    upper = torch.linalg.cholesky(hessian.double().flip(0, 1)).flip(0, 1)
    identity = torch.eye(len(hessian), dtype=torch.float64, device=hessian.device)
    return torch.linalg.solve_triangular(upper, identity, upper=True).to(hessian.dtype)
