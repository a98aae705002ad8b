"""What `dint formats` prints."""

from __future__ import annotations

from .catalogue import FORMATS, VARIANTS
from .mac import MacConfig
from .number_format import NumberFormat

__all__ = ["formats"]


def formats() -> str:
    """The catalogue and the variants as text: for each format its widths and, code by code, its values in steps."""
    return "\n\n".join(_describe(number_format) for number_format in (FORMATS | VARIANTS).values())


def _describe(number_format: NumberFormat) -> str:
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
