# SPDX-License-Identifier: Apache-2.0
"""Products of 8-bit integers with 32-bit accumulators: what the hardware computes, by the processor's own instructions.

The accumulators of `torch._int_mm` are those of the MAC unit bit for bit, in units of the format (dINT: half steps), and
those of the float32 product, which is exact too: a sum of integers whose partial sums all stay below 2^24 needs no rounding
in float32, in whatever order it is added; where it could exceed that, it is taken in float64. An output therefore does not
depend on which of the two computed it, and either may be taken where it is faster. That holds while torch multiplies float32
as such, as it does unless `torch.set_float32_matmul_precision` allows it less.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from golden.errors import InputError

from .activations import LARGEST

__all__ = ["EXACT_SUM", "EXECUTIONS", "IntegerMatrix", "exact_products", "fastest_execution"]

#: How a layer computes its accumulators: integers kept in float32 (float64 where sums need it), or 8-bit integers.
EXECUTIONS = ("float", "integer")
#: Integers below this in magnitude, and sums of them that stay below it, are exact in float32.
EXACT_SUM = 1 << 24
#: An accumulator of `torch._int_mm` stays below this.
_SUM_LIMIT = 1 << 31
#: On CUDA `torch._int_mm` takes matrices whose sides are multiples of this, and more than 16 rows.
_CUDA_MULTIPLE, _CUDA_ROWS = 8, 32


class IntegerMatrix:
    """Weight values (out, in) as 8-bit integers, and what was taken off the rows where they do not fit.

    Only 8-bit formats with zero-points do not: their range is -z..255 - z. The row's offset times the sum of the activations
    makes up for it, as the zero-point does in hardware (`golden.asymmetric`).

    Parameters
    ----------
    values
        (out, in), int8, or int16 of which each row spans at most 256 integers.

    Raises
    ------
    InputError
        If a sum of products may exceed 32 bits.
    """

    def __init__(self, values: Tensor) -> None:
        self.offsets: Tensor | None = None
        if values.dtype != torch.int8:
            offsets = values.amin(dim=1, keepdim=True) + 128
            values = (values - offsets).to(torch.int8)
            self.offsets = offsets[:, 0].to(torch.int32)
        self.values = values
        reach = 128 if self.offsets is None else 128 + int(self.offsets.abs().max())
        if reach * 128 * values.shape[1] >= _SUM_LIMIT:
            raise InputError(f"{values.shape[1]} products may exceed a sum of 32 bits; use --execution float")

    def product(self, activations: Tensor) -> Tensor:
        """Accumulators (tokens, out) int32 of `activations` (tokens, in) int8: exact."""
        sums = _integer_product(activations, self.values)
        if self.offsets is None:
            return sums
        return sums + activations.sum(dim=1, dtype=torch.int32)[:, None] * self.offsets


def exact_products(left: Tensor, right: Tensor, reach: int, execution: str) -> Tensor:
    """Sums (..., rows, out) of products of `left` (..., rows, in) and `right` (..., out, in), integers kept in float32.

    Exact: in float32, or float64 where sums may reach 2^24; with the execution "integer" in int32, one matrix after the other.

    Parameters
    ----------
    left
        From -127 to 127.
    right
        At most `reach` in magnitude; with the execution "integer", each row spans at most 256 integers.
    """
    if execution == "float":
        exact = torch.float32 if LARGEST * reach * left.shape[-1] < EXACT_SUM else torch.float64
        return left.to(exact) @ right.to(exact).mT
    matrices = right.to(torch.int8 if reach <= LARGEST else torch.int16).flatten(0, -3)
    pairs = zip(left.to(torch.int8).flatten(0, -3), matrices, strict=True)
    sums = [IntegerMatrix(matrix.contiguous()).product(rows.contiguous()) for rows, matrix in pairs]
    return torch.stack(sums).view(*left.shape[:-1], right.shape[-2])


def _integer_product(activations: Tensor, matrix: Tensor) -> Tensor:
    if matrix.shape[1] == 1:  # a single column, transposed, `torch._int_mm` reads wrongly on a CPU
        return activations.to(torch.int32) * matrix.T.to(torch.int32)
    if activations.device.type != "cuda":
        return torch._int_mm(activations, matrix.T)
    (rows, inputs), outputs = activations.shape, len(matrix)
    beyond = -inputs % _CUDA_MULTIPLE
    activations = nn.functional.pad(activations, (0, beyond, 0, max(_CUDA_ROWS - rows, 0)))
    matrix = nn.functional.pad(matrix, (0, beyond, 0, -outputs % _CUDA_MULTIPLE))
    return torch._int_mm(activations, matrix.T)[:rows, :outputs]


@cache
def fastest_execution(device_type: str) -> str:
    """The one of `EXECUTIONS` that is faster for large products: integers need instructions of their own."""
    return "integer" if device_type == "cpu" and torch.cpu._is_vnni_supported() else "float"
