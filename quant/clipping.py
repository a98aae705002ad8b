# SPDX-License-Identifier: Apache-2.0
"""Weight clipping as in AWQ: give up the largest weights of a channel where finer steps for the others are worth more.

Groups whose scales are stored (`golden.GROUP_FORMATS`) are clipped likewise, to scales that their encoding has; other block
formats prescribe their scales.

Ranges are shrunk to 1, 0.95, ... 0.55 of the one that `choose_scales` gives the output channel (or group), and each channel
keeps the range with the least squared error of its output on the calibration inputs, by which only the weight differs. That
error is a quadratic form of the channel's weight error, with the Hessian of the inputs: no inputs need to be kept. The
result is only scales and zero-points, so that any rounding can follow; weights beyond the range saturate.

At 1, asymmetric ranges hold all weights, and so do symmetric ones of a format that reaches as far on both sides. With signed
scales, a lopsided range (INT4's -8..7, dINT4's -7..6) holds the larger extreme on its longer side, and what lies beyond the
shorter side saturates at 1 already. Neither ranges above 1 nor both signs are tried, in any format. As a control, both were
measured: the ranking of INT3 and dINT3 stays what it is, and trying both signs lowers the KL of both by 3 to 4 %.

In the reference paper (arXiv 2311.05161, section 3.2) this follows AQAS's search, as it follows AWQ's: what its tables call
AQAS + OPTQ is scaling "aqas", clipping "awq", rounding "optq".
"""

from __future__ import annotations

import torch
from torch import Tensor

from golden import BlockFormat, NumberFormat

from .blocks import block_scales, factors_of, nearest_blocks, values_of
from .weights import choose_scales, decode, nearest_codes

__all__ = ["SHRINKS", "clipped_block_scales", "clipped_scales"]

#: Fractions of the range of `choose_scales` that are tried.
SHRINKS = tuple(1 - step / 20 for step in range(10))


def clipped_scales(
    weight: Tensor, hessian: Tensor, number_format: NumberFormat, form: str, group_size: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Scales and zero-points, as `choose_scales` gives them for `weight` (out, in), for the best range of each channel.

    `hessian` (in, in), of any scale. With groups, each group's range is judged by the error of its own part of the output.
    """
    if group_size is not None:
        starts = range(0, weight.shape[1], group_size)
        parts = [slice(start, start + group_size) for start in starts]
        chosen = [clipped_scales(weight[:, part], hessian[part, part], number_format, form) for part in parts]
        scales = torch.stack([scale for scale, _ in chosen], dim=1)
        zero_points = [zero_point for _, zero_point in chosen if zero_point is not None]
        return scales, torch.stack(zero_points, dim=1) if zero_points else None
    candidates = [_shrunk(weight, number_format, form, shrink) for shrink in SHRINKS]
    losses = torch.stack([_output_error(weight, hessian, number_format, *candidate) for candidate in candidates])
    best = losses.argmin(dim=0)  # of equals the first: the widest range
    rows = torch.arange(len(weight), device=weight.device)
    scales = torch.stack([scale for scale, _ in candidates])[best, rows]
    zero_points = [zero_point for _, zero_point in candidates if zero_point is not None]
    return scales, torch.stack(zero_points)[best, rows] if zero_points else None


def clipped_block_scales(weight: Tensor, hessian: Tensor, block_format: BlockFormat) -> tuple[Tensor, Tensor | None]:
    """Codes of the blocks' scales and tensor scale, as `block_scales` gives them, for the best range of each block.

    `hessian` (in, in), of any scale. A block's range is judged by the error of its own part of the output.
    """
    candidates = [block_scales(weight, block_format, shrink=shrink) for shrink in SHRINKS]
    size, tensor_scale = block_format.block, candidates[0][1]
    own = torch.stack([hessian[start : start + size, start : start + size] for start in range(0, len(hessian), size)])
    losses = []
    for scales, _ in candidates:
        codes = nearest_blocks(weight, scales, tensor_scale, block_format).codes
        steps = factors_of(scales, tensor_scale, block_format).to(weight.dtype) * float(block_format.unit)
        values = values_of(codes, None, block_format).view(*scales.shape, size)
        error = values * steps[:, :, None] - weight.view(values.shape)
        losses.append((torch.einsum("obi,bij->obj", error, own.to(weight.dtype)) * error).sum(dim=2))
    best = torch.stack(losses).argmin(dim=0, keepdim=True)  # of equals the first: the widest range
    return torch.stack([scales for scales, _ in candidates]).gather(0, best)[0], tensor_scale


def _shrunk(weight: Tensor, number_format: NumberFormat, form: str, shrink: float) -> tuple[Tensor, Tensor | None]:
    if form == "symmetric":  # a channel stays mirrored as its larger extreme wants it, also where both extremes saturate
        return choose_scales(weight, number_format, form)[0] * shrink, None
    limit = weight.abs().amax(dim=1, keepdim=True) * shrink
    return choose_scales(weight.clamp(-limit, limit), number_format, form)


def _output_error(
    weight: Tensor, hessian: Tensor, number_format: NumberFormat, scales: Tensor, zero_points: Tensor | None
) -> Tensor:
    """Squared output error (out,) of the channels rounded to nearest, up to the Hessian's scale."""
    codes = nearest_codes(weight, number_format, scales, zero_points)
    values = decode(codes, number_format, zero_points)
    error = values * (scales[:, None] * float(number_format.unit)) - weight
    return ((error @ hessian) * error).sum(dim=1)
