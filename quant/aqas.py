# SPDX-License-Identifier: Apache-2.0
"""AQAS, activation-quantization-aware scaling (reference paper, arXiv 2311.05161, section 3.2).

For each group of linear layers that read the same channels, the s that minimizes

    || Q(W diag(s)) Q(diag(s)^-1 X) - W X ||^2          W: (out, in), X: (in, tokens)

with *both* operands quantized [paper]. The candidates are s = x^alpha / w^beta with the largest magnitudes x of each input
channel's activations and w of its weights (jointly over q, k and v) [paper: the statistic]; alpha and beta run from 0 to 1
independently [our choice: AWQ's line alpha + beta = 1 is a part of it], on a coarse grid first and then around its best
point. alpha = beta = 0, no scaling, is among the candidates, so that the search never ends worse than where it began, by
its own measure. For q, k and v the loss is taken on the attention's output, as the paper does.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from torch import Tensor

from .block import Block, GroupScale

__all__ = ["aqas", "candidate_scale"]

#: Exponents tried for alpha and for beta are multiples of 1 / EXPONENT_STEPS from 0 to 1, at first every `COARSE`-th.
EXPONENT_STEPS = 10
COARSE = 2
#: Statistics below this are raised to it (dead channels); AWQ clamps at the same value.
SMALLEST = 1e-4


def aqas(block: Block) -> GroupScale:
    """The best scale of the two-dimensional grid for `block`."""
    losses: dict[tuple[int, int], float] = {}

    def try_all(exponents: Iterable[tuple[int, int]]) -> tuple[int, int]:
        for a, b in exponents:
            if (a, b) not in losses and 0 <= a <= EXPONENT_STEPS and 0 <= b <= EXPONENT_STEPS:
                losses[a, b] = block.loss(scale_of(a, b), block.scheme)
        return min(losses, key=losses.__getitem__)  # of equals the first, so that ties leave the model alone

    def scale_of(a: int, b: int) -> Tensor:
        return candidate_scale(block.activation_maxima, block.weight_maxima, a / EXPONENT_STEPS, b / EXPONENT_STEPS)

    grid, near = range(0, EXPONENT_STEPS + 1, COARSE), range(1 - COARSE, COARSE)
    a, b = try_all(product(grid, grid))
    a, b = try_all([(a + da, b + db) for da, db in product(near, near)])
    exponents = a / EXPONENT_STEPS, b / EXPONENT_STEPS
    return GroupScale(block.layer_name, block.group, scale_of(a, b), *exponents, losses[a, b], losses[0, 0])


def candidate_scale(activation: Tensor, weight: Tensor, alpha: float, beta: float) -> Tensor:
    """s = x^alpha / w^beta (channels,), float32, divided by sqrt(max s x min s), which changes nothing but its size."""
    scale = activation.clamp(min=SMALLEST) ** alpha / weight.clamp(min=SMALLEST) ** beta
    scale = scale.clamp(min=SMALLEST)
    return scale / (scale.max() * scale.min()).sqrt()
