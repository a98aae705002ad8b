# SPDX-License-Identifier: Apache-2.0
"""Operands in a block format, of a made-up layer."""

from __future__ import annotations

import numpy as np

from golden import BlockCodes, BlockFormat, LayerOperands, Operands, row_sums


def block_operands(blocks: BlockFormat, bits: int, spread: float = 1.0) -> Operands:
    """5 outputs, 4 blocks, 3 tokens; scales of `spread` octaves; with 4 bits activations in the format as well."""
    random = np.random.default_rng(3)
    columns = 4 * blocks.block
    drawn = (random.normal(size=(8, columns)) * 2.0 ** (spread * random.normal(size=(8, columns)))).astype(np.float32)
    weights, tokens = blocks.quantize(drawn[:5]), blocks.quantize(drawn[5:], by_row=True)
    given = tokens if bits == 4 else random.integers(-128, 128, (3, columns), dtype=np.int8)
    accumulators, exponents = row_sums(weights, given)
    layer = LayerOperands(
        "fc1",
        weights.codes,
        given.codes.view(np.int8) if isinstance(given, BlockCodes) else given,
        accumulators,
        np.ones(5, np.float32),
        np.ones(3, np.float32),
        block_scales=weights.scales,
        selectors=weights.selectors,
        activation_block_scales=given.scales if isinstance(given, BlockCodes) else None,
        activation_selectors=given.selectors if isinstance(given, BlockCodes) else None,
        exponents=exponents,
    )
    return Operands(blocks.elements[0], (layer,), {}, blocks, blocks if bits == 4 else None)
