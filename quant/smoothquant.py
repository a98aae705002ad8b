# SPDX-License-Identifier: Apache-2.0
"""SmoothQuant (Xiao et al., arXiv 2211.10438, eq. 4): share the channels' magnitudes between activations and weights.

s = max|X|^alpha / max|W|^(1 - alpha), by input channel, W jointly over the layers that read the channels (q, k and v); no
search. Only what a normalization produces is scaled: the inputs of q, k, v and of the first matrix of the MLP.
"""

from __future__ import annotations

from torch import nn

from .block import Block, GroupScale

__all__ = ["smoothquant"]

#: The migration strength, as the paper uses it for OPT.
ALPHA = 0.5
#: Smallest weight maximum, and smallest scale.
SMALLEST = 1e-5


def smoothquant(block: Block) -> GroupScale | None:
    """The scale for `block`; None where a linear layer is in front of it."""
    if isinstance(block.layer.get_submodule(block.group.producer), nn.Linear):
        return None
    scale = block.activation_maxima**ALPHA / block.weight_maxima.clamp(min=SMALLEST) ** (1 - ALPHA)
    return GroupScale(block.layer_name, block.group, scale.clamp(min=SMALLEST), ALPHA, 1 - ALPHA)
