# SPDX-License-Identifier: Apache-2.0
"""Matrices in codes of a block format: `golden.BlockFormat` in torch, bit for bit.

Quotients are float64, as there; the thresholds are the formats' own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from golden import BlockFormat, ScaleEncoding
from golden.errors import InputError

from .weights import round_to_codes, value_table

__all__ = ["BlockTensors", "block_scales", "factors_of", "nearest_blocks", "quantize_blocks", "values_of"]

_LEAST = float(np.finfo(np.float32).smallest_subnormal)


@dataclass(frozen=True)
class BlockTensors:
    """A matrix in codes, shaped as in `golden.BlockCodes`."""

    codes: Tensor  # (rows, columns) uint8
    scales: Tensor  # (rows, columns / block) uint8, codes of the scale encoding
    selectors: Tensor | None  # (rows, columns / selector block) uint8; with codebooks only
    tensor_scales: Tensor | None  # () or (rows, 1) float32; of formats with a tensor scale only


def quantize_blocks(x: Tensor, block_format: BlockFormat, by_row: bool = False) -> BlockTensors:
    """`x` (rows, columns), float32, in codes; with `by_row` each row is a tensor of its own (a token's activations).

    Raises
    ------
    InputError
        If columns are no multiple of the block.
    """
    return nearest_blocks(x, *block_scales(x, block_format, by_row), block_format)


def nearest_blocks(x: Tensor, scales: Tensor, tensor_scales: Tensor | None, block_format: BlockFormat) -> BlockTensors:
    """`x` (rows, columns) in the nearest codes, with the scales given, as of `BlockTensors`."""
    factors = factors_of(scales, tensor_scales, block_format)[:, :, None]
    steps = x.double().view(*scales.shape, block_format.block) / factors
    steps = torch.where(factors != 0, steps, 0).view(x.shape)
    if block_format.selector_block is None:
        return BlockTensors(round_to_codes(steps, block_format.elements[0], None), scales, None, tensor_scales)
    codes, selectors = _selected(steps, block_format)
    return BlockTensors(codes, scales, selectors, tensor_scales)


def block_scales(
    x: Tensor, block_format: BlockFormat, by_row: bool = False, shrink: float = 1.0
) -> tuple[Tensor, Tensor | None]:
    """Codes of the blocks' scales and tensor scales, as of `BlockTensors`, for the largest magnitudes of `x`.

    With `shrink` the ranges of blocks are that fraction of those, the tensor scale as it is without.
    Where those are infinite or NaN, the scale is NaN: a model whose activations are none is not made to look sound.
    """
    if x.shape[1] % block_format.block:
        size, title = block_format.block, block_format.title
        raise InputError(f"rows of {x.shape[1]} numbers: {title} has blocks of {size}; give a multiple")
    blocks = x.view(len(x), -1, block_format.block)
    negative, positive = -blocks.amin(dim=2), blocks.amax(dim=2)
    magnitudes = torch.maximum(negative, positive).double()
    full, encoding = float(block_format.full_scale), block_format.scales
    tensor_scales, wanted = None, magnitudes / full
    if block_format.tensor_scale:
        largest = magnitudes.amax(dim=1, keepdim=True) if by_row else magnitudes.amax()
        found = (largest / (full * float(encoding.maximum))).float().clamp(min=_LEAST)
        tensor_scales = torch.where(largest > 0, found, torch.ones_like(found))
        wanted = magnitudes / (full * tensor_scales.double())
    codes = torch.searchsorted(_scale_tables(encoding, x.device)[0], wanted * shrink)
    codes += encoding.sign_bit * (block_format.mirrors(negative, positive) & (codes > 0))
    return codes.masked_fill(~magnitudes.isfinite(), encoding.nan_code).to(torch.uint8), tensor_scales


def factors_of(scales: Tensor, tensor_scales: Tensor | None, block_format: BlockFormat) -> Tensor:
    """What a step of each block stands for (rows, blocks), float64, exact."""
    sizes = _scale_tables(block_format.scales, scales.device)[1][scales.int()]
    return sizes if tensor_scales is None else sizes * tensor_scales.double()


def values_of(codes: Tensor, selectors: Tensor | None, block_format: BlockFormat) -> Tensor:
    """Integer values (rows, columns) int8 of `codes` (rows, columns), in units."""
    tables = torch.stack([value_table(one, codes.device) for one in block_format.elements])
    if selectors is None:
        return tables[0].index_select(0, codes.flatten().int()).view(codes.shape)
    assert block_format.selector_block is not None
    places = selectors.int().repeat_interleave(block_format.selector_block, dim=1) << block_format.bits | codes.int()
    return tables.flatten().index_select(0, places.flatten()).view(codes.shape)


def _selected(steps: Tensor, block_format: BlockFormat) -> tuple[Tensor, Tensor]:
    """Codes uint8, shaped like `steps` (rows, columns), float64, and the selectors of the least squared errors.

    The thresholds of codebooks are multiples of half a unit, and a tie goes to the lower codeword: all numbers that round up
    to the same multiple of half a unit have the same code, in every codebook.
    """
    size, unit = block_format.selector_block, float(block_format.unit)
    assert size is not None
    tables, values = _half_unit_tables(block_format, steps.device)
    reach = tables.shape[1] // 2
    halves = torch.ceil(steps.nan_to_num() * (2 / unit)).clamp_(-reach, reach).add_(reach).to(torch.int32)
    least, selectors = None, torch.zeros(len(steps), steps.shape[1] // size, dtype=torch.int32, device=steps.device)
    for number, table in enumerate(values):
        differences = table.index_select(0, halves.flatten()).view(steps.shape).sub_(steps)
        errors = differences.square_().view(*selectors.shape, size)
        while errors.shape[2] > 1:  # pairs of neighbours: the order in which numpy adds eight numbers
            errors = errors[:, :, 0::2] + errors[:, :, 1::2]
        errors = errors[:, :, 0]
        if least is None:
            least = errors
            continue
        better = errors < least
        selectors[better] = number
        least = torch.where(better, errors, least)
    places = selectors.repeat_interleave(size, dim=1) * tables.shape[1] + halves
    codes = tables.flatten().index_select(0, places.flatten()).view(steps.shape)
    return codes, selectors.to(torch.uint8)


@lru_cache
def _half_unit_tables(block_format: BlockFormat, device: torch.device) -> tuple[Tensor, Tensor]:
    """Codes uint8 and values, in steps, float64, of each codebook (codebooks, n) at multiples of half a unit."""
    reach = 2 * max(max(-one.minimum, one.maximum) for one in block_format.elements)
    unit = float(block_format.unit)
    codes = np.stack([one.round(np.arange(-reach, reach + 1) * unit / 2) for one in block_format.elements])
    values = np.stack([one.decode(row) * unit for one, row in zip(block_format.elements, codes, strict=True)])
    return torch.from_numpy(codes).to(device), torch.from_numpy(values).to(device)


@lru_cache
def _scale_tables(encoding: ScaleEncoding, device: torch.device) -> tuple[Tensor, Tensor]:
    """Thresholds between codes, and numbers by code, NaN among them; float64."""
    numbers = encoding.decode(np.arange(1 << encoding.used_bits))
    return torch.from_numpy(encoding.thresholds()).to(device), torch.from_numpy(numbers).to(device)
