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

from golden import BlockFormat, NumberFormat, ScaleEncoding
from golden.errors import InputError

__all__ = ["BlockTensors", "block_scales", "factors_of", "quantize_blocks", "values_of"]

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
    scales, tensor_scales = block_scales(x, block_format, by_row)
    factors = factors_of(scales, tensor_scales, block_format)[:, :, None]
    steps = x.double().view(*scales.shape, block_format.block) / factors
    steps = torch.where(factors > 0, steps, 0).view(x.shape)
    tried = torch.stack([_nearest(steps, one) for one in block_format.elements])
    size = block_format.selector_block
    if size is None:
        return BlockTensors(tried[0], scales, None, tensor_scales)
    values = torch.stack([_values(one, x.device)[codes.int()] for one, codes in zip(block_format.elements, tried, strict=True)])
    errors = (values * float(block_format.unit) - steps).square().view(len(tried), len(x), -1, size).sum(dim=3)
    selectors = errors.argmin(dim=0)
    parts = tried.view(*errors.shape, size)
    codes = parts.gather(0, selectors[None, :, :, None].expand(1, *parts.shape[1:]))[0].view(x.shape)
    return BlockTensors(codes, scales, selectors.to(torch.uint8), tensor_scales)


def block_scales(x: Tensor, block_format: BlockFormat, by_row: bool = False) -> tuple[Tensor, Tensor | None]:
    """Codes of the blocks' scales and tensor scales, as of `BlockTensors`, for the largest magnitudes of `x`.

    Where those are NaN, so is the scale: a model whose activations are none is not made to look sound.
    """
    if x.shape[1] % block_format.block:
        size, title = block_format.block, block_format.title
        raise InputError(f"rows of {x.shape[1]} numbers: {title} has blocks of {size}; give a multiple")
    magnitudes = x.view(len(x), -1, block_format.block).abs().amax(dim=2).double()
    full, encoding = float(block_format.full_scale), block_format.scales
    tensor_scales, wanted = None, magnitudes / full
    if block_format.tensor_scale:
        largest = magnitudes.amax(dim=1, keepdim=True) if by_row else magnitudes.amax()
        found = (largest / (full * float(encoding.maximum))).float().clamp(min=_LEAST)
        tensor_scales = torch.where(largest > 0, found, torch.ones_like(found))
        wanted = magnitudes / (full * tensor_scales.double())
    codes = torch.searchsorted(_scale_tables(encoding, x.device)[0], wanted)
    return codes.masked_fill(magnitudes.isnan(), encoding.nan_code).to(torch.uint8), tensor_scales


def factors_of(scales: Tensor, tensor_scales: Tensor | None, block_format: BlockFormat) -> Tensor:
    """What a step of each block stands for (rows, blocks), float64, exact."""
    sizes = _scale_tables(block_format.scales, scales.device)[1][scales.int()]
    return sizes if tensor_scales is None else sizes * tensor_scales.double()


def values_of(codes: Tensor, selectors: Tensor | None, block_format: BlockFormat) -> Tensor:
    """Integer values (rows, columns) int8 of `codes` (rows, columns), in units."""
    tables = torch.stack([_values(one, codes.device) for one in block_format.elements])
    if selectors is None:
        return tables[0].index_select(0, codes.flatten().int()).view(codes.shape)
    assert block_format.selector_block is not None
    places = selectors.int().repeat_interleave(block_format.selector_block, dim=1) << block_format.bits | codes.int()
    return tables.flatten().index_select(0, places.flatten()).view(codes.shape)


def _nearest(steps: Tensor, number_format: NumberFormat) -> Tensor:
    """Codes uint8 of the values nearest to `steps`, float64."""
    thresholds, codes = _tables(number_format, steps.device)
    ranks = torch.zeros(steps.shape, dtype=torch.uint8, device=steps.device)
    for threshold in thresholds:  # a few comparisons of the whole matrix are faster than a search for every number
        ranks += (steps > threshold).view(torch.uint8)
    return codes.index_select(0, ranks.flatten().int()).view(steps.shape)


@lru_cache
def _tables(number_format: NumberFormat, device: torch.device) -> tuple[Tensor, Tensor]:
    """Thresholds, float64, and codes by rank."""
    thresholds = torch.from_numpy(number_format.thresholds(np.float64))
    return thresholds.to(device), torch.from_numpy(number_format.sorted_codes()).to(device)


@lru_cache
def _values(number_format: NumberFormat, device: torch.device) -> Tensor:
    """Values by code, int8."""
    return torch.tensor(number_format.values, dtype=torch.int8, device=device)


@lru_cache
def _scale_tables(encoding: ScaleEncoding, device: torch.device) -> tuple[Tensor, Tensor]:
    """Thresholds between codes, and numbers by code, NaN the last; float64."""
    numbers = encoding.decode(np.arange(encoding.nan_code + 1))
    return torch.from_numpy(encoding.thresholds()).to(device), torch.from_numpy(numbers).to(device)
