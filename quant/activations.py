# SPDX-License-Identifier: Apache-2.0
"""8-bit activations: symmetric, one scale per token, taken from the token itself."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["LARGEST", "quantize_activations"]

#: Largest magnitude of an activation code. -128 stays unused, so that the range is symmetric.
LARGEST = 127


def quantize_activations(x: Tensor) -> tuple[Tensor, Tensor]:
    """Integers (..., channels) from -127 to 127, as float32, and scales (...), one per token: x is about integer x scale.

    The scale is max|x| / 127 of each token (dynamic, as the reference paper's per-token quantization implies); ties round to
    the even integer. The paper quantizes activations asymmetrically; the symmetric form, which needs no correction for a
    zero-point of the activations, is our choice. A token of zeros gets scale 1.
    """
    scales = x.abs().amax(dim=-1) / LARGEST
    scales = torch.where(scales > 0, scales, torch.ones_like(scales))
    return torch.round(x / scales[..., None]).clamp_(-LARGEST, LARGEST), scales
