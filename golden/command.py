# SPDX-License-Identifier: Apache-2.0
"""`dint formats`."""

from __future__ import annotations

from typing import Any

from .block_format import BlockFormat
from .catalogue import BLOCK_FORMATS, CODEBOOK_FORMATS, FORMATS, GROUP_FORMATS, SCALED_FORMATS, VARIANTS
from .mac import MacConfig
from .number_format import NumberFormat

__all__ = ["formats"]


def formats(quiet: bool = False) -> dict[str, dict[str, Any]]:
    """Print the catalogue and the variants: for each format its widths and, code by code, its values in steps.

    Parameters
    ----------
    quiet
        Print nothing.

    Returns
    -------
    dict
        By name: `title`, `bits`, `unit` in steps, `values` by code in units, `special_codes`, and of a MAC unit
        `accumulator_bits` for `depth` products with INT8, and the `architecture` that is the default. Of a block format:
        `title`, `bits`, `element` (name of the elements' format), `block`, `scale` (name of the encoding), `tensor_scale`
        (whether there is one) and `bits_per_scalar`; where there are several, `codebooks`, and the `selector_block` that
        selects one.
    """
    known = FORMATS | VARIANTS
    if not quiet:
        families = ["\n".join(map(_block_text, family.values())) for family in (GROUP_FORMATS, CODEBOOK_FORMATS)]
        print("\n\n".join([*map(_text, known.values()), *map(_block_text, BLOCK_FORMATS.values()), *families]))
    plain = {name: _data(number_format) for name, number_format in known.items()}
    return plain | {name: _block_data(block_format) for name, block_format in SCALED_FORMATS.items()}


def _data(number_format: NumberFormat) -> dict[str, Any]:
    config = MacConfig(number_format)
    return {
        "title": number_format.title,
        "bits": number_format.bits,
        "unit": float(number_format.unit),
        "values": list(number_format.values),
        "special_codes": sorted(number_format.special_codes),
        "accumulator_bits": config.accumulator_bits,
        "depth": config.depth,
        "architecture": config.architecture,
    }


def _block_data(block_format: BlockFormat) -> dict[str, Any]:
    selected = {
        "codebooks": [list(one.values) for one in block_format.elements],
        "selector_block": block_format.selector_block,
    }
    return (selected if block_format.selector_block else {}) | {
        "title": block_format.title,
        "bits": block_format.bits,
        "element": block_format.elements[0].name,
        "block": block_format.block,
        "scale": block_format.scales.name,
        "tensor_scale": block_format.tensor_scale,
        "bits_per_scalar": float(block_format.bits_per_scalar),
    }


def _block_text(block_format: BlockFormat) -> str:
    scale = f"a scale in {block_format.scales.title} for {block_format.block}"
    elements = f"elements in {block_format.elements[0].title}"
    if block_format.selector_block is not None:
        elements = f"{block_format.selector_block} elements in one of {len(block_format.elements)} codebooks"
    return (
        f"{block_format.name:<8} {block_format.title}: {elements}, {scale}"
        f"{', relative to a float32 of the tensor' if block_format.tensor_scale else ''}; "
        f"{float(block_format.bits_per_scalar)} bits for each"
    )


def _text(number_format: NumberFormat) -> str:
    config = MacConfig(number_format)
    facts = (
        f"{number_format.name:<8} {number_format.title}: {number_format.bits} bits, {len(set(number_format.values))} values "
        f"from {number_format.minimum * number_format.unit} to {number_format.maximum * number_format.unit} steps, "
        f"unit {number_format.unit} step; accumulator {config.accumulator_bits} bits for {config.depth} products with INT8"
    )
    if number_format.bits > 4:
        return facts + "\n         code c stands for c, two's complement"
    width = number_format.bits
    cells = [f"{code:0{width}b} {value * number_format.unit!s:>4}" for code, value in enumerate(number_format.values)]
    lines = ["         " + "   ".join(cells[start : start + 4]) for start in range(0, len(cells), 4)]
    return "\n".join([facts, *lines])
