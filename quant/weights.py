# SPDX-License-Identifier: Apache-2.0
"""Weights in few bits: a scale (and perhaps a zero-point) per output channel or group, and rounding to the nearest code.

Symmetric form (our choice, one multiplier for all channels): weight = value x scale, and the scale carries a *sign*. A
format's range is lopsided (-8..7, -7..6), so each channel is stored mirrored where that puts its larger extreme on the
longer side. Asymmetric form (the reference paper, arXiv 2311.05161, section 4): weight = (q - z) x scale, q counted from
the least integer code, with dINT's special values at +-scale/2. Every format is treated alike by the same lines.

With groups, consecutive weights of a channel share a scale, and each group is treated as a channel of its own. Grouped
"per-oc", a group lies in an output channel: consecutive inputs. Grouped "per-ic" (AdaDim, arXiv 2309.15531, section 4), it
lies in an input channel: consecutive outputs, so that an input channel with large activations has scales of its own. What
follows treats rows as channels; per-ic groups are those of the transposed weight.

Choosing scales and rounding are separate functions: a method that rounds column by column calls the second by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from golden import NumberFormat
from golden.errors import unknown

__all__ = [
    "FORMS",
    "GROUPINGS",
    "QuantizedWeights",
    "choose_scales",
    "decode",
    "decode_packed",
    "nearest_codes",
    "quantize_weights",
    "round_to_codes",
    "value_table",
]

FORMS = ("symmetric", "asymmetric")
GROUPINGS = ("per-oc", "per-ic")


@dataclass(frozen=True)
class QuantizedWeights:
    """A weight matrix in codes: weight[o, i] is about value(codes[o, i]) x unit x scale.

    The scale is scales[o], with groups scales[o, i // group size], and with groups per-ic scales[i, o // group size].
    """

    codes: Tensor  # (out, in) uint8
    scales: Tensor  # (out,), (out, groups) or (in, groups) float32, size of a step; negative where it is stored mirrored
    zero_points: Tensor | None  # as scales, int64; asymmetric form only


def quantize_weights(
    weight: Tensor, number_format: NumberFormat, form: str, group_size: int | None = None, grouping: str = "per-oc"
) -> QuantizedWeights:
    """Round `weight` (out, in), float32, to nearest (RTN), with one scale per output channel or group."""
    if grouping == "per-ic":
        across = quantize_weights(weight.T, number_format, form, group_size)
        return QuantizedWeights(across.codes.T.contiguous(), across.scales, across.zero_points)
    scales, zero_points = choose_scales(weight, number_format, form, group_size)
    return QuantizedWeights(nearest_codes(weight, number_format, scales, zero_points), scales, zero_points)


def choose_scales(
    weight: Tensor, number_format: NumberFormat, form: str, group_size: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Scales (out,) or (out, groups), float32, and zero-points of the same shape, int64, or None in the symmetric form.

    Symmetric: |scale| = largest magnitude / longer side of the range, so that the largest weight is met exactly; an
    extreme of the other sign beyond the shorter side saturates. Fitting *both* extremes (a larger scale for the few such
    channels) was measured and is worse for INT4 and dINT4 alike. Asymmetric [paper]: scale = (max - min) / p with p the
    format's steps, the range made to include zero. A channel of zeros gets scale 1.
    """
    if group_size is not None:
        scales, zero_points = choose_scales(weight.reshape(-1, group_size), number_format, form)
        return scales.view(len(weight), -1), None if zero_points is None else zero_points.view(len(weight), -1)
    if form == "symmetric":
        negative, positive = -weight.amin(dim=1), weight.amax(dim=1)
        long_side = float(max(-number_format.minimum, number_format.maximum) * number_format.unit)
        magnitudes = _nonzero(torch.maximum(negative, positive) / long_side)
        return torch.where(number_format.mirrors(negative, positive), -magnitudes, magnitudes), None
    if form == "asymmetric":
        least, greatest = weight.amin(dim=1).clamp(max=0), weight.amax(dim=1).clamp(min=0)
        scales = _nonzero((greatest - least) / number_format.steps)
        zero_points = torch.round(-least / scales).clamp(0, number_format.steps).to(torch.int64)
        return scales, zero_points
    raise unknown(f"form is {form!r}", form, FORMS)


def nearest_codes(weight: Tensor, number_format: NumberFormat, scales: Tensor, zero_points: Tensor | None) -> Tensor:
    """Codes (out, in) uint8 of the values nearest to `weight` (out, in); scales and zero-points (out,) or (out, groups)."""
    channels = weight.reshape(scales.numel(), -1)
    own = None if zero_points is None else zero_points.flatten()
    return round_to_codes(channels / scales.reshape(-1, 1), number_format, own).view(weight.shape)


def round_to_codes(steps: Tensor, number_format: NumberFormat, zero_points: Tensor | None) -> Tensor:
    """Codes (out, in) uint8 of the values nearest to `steps` (out, in), float32 or float64, weights in steps; saturates.

    Agrees bit for bit with `NumberFormat.round`, whose thresholds it uses.
    """
    if zero_points is None:
        thresholds, codes = _symmetric_tables(number_format, steps.device, steps.dtype)
        return _looked_up(codes, _ranks(steps, thresholds.expand(len(steps), -1)))
    thresholds, codes, _ = _asymmetric_tables(number_format, steps.device)
    rows = zero_points.to(torch.int64)  # bytes would be taken for a mask
    return codes[rows].gather(1, _ranks(steps, thresholds[rows]).to(torch.int64))


def decode(codes: Tensor, number_format: NumberFormat, zero_points: Tensor | None) -> Tensor:
    """Integer values (out, in) of `codes`, in units of the format: int8, or int16 where a zero-point moves 8-bit values."""
    if zero_points is None:
        return _looked_up(value_table(number_format, codes.device), codes)
    return _asymmetric_tables(number_format, codes.device)[2][zero_points.to(torch.int64)].gather(1, codes.to(torch.int64))


def decode_packed(packed: Tensor, number_format: NumberFormat) -> Tensor:
    """Values (out, 2 x bytes) int8 of codes packed two a byte, in the symmetric form: `decode`, in half the look-ups."""
    pairs = _looked_up(_pair_table(number_format, packed.device), packed)
    return pairs.view(torch.int8)


def _ranks(steps: Tensor, thresholds: Tensor) -> Tensor:
    """How many of its row's `thresholds` (out, n) each of `steps` (out, in) exceeds: integers (out, in)."""
    if thresholds.shape[1] > 15 or steps.shape[1] == 1:
        return torch.searchsorted(thresholds.contiguous(), steps.contiguous(), out_int32=True)
    # A few comparisons of whole matrices are three times as fast as a binary search for every weight.
    ranks = torch.zeros(steps.shape, dtype=torch.uint8, device=steps.device)
    for index in range(thresholds.shape[1]):
        ranks += (steps > thresholds[:, index, None]).view(torch.uint8)
    return ranks


def _looked_up(table: Tensor, indices: Tensor) -> Tensor:
    """`table` (n,) at `indices` (any shape): four times as fast as indexing."""
    return table.index_select(0, indices.flatten().to(torch.int32)).view(indices.shape)


def _nonzero(scales: Tensor) -> Tensor:
    return torch.where(scales > 0, scales, torch.ones_like(scales))


@lru_cache
def _symmetric_tables(number_format: NumberFormat, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    thresholds = torch.from_numpy(number_format.thresholds(np.float64 if dtype == torch.float64 else np.float32))
    return thresholds.to(device), torch.from_numpy(number_format.sorted_codes()).to(device)


@lru_cache
def value_table(number_format: NumberFormat, device: torch.device) -> Tensor:
    """Values by code, int8."""
    return torch.tensor(number_format.values, dtype=torch.int8, device=device)


@lru_cache
def _pair_table(number_format: NumberFormat, device: torch.device) -> Tensor:
    """The values of the two codes of every byte, as the two bytes of an int16."""
    values = value_table(number_format, device)
    byte, last = torch.arange(256, device=device), len(values) - 1  # codes of three bits are stored in four
    pairs = torch.stack((values[(byte & 15).clamp(max=last)], values[(byte >> 4).clamp(max=last)]), dim=-1)
    return pairs.view(torch.int16)[:, 0]


@lru_cache
def _asymmetric_tables(number_format: NumberFormat, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Thresholds (p + 1, 2^b - 1), codes by rank and values by code (p + 1, 2^b): a row for every zero-point."""
    shifted = [number_format.with_zero_point(zero_point) for zero_point in range(number_format.steps + 1)]
    thresholds = np.stack([one.thresholds(np.float32) for one in shifted])
    codes = np.stack([one.sorted_codes() for one in shifted])
    values = np.array([one.values for one in shifted], dtype=np.int16)
    if np.abs(values).max() < 128:
        values = values.astype(np.int8)
    return tuple(torch.from_numpy(table).to(device) for table in (thresholds, codes, values))  # type: ignore[return-value]
