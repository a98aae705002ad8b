# SPDX-License-Identifier: Apache-2.0
"""AWQ, activation-aware weight quantization (Lin et al., arXiv 2306.00978, section 3.2): scale up the weights that matter.

For each group of linear layers that read the same channels, s = x^r with the mean magnitude x of each input channel's
activations and the r of 0, 1/20, ... 19/20 that minimizes the error of the block's output, of which only the weights are
quantized. What follows in AWQ, the search for the clipping of the weights, is a stage of its own (`clipping`).
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from .block import Block, GroupScale

__all__ = ["awq", "candidate_scale"]

#: Exponents tried: multiples of 1 / EXPONENTS from 0 to below 1.
EXPONENTS = 20
#: Smallest scale, before its size is normalized.
SMALLEST = 1e-4


def awq(block: Block) -> GroupScale:
    """The best scale of AWQ's grid for `block`."""
    weights_only = replace(block.scheme, activations="fp32")
    means = block.activation_means
    losses = [block.loss(candidate_scale(means, step / EXPONENTS), weights_only) for step in range(EXPONENTS)]
    exponent = losses.index(min(losses)) / EXPONENTS
    return GroupScale(block.layer_name, block.group, candidate_scale(means, exponent), exponent, 0.0, min(losses), losses[0])


def candidate_scale(means: Tensor, exponent: float) -> Tensor:
    """s = x^r (channels,), divided by sqrt(max s x min s)."""
    scale = (means**exponent).clamp(min=SMALLEST)
    return scale / (scale.max() * scale.min()).sqrt()
