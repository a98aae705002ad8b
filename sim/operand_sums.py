# SPDX-License-Identifier: Apache-2.0
"""Sums of an operand file: that a unit can take them all, and one of them at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from golden import AsymmetricConfig, InputError, LayerOperands, Operands, UnitConfig

__all__ = ["checked_sums", "drawn_sum"]


def checked_sums(operands: Operands, config: UnitConfig) -> NDArray[np.int64]:
    """Number of sums of each layer; InputError if there is none, or if `config` cannot take one of them."""
    for layer in operands.layers:
        _check_layer(layer, operands, config)
    sums = np.array([layer.accumulators.size for layer in operands.layers], dtype=np.int64)
    if not sums.any():
        raise InputError("the operand file holds no sums: export it again with 'dint operands'")
    return sums


def drawn_sum(operands: Operands, sums: NDArray[np.int64], random: np.random.Generator) -> tuple[LayerOperands, int, int]:
    """A layer, a token and an output, every sum of the file equally likely; `sums` as `checked_sums` gives them."""
    layer = operands.layers[random.choice(len(sums), p=sums / sums.sum())]
    token, output = (int(random.integers(size)) for size in layer.accumulators.shape)
    return layer, token, output


def _check_layer(layer: LayerOperands, operands: Operands, config: UnitConfig) -> None:
    given, wanted = operands.format_name, config.format_name
    if given != wanted or (operands.block_format is None and operands.number_format != config.weight_format):
        options = f"--format {(operands.block_format or operands.number_format).name}"
        options += f" --activations {operands.activation_format.name}" if operands.activation_format is not None else ""
        raise InputError(f"the operands are {given}, the unit takes {wanted}: use {options}, or export operands of {wanted}")
    if layer.zero_points is not None and not isinstance(config, AsymmetricConfig):
        raise InputError(
            f"{layer.name} has zero-points (asymmetric weights): {config.name} takes none; quantize in the symmetric form"
        )
    if layer.weights.shape[1] > config.depth:
        raise InputError(
            f"{layer.name} has sums of {layer.weights.shape[1]} products, {config.name} holds {config.depth}: "
            f"use a depth of {layer.weights.shape[1]} or more"
        )
    if operands.block_format is not None:
        operands.coded(layer)  # refuses codes that are none
        return
    config.weight_format.checked_codes(layer.weights)
    config.checked_activations(layer.activations)
