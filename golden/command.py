# SPDX-License-Identifier: Apache-2.0
"""`dint formats`."""

from __future__ import annotations

from typing import Any

from .catalogue import FORMATS, VARIANTS
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
        `accumulator_bits` for `depth` products with INT8, and the `architecture` that is the default.
    """
    known = FORMATS | VARIANTS
    if not quiet:
        print("\n\n".join(_text(number_format) for number_format in known.values()))
    return {name: _data(number_format) for name, number_format in known.items()}


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
