# SPDX-License-Identifier: Apache-2.0
"""Operand coverage: which pairs of weight code and activation a replay multiplies, and how often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from golden import LayerOperands, NumberFormat

__all__ = ["pair_counts", "summary"]


def pair_counts(layer: LayerOperands, number_format: NumberFormat) -> NDArray[np.int64]:
    """How often each code meets each activation in the products of all tokens with all outputs: (codes, 256), from -128 up.

    Every weight of an input meets every token's activation of that input, so the counts are those of the codes times those of
    the activations, added over the inputs.
    """
    codes, activations = layer.weights, layer.activations.astype(np.int64) + 128
    inputs = np.arange(codes.shape[1])
    of_codes = np.zeros((codes.shape[1], len(number_format.values)), np.int64)
    of_activations = np.zeros((codes.shape[1], 256), np.int64)
    np.add.at(of_codes, (np.broadcast_to(inputs, codes.shape), codes), 1)
    np.add.at(of_activations, (np.broadcast_to(inputs, activations.shape), activations), 1)
    return of_codes.T @ of_activations


def summary(counts: NDArray[np.int64], number_format: NumberFormat) -> str:
    """One line: how many pairs were met, and the extremes."""
    met = int(np.count_nonzero(counts))
    code, activation = np.unravel_index(int(counts.argmax()), counts.shape)
    value = float(number_format.values[int(code)] * number_format.unit)
    return (
        f"{met:,} of the {counts.size:,} pairs of code and activation met; most often {value:g} x {int(activation) - 128} "
        f"({counts.max() / counts.sum():.1%} of {counts.sum():,} products)"
    )
